"""The command `scripts/soak`: readers and refreshes go on while the bucket, the OCI registry and GitHub fail and heal in turn.

`proxy` fails, `readers` read and check; this module is the command: the processes, the plan of the faults, and the verdict.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple, Optional, Sequence, Union

from . import console, git, s3, servers, tools
from .console import Failure, step
from .functions import Plain
from .processes import Child, Supervisor, free_ports
from .proxy import FAULTS, Proxy
from .readers import Known, Readers, Tally

HELP = """\
Runs both functions with a real S3 server, a real OCI registry and a stand-in for GitHub, each behind a proxy that can fail.
16 connections read while a commit is made and published every second; bucket, OCI registry and GitHub fail and heal in turn:
nobody listens, nothing gets through, connections are reset. Every answer must be of one whole release and none may be a 5xx,
but those that the bucket alone could answer while it was away. Memory must stay flat, every request must be in the log and in
the metrics, and no secret in any log.

With --store it runs `devfile-registry run` with a directory instead: one process, without servers beside it. GitHub fails.
"""

_TARGETS = ("bucket", "OCI registry", "GitHub")
_STACKS = 12
_LONGEST_FAULT, _SHORTEST_FAULT = 10.0, 1.2
_MEMORY_SHARE, _MEMORY_MB = 1.2, 8.0
"""Memory counts as flat when the last third of the time needs at most so much more than the second."""


class Phase(NamedTuple):
    """A stretch of time with one fault, or with none."""

    target: Optional[str]
    fault: Optional[str]
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.target}: {self.fault}" if self.target else "all well"


class Row(NamedTuple):
    """The events of all phases of a name."""

    name: str
    seconds: float
    tally: Tally
    published: int
    failed: int


def phases(seconds: float, targets: Sequence[str] = _TARGETS) -> list[Phase]:
    """The plan for so much time: every fault of every target, and as long without any after each."""
    faults = [(target, fault) for fault in FAULTS for target in targets]
    length = min(_LONGEST_FAULT, max(_SHORTEST_FAULT, seconds / (2 * len(faults))))
    rounds = max(1, round(seconds / (2 * length * len(faults))))
    plan = []
    for target, fault in faults * rounds:
        plan += [Phase(target, fault, length), Phase(None, None, length)]
    return plan


def main(root: Path, arguments: list[str]) -> int:
    """Runs it all and prints the table."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600.0, metavar="N", help="how long (default: 600)")
    parser.add_argument("--dev", action="store_true", help="development binaries instead of release ones")
    parser.add_argument("--store", action="store_true", help="one process with a directory, instead of both functions with servers")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to a file, as Markdown")
    options = parser.parse_args(arguments)
    if not 10 <= options.seconds <= 86_400:
        raise Failure("--seconds must be from 10 to 86400")
    for program in ("cargo", "git"):
        if not shutil.which(program):
            raise Failure(f"{program} is not on PATH")
    # The stand-in for GitHub is not tested.
    stand_in = ["cargo", "build", "--workspace", "--bin", "github-stand-in"]
    release = ["cargo", "build", "--release", "-p", "cli"] if options.store else Plain.build
    builds = [["cargo", "build", "--workspace"]] if options.dev else [release, stand_in]
    targets = ("GitHub",) if options.store else _TARGETS
    with tempfile.TemporaryDirectory(prefix="devfile-soak-") as data, Supervisor() as supervisor:
        binaries = tools.ensure(root / ".tools", [] if options.store else ["weed", "docker-registry"])
        for build in builds:
            step("build", " ".join(build))
            if supervisor.run("cargo", build, cwd=root) != 0:
                raise Failure("the build failed; see the messages of the compiler above")
        kind = "debug" if options.dev else "release"
        target = root / os.environ.get("CARGO_TARGET_DIR", "target")
        of_kind = InDirectory if options.store else Soak
        soak = of_kind(supervisor, target / kind, target / "debug/github-stand-in", binaries, Path(data))
        try:
            rows, notes = soak.run(phases(options.seconds, targets))
        finally:
            soak.close()
    lines = [*markdown(rows), "", f"{kind.capitalize()} binaries. {_machine()}", *notes]
    for text in ("", *lines):
        console.line(text)
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")
    console.line()
    for problem in soak.problems:
        console.warn("soak", problem)
    if soak.problems:
        raise Failure(f"{len(soak.problems)} of the soak's promises did not hold")
    console.good("soak: everything held")
    return 0


