"""The released program: fetched from the release of this action's own version, and taken only with the digest that the release lists."""

from __future__ import annotations

import hashlib
import io
import platform
import re
import sys
import tarfile
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Mapping

PROGRAM = "devfile-registry"

_SUMS = "SHA256SUMS"

_FILE_BYTES = 64 << 20
"""Largest file that is read, and largest program. scripts/release refuses to release one above 30 MB."""

_TIMEOUT_SECONDS = 60

_PLATFORMS = {
    ("linux", "x86_64"): "linux-x86_64",
    ("linux", "aarch64"): "linux-arm64",
    ("darwin", "arm64"): "macos-arm64",
    ("darwin", "x86_64"): "macos-x86_64",
}
"""The archives of a release, by system and processor."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def program(environment: Mapping[str, str], folder: Path) -> Path:
    """Fetches the program into a folder.

    # Raises
    `ValueError` when there is none for this machine, or another one than the release lists; `OSError` when it cannot be fetched.
    """
    archive = archive_name(sys.platform, platform.machine())
    url = release_url(environment)
    listed = re.findall(r"(?m)^([0-9a-f]{64}) [ *](\S+)$", _read(f"{url}/{_SUMS}").decode("utf-8", "replace"))
    digests = [digest for digest, name in listed if name == archive]
    if len(digests) != 1:
        raise ValueError(f"cannot take {archive} from {url}: {_SUMS} does not list it")
    packed = _read(f"{url}/{archive}")
    if hashlib.sha256(packed).hexdigest() != digests[0]:
        raise ValueError(f"cannot take {url}/{archive}: it has another digest than {_SUMS} lists")
    path = folder / PROGRAM
    path.write_bytes(_unpack(packed))
    path.chmod(0o755)
    return path


def archive_name(system: str, machine: str) -> str:
    """The archive for a system and a processor, as Python names both."""
    name = _PLATFORMS.get((system, machine.lower()))
    if name is None:
        supported = ", ".join(_PLATFORMS.values())
        raise ValueError(f"cannot run {PROGRAM} on {system} {machine}: it is released for {supported}")
    return f"{PROGRAM}-{name}.tar.gz"


def release_url(environment: Mapping[str, str]) -> str:
    """The URL that the files of the release are below."""
    if given := environment.get("CHECK_RELEASE_URL", "").strip():
        return given.rstrip("/")
    repository = environment.get("CHECK_ACTION_REPOSITORY", "")
    if not repository:
        raise ValueError("cannot find the release of this action: it was not taken from a repository; set release-url")
    server = environment.get("GITHUB_SERVER_URL") or "https://github.com"
    return f"{server}/{repository}/releases/download/v{version()}"


def version() -> str:
    """The version of the sources that this action comes with."""
    manifest = Path(__file__).resolve().parents[3] / "Cargo.toml"
    found = re.search(r'(?m)^version = "([^"]+)"$', manifest.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"cannot read the version of this action: {manifest} has none")
    return found.group(1)


def _read(url: str) -> bytes:
    _require_https(url)
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
            _require_https(answer.url)
            content = answer.read(_FILE_BYTES + 1)
            # With a limit, `read` takes a connection that ends early for the end of the answer.
            if answer.length and len(content) <= _FILE_BYTES:
                raise ValueError("the answer ends early")
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot fetch {url}: {error}") from None
    if len(content) > _FILE_BYTES:
        raise ValueError(f"cannot fetch {url}: it has more than {_FILE_BYTES >> 20} MiB")
    return content


def _unpack(packed: bytes) -> bytes:
    """The program in an archive. Nothing else of it is read, so no name in it becomes a path."""
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
            for entry in archive:
                if entry.name == PROGRAM and entry.isfile() and entry.size <= _FILE_BYTES:
                    return archive.extractfile(entry).read()  # type: ignore[union-attr]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"cannot unpack the released program: {error}") from None
    raise ValueError(f"cannot unpack the released program: {PROGRAM} is not in its archive")


def _require_https(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError(f"{url} is no https URL")
