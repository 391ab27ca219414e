"""The command `scripts/test`: every test of the project, against real servers of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional, Sequence

from . import checks, processes, programs, tools
from .console import line, step

HELP = """\
usage: scripts/test [ARGUMENT...]
       scripts/test --checks

Runs every check and test: those of the deployment, of the scripts and of the GitHub Action, then the workspace's, with
`cargo nextest run` where that is installed, otherwise `cargo test`, and three quarters of a minute of scripts/soak. Starts an S3
server and an OCI registry for them, on ports of their own, and ends both.
Arguments go to the test runner (a part of a test's name, for instance); checks outside of the workspace are left out then.
With --checks, nothing but the checks and tests beside the workspace run; otherwise they run while cargo builds.
"""

TOOLS = [
    *("cargo-lambda", "weed", "docker-registry", "moto_server", "skopeo", "schemathesis"),
    *("chromium", "chromedriver", "axe.min.js", "act", "webhooks-examples.json"),
]

_LOGS = Path(".dev/test-logs")


def main(root: Path, arguments: list[str]) -> int:
    """Runs the tests and gives the first status that is not 0."""
    if arguments in (["-h"], ["--help"]):
        print(HELP, end="")
        return 0
    tools.require_toolchain()
    # No proxy reaches the servers of the tests.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1,localhost"]))
    begin = time.monotonic()
    failed = checks.run(root) if arguments == ["--checks"] else _run(root, arguments)
    seconds = time.monotonic() - begin
    if failed:
        step("test", f"FAILED: {failed[0]} (status {failed[1]}) after {seconds:.0f} s")
        return failed[1]
    step("test", f"all passed in {seconds:.0f} s")
    return 0


def _run(root: Path, arguments: list[str]) -> Optional[tuple[str, int]]:
    """Runs one command after the other, and gives the first that failed with its status."""
    (root / _LOGS).mkdir(parents=True, exist_ok=True)
    beside = None
    try:
        with processes.signals_held():
            beside = None if arguments else _Beside(root)
        for command in _build_commands(arguments):
            step("build", " ".join(command))
            if status := processes.run(command, cwd=root):
                return " ".join(command), status
        # Tests measure time and memory, so nothing else runs while they do.
        if beside and (status := beside.finish()):
            return "the checks", status
    finally:
        if beside:
            processes.end(beside.process)

    binaries = tools.ensure(root / ".tools", TOOLS)
    for name, command in _test_commands(root, binaries, arguments):
        step("test", name)
        # The other end of this input ends with this process, however that ends.
        if status := processes.run(command, cwd=root, stdin=subprocess.PIPE):
            return name, status
    return None


class _Beside:
    """The checks beside the workspace, which wait more than they compute, while cargo builds."""

    def __init__(self, root: Path):
        self._log = root / _LOGS / "checks.log"
        step("test", f"scripts/test --checks, beside the build (log: {self._log})")
        with open(self._log, "wb") as log:
            command = [sys.executable, root / "scripts/test", "--checks"]
            self.process = processes.start(command, cwd=root, stdout=log)

    def finish(self) -> int:
        """Waits for their end, shows their output and returns their status."""
        status = self.process.wait()
        for text in self._log.read_text(errors="replace").splitlines():
            line(text)
        return status


def _build_commands(arguments: list[str]) -> list[list[str]]:
    """All that the tests run. The programs are built apart: a test of one package does not build those of another."""
    build = ["cargo", "build", "--workspace"]
    runner = ["nextest", "run"] if shutil.which("cargo-nextest") else ["test"]
    return [build] if arguments else [build, ["cargo", *runner, "--workspace", "--no-run"]]


def _test_commands(root: Path, binaries: Path, arguments: list[str]) -> list[tuple[str, Sequence[object]]]:
    """Always the whole workspace: choosing packages changes which features their dependencies are built with."""
    runner = ["nextest", "run"] if shutil.which("cargo-nextest") else ["test"]
    # A full run shows all failures: one that needs another machine's load is rarely seen twice.
    test = ["cargo", *runner, "--workspace", *(arguments or ["--no-fail-fast"])]
    commands = [(" ".join(test), programs.with_servers(root, binaries, test, "--tied"))]
    if arguments:
        return commands
    # nextest leaves the examples in the documentation out.
    if "nextest" in runner:
        documentation = ["cargo", "test", "--workspace", "--doc", "--quiet"]
        commands.append((" ".join(documentation), documentation))
    for options in (["--dev", "--seconds", "30"], ["--dev", "--store", "--seconds", "12"]):
        soak = [programs.program(root, "soak"), *programs.soak(root, options).arguments]
        commands.append((f"scripts/soak {' '.join(options)}", programs.with_servers(root, binaries, soak, "--tied")))
    return commands