class Soak:
    """One run of both functions, with servers."""

    _logs = ("serve.log", "refresh.log")

    def __init__(self, supervisor: Supervisor, programs: Path, stand_in: Path, binaries: Path, data: Path):
        self._supervisor, self._programs, self._stand_in, self._data = supervisor, programs, stand_in, data
        self.problems: list[str] = []
        self._published = self._failed = 0
        self._stop = threading.Event()
        self._memory: list[tuple[float, float]] = []
        self._known = Known()
        self._secrets = {name: secrets.token_hex(20) for name in ("s3", "webhook", "github", "oci")}
        self._ports = dict(zip((*_TARGETS, "serve", "refresh", "metrics"), free_ports(6)))
        self._repository = data / "repository"
        self._commits = 0

        self._commit()
        behind = {**self._start_stores(binaries), "GitHub": self._start_github()}
        self._proxies = {name: Proxy(self._ports[name], port) for name, port in behind.items()}
        self._environment = self._settings()

    def close(self) -> None:
        """Ends the threads of this process."""
        self._stop.set()
        for proxy in self._proxies.values():
            proxy.close()

    def run(self, plan: list[Phase]) -> tuple[list[Row], list[str]]:
        """Runs the plan and returns the events, and the verdict in words."""
        self._serve = self._start_functions({"METRICS_ADDR": f"127.0.0.1:{self._ports['metrics']}"})
        self._publish()
        if not self._published:
            raise Failure(f"the first refresh failed (log: {self._data / self._logs[-1]})")
        self._supervisor.wait(lambda: self._status("/health") == 200, limit=30, what="serve did not load the release")

        readers = Readers(self._ports["serve"], self._known, [f"soak-{number:02}" for number in range(_STACKS)])
        publisher = threading.Thread(target=self._publish_every_second, daemon=True)
        begin = time.monotonic()
        readers.start()
        publisher.start()
        rows = [self._phase(phase, readers) for phase in plan]
        seconds = time.monotonic() - begin
        self._stop.set()
        # A refresh that waits for a server that was down gets its time.
        self._supervisor.wait(lambda: not publisher.is_alive(), limit=90, what="the last refresh did not end")
        self._check_the_end()
        readers.stop()
        total = Tally.sum(row.tally for row in rows)
        self.problems += readers.problems()
        notes = [self._check_memory(begin, seconds), self._check_metrics(readers.answers), self._check_logs(readers.answers)]
        for row in rows:
            if row.tally.server_errors:
                self.problems.append(f"{row.name}: {row.tally.server_errors} answers were 5xx")
        if not total.answers:
            self.problems.append("nothing was read")
        return _merge(rows), notes

    def _phase(self, phase: Phase, readers: Readers) -> Row:
        console.step("soak", f"{phase.name} ({phase.seconds:.1f} s)")
        published, failed = self._published, self._failed
        begin = time.monotonic()
        if phase.target and phase.fault:
            self._proxies[phase.target].fail(phase.fault)
        readers.enter(bucket_is_away=phase.target == "bucket")

        def over() -> bool:
            self._memory.append((time.monotonic(), _resident_mb(self._serve)))
            return time.monotonic() - begin >= phase.seconds

        self._supervisor.wait(over)
        if phase.target:
            self._proxies[phase.target].heal()
        tally = readers.leave()
        seconds = time.monotonic() - begin
        return Row(phase.name, seconds, tally, self._published - published, self._failed - failed)

    # Processes

    def _start_stores(self, binaries: Path) -> dict[str, int]:
        """Starts the servers that store releases, and gives their ports."""
        step("start", "SeaweedFS, Distribution, the stand-in for GitHub")
        self._bucket = servers.start_s3(
            self._supervisor, binaries / "weed", self._data / "s3", self._data / "s3.log", "soak", "soak", self._secrets["s3"]
        )
        oci = servers.start_oci(self._supervisor, binaries / "docker-registry", self._data / "oci", self._data / "oci.log")
        return {"bucket": _port(self._bucket.endpoint), "OCI registry": _port(oci)}

    def _start_functions(self, more: dict[str, str]) -> Child:
        """Starts the functions, and gives the one that answers readers."""
        self._proxies["bucket"].fail("refuse")
        serve = self._start("serve", more)
        self._start("refresh", {})
        self._supervisor.wait(lambda: self._status("/health") == 503, limit=30, what="serve did not start")
        self._proxies["bucket"].heal()
        return serve

    def _stores(self) -> dict[str, str]:
        """The settings of the stores."""
        return {
            **self._bucket.environment(),
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self._ports['bucket']}",
            "CACHE_BUCKET": self._bucket.name,
            "OCI_REGISTRY": f"127.0.0.1:{self._ports['OCI registry']}/soak",
            "OCI_USERNAME": "soak",
            "OCI_PASSWORD": self._secrets["oci"],
        }

    def _settings(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "REGISTRY_"))}
        return {
            **kept,
            **self._stores(),
            "REGISTRY_REPO_URL": f"http://127.0.0.1:{self._ports['GitHub']}/example/registry",
            "GITHUB_API_URL": f"http://127.0.0.1:{self._ports['GitHub']}",
            "GITHUB_TOKEN": self._secrets["github"],
            "WEBHOOK_SECRET": self._secrets["webhook"],
            "REVALIDATE_SECONDS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "RUST_LOG": "info",
        }

    def _start(self, name: str, more: dict[str, str]) -> Child:
        return self._spawn(name, [self._programs / name], more)

    def _spawn(self, name: str, command: list[Union[str, Path]], more: dict[str, str]) -> Child:
        environment = {**self._environment, "LISTEN_ADDR": f"127.0.0.1:{self._ports[name]}", **more}
        return self._supervisor.spawn(name, command, env=environment, log=self._data / f"{name}.log")

    def _start_github(self) -> int:
        said = self._data / "github.url"
        command = [self._stand_in, "--repo", self._repository]
        self._supervisor.spawn("github", command, log=self._data / "github.log", answer=said)
        self._supervisor.wait(lambda: said.read_text().endswith("\n"), limit=30, what="the stand-in did not start")
        return _port(said.read_text().strip())

    # Publications

    def _commit(self) -> None:
        """Makes the next state of the registry repository. Every file of it tells which one it is."""
        number = self._commits = self._commits + 1
        if number == 1:
            self._repository.mkdir()
            git.run(self._repository, "init", "--quiet", "--initial-branch=main")
        for index in range(_STACKS):
            folder = self._repository / f"stacks/soak-{index:02}"
            (folder / "notes").mkdir(parents=True, exist_ok=True)
            (folder / "devfile.yaml").write_text(_DEVFILE.format(index=index, number=number))
            (folder / "notes/release.txt").write_text(f"release {number}\n")
        git.run(self._repository, "add", "--all")
        git.run(self._repository, "commit", "--quiet", "--message", f"Release {number}", author="soak")
        self._known.commit(git.run(self._repository, "rev-parse", "HEAD").strip(), number)

    def _publish(self) -> None:
        body = b"{}"
        signature = hmac.new(self._secrets["webhook"].encode(), body, hashlib.sha256).hexdigest()
        connection = http.client.HTTPConnection("127.0.0.1", self._ports["refresh"], timeout=80)
        try:
            headers = {"X-Hub-Signature-256": f"sha256={signature}", "Content-Type": "application/json"}
            connection.request("POST", "/refresh", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                self._published += 1
            else:
                self._failed += 1
        except (OSError, http.client.HTTPException):
            self._failed += 1
        finally:
            connection.close()

    def _publish_every_second(self) -> None:
        while not self._stop.is_set():
            due = time.monotonic() + 1.0
            self._commit()
            self._publish()
            self._stop.wait(max(0.0, due - time.monotonic()))

    # Invariants

    def _check_the_end(self) -> None:
        """With all well again, one refresh makes the head live, and serve shows it."""
        self._commit()
        before = self._published
        self._publish()
        if self._published == before:
            self.problems.append("with all well again, a refresh fails")
            return
        try:
            self._supervisor.wait(lambda: self._shown() == self._commits, limit=10, what="the head is not shown")
        except Failure as failure:
            self.problems.append(f"with all well again, {failure}: {self._shown()} instead of {self._commits}")

    def _shown(self) -> int:
        return self._known.number(_get(self._ports["serve"], "/health")[2].get("devfile-registry-commit", ""))

    def _check_memory(self, begin: float, seconds: float) -> str:
        third = seconds / 3
        second = [mb for at, mb in self._memory if third <= at - begin < 2 * third]
        last = [mb for at, mb in self._memory if at - begin >= 2 * third]
        before, after = max(second, default=0.0), max(last, default=0.0)
        if after > before * _MEMORY_SHARE + _MEMORY_MB:
            self.problems.append(f"memory of serve grows: {before:.1f} MB, then {after:.1f} MB")
        first = self._memory[0][1] if self._memory else 0.0
        return f"Memory of serve: {first:.1f} MB at first, at most {before:.1f} MB in the second third and {after:.1f} MB in the last."

    def _check_metrics(self, answers: int) -> str:
        status, body, _ = _get(self._ports["metrics"], "/metrics")
        counted = sum(int(value) for value in re.findall(rb"^devfile_registry_requests_total\{.*\} (\d+)$", body, re.MULTILINE))
        if status != 200 or counted < answers:
            self.problems.append(f"/metrics counts {counted} of {answers} answers (status {status})")
        looks = re.search(rb"^devfile_registry_snapshot_revalidations_total (\d+)$", body, re.MULTILINE)
        return f"Metrics count {counted} requests and {int(looks[1]) if looks else 0} looks at the bucket."

    def _check_logs(self, answers: int) -> str:
        log = self._data / "serve.log"

        def all_are_there() -> bool:
            return log.read_bytes().count(b'"message":"request"') >= answers

        try:
            self._supervisor.wait(all_are_there, limit=10, what="not every request is in the log of serve")
        except Failure as failure:
            self.problems.append(str(failure))
        for name in self._logs:
            text = (self._data / name).read_text(errors="replace")
            self.problems += [f"{name} holds the secret of {what}" for what, value in self._secrets.items() if value in text]
        return "Every request is in the log of serve, and no secret in any log."

    def _status(self, path: str) -> int:
        return s3.get_status(self._ports["serve"], path) or 0


class InDirectory(Soak):
    """One run of a single process, with a directory."""

    _logs = ("serve.log",)

    def _start_stores(self, binaries: Path) -> dict[str, int]:
        step("start", "the stand-in for GitHub")
        return {}

    def _start_functions(self, more: dict[str, str]) -> Child:
        # Triggers go where readers go.
        self._ports["refresh"] = self._ports["serve"]
        registry = self._spawn("serve", [self._programs / "devfile-registry", "run"], more)
        self._supervisor.wait(lambda: self._status("/health") == 200, limit=30, what="the first release is not served")
        return registry

    def _stores(self) -> dict[str, str]:
        return {"STORE": str(self._data / "store"), "SCHEDULE_SECONDS": "5"}


def markdown(rows: list[Row]) -> list[str]:
    """The table."""
    lines = [
        "| fault | seconds | answers | 5xx | bucket only, 5xx | stale | p99 ms | slowest ms | refreshes | failed |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in [*rows, _sum("in all", rows)]:
        tally = row.tally
        cells = [
            *(row.name, f"{row.seconds:.0f}", f"{tally.answers:,}", tally.server_errors, tally.explained, f"{tally.stale:,}"),
            *(f"{tally.percentile(99):.1f}", f"{tally.percentile(100):.1f}", row.published, row.failed),
        ]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return lines


def _merge(rows: list[Row]) -> list[Row]:
    """One row for each name, in the order of their first."""
    names = dict.fromkeys(row.name for row in rows)
    return [_sum(name, [row for row in rows if row.name == name]) for name in names]


def _sum(name: str, rows: list[Row]) -> Row:
    tally = Tally.sum(row.tally for row in rows)
    return Row(name, sum(row.seconds for row in rows), tally, sum(row.published for row in rows), sum(row.failed for row in rows))


def _machine() -> str:
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return f"Machine: {cores} cores, shared by readers, servers, proxies and functions; its load was {load:.1f} at the end."


def _resident_mb(child: Child) -> float:
    match = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{child.process.pid}/status").read_text(), re.MULTILINE)
    return int(match[1]) / 1024 if match else 0.0


def _get(port: int, path: str) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of an answer; status 0 without one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    except (OSError, http.client.HTTPException):
        return 0, b"", {}
    finally:
        connection.close()


def _port(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


_DEVFILE = """\
schemaVersion: 2.2.0
metadata:
  name: soak-{index:02}
  version: 1.0.0
  displayName: Soak {index}
  description: release {number}
  language: Go
  projectType: Go
  tags: [Soak, Release{number}]
components:
  - name: runtime
    container:
      image: docker.io/library/golang:1.25
      memoryLimit: 1024Mi
"""
