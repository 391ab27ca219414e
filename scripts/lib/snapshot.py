"""Notices changes in a folder, by looking.

Every half second is often enough for a person and cheap for a registry repository (some hundred files), works on every
file system, and needs no library. A change is reported once the folder has been quiet for a moment, so that a checkout
or an editor's save is one change, not ten.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Optional

Files = dict[str, tuple[int, int]]
"""Size and modification time of each file, by path below the folder."""

LOOK_SECONDS = 0.5
QUIET_SECONDS = 0.3

_COMMITS = os.path.join(".git", "logs", "HEAD")
"""Git appends to it with each commit and checkout: the one file of `.git` that says that the commit has changed."""


def look(folder: Path) -> Files:
    """The folder's files as they are now. A folder that is not there has none."""
    files: Files = {}
    for parent, folders, names in os.walk(folder):
        if ".git" in folders:
            folders.remove(".git")
        for name in names:
            _add(files, folder, os.path.join(parent, name))
    _add(files, folder, os.path.join(folder, _COMMITS))
    return files


def _add(files: Files, folder: Path, path: str) -> None:
    try:
        status = os.lstat(path)
    except OSError:
        return  # deleted in between, or no Git work tree
    files[os.path.relpath(path, folder)] = (status.st_size, status.st_mtime_ns)


def differences(before: Files, after: Files) -> list[str]:
    """The paths that were added, removed or changed, in order."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def describe(paths: list[str]) -> str:
    """The first few paths, for a line."""
    shown = ["the Git commit" if path == _COMMITS else path for path in paths[:3]]
    return ", ".join(shown) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


class Watcher:
    """Returns the changes since the last call."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._known = self._last = look(folder)
        self._next = 0.0
        self._quiet_since: Optional[float] = None

    def poll(self, now: Optional[float] = None) -> list[str]:
        """The paths that changed and have been quiet since, or none. Call it often; it looks when it is time to."""
        now = time.monotonic() if now is None else now
        if now < self._next:
            return []
        current = look(self._folder)
        if current != self._last:
            self._last, self._quiet_since = current, now
        if self._quiet_since is None:
            self._next = now + LOOK_SECONDS
            return []
        if now - self._quiet_since < QUIET_SECONDS:
            self._next = self._quiet_since + QUIET_SECONDS
            return []
        self._quiet_since, self._next = None, now + LOOK_SECONDS
        changed, self._known = differences(self._known, current), current
        return changed
