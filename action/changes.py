"""The changes of a push, from the event and the clone of the workflow."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Mapping, NamedTuple, Optional

_FOLDERS = ("stacks/", "samples/")
_FILES = ("extraDevfileEntries.yaml", "last_modified.json")

_DEPTHS = (20, 200, 2000)
"""The depths to which a shallow clone is deepened, one after the other."""


class Push(NamedTuple):
    """A push to the default branch, or a start by hand."""

    commit: str
    stacks: Optional[frozenset[str]]
    """Folders below stacks/ that changed; none when it is not known, and then all may have."""
    concerns_registry: bool


def read(environment: Mapping[str, str]) -> Push:
    """Reads the event that started the workflow, and asks git for the paths."""
    commit = environment.get("GITHUB_SHA", "")
    if environment.get("GITHUB_EVENT_NAME") != "push":
        return Push(commit, None, True)
    try:
        event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text())
    except (OSError, ValueError, KeyError):
        return Push(commit, None, True)
    before = str(event.get("before") or "")
    paths = _paths(Path(environment.get("GITHUB_WORKSPACE") or "."), before, commit)
    if paths is None:
        return Push(commit, None, True)
    stacks = frozenset(path.split("/")[1] for path in paths if path.startswith("stacks/") and path.count("/") > 1)
    concerns = any(path.startswith(_FOLDERS) or path in _FILES for path in paths)
    return Push(commit, stacks, concerns)


def _paths(folder: Path, before: str, after: str) -> Optional[list[str]]:
    """The paths that differ; none when the commit before is unknown, as after a forced push."""
    if not (_is_hash(before) and _is_hash(after)) or not before.strip("0"):
        return None
    if _git(folder, "cat-file", "-e", f"{before}^{{commit}}") is None:
        # The usual checkout has one commit.
        _git(folder, "fetch", "--quiet", "--depth=1", "origin", before)
    output = _git(folder, "diff", "--name-only", "--no-ext-diff", "--no-textconv", "--no-renames", "-z", before, after, "--")
    return None if output is None else [path for path in output.split("\0") if path]


def contains(folder: Path, commit: str, later: str) -> Optional[bool]:
    """Whether a commit is another one or comes before it; none when the clone and its remote cannot say."""
    if commit == later:
        return True
    if not (_is_hash(commit) and _is_hash(later)):
        return None
    is_shallow = _is_shallow(folder)
    # A depth would cut off the history of a whole clone.
    depths = [f"--depth={depth}" for depth in _DEPTHS] if is_shallow else ["--no-tags"]
    for how in (None, *depths):
        if how is not None and _git(folder, "fetch", "--quiet", how, "origin", later) is None:
            return None
        if _git(folder, "merge-base", "--is-ancestor", commit, later) is not None:
            return True
        if _git(folder, "cat-file", "-e", f"{later}^{{commit}}") is not None and not _is_shallow(folder):
            return False
    return None


def _is_shallow(folder: Path) -> bool:
    return (_git(folder, "rev-parse", "--is-shallow-repository") or "").strip() != "false"


def _is_hash(name: str) -> bool:
    return len(name) in (40, 64) and not set(name) - set("0123456789abcdef")


def _git(folder: Path, *arguments: str) -> Optional[str]:
    # Pushed content runs nothing: a committed repository is not one, and no configuration but the checkout's own counts.
    settings = ("safe.bareRepository=explicit", "core.fsmonitor=false", "core.hooksPath=/dev/null", "safe.directory=*")
    options = [word for setting in settings for word in ("-c", setting)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    command = ["git", *options, "-C", str(folder), *arguments]
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    try:
        done = subprocess.run(command, **out, env=environment, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
