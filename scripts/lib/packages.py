"""The built functions of a release: in a folder, or below a URL. Every file counts only with the digest that the release lists."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.parse
import urllib.request
from pathlib import Path

from .console import Failure, step

FUNCTIONS = ("serve", "refresh")
"""The programs. The template runs the second one as two functions."""
ARCHITECTURES = ("arm64", "x86_64")
SUMS = "SHA256SUMS"
TEMPLATE = "template.yaml"

_FILE_BYTES = 64 << 20
"""Largest file of a release that is read. A function's package has 12 MB at most."""

_SECONDS = 60
"""Longest silence of the server that a file is fetched from."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Packages:
    """A release. Its files are fetched one by one, when they are needed."""

    def __init__(self, source: str, scratch: Path):
        self._source, self._scratch = source.rstrip("/"), scratch
        self._remote = "://" in source
        if self._remote:
            _require_https(source)
        elif not Path(source).is_dir():
            raise Failure(f"cannot read {source}: it is no folder, and no URL")
        listed = re.findall(r"(?m)^([0-9a-f]{64}) [ *]([A-Za-z0-9._-]+)$", self._read(SUMS).decode("utf-8", "replace"))
        self._digests = {name: digest for digest, name in listed}
        if not self._digests:
            raise Failure(f"cannot deploy {self._where(SUMS)}: it lists no files")

    def take(self, name: str) -> Path:
        """A file of the release, its digest checked."""
        if name not in self._digests:
            raise Failure(f"cannot deploy {self._source}: {SUMS} does not list {name}")
        content = self._read(name)
        if hashlib.sha256(content).hexdigest() != self._digests[name]:
            raise Failure(f"cannot deploy {self._where(name)}: it has another digest than {SUMS} lists")
        path = self._scratch / name
        path.write_bytes(content)
        return path

    def template(self, architecture: str) -> Path:
        """The template of the release, with the packages of an architecture as the code of its functions."""
        text = self.take(TEMPLATE).read_text()
        for function in FUNCTIONS:
            package = self.take(f"{function}-{architecture}.zip")
            step("packages", f"{package.name}, {package.stat().st_size / 1e6:.1f} MB, {self._digests[package.name]}")
            text = with_code(text, function, json.dumps(str(package)))
        path = self._scratch / "deployed.yaml"
        path.write_text(text)
        return path

    def _where(self, name: str) -> str:
        return f"{self._source}/{name}"

    def _read(self, name: str) -> bytes:
        try:
            if not self._remote:
                content = (Path(self._source) / name).read_bytes()
            else:
                step("fetch", self._where(name))
                with urllib.request.urlopen(self._where(name), timeout=_SECONDS) as answer:
                    _require_https(answer.url)
                    content = answer.read(_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            raise Failure(f"cannot read {self._where(name)}: {error}") from None
        if len(content) > _FILE_BYTES:
            raise Failure(f"cannot deploy {self._where(name)}: it has more than {_FILE_BYTES >> 20} MiB")
        return content


def with_code(template: str, function: str, code: str) -> str:
    """The text of a template with other code in place of that of a package, written in YAML."""
    source = f"CodeUri: functions/{function}\n"
    if source not in template:
        raise Failure(f"cannot deploy this template: it does not have the line `{source.strip()}`")
    return template.replace(source, f"CodeUri: {code}\n")


def _require_https(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise Failure(f"cannot fetch packages from {parts.hostname or url}: it must be an https URL")
