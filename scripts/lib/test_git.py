"""Tests of how scripts call Git."""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from . import git


class Calls(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.repository = self.folder / "repository"
        self.repository.mkdir()
        git.run(self.repository, "init", "--quiet", "--initial-branch=main")

    def commit(self) -> None:
        (self.repository / "file").write_text("content")
        git.run(self.repository, "add", "--all")
        git.run(self.repository, "commit", "--quiet", "--message", "A change", author="test")

    def program(self, path: Path) -> Path:
        """A program that fails and leaves a trace."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {self.folder}/ran\nexit 1\n")
        path.chmod(0o755)
        return path

    def test_commit_has_the_author_and_no_program_of_the_repository_runs(self) -> None:
        self.program(self.repository / ".git/hooks/pre-commit")
        monitor = self.program(self.folder / "monitor")
        with open(self.repository / ".git/config", "a") as config:
            config.write(f"[core]\nfsmonitor = {monitor}\n[commit]\ngpgSign = true\n[gpg]\nprogram = {monitor}\n")
        self.commit()
        self.assertEqual(git.run(self.repository, "log", "--format=%an %s").strip(), "test A change")
        self.assertFalse((self.folder / "ran").exists())

    def test_variables_of_the_caller_name_no_other_repository(self) -> None:
        self.commit()
        hostile = {"GIT_DIR": str(self.folder / "other"), "GIT_INDEX_FILE": "/nowhere", "GIT_CONFIG_COUNT": "x"}
        with mock.patch.dict(os.environ, hostile):
            self.assertEqual(git.run(self.repository, "status", "--porcelain"), "")

    def test_folder_that_looks_like_a_bare_repository_is_none(self) -> None:
        bare = self.folder / "bare"
        bare.mkdir()
        git.run(bare, "init", "--quiet", "--bare")
        with self.assertRaises(subprocess.CalledProcessError):
            git.run(bare, "rev-parse", "--git-dir")


if __name__ == "__main__":
    unittest.main()
