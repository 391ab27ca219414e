"""The command `scripts/test`: every test of the project, against real servers of its own."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Optional

from . import checks, servers, soak, tools
from .console import Failure, line, step
from .processes import Supervisor

HELP = """\
usage: scripts/test [ARGUMENT...]
       scripts/test --checks

Runs every check and test: those of the deployment, of the scripts and of the GitHub Action, then the workspace's, with
`cargo nextest run` where that is installed and `cargo test` elsewhere, and three quarters of a minute of scripts/soak. Starts an S3
server and an OCI registry for them, on ports of their own, and ends both.
Arguments go to the test runner (a part of a test's name, for instance); checks outside of the workspace are left out then.
With --checks, nothing but the checks and tests beside the workspace run; otherwise they run while cargo builds.
"""

_TOOLS = [
    *("cargo-lambda", "weed", "docker-registry", "moto_server", "skopeo", "schemathesis"),
    *("chromium", "chromedriver", "axe.min.js", "act", "webhooks-examples.json"),
]


def main(root: Path, arguments: list[str]) -> int:
    """Runs the tests and gives the first status that is not 0."""
    if arguments in (["-h"], ["--help"]):
        print(HELP, end="")
        return 0
    if not shutil.which("cargo"):
        raise Failure("cargo is not on PATH; install the Rust toolchain")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="devfile-registry-") as data, Supervisor() as supervisor:
        failed = _run(root, Path(data), supervisor, arguments)
    seconds = time.monotonic() - begin
    if failed:
        step("test", f"FAILED: {failed[0]} (status {failed[1]}) after {seconds:.0f} s")
        return failed[1]
    step("test", f"all passed in {seconds:.0f} s")
    return 0


def _run(root: Path, data: Path, supervisor: Supervisor, arguments: list[str]) -> Optional[tuple[str, int]]:
    """Runs one command after the other, and gives the first that failed with its status."""
    if arguments == ["--checks"]:
        return checks.run(root, supervisor)
    logs = root / ".dev/test-logs"
    logs.mkdir(parents=True, exist_ok=True)
    beside = None if arguments else _Beside(root, supervisor, logs / "checks.log")
    for command in _build_commands(arguments):
        step("build", " ".join(command))
        if status := supervisor.run("cargo", command, cwd=root):
            return " ".join(command), status
    # Tests measure time and memory, so nothing else runs while they do.
    if beside and (status := beside.finish()):
        return "the checks", status

    binaries = tools.ensure(root / ".tools", _TOOLS)
    step("start", f"SeaweedFS and Distribution (logs: {logs})")
    environment = servers.start_for_tests(supervisor, binaries, data, logs)
    for command in _test_commands(arguments):
        step("test", " ".join(command))
        if status := supervisor.run("cargo", command, cwd=root, env=environment):
            return f"{command[0]} {command[1]}", status
    for options in [] if arguments else (["--dev", "--seconds", "30"], ["--dev", "--store", "--seconds", "12"]):
        step("test", f"scripts/soak {' '.join(options)}")
        if status := supervisor.run("soak", soak.command(root, options), cwd=root, env=environment):
            return "scripts/soak", status
    return None


class _Beside:
    """The checks beside the workspace, which wait more than they compute, while cargo builds."""

    def __init__(self, root: Path, supervisor: Supervisor, log: Path):
        step("test", f"scripts/test --checks, beside the build (log: {log})")
        command = [sys.executable, root / "scripts/test", "--checks"]
        self._supervisor, self._log = supervisor, log
        self._child = supervisor.spawn("checks", command, cwd=root, log=log, lasting=False)

    def finish(self) -> int:
        """Waits for their end, shows their output and returns their status."""
        self._supervisor.wait(lambda: not self._child.alive)
        for text in self._log.read_text(errors="replace").splitlines():
            line(text)
        return self._child.process.returncode


def _build_commands(arguments: list[str]) -> list[list[str]]:
    """All that the tests run. The programs are built apart: a test of one package does not build those of another."""
    programs = ["cargo", "build", "--workspace"]
    runner = ["nextest", "run"] if shutil.which("cargo-nextest") else ["test"]
    return [programs] if arguments else [programs, ["cargo", *runner, "--workspace", "--no-run"]]


def _test_commands(arguments: list[str]) -> list[list[str]]:
    """Always the whole workspace: choosing packages changes which features their dependencies are built with."""
    if not shutil.which("cargo-nextest"):
        return [["cargo", "test", "--workspace", *arguments]]
    commands = [["cargo", "nextest", "run", "--workspace", *arguments]]
    # nextest leaves the examples in the documentation out.
    return commands if arguments else [*commands, ["cargo", "test", "--workspace", "--doc", "--quiet"]]
