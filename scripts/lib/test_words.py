"""Tests of the words: forms that the style of this project forbids, in comments, messages and pages."""

from __future__ import annotations

import ast
import re
import unittest
from typing import Iterator

from .test_pages import ROOT, files, pages, read

CLAUSE = r"(?:What|Whatever|Who|Whoever|Whose)\b(?! (?:is|are|does|do|can|may|will|has|should)\b[^.]*\?)"
"""The beginning of a clause that takes the place of a noun. A question is none."""

START = re.compile(rf"^(?:{CLAUSE}|(?:Where|How|That of)\b)(?![^.]*\?)")
"""The forbidden beginnings of a comment."""

SENTENCE = re.compile(rf"(?:^|[.:;|] )\**{CLAUSE}(?![^.|]*\?)")
"""The forbidden beginnings of a sentence."""

FORMS = re.compile(r"\b(?:tells?|told) of\b|\bcannot be had\b|\b(?:is|has|have) to be had\b|\b(?:is|are) to be\b|\bwhoever\b")
"""The forbidden forms anywhere in a sentence."""


def found(text: str, comment: bool) -> bool:
    """Whether a line has a forbidden form. One in code spans is quoted, not said."""
    text = re.sub(r"`[^`]*`", "`code`", text)
    return bool(FORMS.search(text) or SENTENCE.search(text) or (comment and START.search(text)))


def rust(text: str) -> Iterator[tuple[int, str, bool]]:
    """The comments and strings of a Rust source with their lines, and whether a comment begins there."""
    before = False
    for number, line in enumerate(text.splitlines(), 1):
        comment = re.match(r"\s*//[/!]? ?(.*)", line)
        if comment:
            yield number, comment.group(1), not before
        else:
            for string in re.findall(r'"((?:[^"\\]|\\.)*)"', line):
                yield number, string, False
        before = bool(comment and comment.group(1))


def python(text: str) -> Iterator[tuple[int, str, bool]]:
    """The strings of a Python source, those of its documentation included, and its comments."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for offset, line in enumerate(node.value.splitlines()):
                yield node.lineno + offset, line.strip(), offset == 0
    yield from hashes(text)


def hashes(text: str) -> Iterator[tuple[int, str, bool]]:
    """The comments of a file whose comments begin with a number sign."""
    before = False
    for number, line in enumerate(text.splitlines(), 1):
        comment = re.match(r"\s*# ?(.*)", line)
        if comment:
            yield number, comment.group(1), not before
        before = bool(comment and comment.group(1))


def prose(text: str) -> Iterator[tuple[int, str, bool]]:
    """The lines of a page."""
    for number, line in enumerate(text.splitlines(), 1):
        yield number, line.strip("| "), False


class Words(unittest.TestCase):
    def check(self, sources: list, parts) -> None:
        wrong = []
        for file in sources:
            for number, text, comment in parts(read(file)):
                if found(text, comment):
                    wrong.append(f"{file.relative_to(ROOT)}:{number}: {text}")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_comments_and_messages_of_rust_have_no_forbidden_form(self) -> None:
        self.check([file for file in files("*.rs") if "fixtures" not in file.parts], rust)

    def test_comments_and_messages_of_scripts_have_no_forbidden_form(self) -> None:
        scripts = [file for file in files("*.py") if file.name not in ("test_words.py",) and "fixtures" not in file.parts]
        self.check(scripts, python)

    def test_comments_of_the_deployment_have_no_forbidden_form(self) -> None:
        self.check([*files("*.yaml"), *files("*.yml"), *files("*.toml"), *files("deploy/Containerfile")], hashes)

    def test_pages_have_no_forbidden_form(self) -> None:
        self.check(pages(), prose)

    def test_forbidden_forms_are_found(self) -> None:
        for text in ("What is fetched.", "A tag. What it names stays", "It tells of a commit", "a blob that cannot be had", "it is to be sent", "So whoever asks gets it"):
            self.assertTrue(found(text, True), text)
        self.assertTrue(found("Where it is.", True))
        for text in ("The content that is fetched.", "What is live?", "Code such as `What is it`", "Wherever it is"):
            self.assertFalse(found(text, True), text)


if __name__ == "__main__":
    unittest.main()
