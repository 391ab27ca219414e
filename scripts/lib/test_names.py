"""Tests of the names of types: one name means one thing in a crate.

Every declaration at module level counts, private ones and those of tests included. The exceptions are below.
"""

from __future__ import annotations

import re
import unittest
from collections import defaultdict
from pathlib import Path

from .test_pages import ROOT, files, read

DECLARATION = re.compile(r"^(?: {4})?(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|union|type) ([A-Z]\w*)", re.MULTILINE)
"""A type of a module, or of a module within a file. Types within functions are indented further."""

ASSOCIATED = re.compile(r"^    type \w+ = ", re.MULTILINE)
"""An associated type, whose name the trait decides."""

SEPARATE = (
    # The build without tracing has the types of the build with it.
    "shared/src/telemetry/off.rs",
    # Test files are crates of their own.
    "shared/tests/",
    "tests/tests/",
    "tests/src/bin/",
)
"""Files that are never compiled together with the others of their crate."""

HOSTS = "functions/refresh/src/hosts/"
"""The folder with a module for the events of each Git host."""

PRESCRIBED = {
    *("Change", "Changes", "Commit", "Project", "PullRequest", "PullRequestEvent", "PushEvent"),
    *("Reference", "Repository", "Side", "User"),
}
"""The objects that the documentation of several hosts has. Each host gives them other fields."""


def crate(file: Path) -> Path:
    """Returns the folder of the nearest manifest."""
    return next(folder for folder in file.parents if (folder / "Cargo.toml").exists())


def repeated(sources: list[Path]) -> list[str]:
    """Returns each name that a crate gives to two types, with the files."""
    found = defaultdict(list)
    for file in sources:
        name = file.relative_to(ROOT).as_posix()
        if name.startswith(SEPARATE):
            continue
        for declared in DECLARATION.findall(ASSOCIATED.sub("", read(file))):
            location = HOSTS if name.startswith(HOSTS) and declared in PRESCRIBED else name
            if location != HOSTS or HOSTS not in found[crate(file), declared]:
                found[crate(file), declared].append(location)
    return [f"{declared}: {', '.join(names)}" for (_, declared), names in sorted(found.items()) if len(names) > 1]


class Names(unittest.TestCase):
    def test_no_crate_has_two_types_of_one_name(self) -> None:
        twice = repeated([file for file in files("*.rs") if "fixtures" not in file.parts])
        self.assertEqual(twice, [], "\n" + "\n".join(twice))

    def test_declarations_are_found_and_local_types_are_not(self) -> None:
        text = "pub(crate) struct One;\n    enum Two {}\n        struct Local;\ntype Three<'a> = &'a str;\n    type Error = One;\n"
        self.assertEqual(DECLARATION.findall(ASSOCIATED.sub("", text)), ["One", "Two", "Three"])


if __name__ == "__main__":
    unittest.main()
