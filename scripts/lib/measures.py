"""Measurements, with their targets. One function a part; each gives rows as it goes.

Times and rates of the reference server are those of the design, measured with the same tool on a machine like the one that the
targets are for.
"""

from __future__ import annotations

import json
import os
import time
import zipfile
from statistics import median
from typing import Callable, Iterator, NamedTuple, Optional

from .stage import Registry, Serving, Stage

_MANIFEST = {"Accept": "application/vnd.oci.image.manifest.v1+json"}


class Row(NamedTuple):
    """A row of the table."""

    what: str
    target: str
    measured: str
    met: Optional[bool] = None


def index(stage: Stage) -> Iterator[Row]:
    """Index generation, with validation"""
    source = stage.registry().source
    seconds = median(stage.generate_index(source)[0] for _ in range(3 if stage.quick else 15))
    yield _time("index generation, with validation", seconds, 0.060)


def refresh(stage: Stage) -> Iterator[Row]:
    """A refresh: first, one version changed, nothing changed"""
    registries = [stage.registry() for _ in range(1 if stage.quick else 3)]
    firsts = [stage.refresh(registry)[0] for registry in registries]
    yield _time("refresh, the first", median(firsts), 2.0)
    times = 3 if stage.quick else 9
    yield _time("refresh, one version changed", median(_change_one(stage, registries[0], times)), 0.2)
    nothing = [stage.refresh(registries[0]) for _ in range(times)]
    yield _time("refresh, nothing changed", median(seconds for seconds, _ in nothing), 0.03)
    triggered = median(stage.trigger(registries[0], times))
    yield _time("from a trigger, one version changed, to the new bytes served", triggered, 0.5)


def git(stage: Stage) -> Iterator[Row]:
    """A refresh over a local Git host: first, one version changed, nothing changed"""
    times = 3 if stage.quick else 9
    registry, host = stage.host(stage.registry())
    seconds, _, memory = stage.refresh_memory(registry)
    yield _time("over Git: refresh, the first", seconds, 2.0)
    yield Row("over Git: memory of the first refresh", "", f"{memory:.0f} MB")
    yield _time("over Git: refresh, one version changed", median(_commit_one(stage, registry, times)), 0.2)
    host.forget()
    nothing = median(stage.refresh(registry)[0] for _ in range(times))
    yield _time("over Git: refresh, nothing changed", nothing, 0.03)
    requests = host.requests / times
    yield Row("over Git: requests when nothing changed", "1", f"{requests:.0f}", requests == 1)
    host.close()


def start(stage: Stage) -> Iterator[Row]:
    """Start of serve on a filled bucket, and its memory"""
    starts, sizes = [], []
    for _ in range(3 if stage.quick else 9):
        serving = stage.serve(stage.published)
        starts.append(serving.started_in)
        sizes.append(serving.resident_mb())
        stage.stop(serving)
    yield _time("serve: start to healthy", median(starts), 0.03)
    yield Row("serve: memory when loaded", "under 20 MB", f"{median(sizes):.1f} MB", median(sizes) < 20)


def cold_start(stage: Stage) -> Iterator[Row]:
    """A cold start in AWS Lambda, whose runtime is played on this machine"""
    said = stage.cold_start(stage.published, 5 if stage.quick else 20)
    milliseconds = said["first_answer_ms"]["median"]
    yield _time("serve: cold start, from its process to its first answer", milliseconds / 1000, 0.03)
    steps = ", ".join(f"{name.removesuffix('_ms')} {value:.1f}" for name, value in said["steps_ms"].items())
    yield Row("serve: steps of a cold start, in milliseconds", "", steps)


