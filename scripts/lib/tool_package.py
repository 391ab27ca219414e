"""The command-line tool as people download it: for each platform an archive with the program, and a wheel that carries the same program."""

from __future__ import annotations

import gzip
import io
import platform
import re
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from typing import NamedTuple, Sequence

from .console import Failure

PROGRAM = "devfile-registry"

PROGRAM_BYTES = 30_000_000
"""Largest program. A larger one has likely grown by accident, and is slow to download."""

_ZIG = ("--zig", "--compatibility", "manylinux2014", "musllinux_1_1")
"""zig links against a C library of its own, and a static program runs beside any other: older pips know it by the first name."""

_RUN_SECONDS = 120

MACOS = "11.0"
"""The oldest macOS that the program is for: the first one for arm64."""


class Platform(NamedTuple):
    """The platform of a program."""

    triple: str
    system: str
    """The system that builds it, as `sys.platform` names it. Apple's frameworks are in its own SDK alone."""
    machine: str
    """The processor, as `platform.machine()` names it."""
    tag: str
    """The platform in the name of its wheel."""
    options: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    """The tool that builds it, beside maturin and the toolchain."""

    @property
    def is_this_machine(self) -> bool:
        """Whether the program runs here."""
        return (self.system, self.machine) == (sys.platform, platform.machine())


def _linux(machine: str) -> Platform:
    tag = f"manylinux2014_{machine}.manylinux_2_17_{machine}.musllinux_1_1_{machine}"
    return Platform(f"{machine}-unknown-linux-musl", "linux", machine, tag, _ZIG, ("zig",))


def _macos(architecture: str, machine: str) -> Platform:
    return Platform(f"{architecture}-apple-darwin", "darwin", machine, f"macosx_{MACOS.replace('.', '_')}_{machine}")


PLATFORMS = {
    "linux-x86_64": _linux("x86_64"),
    "linux-arm64": _linux("aarch64"),
    "macos-arm64": _macos("aarch64", "arm64"),
    "macos-x86_64": _macos("x86_64", "x86_64"),
}
"""By the name that archives have for them. The action that checks pull requests knows these names, too."""


def version(root: Path) -> str:
    """The version of the workspace."""
    found = re.search(r'(?m)^version = "([0-9]+\.[0-9]+\.[0-9]+)"$', (root / "Cargo.toml").read_text())
    if not found:
        raise Failure(f"cannot read the version of {root / 'Cargo.toml'}: it has no line `version = \"X.Y.Z\"`")
    return found.group(1)


def archive_name(name: str) -> str:
    """The archive for a platform."""
    return f"{PROGRAM}-{name}.tar.gz"


def wheel_name(number: str, tag: str) -> str:
    """The wheel of a version for a platform, as installers read it."""
    return f"{PROGRAM.replace('-', '_')}-{number}-py3-none-{tag}.whl"


def build_command(folder: Path, options: Sequence[str]) -> list[str]:
    """Builds the program, and its wheel into a folder."""
    manifest = ("--manifest-path", "cli/Cargo.toml")
    return ["maturin", "build", "--release", "--locked", *manifest, "--out", str(folder), *options]


def platform_options(target: Platform) -> list[str]:
    """The arguments of `build_command` for a platform."""
    return ["--target", target.triple, *target.options]


def check_size(program: Path) -> int:
    """The size of the program in bytes, which has a limit."""
    size = program.stat().st_size
    if size > PROGRAM_BYTES:
        raise Failure(f"cannot release {program}: it has {size} bytes, more than {PROGRAM_BYTES}")
    return size


def pack(files: Sequence[Path], archive: Path) -> None:
    """Packs files without owners and times, so that the same files always give the same bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed, tarfile.open(fileobj=compressed, mode="w") as tar:
        for path in files:
            entry = tarfile.TarInfo(path.name)
            entry.size, entry.mode = path.stat().st_size, 0o755 if path.name == PROGRAM else 0o644
            with path.open("rb") as content:
                tar.addfile(entry, content)
    archive.write_bytes(packed.getvalue())


def installed_version(wheel: Path, scratch: Path, pip: Sequence[str]) -> str:
    """Installs a wheel from its file into a fresh environment, runs the program there and returns its answer to `--version`."""
    environment = scratch / "environment"
    venv.create(environment)
    _output([*pip, "--python", str(environment), "install", "--quiet", "--no-index", "--no-deps", str(wheel)])
    return _output([str(environment / "bin" / PROGRAM), "--version"]).strip()


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_SECONDS)
    if done.returncode != 0:
        raise Failure(f"cannot run {command[0]}: it ended with status {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
