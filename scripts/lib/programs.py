"""Programs of `tests/` that measure the others: builds them, starts servers, and runs one. `soak` and `bench` are such."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Callable, NamedTuple, Sequence

from . import servers, tools
from .console import Failure, step
from .processes import Supervisor

Command = Sequence[str]

FUNCTIONS = ("cargo", "build", "--release", "-p", "serve", "-p", "refresh", "-p", "devfile-registry")
TOOL = ("cargo", "build", "--release", "-p", "cli")
"""The build of the command-line tool, which has both functions in it."""


class Program(NamedTuple):
    """A program of `tests/`, and what it runs."""

    name: str
    help: str
    tools: Callable[[Sequence[str]], list[str]]
    """The tools that it needs with some arguments; servers are started if there are any."""

    release: Callable[[Sequence[str]], list[Command]]
    """The builds of the programs under test."""

    def main(self, root: Path, arguments: list[str]) -> int:
        """Runs it all and gives its status."""
        if arguments in (["-h"], ["--help"]):
            print(self.help, end="")
            return 0
        for program in ("cargo", "git"):
            if not shutil.which(program):
                raise Failure(f"{program} is not on PATH")
        with tempfile.TemporaryDirectory(prefix=f"devfile-{self.name}-") as data, Supervisor() as supervisor:
            for build in self.builds(arguments):
                step("build", " ".join(build))
                if status := supervisor.run("cargo", build, cwd=root):
                    return status
            environment = None
            if wanted := self.tools(arguments):
                binaries = tools.ensure(root / ".tools", wanted)
                step("start", "SeaweedFS and Distribution")
                environment = servers.start_for_tests(supervisor, binaries, Path(data), Path(data))
            return supervisor.run(self.name, self.command(root, arguments), cwd=root, env=environment)

    def builds(self, arguments: Sequence[str]) -> list[Command]:
        """The commands that build the program and those under test."""
        if "--dev" in arguments:
            return [["cargo", "build", "--workspace"]]
        # The program itself is not under test.
        return [*self.release(arguments), ["cargo", "build", "--workspace", "--bin", self.name]]

    def command(self, root: Path, arguments: Sequence[str]) -> list[str]:
        """The command that runs the program, once it is built."""
        target = root / os.environ.get("CARGO_TARGET_DIR", "target")
        programs = target / ("debug" if "--dev" in arguments else "release")
        others = [argument for argument in arguments if argument != "--dev"]
        return [str(target / "debug" / self.name), "--programs", str(programs), *others]
