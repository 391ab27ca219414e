"""The command `scripts/soak`: builds programs, starts servers, and runs the soak of `tests/` with them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Sequence

from . import servers, tools
from .console import Failure, step
from .functions import Plain
from .processes import Supervisor

HELP = """\
usage: scripts/soak [--dev] [--seconds N] [--store] [--markdown FILE]

Reads a registry while the bucket, the OCI registry and GitHub fail and heal in turn (docs/contributors/soak.md).

  --dev            development binaries instead of release ones
  --seconds N      how long (default: 600)
  --store          one process with a directory, instead of both functions with servers
  --markdown FILE  write the table to a file, as Markdown
"""


def main(root: Path, arguments: list[str]) -> int:
    """Runs it all and gives its status."""
    if arguments in (["-h"], ["--help"]):
        print(HELP, end="")
        return 0
    for program in ("cargo", "git"):
        if not shutil.which(program):
            raise Failure(f"{program} is not on PATH")
    with tempfile.TemporaryDirectory(prefix="devfile-soak-") as data, Supervisor() as supervisor:
        for build in builds(arguments):
            step("build", " ".join(build))
            if status := supervisor.run("cargo", build, cwd=root):
                return status
        environment = None
        if "--store" not in arguments:
            binaries = tools.ensure(root / ".tools", ["weed", "docker-registry"])
            step("start", "SeaweedFS and Distribution")
            environment = servers.start_for_tests(supervisor, binaries, Path(data), Path(data))
        return supervisor.run("soak", command(root, arguments), cwd=root, env=environment)


def builds(arguments: Sequence[str]) -> list[Sequence[str]]:
    """The commands that build the soak and the programs under test."""
    # The soak itself is not under test.
    soak = ["cargo", "build", "--workspace", "--bin", "soak"]
    release = list(Plain.tool) if "--store" in arguments else Plain.build
    return [["cargo", "build", "--workspace"]] if "--dev" in arguments else [release, soak]


def command(root: Path, arguments: Sequence[str]) -> list[str]:
    """The command that runs the soak, once it is built."""
    target = root / os.environ.get("CARGO_TARGET_DIR", "target")
    programs = target / ("debug" if "--dev" in arguments else "release")
    others = [argument for argument in arguments if argument != "--dev"]
    return [str(target / "debug/soak"), "--programs", str(programs), *others]