def http(stage: Stage) -> Iterator[Row]:
    """Requests per second and latencies, beside the reference"""
    serving = stage.serve(stage.published)
    stack, version = ("go", "2.6.0") if stage.is_community else ("kiln", "1.1.0")
    manifest = f"/v2/devfile-catalog/{stack}/manifests/{version}"
    layers = json.loads(serving.get(manifest, _MANIFEST))["layers"]
    archive = next(layer for layer in layers if "archive.tar" in layer["annotations"].values())
    blob = f"/v2/devfile-catalog/{stack}/blobs/{archive['digest']}"
    filtered = "/v2index?tags=Java&language=java" if stage.is_community else "/v2index?tags=Python&language=python"
    # The part `nginx` has the rates that the first answers should reach.
    for what, path, headers, reference, factor, limit in (
        ("`/v2index/all`", "/v2index/all", None, 523, None, 10.0),
        ("`/index`", "/index", None, 520, None, 10.0),
        (f"`{filtered}`", filtered, None, 173, 200, None),
        (f"`/devfiles/{stack}`", f"/devfiles/{stack}", None, 132, None, 10.0),
        ("a manifest", manifest, _MANIFEST, None, None, 10.0),
        ("a blob (`archive.tar`)", blob, None, None, None, None),
    ):
        yield _rate(stage, serving, what, path, headers, reference, factor, limit)
    memory = serving.resident_mb()
    yield Row("serve: memory after that load", "under 20 MB", f"{memory:.1f} MB", memory < 20)
    stage.stop(serving)


def nginx(stage: Stage) -> Iterator[Row]:
    """Requests per second beside nginx, which serves the same bytes from disk"""
    serving = stage.serve(stage.published)
    stack, version = ("go", "2.6.0") if stage.is_community else ("kiln", "1.1.0")
    paths = {
        "/v2index/all": None,
        "/index": None,
        f"/devfiles/{stack}": None,
        f"/v2/devfile-catalog/{stack}/manifests/{version}": _MANIFEST,
    }
    # On disk `/index` could not be a file and a folder.
    names = {path: f"/file-{number}" for number, path in enumerate(paths)}
    limit = stage.nginx({names[path]: serving.get(path, headers) for path, headers in paths.items()})
    for path, headers in paths.items():
        ours, theirs = stage.load(serving, path, headers), stage.load(limit, names[path])
        share = ours.per_second / theirs.per_second
        measured = f"{share:.2f} of {theirs.per_second:,.0f} req/s: {_said(ours)}"
        yield Row(f"`{path}`, beside nginx", "0.8 of nginx, p99 under 10 ms", measured, share >= 0.8 and ours.p99_ms < 10)
    stage.stop(limit)
    stage.stop(serving)


def viewer(stage: Stage) -> Iterator[Row]:
    """Pages of the viewer: their size and the time that one takes"""
    serving = stage.serve(stage.published)
    stack = "go" if stage.is_community else "kiln"
    size = len(serving.get("/viewer"))
    yield Row("viewer: HTML of the list", "under 60 kB", f"{size / 1000:.0f} kB", size < 60_000)
    yield _page(stage, serving, "viewer: the list", "/viewer", 2.0)
    yield _page(stage, serving, "viewer: a search with a typo", "/viewer?search=runtmie", 2.0)
    path = f"/viewer/devfiles/{json.loads(serving.get('/status'))['name'].lower().replace(' ', '-')}/{stack}"
    yield _page(stage, serving, "viewer: a stack", path, None)
    memory = serving.resident_mb()
    yield Row("serve: memory after these pages", "under 20 MB", f"{memory:.1f} MB", memory < 20)
    stage.stop(serving)


def starters(stage: Stage) -> Iterator[Row]:
    """A starter project: packed, and given again"""
    registry = stage.registry()
    stack, version = ("go", "2.6.0") if stage.is_community else ("kiln", "1.1.0")
    folder = registry.source / "stacks" / stack / version
    with zipfile.ZipFile(folder / "bench-offline.zip", "w") as archive:
        for number in range(500):
            archive.writestr(f"src/file-{number}.txt", f"line {number} of a file\n" * 40)
    devfile = (folder / "devfile.yaml").read_text()
    starter = "starterProjects:\n  - name: bench\n    zip:\n      location: bench-offline.zip\n"
    (folder / "devfile.yaml").write_text(devfile.replace("starterProjects:\n", starter, 1))
    stage.refresh(registry)
    serving = stage.serve(registry)
    path = f"/devfiles/{stack}/{version}/starter-projects/bench"
    begin = time.monotonic()
    size = len(serving.get(path))
    seconds = time.monotonic() - begin
    yield Row(f"a starter project of 500 files, {size // 1024} KiB, the first time", "", _duration(seconds))
    load = stage.load(serving, path)
    yield Row("the same, cached", "p99 under 20 ms", _said(load), load.p99_ms < 20 and load.failed == 0)
    stage.stop(serving)


