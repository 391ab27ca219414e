"""Runs `devfile-registry check` on the changes of a pull request, and comments `devfile-registry diff`. See action.yml, which sets the variables."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Mapping, Optional

import comment
import download

CANNOT_RUN = 2
"""The exit status of the program when it could not run, and of this script."""

_GIT = [
    *("git", "-c", "safe.bareRepository=explicit", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"),
    *("-c", "safe.directory=*"),
]
"""Git, in a folder that a pull request filled: a committed repository is not one, and no program of a configuration runs."""

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class CannotRun(Exception):
    """Why there is no result."""


_FAILURES = (
    *(CannotRun, OSError, subprocess.TimeoutExpired, http.client.HTTPException),
    *(ValueError, KeyError, TypeError, RecursionError),
)
"""Failures of a run's environment, and of answers. None of them is an error of the stacks, whose status is 1."""


def base_of(environment: Mapping[str, str]) -> Optional[str]:
    """The revision to compare with; none to check everything."""
    if given := environment.get("CHECK_CHANGED_SINCE", "").strip():
        return given
    try:
        event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text())
        base = event["pull_request"]["base"]["sha"]
    except (KeyError, TypeError, OSError, ValueError):
        return None
    # Checked although GitHub wrote it: it becomes an argument of git.
    return base if isinstance(base, str) and _COMMIT.fullmatch(base) else None


def _environment() -> dict[str, str]:
    """Without the Git settings of earlier steps: no configuration but the checkout's own, which the runner wrote."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}


def fetch(folder: Path, base: str) -> None:
    """Gets the base commit when the checkout is too shallow to have it. A checkout without a remote is left as it is."""
    known = [*_GIT, "-C", str(folder), "cat-file", "-e", f"{base}^{{commit}}"]
    if _COMMIT.fullmatch(base) and subprocess.run(known, capture_output=True, env=_environment()).returncode != 0:
        command = [*_GIT, "-C", str(folder), "fetch", "--quiet", "--no-tags", "--depth=1", "origin", base]
        if subprocess.run(command, stdout=sys.stderr, timeout=120, env=_environment()).returncode != 0:
            raise CannotRun(f"the commit {base} that the pull request starts from cannot be fetched")


def binary(environment: Mapping[str, str]) -> str:
    """The program: one that is given, else the released one of this action's version."""
    if given := environment.get("DEVFILE_REGISTRY"):
        return given
    return str(download.program(environment, Path(environment["RUNNER_TEMP"])))


def check(program: str, registry: str, base: Optional[str], environment: Mapping[str, str]) -> int:
    """Annotates the problems and returns the status."""
    arguments = [program, "check", "--format", "github"]
    if environment.get("CHECK_STRICT_ICONS") == "true":
        arguments.append("--strict-icons")
    if ignored := "".join((environment.get("CHECK_IGNORE") or "").split()):
        arguments.append(f"--ignore={ignored}")
    if base:
        arguments.append(f"--changed-since={base}")
    return subprocess.run([*arguments, "--", registry]).returncode


def show(program: str, registry: str, base: Optional[str], environment: Mapping[str, str]) -> None:
    """Shows the changes for clients in the summary of the job and at the pull request. A failure of `diff` is a notice."""
    if environment.get("CHECK_COMMENT") != "true" or base is None or not _COMMIT.fullmatch(base):
        return
    command = [program, "diff", "--markdown", "--", f"{registry}@{base}", registry]
    made = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300)
    if made.returncode != 0:
        print("::notice::The changes for clients are not shown; the log says why")
        return
    if summary := environment.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a", encoding="utf-8") as file:
            file.write(made.stdout)
    comment.update(made.stdout, environment)


def main(environment: Mapping[str, str]) -> int:
    """Runs the check, shows the changes, and gives the status of the check."""
    registry = environment.get("CHECK_REGISTRY") or "."
    try:
        os.chdir(environment.get("GITHUB_WORKSPACE") or ".")
        program, base = binary(environment), base_of(environment)
        if base:
            fetch(Path(registry), base)
        status = check(program, registry, base, environment)
    except _FAILURES as reason:
        print(f"::error::The stacks were not checked: {_one_line(reason)}")
        return CANNOT_RUN
    if status == CANNOT_RUN:
        print("::error::The stacks were not checked; the log says why")
        return status
    try:
        show(program, registry, base, environment)
    except _FAILURES as reason:
        print(f"::notice::The changes for clients are not shown: {_one_line(reason)}")
    return status


def _one_line(reason: BaseException) -> str:
    """A reason in the form of an annotation."""
    if isinstance(reason, KeyError):
        return f"{reason.args[0]} is not set"
    return " ".join(str(reason).split()) or type(reason).__name__


if __name__ == "__main__":
    sys.exit(main(os.environ))
