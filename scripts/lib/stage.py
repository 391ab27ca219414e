"""The subjects of `scripts/bench`: release binaries, stores of their own, a registry repository that can be changed."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional

from . import git, nginx, s3, servers
from .console import Failure
from .githost import GitHost
from .processes import Child, Supervisor, free_ports

_ACCESS_KEY, _SECRET_KEY = "bench", "bench-secret"
_START_SECONDS = 30.0
_REFRESH_SECONDS = 900.0
_WEBHOOK_SECRET = "a webhook secret of the bench"


class Load(NamedTuple):
    """The results of wrk."""

    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


class Registry(NamedTuple):
    """A registry repository with a bucket and a namespace of its own."""

    source: Path
    environment: Mapping[str, str]


class Serving:
    """A running `serve`."""

    def __init__(self, child: Child, port: int, started_in: float):
        self.child, self.port, self.started_in = child, port, started_in

    def resident_mb(self) -> float:
        """Memory that it holds now."""
        status = Path(f"/proc/{self.child.process.pid}/status").read_text()
        match = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        if not match:
            raise Failure("the system does not say how much memory serve holds")
        return int(match[1]) / 1024

    def get(self, path: str, headers: Optional[Mapping[str, str]] = None) -> bytes:
        """The body of an answer, which must be a good one."""
        status, body = _get(self.port, path, headers or {})
        # Starter projects are answered with 202.
        if status not in (200, 202):
            raise Failure(f"serve answers {path} with {status}: {body[:200].decode(errors='replace')}")
        return body


class Stage:
    """Servers and binaries, and the ways to use them."""

    def __init__(self, supervisor: Supervisor, root: Path, data: Path, tools: Path, quick: bool):
        self._supervisor, self._root, self._data, self._tools = supervisor, root, data, tools
        self.quick = quick
        self._shared = next((folder / "shared" for folder in root.parents if (folder / "shared/community").is_dir()), None)
        self.is_community = self._shared is not None
        self._original = self._shared / "community" if self._shared else root / "tests/fixtures/registry"
        self.description = (
            "the community registry" if self._shared else "the example of tests/fixtures, as ../shared is not here"
        )
        self._binaries = root / os.environ.get("CARGO_TARGET_DIR", "target") / "release"
        self._bucket = servers.start_s3(
            supervisor, tools / "weed", data / "s3", data / "s3.log", "bench", _ACCESS_KEY, _SECRET_KEY
        )
        self._oci = servers.start_oci(supervisor, tools / "docker-registry", data / "oci", data / "oci.log")
        self._count = 0
        self._published: Optional[Registry] = None

    @property
    def published(self) -> Registry:
        """The registry, published."""
        if self._published is None:
            self._published = self.registry()
            self.refresh(self._published)
        return self._published

    def registry(self) -> Registry:
        """A copy of the registry that is not published yet."""
        source = self._data / f"source-{self._count}"
        shutil.copytree(self._original, source)
        _make_writable(source)
        return self._of(source)

    def large_registry(self, stacks: int) -> Optional[Registry]:
        """A made registry of so many stacks, of two versions on average; none where the maker is missing."""
        maker = self._shared / "tools/make-registry" if self._shared else None
        if maker is None or not maker.is_file():
            return None
        source = self._data / f"made-{stacks}"
        subprocess.run([sys.executable, str(maker), str(source), "--stacks", str(stacks)], check=True)
        return self._of(source)

    def _of(self, source: Path) -> Registry:
        self._count += 1
        name = f"bench-{self._count}"
        port = int(self._bucket.endpoint.rsplit(":", 1)[1])
        if not s3.create_bucket(port, name, _ACCESS_KEY, _SECRET_KEY, servers.REGION):
            raise Failure("the S3 server makes no bucket")
        own = {
            **self._bucket.environment(),
            "AWS_ENDPOINT_URL_S3": self._bucket.endpoint,
            "CACHE_BUCKET": name,
            "OCI_REGISTRY": f"{self._oci}/{name}",
            "REGISTRY_REPO_URL": str(source),
            # The targets are for local servers; how long others take is not ours to measure.
            "FETCH": "false",
            "RUST_LOG": "warn",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return Registry(source, {**kept, **own})

    def refresh(self, registry: Registry) -> tuple[float, dict[str, Any]]:
        """Seconds that one refresh takes as a process, and its report."""
        answer, log = self._data / "report.json", self._data / "refresh.log"
        command = [self._binaries / "refresh", "invoke", '{"action":"refresh"}']
        begin = time.monotonic()
        child = self._supervisor.spawn(
            "refresh", command, env=registry.environment, log=log, answer=answer, lasting=False
        )
        ended = _ends_within(child, _REFRESH_SECONDS)
        seconds = time.monotonic() - begin
        self._supervisor.drop(child)
        if not ended:
            raise Failure(f"a refresh takes more than {_REFRESH_SECONDS:.0f} seconds")
        if child.process.returncode != 0:
            raise Failure(child.how_it_ended())
        return seconds, json.loads(answer.read_text())

    def host(self, registry: Registry) -> tuple[Registry, GitHost]:
        """The registry, committed, behind a Git host of its own and not published yet."""
        self.commit(registry)
        host = GitHost(registry.source)
        hosted = self._of(registry.source)
        return Registry(registry.source, {**hosted.environment, "REGISTRY_REPO_URL": host.url}), host

    def refresh_memory(self, registry: Registry) -> tuple[float, dict[str, Any], float]:
        """As `refresh`, with the most memory that the process took, in MB."""
        command = [str(self._binaries / "refresh"), "invoke", '{"action":"refresh"}']
        begin = time.monotonic()
        with open(self._data / "refresh.log", "ab") as log:
            child = subprocess.Popen(command, env=dict(registry.environment), stdout=subprocess.PIPE, stderr=log)
            report = child.stdout.read() if child.stdout else b""
        _, status, usage = os.wait4(child.pid, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise Failure("a refresh fails")
        return time.monotonic() - begin, json.loads(report), usage.ru_maxrss / 1000

    def commit(self, registry: Registry) -> None:
        """Makes the registry's folder a Git work tree, if it is none, and commits its content."""
        for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--allow-empty", "--message", "A change"]):
            git.run(registry.source, *command, author="bench")

    def trigger(self, registry: Registry, times: int) -> list[float]:
        """Seconds from a signed `POST /refresh`, each after a change of one devfile, until `serve` gives the new one."""
        [port] = free_ports(1)
        environment = {**registry.environment, "LISTEN_ADDR": f"127.0.0.1:{port}", "WEBHOOK_SECRET": _WEBHOOK_SECRET}
        log = self._data / "refresh-server.log"
        refreshing = self._supervisor.spawn("refresh", [self._binaries / "refresh"], env=environment, log=log)
        self._until_healthy(port)
        serving = self.serve(Registry(registry.source, {**registry.environment, "REVALIDATE_SECONDS": "0"}))
        seconds = self._triggered(registry.source, port, serving, times)
        self.stop(serving)
        self._supervisor.drop(refreshing)
        return seconds

    def _triggered(self, source: Path, port: int, serving: Serving, times: int) -> list[float]:
        devfile = min(source.glob("stacks/*/**/devfile.yaml"))
        path = f"/{devfile.relative_to(source)}"
        signature = hmac.new(_WEBHOOK_SECRET.encode(), b"{}", hashlib.sha256).hexdigest()
        seconds = []
        for number in range(times):
            text = f"# triggered {number}\n"
            with open(devfile, "a") as file:
                file.write(text)
            begin = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("POST", "/refresh", b"{}", {"x-hub-signature-256": f"sha256={signature}"})
            answer = json.loads(connection.getresponse().read())
            connection.close()
            if answer.get("outcome") != "published":
                raise Failure(f"a trigger ends in {answer}")
            while not serving.get(path).decode().endswith(text):
                self._supervisor.check()
            seconds.append(time.monotonic() - begin)
        return seconds

    def preview(self, registry: Registry) -> Serving:
        """Starts `devfile-registry preview` and waits until it is healthy."""
        [port] = free_ports(1)
        return self._start_tool(["preview", str(registry.source), "--port", str(port)], port, {})

    def reload(self, serving: Serving, registry: Registry, path: str, times: int) -> list[float]:
        """Seconds from a change of a devfile on disk until an open page of a preview has its new content."""
        devfile = min(registry.source.glob("stacks/*/**/devfile.yaml"))
        connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=30)
        connection.request("GET", "/_preview/events")
        events = connection.getresponse()
        seconds = []
        for number in range(times):
            text = f"reload number {number}"
            changed = re.sub(r"(?m)^(  description: ?).*$", rf"\g<1>{text}", devfile.read_text(), count=1)
            begin = time.monotonic()
            devfile.write_text(changed)
            while events.readline() != b"event: release\n":
                self._supervisor.check()
            if text not in serving.get(path).decode():
                raise Failure(f"a preview asks for a reload of {path} before it has {text}")
            seconds.append(time.monotonic() - begin)
        connection.close()
        return seconds

    def run(self, registry: Registry, times: int) -> tuple[float, list[float]]:
        """Seconds from the start of `devfile-registry run` with a directory to its first publication, and of one version changed."""
        [port] = free_ports(1)
        source = registry.source
        store = {"STORE": str(self._data / "store"), "REGISTRY_REPO_URL": str(source), "WEBHOOK_SECRET": _WEBHOOK_SECRET}
        Path(store["STORE"]).mkdir()
        running = self._start_tool(["run"], port, {**store, "LISTEN_ADDR": f"127.0.0.1:{port}", "FETCH": "false", "RUST_LOG": "warn"})
        seconds = self._triggered(source, port, running, times)
        self.stop(running)
        return running.started_in, seconds

    def tool_mb(self) -> float:
        """The size of the command-line tool."""
        return (self._binaries / "devfile-registry").stat().st_size / 1e6

    def _start_tool(self, arguments: list[str], port: int, settings: Mapping[str, str]) -> Serving:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        command = [self._binaries / "devfile-registry", *arguments]
        child = self._supervisor.spawn("tool", command, env={**kept, **settings}, log=self._data / "tool.log")
        return Serving(child, port, self._until_healthy(port))

    def generate_index(self, source: Path) -> tuple[float, float]:
        """Seconds that `index-generator` takes as a process, and the most memory that it took, in MB."""
        command = [str(self._binaries / "index-generator"), "--force", "--offline", str(source), str(self._data / "index.json")]
        begin = time.monotonic()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - begin
        if os.waitstatus_to_exitcode(status) != 0:
            raise Failure("index-generator fails")
        return seconds, usage.ru_maxrss / 1000

    def cold_start(self, registry: Registry, runs: int) -> dict[str, Any]:
        """The report of the harness that plays the Lambda runtime about `serve` (tests/src/bin/cold-start.rs)."""
        harness = self._binaries.parent / "debug/cold-start"
        if self._supervisor.run("cargo", ["cargo", "build", "--workspace", "--bin", "cold-start"], cwd=self._root) != 0:
            raise Failure("the harness of the cold start cannot be built; see the messages of the compiler above")
        command = [str(harness), "--serve", str(self._binaries / "serve"), "--runs", str(runs)]
        output = subprocess.run(command, env=registry.environment, check=True, stdout=subprocess.PIPE).stdout
        return json.loads(output)

    def serve(self, registry: Registry) -> Serving:
        """Starts `serve` and waits until it is healthy."""
        [port] = free_ports(1)
        environment = {**registry.environment, "LISTEN_ADDR": f"127.0.0.1:{port}"}
        child = self._supervisor.spawn("serve", [self._binaries / "serve"], env=environment, log=self._data / "serve.log")
        return Serving(child, port, self._until_healthy(port))

    def _until_healthy(self, port: int) -> float:
        begin = time.monotonic()
        while s3.get_status(port, "/health") != 200:
            self._supervisor.check()
            if time.monotonic() - begin > _START_SECONDS:
                raise Failure(f"what listens on {port} is not healthy after {_START_SECONDS:.0f} seconds")
            time.sleep(0.001)
        return time.monotonic() - begin

    def until_live(self, serving: Serving, registry: Registry) -> None:
        """Waits until `serve` answers from the last commit of a registry."""
        commit = git.run(registry.source, "rev-parse", "HEAD").strip()
        begin = time.monotonic()
        while (json.loads(serving.get("/status"))["live"] or {}).get("commit_hash") != commit:
            self._supervisor.check()
            if time.monotonic() - begin > _START_SECONDS:
                raise Failure(f"{commit} is not live after {_START_SECONDS:.0f} seconds")

    def nginx(self, files: Mapping[str, bytes]) -> Serving:
        """Starts nginx, which answers each path with the bytes of a file."""
        [port] = free_ports(1)
        folder = self._data / "nginx"
        command = nginx.prepare(self._tools / "nginx", folder, port, files)
        child = self._supervisor.spawn("nginx", command, log=self._data / "nginx.log")
        path = next(iter(files))
        begin = time.monotonic()
        while s3.get_status(port, path) != 200:
            self._supervisor.check()
            if time.monotonic() - begin > _START_SECONDS:
                raise Failure(f"nginx does not answer {path} after {_START_SECONDS:.0f} seconds")
            time.sleep(0.001)
        return Serving(child, port, time.monotonic() - begin)

    def stop(self, serving: Serving) -> None:
        """Ends a `serve`, or nginx."""
        self._supervisor.drop(serving.child)

    def load(self, serving: Serving, path: str, headers: Optional[Mapping[str, str]] = None) -> Load:
        """The results of wrk with two threads and sixteen connections."""
        options = [f"-H{name}: {value}" for name, value in (headers or {}).items()]
        seconds = 2 if self.quick else 8
        url = f"http://127.0.0.1:{serving.port}{path}"
        command = [self._tools / "wrk", "-t2", "-c16", f"-d{seconds}s", "--latency", *options, url]
        result = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=True)
        return parse_wrk(result.stdout)


def parse_wrk(said: str) -> Load:
    """Reads the output of wrk."""
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", said, re.MULTILINE)
    latencies = {
        percent: float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
        for percent, value, unit in re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)$", said, re.MULTILINE)
    }
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    if not rate or set(latencies) != {"50", "99"}:
        raise Failure(f"wrk says nothing that can be read: {said.strip()[:200]}")
    return Load(float(rate[1]), latencies["50"], latencies["99"], int(bad[1]) if bad else 0)


def _get(port: int, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"serve does not answer {path}: {error}") from None
    finally:
        connection.close()


def _make_writable(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)


def _ends_within(child: Child, limit: float) -> bool:
    """Waits for the end of a process, to the instant: `Popen.wait` with a limit looks every 50 ms only."""
    process = os.pidfd_open(child.process.pid)
    try:
        select.select([process], [], [], limit)
    finally:
        os.close(process)
    return not child.alive
