"""Tests of the pages: every link and anchor resolves, every file and test that a page names exists."""

from __future__ import annotations

import os
import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]:\s*(\S+)|(?:href|src|srcset)=\"([^\"]+)\"", re.MULTILINE)

FILE = re.compile(
    r"`((?:shared|functions|cli|tests|scripts|deploy|docs|action|fuzz|\.github|\.ci)/[\w./-]+)`"
)


def files(pattern: str) -> list[Path]:
    """The files of the project, with those that are not committed yet."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", pattern]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def read(file: Path) -> str:
    """The text of a file; some fixtures are not UTF-8."""
    return file.read_text(errors="replace")


def pages() -> list[Path]:
    """Every page of the project; those in fixtures are content of registries."""
    return [page for page in files("*.md") if "fixtures" not in page.parts]


def without_code(text: str) -> str:
    """A page without fenced blocks, whose line breaks stay, and without code in lines."""
    text = re.sub(r"(?ms)^[ ]*```.*?^[ ]*```[ ]*$", lambda block: "\n" * block.group().count("\n"), text)
    return re.sub(r"`[^`\n]+`", "`code`", text)


def links(page: Path) -> list[str]:
    return [next(filter(None, groups)) for groups in LINK.findall(without_code(read(page)))]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of headings, and those that the page has of its own."""
    text = read(page)
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^[ ]*```.*?^[ ]*```", "", text))
    own = set(re.findall(r'<a id="([^"]+)">', text))
    return own | {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class Links(unittest.TestCase):
    def test_every_relative_link_and_anchor_resolves(self) -> None:
        wrong = []
        for page in pages():
            for target in links(page):
                path, _, anchor = target.partition("#")
                if re.match(r"[a-z]+:", target):
                    continue
                file = (page.parent / path).resolve() if path else page
                if not file.exists():
                    wrong.append(f"{page.relative_to(ROOT)}: {target}: no such file")
                elif anchor and (file.suffix != ".md" or anchor not in anchors(file)):
                    wrong.append(f"{page.relative_to(ROOT)}: {target}: no such heading")
        self.assertEqual(wrong, [])

    def test_every_page_of_docs_is_reached_from_its_index(self) -> None:
        reached, waiting = set(), [ROOT / "docs/README.md"]
        while waiting:
            page = waiting.pop()
            if page in reached:
                continue
            reached.add(page)
            targets = [(page.parent / target.partition("#")[0]).resolve() for target in links(page)]
            waiting += [file for file in targets if file.suffix == ".md" and file.is_file()]
        missing = [str(page.relative_to(ROOT)) for page in files("docs/*.md") if page not in reached]
        self.assertEqual(missing, [])

    def test_every_file_that_a_page_names_exists(self) -> None:
        wrong = []
        for page in pages():
            for name in FILE.findall(read(page)):
                if not any(os.path.lexists(ROOT / f"{name}{end}") for end in ("", ".rs")):
                    wrong.append(f"{page.relative_to(ROOT)}: {name}")
        self.assertEqual(wrong, [])

    def test_every_page_that_a_source_names_exists(self) -> None:
        wrong = []
        for file in [*files("*.rs"), *files("*.py"), *files("*.yaml"), *files("*.yml"), *files("*.snap"), ROOT / "deploy/Containerfile"]:
            if file == Path(__file__) or "fixtures" in file.parts:
                continue
            for name in re.findall(r"(?<![\w/.])docs/(?:stack-authors|clients|operators|contributors)/[\w-]+\.md", read(file)):
                if not (ROOT / name).is_file():
                    wrong.append(f"{file.relative_to(ROOT)}: {name}")
        self.assertEqual(wrong, [])

    def test_every_test_that_a_page_names_exists(self) -> None:
        sources = [*files("*.rs"), *files("*test_*.py")]
        found = [names for file in sources for names in re.findall(r"\b(?:fn|def) (\w+)\(|^ +(\w+): \(", read(file), re.MULTILINE)]
        there = {name for names in found for name in names}
        for name in ("SECURITY.md", "ARCHITECTURE.md"):
            named = set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`", read(ROOT / name)))
            self.assertGreater(len(named), 10)
            self.assertEqual(sorted(named - there), [], name)


if __name__ == "__main__":
    unittest.main()