def tool(stage: Stage) -> Iterator[Row]:
    """The command-line tool: a preview, and `run` with a directory"""
    size = stage.tool_mb()
    yield Row("devfile-registry: size of the program", "under 30 MB", f"{size:.1f} MB", size < 30)
    starts, sizes = [], []
    for _ in range(3 if stage.quick else 9):
        registry = stage.registry()
        previewing = stage.preview(registry)
        starts.append(previewing.started_in)
        sizes.append(previewing.resident_mb())
        stage.stop(previewing)
    yield _time("preview: start to first answer", median(starts), 0.3)
    previewing = stage.preview(registry)
    stack = min(registry.source.glob("stacks/*/**/devfile.yaml")).relative_to(registry.source / "stacks").parts[0]
    path = f"/viewer/devfiles/{json.loads(previewing.get('/status'))['name'].lower().replace(' ', '-')}/{stack}"
    times = 3 if stage.quick else 9
    yield _time("preview: a change of a file to the page with it", median(stage.reload(previewing, registry, path, times)), 0.1)
    memory = max(*sizes, previewing.resident_mb())
    yield Row("preview: memory", "under 40 MB", f"{memory:.1f} MB", memory < 40)
    stage.stop(previewing)
    first, changed = stage.run(stage.registry(), times)
    yield _time("run with a directory: start to the first publication", first, 1.0)
    yield _time("run with a directory: one version changed, to the new bytes served", median(changed), 0.06)


def large(stage: Stage) -> Iterator[Row]:
    """A registry of 10,000 versions: filtered answers, one version changed"""
    registry = stage.large_registry(450 if stage.quick else 4550)
    if registry is None:
        yield Row("a registry of 10,000 versions", "", "not measured: its generator (../shared/tools) is missing")
        return
    seconds, memory = stage.generate_index(registry.source)
    measured = f"{seconds:.2f} s, {memory:.0f} MB"
    yield Row("10,000 versions: index generation", "under 3 s and 300 MB", measured, seconds < 3 and memory < 300)
    stage.commit(registry)
    seconds, _ = stage.refresh(registry)
    serving = stage.serve(registry)
    versions = sum(len(entry.get("versions") or []) for entry in json.loads(serving.get("/v2index/all")))
    name = f"{versions:,} versions"
    yield _time(f"{name}: refresh, the first", seconds, 120.0)
    yield _time(f"{name}: start to healthy", serving.started_in, 0.4)
    loaded = serving.resident_mb()
    yield Row(f"{name}: memory when loaded", "under 150 MB", f"{loaded:.0f} MB", loaded < 150)
    load = stage.load(serving, "/v2index?tags=Java&language=java")
    yield Row(f"{name}: filtered", "p99 under 10 ms", _said(load), load.p99_ms < 10)
    entries = len(json.loads(serving.get("/v2index/all")))
    yield _page(stage, serving, f"{entries:,} entries: the list of the viewer", "/viewer?page=7", 10.0)
    yield _page(stage, serving, f"{entries:,} entries: a search with a typo", "/viewer?search=jvaa", 3.0)
    yield _page(stage, serving, f"{entries:,} entries: the feed", "/viewer/feed.atom", 5.0)
    stage.stop(serving)
    yield _updated(stage, registry, name)
    times = 3 if stage.quick else 5
    yield _time(f"{name}: refresh, one version changed", median(_commit_one(stage, registry, times)), 0.4)
    yield from _large_over_git(stage, registry, name, times)


def _updated(stage: Stage, registry: Registry, name: str) -> Row:
    """The memory of a `serve` that has seen eight updates."""
    serving = stage.serve(Registry(registry.source, {**registry.environment, "REVALIDATE_SECONDS": "0"}))
    loaded = serving.resident_mb()
    for _ in range(8):
        _commit_one(stage, registry, 1)
        stage.until_live(serving, registry)
    memory = serving.resident_mb()
    stage.stop(serving)
    met = memory < 200 and memory < 1.3 * loaded
    measured = f"{memory:.0f} MB, {memory / loaded:.2f} of {loaded:.0f} MB when loaded"
    return Row(f"{name}: memory after eight updates", "under 200 MB, 1.3 of that when loaded", measured, met)


