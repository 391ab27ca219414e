"""Git on repositories of these scripts: nothing in a repository, and nothing around the caller, changes its actions or runs a program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_SETTINGS = ("safe.bareRepository=explicit", "core.fsmonitor=false", "core.hooksPath=/dev/null", "commit.gpgSign=false")
"""A folder with the files of a bare repository is no repository; no monitor, no hook and no signing program runs."""


def run(folder: Path, *arguments: str, author: str = "") -> str:
    """Runs Git in a folder and returns its output. `author` is the name on commits."""
    settings = [*_SETTINGS, *([f"user.name={author}", f"user.email={author}@example.com"] if author else [])]
    options = [word for setting in settings for word in ("-c", setting)]
    command = ["git", *options, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment(), text=True).stdout


def environment() -> dict[str, str]:
    """The environment of a Git that nothing around the caller changes."""
    # Inside of a hook, GIT_DIR and its kind name the caller's repository.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
