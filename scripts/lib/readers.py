"""The readers of `scripts/soak`: sixteen connections, each of which looks at every answer closely.

All content of a release tells the number of its commit, so an answer that mixes two releases gives itself away. Two of the
connections download artifacts as clients do; their content may be in the bucket alone.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import threading
import time
from typing import Iterable, Mapping, Sequence

CONNECTIONS = 16
_DOWNLOADERS = 2
_TIMEOUT = 20.0
_SHOWN_PROBLEMS = 10

_NUMBERS = re.compile(rb"release (\d+)")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Known:
    """Facts about all releases: the numbers of their commits, and the entity tags of their answers."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._tags: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()

    def commit(self, commit: str, number: int) -> None:
        """There is another commit."""
        self._numbers[commit] = number

    def number(self, commit: str) -> int:
        """The number of a commit; 0 if there is no such commit."""
        return self._numbers.get(commit, 0)

    def same_tag(self, path: str, number: int, tag: str) -> bool:
        """Whether an answer had this tag whenever it was given from this release."""
        with self._lock:
            return self._tags.setdefault((path, number), tag) == tag


class Tally:
    """The events of a stretch of time."""

    def __init__(self) -> None:
        self.answers = self.server_errors = self.explained = self.stale = 0
        self.milliseconds: list[float] = []

    @staticmethod
    def sum(tallies: Iterable["Tally"]) -> "Tally":
        """All of them together."""
        total = Tally()
        for tally in tallies:
            total.answers += tally.answers
            total.server_errors += tally.server_errors
            total.explained += tally.explained
            total.stale += tally.stale
            total.milliseconds += tally.milliseconds
        return total

    def percentile(self, percent: int) -> float:
        """The time that so many answers did not exceed; 0 without answers."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0


class Readers:
    """The readers, and their findings."""

    def __init__(self, port: int, known: Known, stacks: Sequence[str]):
        self._port, self._known, self._stacks = port, known, stacks
        self._lock = threading.Lock()
        self._tally = Tally()
        self._bucket_away_until = 0.0
        self._problems: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=_Reader(self, number).run, daemon=True) for number in range(CONNECTIONS)
        ]
        self.answers = 0

    def start(self) -> None:
        """Begins to read."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Waits until every reader has its last answer."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_TIMEOUT + 5)

    def enter(self, bucket_is_away: bool) -> None:
        """A phase begins."""
        with self._lock:
            self._tally = Tally()
        # An answer that began to wait while the bucket was away may come later.
        self._bucket_away_until = float("inf") if bucket_is_away else self._bucket_away_until

    def leave(self) -> Tally:
        """The phase is over."""
        if self._bucket_away_until == float("inf"):
            self._bucket_away_until = time.monotonic() + 6.0
        with self._lock:
            tally, self._tally = self._tally, Tally()
        return tally

    def problems(self) -> list[str]:
        """Violations, a few of many."""
        more = len(self._problems) - _SHOWN_PROBLEMS
        return self._problems[:_SHOWN_PROBLEMS] + ([f"and {more} more of that kind"] if more > 0 else [])

    def _problem(self, text: str) -> None:
        self._problems.append(text)


class _Reader:
    """One connection."""

    def __init__(self, readers: Readers, number: int):
        self._readers, self._known, self._number = readers, readers._known, number
        self._connection = http.client.HTTPConnection("127.0.0.1", readers._port, timeout=_TIMEOUT)
        self._tags: dict[str, str] = {}
        self._newest = 0

    def run(self) -> None:
        """Reads until told to stop."""
        stacks, turn = self._readers._stacks, self._number
        while not self._readers._stop.is_set():
            stack = stacks[turn % len(stacks)]
            turn += 1
            try:
                if self._number < _DOWNLOADERS:
                    self._download(stack)
                else:
                    self._read(("/v2index/all", "/index", f"/devfiles/{stack}", "/v2index?tags=soak", "/index.json")[turn % 5])
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._readers._problem(f"no answer, or none that can be read: {type(error).__name__}: {error}")
                self._connection.close()

    def _read(self, path: str) -> None:
        """Reads an answer of the release: all of it must be of one commit, and none older than the last."""
        headers = {"If-None-Match": self._tags[path]} if path in self._tags and self._number % 2 else {}
        status, body, answer = self._get(path, headers)
        number = self._of(path, answer)
        if status >= 500 or number == 0:
            return
        tag = answer.get("etag", "")
        if not self._known.same_tag(path, number, tag):
            self._readers._problem(f"{path} of release {number} has two entity tags")
        if status == 304 and tag == headers.get("If-None-Match"):
            return
        if status != 200:
            self._readers._problem(f"{path} answers {status}")
            return
        self._tags[path] = tag
        if path == "/index.json":
            said = {self._known.number(json.loads(body)["commit_hash"])}
        else:
            said = set()
        said |= {int(found) for found in _NUMBERS.findall(body)}
        if said != {number}:
            self._readers._problem(f"{path} of release {number} holds releases {sorted(said)}")

    def _download(self, stack: str) -> None:
        """Pulls an artifact: the manifest by its tag, then its layers by their digests."""
        repository = f"/v2/devfile-catalog/{stack}"
        status, body, answer = self._get(f"{repository}/manifests/1.0.0", {"Accept": _MANIFEST})
        number = self._of(repository, answer)
        if status != 200 or number == 0:
            if status < 500:
                self._readers._problem(f"the manifest of {stack} is answered with {status}")
            return
        if "sha256:" + hashlib.sha256(body).hexdigest() != answer.get("docker-content-digest"):
            self._readers._problem(f"the manifest of {stack} does not have its digest")
        for layer in json.loads(body)["layers"]:
            digest = layer["digest"]
            in_bucket_alone = layer["annotations"]["org.opencontainers.image.title"] == "archive.tar"
            status, content, answer = self._get(f"{repository}/blobs/{digest}", {}, in_bucket_alone)
            newer = self._of(repository, answer) > number
            if status == 200:
                if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
                    self._readers._problem(f"a layer of {stack} does not have its digest")
            elif status < 500 and not (status == 404 and newer):
                self._readers._problem(f"a layer of {stack} is answered with {status}")

    def _of(self, what: str, answer: Mapping[str, str]) -> int:
        """The release that an answer is from."""
        commit = answer.get("devfile-registry-commit", "")
        number = self._known.number(commit)
        if number == 0:
            self._readers._problem(f"{what} is of an unknown commit {commit[:12]!r}")
        elif number < self._newest:
            self._readers._problem(f"{what} goes back from release {self._newest} to {number}")
        self._newest = max(self._newest, number)
        return number

    def _get(
        self, path: str, headers: Mapping[str, str], in_bucket_alone: bool = False
    ) -> tuple[int, bytes, Mapping[str, str]]:
        begin = time.monotonic()
        self._connection.request("GET", path, headers=dict(headers))
        response = self._connection.getresponse()
        body = response.read()
        took = (time.monotonic() - begin) * 1000
        answer = {name.lower(): value for name, value in response.getheaders()}
        readers = self._readers
        explained = in_bucket_alone and begin < readers._bucket_away_until
        with readers._lock:
            tally = readers._tally
            readers.answers += 1
            tally.answers += 1
            tally.milliseconds.append(took)
            tally.stale += "devfile-registry-stale" in answer
            if response.status >= 500:
                tally.explained += explained
                tally.server_errors += not explained
        return response.status, body, answer