def _large_over_git(stage: Stage, registry: Registry, name: str, times: int) -> Iterator[Row]:
    hosted, host = stage.host(registry)
    seconds, _, memory = stage.refresh_memory(hosted)
    yield _time(f"{name} over Git: refresh, the first", seconds, 120.0)
    yield Row(f"{name} over Git: memory of the first refresh", "under 300 MB", f"{memory:.0f} MB", memory < 300)
    sent, seconds = [], []
    for _ in range(times):
        host.forget()
        seconds += _commit_one(stage, hosted, 1)
        sent.append(host.sent_bytes)
    yield _time(f"{name} over Git: refresh, one version changed", median(seconds), 0.4)
    kilobytes = median(sent) / 1000
    yield Row(f"{name} over Git: bytes from the host", "under 500 kB", f"{kilobytes:.0f} kB", kilobytes < 500)
    host.close()


PARTS: dict[str, Callable[[Stage], Iterator[Row]]] = {
    "index": index,
    "refresh": refresh,
    "git": git,
    "start": start,
    "cold-start": cold_start,
    "http": http,
    "nginx": nginx,
    "viewer": viewer,
    "starters": starters,
    "tool": tool,
    "large": large,
}
"""Every part by the name that `scripts/bench` takes, in the order of the table."""


def _change_one(stage: Stage, registry: Registry, times: int) -> list[float]:
    """Seconds of refreshes, each after a change of one devfile."""
    seconds = []
    for _ in range(times):
        _change(registry)
        seconds.append(_refresh_changed(stage, registry))
    return seconds


def _commit_one(stage: Stage, registry: Registry, times: int) -> list[float]:
    """The same, each change being a commit."""
    seconds = []
    for _ in range(times):
        _change(registry)
        stage.commit(registry)
        seconds.append(_refresh_changed(stage, registry))
    return seconds


def _change(registry: Registry) -> None:
    with open(min(registry.source.glob("stacks/*/**/devfile.yaml")), "a") as file:
        file.write("# changed\n")


def _refresh_changed(stage: Stage, registry: Registry) -> float:
    seconds, report = stage.refresh(registry)
    assert report["outcome"] == "published", report
    return seconds


def _time(what: str, seconds: float, limit: float) -> Row:
    return Row(what, f"under {_duration(limit)}", _duration(seconds), seconds < limit)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _rate(
    stage: Stage,
    serving: Serving,
    what: str,
    path: str,
    headers: Optional[dict[str, str]],
    reference: Optional[int],
    factor: Optional[int],
    limit: Optional[float],
) -> Row:
    """A rate beside the requests a second of the reference, which are those of the community registry."""
    load = stage.load(serving, path, headers)
    if not stage.is_community:
        reference = factor = None
    times = load.per_second / reference if reference else 0.0
    wanted = [f"{factor}x of {reference}"] if factor else []
    wanted += [f"p99 under {limit:.0f} ms"] if limit else []
    met = (factor is None or times >= factor) and (limit is None or load.p99_ms < limit) and load.failed == 0
    measured = f"{times:.0f}x of {reference}: {_said(load)}" if reference else _said(load)
    return Row(what, ", ".join(wanted), measured, met if wanted else None)


def _page(stage: Stage, serving: Serving, what: str, path: str, limit: Optional[float]) -> Row:
    """The time of a core that a page takes, everything from the request to the compressed answer included."""
    load = stage.load(serving, path, {"Accept-Encoding": "br"})
    milliseconds = (os.cpu_count() or 1) * 1000 / max(load.per_second, 1e-9)
    target = f"under {limit:.0f} ms" if limit else ""
    return Row(what, target, f"{milliseconds:.2f} ms of a core ({_said(load)})", limit and milliseconds < limit)


def _said(load: object) -> str:
    failed = f", {load.failed} failed" if load.failed else ""
    return f"{load.per_second:,.0f} req/s, p50 {load.p50_ms:.2f} ms, p99 {load.p99_ms:.2f} ms{failed}"
