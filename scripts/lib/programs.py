"""The commands `scripts/dev`, `scripts/soak` and `scripts/bench`: each fetches tools, builds, and becomes a program of `tests/`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple, Sequence

from . import processes, tools
from .console import Failure, step

_RELEASE = ("cargo", "build", "--release", "-p", "serve", "-p", "refresh", "-p", "devfile-registry")
_RELEASE_TOOL = ("cargo", "build", "--release", "-p", "cli")
"""The build of the command-line tool, which has both functions in it."""

_WORKSPACE = ("cargo", "build", "--workspace")
_SERVERS = ("weed", "docker-registry")

PARTS = ("index", "refresh", "git", "start", "cold-start", "http", "nginx", "viewer", "starters", "tool", "large")
"""The parts of `scripts/bench`."""


class Start(NamedTuple):
    """The tools and builds that a command needs before it starts, and its arguments."""

    tools: Sequence[str]
    builds: Sequence[Sequence[str]]
    arguments: Sequence[str]


def dev(root: Path, arguments: Sequence[str]) -> Start:
    """`scripts/dev`."""
    own = ("weed",) if os.environ.get("DEV_OCI_REGISTRY") else _SERVERS
    emulator = ("cargo-lambda",) if "--lambda" in arguments else ()
    return Start((*own, *emulator), [_WORKSPACE], ["--tools", str(root / ".tools/bin"), *arguments])


def soak(root: Path, arguments: Sequence[str]) -> Start:
    """`scripts/soak`."""
    release = [_RELEASE_TOOL if "--store" in arguments else _RELEASE]
    return Start(_SERVERS, *_under_test(root, arguments, release))


def bench(root: Path, arguments: Sequence[str]) -> Start:
    """`scripts/bench`."""
    chosen = set(arguments) & set(PARTS)
    release = [_RELEASE, *([_RELEASE_TOOL] if not chosen or "tool" in chosen else [])]
    return Start((*_SERVERS, "wrk", "nginx"), *_under_test(root, arguments, release))


def _under_test(
    root: Path, arguments: Sequence[str], release: Sequence[Sequence[str]]
) -> tuple[Sequence[Sequence[str]], Sequence[str]]:
    """The builds and the arguments of a program that runs others: those of a release, or with `--dev` those of development."""
    is_dev = "--dev" in arguments
    # The program itself is not under test.
    builds = [_WORKSPACE] if is_dev else [*release, _WORKSPACE]
    others = [argument for argument in arguments if argument != "--dev"]
    return builds, ["--programs", str(target(root) / ("debug" if is_dev else "release")), *others]


_STARTS = {"dev": dev, "soak": soak, "bench": bench}

_HELP = {
    "dev": """\
usage: scripts/dev [--github | --gitlab | --lambda] [--fresh]

Runs a devfile registry on this machine, with an S3 server and an OCI registry. Publishes a registry repository from a folder, and
again after each change of a file. Prints `ready URL` once the registry answers, then shows logs. When it ends, everything ends that
it started.

  --github, --gitlab  take the folder, a Git work tree, for a repository on this host: publish what is committed when a push is
                      delivered, and preview proposals
  --lambda            run both functions behind the Lambda emulator, which builds them again when their code changes, and loses
                      answers meanwhile
  --fresh             start with an empty bucket and an empty OCI registry

environment:
  DEV_SOURCE        the folder of the registry repository (default: tests/fixtures/registry)
  DEV_PORT          the port of the registry (default: 9000)
  DEV_DIR           the folder of data, logs and secrets (default: .dev)
  DEV_OCI_REGISTRY  an OCI registry to use instead of one that is started, host:port

The tools that it needs are fetched into .tools/ the first time. Data is kept between runs, so a restart is quick.
`. .dev/env` gives a shell the environment that the functions run in.

exit status: 130 after Ctrl-C, 143 after TERM, 1 after an error, whose reason is on stderr.
""",
    "soak": """\
usage: scripts/soak [--dev] [--seconds N] [--store] [--markdown FILE]

Reads a registry while the bucket, the OCI registry and GitHub fail and heal in turn (docs/contributors/soak.md).

  --dev            development binaries instead of release ones
  --seconds N      how long (default: 600)
  --store          one process with a directory, instead of both functions with servers
  --markdown FILE  write the table to a file, as Markdown
""",
    "bench": f"""\
usage: scripts/bench [--dev] [--quick] [--markdown FILE] [PART...]

Measures the release binaries in plain HTTP, with a real S3 server and a real OCI registry, and prints one table of the
measurements beside their targets (docs/contributors/performance.md). Where the recorded registry (../shared/community) is
missing, the example of tests/fixtures is measured instead, and the table says so.

  PART             parts to measure (default: all): {", ".join(PARTS)}
  --dev            development binaries instead of release ones
  --quick          shorter and fewer measurements, and a smaller large registry
  --markdown FILE  write the table to a file, as Markdown
""",
}


def main(root: Path, name: str, arguments: Sequence[str]) -> int:
    """Becomes the program with a name."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(_HELP[name], end="")
        return 0
    check(name, arguments)
    tools.require_toolchain()
    start = _STARTS[name](root, arguments)
    for build in start.builds:
        step("build", f"{' '.join(build)} (minutes on a new machine, seconds later)")
        if processes.run(build, cwd=root) != 0:
            raise Failure(f"the build failed; see the messages of the compiler above ({' '.join(build)})")
    binaries = tools.ensure(root / ".tools", start.tools)
    own = [program(root, name), *start.arguments]
    if name != "dev":
        processes.become(with_servers(root, binaries, own))
    defaults = {"DEV_SOURCE": str(root / "tests/fixtures/registry"), "DEV_DIR": str(root / ".dev")}
    processes.become(own, {**defaults, **os.environ})


def check(name: str, arguments: Sequence[str]) -> None:
    """Refuses options and parts that are unknown, before a build of minutes."""
    for before, argument in zip(("", *arguments), arguments):
        option = argument.partition("=")[0]
        if option.startswith("-") and not re.search(rf"{re.escape(option)}\b", _HELP[name]):
            raise Failure(f"there is no option {option}; scripts/{name} --help lists all")
        is_value = before in ("--seconds", "--markdown") or argument.startswith("-")
        if not is_value and (name != "bench" or argument not in PARTS):
            raise Failure(f"{argument!r} is not understood; see scripts/{name} --help")


def target(root: Path) -> Path:
    """The folder that cargo builds in."""
    return root / os.environ.get("CARGO_TARGET_DIR", "target")


def program(root: Path, name: str) -> Path:
    """A program of `tests/`."""
    return target(root) / "debug" / name


def with_servers(root: Path, binaries: Path, command: Sequence[object], *options: str) -> list[object]:
    """The command that runs another one with an S3 server and an OCI registry beside it."""
    folders = ["--tools", binaries, "--logs", root / ".dev/test-logs"]
    return [program(root, "with-servers"), *folders, *options, "--", *command]
