"""The command `scripts/release`: everything that a release has, in one folder. Each step makes some of its files and runs by itself."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from . import console, processes, tool_package, tools
from .console import Failure, step
from .create_stack import packaged
from .packages import ARCHITECTURES, FUNCTIONS, SUMS, TEMPLATE

HELP = """\
Builds everything that a release has into DIR: the packages of both functions for both architectures, the command-line tool for each
platform, bills of materials, the templates and the checksums. `scripts/deploy --packages DIR` deploys it.
"""
MORE_HELP = """\
Without --only every step runs that can run here, in this order: {steps}.
Each takes the results of earlier ones from DIR. The builds take minutes each; they need the Rust toolchain with these targets, and a C
compiler:
{targets}.
The macos steps run on macOS alone, where the release workflow runs them. The rest is fetched into .tools/.
"""

CREATE_STACK = "create-stack.json"

PACKAGE_BYTES = {"serve": 8_000_000, "refresh": 12_000_000}
"""Largest packages. A larger one starts slower, and a dependency has likely grown by accident."""

_GLIBC = "2.34"
"""The version of Amazon Linux 2023, where the functions run."""

_TRIPLES = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}

VERSION = tool_package.version(Path(__file__).resolve().parents[2])

_CYCLONEDX = ("cargo-cyclonedx", "0.5.9")


class Release(NamedTuple):
    """The state that the steps share."""

    root: Path
    folder: Path
    url: Optional[str]
    execute: Callable[..., int] = processes.run
    """Runs a program to its end, and gives its status."""

    def run(self, *command: str, **variables: str) -> None:
        """Runs a program of `.tools/bin` or PATH in the checkout, with variables added to its environment."""
        path = f"{self.root / '.tools/bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        step("run", " ".join(command))
        program = shutil.which(command[0], path=path) or command[0]
        environment = {**os.environ, "PATH": path, **variables}
        status = self.execute([program, *command[1:]], cwd=self.root, env=environment)
        if status != 0:
            raise Failure(f"cannot make the release: {' '.join(command[:3])} ended with status {status}; its reason is above")

    def target(self) -> Path:
        """The folder that cargo builds in."""
        return self.root / os.environ.get("CARGO_TARGET_DIR", "target")

    def digest(self, name: str) -> str:
        """The digest of a file that an earlier step made."""
        path = self.folder / name
        if not path.is_file():
            raise Failure(f"cannot read {path}: an earlier step makes it")
        return hashlib.sha256(path.read_bytes()).hexdigest()


class Step(NamedTuple):
    """A part of the work."""

    files: dict[str, str]
    """The files that it makes, each with its use."""
    run: Callable[[Release], None]
    system: Optional[str] = None
    """The one system that it runs on, as `sys.platform` names it; any if there is none."""

    @property
    def runs_here(self) -> bool:
        """Whether this machine can make the files."""
        return self.system in (None, sys.platform)


def _packages(architecture: str) -> Step:
    files = {f"{function}-{architecture}.zip": f"the function {function} for {architecture}" for function in FUNCTIONS}

    def run(release: Release) -> None:
        tools.require_toolchain()
        tools.ensure(release.root / ".tools", ["cargo-lambda", "zig"])
        triple = _TRIPLES[architecture]
        packages = [option for function in FUNCTIONS for option in ("-p", function)]
        # With the version of the C library behind it, zig links on every machine alike.
        release.run("cargo-lambda", "lambda", "build", "--release", "--locked", *packages, "--output-format", "zip",
                    "--target", f"{triple}.{_GLIBC}")  # fmt: skip
        for function in FUNCTIONS:
            built = release.target() / "lambda" / function / "bootstrap.zip"
            size, most = built.stat().st_size, PACKAGE_BYTES[function]
            if size > most:
                raise Failure(f"cannot release {function} for {architecture}: its package has {size} bytes, more than {most}")
            step("package", f"{function}-{architecture}.zip, {size / 1e6:.2f} of {most / 1e6:.0f} MB")
            shutil.copyfile(built, release.folder / f"{function}-{architecture}.zip")

    return Step(files, run)


def _tool(name: str, target: tool_package.Platform) -> Step:
    archive, wheel = tool_package.archive_name(name), tool_package.wheel_name(VERSION, target.tag)
    files = {archive: f"the command-line tool for {name}", wheel: "the same as a wheel, for pip"}

    def run(release: Release) -> None:
        tools.require_toolchain()
        home = release.root / ".tools"
        tools.ensure(home, ["maturin", *target.tools])
        options = tool_package.platform_options(target)
        release.run(*tool_package.build_command(release.folder, options), MACOSX_DEPLOYMENT_TARGET=tool_package.MACOS)
        program = release.target() / target.triple / "release" / tool_package.PROGRAM
        size = tool_package.check_size(program)
        tool_package.pack([program, release.root / "LICENSE"], release.folder / archive)
        step("package", f"{archive}, with a program of {size / 1e6:.2f} of {tool_package.PROGRAM_BYTES / 1e6:.0f} MB")
        if target.is_this_machine:
            with tempfile.TemporaryDirectory() as scratch:
                pip = tools.pip(home, Path(scratch))
                answer = tool_package.installed_version(release.folder / wheel, Path(scratch), pip)
            if answer != f"{tool_package.PROGRAM} {VERSION}":
                raise Failure(f"cannot release {wheel}: its program answers `{answer}`, and the version is {VERSION}")

    # zig has no frameworks of Apple.
    return Step(files, run, "darwin" if target.system == "darwin" else None)


def _bill_names() -> dict[str, list[tuple[str, Path]]]:
    """The bills of materials for each target: their names, and where the tool writes them."""
    names: dict[str, list[tuple[str, Path]]] = {}
    for architecture, triple in _TRIPLES.items():
        names[triple] = [
            (f"{function}-{architecture}.cdx.json", Path("functions", function, f"{function}.cdx.json")) for function in FUNCTIONS
        ]
    for name, target in tool_package.PLATFORMS.items():
        names[target.triple] = [(f"{tool_package.PROGRAM}-{name}.cdx.json", Path("cli/cli.cdx.json"))]
    return names


def _bills(release: Release) -> None:
    name, version = _CYCLONEDX
    home = release.root / ".tools" / f"{name}-{version}"
    if not (home / "bin" / name).exists():
        release.run("cargo", "install", "--locked", "--root", str(home), "--version", version, name)
    for triple, bills in _bill_names().items():
        release.run(str(home / "bin" / name), "cyclonedx", "--format", "json", "--target", triple)
        for bill, made in bills:
            shutil.move(release.root / made, release.folder / bill)
        # The tool writes one for every member of the workspace.
        for place in ("*/*.cdx.json", "*/*/*.cdx.json"):
            for other in release.root.glob(place):
                if other.parent != release.folder:
                    other.unlink()


def _templates(release: Release) -> None:
    tools.ensure(release.root / ".tools", ["sam"])
    sys.path.insert(0, str(tools.libraries(release.root / ".tools", "sam")))
    source = release.root / TEMPLATE
    shutil.copyfile(source, release.folder / TEMPLATE)
    template = json.loads(json.dumps(importlib.import_module("samcli.yamlhelper").yaml_parse(source.read_text()), default=str))
    digests = {name: release.digest(name) for architecture in ARCHITECTURES for name in STEPS[architecture].files}
    if release.url is None:
        console.warn("template", f"{CREATE_STACK} asks for PackagesUrl; --url gives it a default")
    made = packaged(template, digests, release.url)
    (release.folder / CREATE_STACK).write_text(json.dumps(made, indent=1) + "\n")


def _sums(release: Release) -> None:
    # Only the files of a release, not others in the folder. Files that another system builds count once they exist.
    made = [(one, name) for one in STEPS.values() for name in one.files if name != SUMS]
    names = [name for one, name in made if one.runs_here or (release.folder / name).is_file()]
    lines = [f"{release.digest(name)}  {name}\n" for name in sorted(names)]
    (release.folder / SUMS).write_text("".join(lines))


STEPS: dict[str, Step] = {
    **{architecture: _packages(architecture) for architecture in ARCHITECTURES},
    **{name: _tool(name, target) for name, target in tool_package.PLATFORMS.items()},
    "bills": Step(
        {
            name: f"the components of {name.removesuffix('.cdx.json')}, as CycloneDX"
            for bills in _bill_names().values()
            for name, _ in bills
        },
        _bills,
    ),
    "templates": Step(
        {
            TEMPLATE: "the template for scripts/deploy --packages",
            CREATE_STACK: "the template for the console's \"create stack\", which fetches the packages by itself",
        },
        _templates,
    ),
    "sums": Step({SUMS: "digests of all files"}, _sums),
}
"""The steps in their order, by name."""

TARGETS = [*_TRIPLES.values(), *(one.triple for one in tool_package.PLATFORMS.values() if one.system == "linux")]
"""The targets of the Rust toolchain that the steps need, but for those on macOS."""


def main(root: Path, arguments: list[str]) -> int:
    """Makes a release, or lists its files."""
    parser = argparse.ArgumentParser(
        prog="scripts/release",
        description=HELP,
        epilog=MORE_HELP.format(steps=", ".join(STEPS), targets=" ".join(TARGETS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the files go")
    parser.add_argument("--list", action="store_true", help="list the files of a release and end")
    parser.add_argument("--only", action="append", choices=list(STEPS), metavar="STEP", help="run this step; may be repeated")
    parser.add_argument("--url", metavar="URL", help="the https URL that the files will be below")
    options = parser.parse_args(arguments)
    if options.list:
        _list(options.folder)
        return 0
    options.folder.mkdir(parents=True, exist_ok=True)
    release = Release(root, options.folder.resolve(), options.url)
    for name, one in STEPS.items():
        if options.only and name not in options.only:
            continue
        if not one.runs_here:
            if options.only:
                raise Failure(f"cannot run the step {name} on {sys.platform}: it needs Apple's SDK; the release workflow runs it")
            console.warn("release", f"{name} is left out: it needs Apple's SDK; the release workflow builds it")
            continue
        step("release", name)
        begin = time.monotonic()
        one.run(release)
        if lacking := [file for file in one.files if not (release.folder / file).is_file()]:
            raise Failure(f"cannot make the release: the step {name} did not write {lacking[0]}")
        step("release", f"{name} took {time.monotonic() - begin:.0f} s")
    _list(options.folder)
    return 0


_NAME_WIDTH = 2 + max(len(name) for one in STEPS.values() for name in one.files)


def _list(folder: Path) -> None:
    """The files of a release, with their sizes where they are there."""
    for one in STEPS.values():
        for name, use in one.files.items():
            path = folder / name
            size = f"{path.stat().st_size / 1e6:.2f} MB" if path.is_file() else "missing"
            console.line(f"{name.ljust(_NAME_WIDTH)}{size.rjust(10)}  {use}")
