"""The commands `scripts/dev`, `scripts/soak` and `scripts/bench`: each fetches tools, builds, and becomes a program of `tests/`."""

from __future__ import annotations

import os
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
    servers: bool
    """Whether it finds servers that run already."""


def dev(arguments: Sequence[str]) -> Start:
    """`scripts/dev`, which starts servers itself: their data is kept."""
    own = _SERVERS if not os.environ.get("DEV_OCI_REGISTRY") else ("weed",)
    emulator = ("cargo-lambda",) if "--lambda" in arguments else ()
    return Start((*own, *emulator), [_WORKSPACE], arguments, servers=False)


def soak(arguments: Sequence[str]) -> Start:
    """`scripts/soak`."""
    store = "--store" in arguments
    own = () if store else _SERVERS
    return Start(own, *_under_test(arguments, [_RELEASE_TOOL if store else _RELEASE]), servers=not store)


def bench(arguments: Sequence[str]) -> Start:
    """`scripts/bench`."""
    chosen = set(arguments) & set(PARTS)
    release = [_RELEASE, *([_RELEASE_TOOL] if not chosen or "tool" in chosen else [])]
    return Start((*_SERVERS, "wrk", "nginx"), *_under_test(arguments, release), servers=True)


def _under_test(arguments: Sequence[str], release: Sequence[Sequence[str]]) -> tuple[Sequence[Sequence[str]], Sequence[str]]:
    """The builds and the arguments of a program that runs others: those of a release, or with `--dev` those of development."""
    is_dev = "--dev" in arguments
    # The program itself is not under test.
    builds = [_WORKSPACE] if is_dev else [*release, _WORKSPACE]
    others = [argument for argument in arguments if argument != "--dev"]
    return builds, ["--programs", str(target() / ("debug" if is_dev else "release")), *others]


_STARTS = {"dev": dev, "soak": soak, "bench": bench}

_HELP = {
    "dev": """\
usage: scripts/dev [--github | --gitlab | --lambda] [--fresh]

Runs a devfile registry on this machine, with an S3 server and an OCI registry. Publishes a registry repository from a folder, and
again whenever a file in it changes. Prints `ready URL` once the registry answers, then shows logs until it is told to end, and takes
along everything that it started.

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
    os.chdir(root)
    tools.require_toolchain()
    start = _STARTS[name](arguments)
    for build in start.builds:
        step("build", f"{' '.join(build)} (minutes on a new machine, seconds later)")
        if processes.run(build) != 0:
            raise Failure(f"the build failed; see the messages of the compiler above ({' '.join(build)})")
    binaries = tools.ensure(root / ".tools", start.tools)
    own = [program(name), *start.arguments]
    processes.become(with_servers(binaries, own) if start.servers else own)


def target() -> Path:
    """The folder that cargo builds in."""
    return Path(os.environ.get("CARGO_TARGET_DIR", "target"))


def program(name: str) -> Path:
    """A program of `tests/`."""
    return target() / "debug" / name


def with_servers(binaries: Path, command: Sequence[object]) -> list[object]:
    """The command that runs another one with an S3 server and an OCI registry beside it."""
    return [program("with-servers"), "--tools", binaries, "--", *command]
