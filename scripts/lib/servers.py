"""The two servers a registry stores into: SeaweedFS for S3 and Distribution for OCI.

Both get free loopback ports of their own, so that any number of pairs can run side by side. Readiness is asked for,
never guessed. A port can still be lost between choosing and using it, so a server that ends at once is tried again with
others.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Callable, NamedTuple

from . import s3
from .console import Failure
from .processes import Child, Supervisor, free_ports, port_is_free

REGION = "us-east-1"
_READY_SECONDS = 60.0
_LEAST_FREE = 0.02
"""Share of the disk. Below half of it SeaweedFS takes nothing any more, and answers every write with an inner error."""

_TRIES = 3

_WEED_PORTS = (
    *("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port"),
    *("volume.port.grpc", "filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc"),
)
"""Without an explicit port each of these falls back to a well-known one, and two servers could not run at once."""


class Bucket(NamedTuple):
    """A bucket on the S3 server, and the key to it."""

    endpoint: str
    name: str
    access_key: str
    secret_key: str

    def environment(self) -> dict[str, str]:
        """The environment for AWS clients."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
        }


def start_s3(
    supervisor: Supervisor, weed: Path, data: Path, log: Path, bucket: str, access_key: str, secret_key: str
) -> Bucket:
    """Starts SeaweedFS with its data in a folder, where its choice of ports is kept for the next start."""
    data.mkdir(parents=True, exist_ok=True)
    disk = shutil.disk_usage(data)
    if disk.free < _LEAST_FREE * disk.total:
        raise Failure(
            f"the disk of {data} is nearly full: {disk.free / 1e9:.1f} GB are free, and the S3 server stores nothing below "
            f"{_LEAST_FREE:.0%} of its {disk.total / 1e9:.0f} GB; make room, for example with `cargo clean`"
        )

    def attempt(ports: list[int]) -> tuple[Child, Callable[[], bool]]:
        supervisor.at_end(lambda: _remove_sockets(ports))
        options = [f"-{name}={port}" for name, port in zip(_WEED_PORTS, ports)]
        command = [
            *(weed, "-logtostderr=true", "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-bucket={bucket}", "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            # Each bucket takes a volume. They start empty, so the disk's size, the default limit, says nothing here.
            *("-volume.max=1000", "-master.volumeSizeLimitMB=128"),
            *("-master.telemetry=false", *options),
        ]
        environment = _clean_environment(AWS_ACCESS_KEY_ID=access_key, AWS_SECRET_ACCESS_KEY=secret_key)
        child = supervisor.spawn("SeaweedFS", command, env=environment, cwd=data, log=log)
        return child, lambda: s3.bucket_exists(ports[0], bucket, access_key, secret_key, REGION)

    # Its state is filed under its ports: keeping them keeps the folder from filling up.
    ports = _start(supervisor, data / "ports.json", len(_WEED_PORTS), attempt)
    return Bucket(f"http://127.0.0.1:{ports[0]}", bucket, access_key, secret_key)


def start_oci(supervisor: Supervisor, registry: Path, data: Path, log: Path) -> str:
    """Starts Distribution with its data in a folder and returns its address, `127.0.0.1:port`."""
    data.mkdir(parents=True, exist_ok=True)

    def attempt(ports: list[int]) -> tuple[Child, Callable[[], bool]]:
        config = data / "config.json"  # JSON is YAML
        config.write_text(json.dumps(_distribution_config(data / "storage", ports[0]), indent=2))
        command = [registry, "serve", config]
        # It makes much garbage with each request; collecting that seldom halves the pauses and costs some megabytes.
        environment = _clean_environment(GOGC="400")
        child = supervisor.spawn("Distribution", command, env=environment, cwd=data, log=log)
        return child, lambda: s3.get_status(ports[0], "/v2/") == 200

    return f"127.0.0.1:{_start(supervisor, data / 'ports.json', 1, attempt)[0]}"


def start_for_tests(supervisor: Supervisor, binaries: Path, data: Path, logs: Path) -> dict[str, str]:
    """Starts both for the programs of `tests/`, and gives the environment in which those find them."""
    secret = secrets.token_hex(16)
    bucket = start_s3(supervisor, binaries / "weed", data / "s3", logs / "s3.log", "test", "test", secret)
    registry = start_oci(supervisor, binaries / "docker-registry", data / "oci", logs / "oci.log")
    return {
        **os.environ,
        **bucket.environment(),
        "TEST_S3_ENDPOINT": bucket.endpoint,
        "TEST_OCI_REGISTRY": registry,
        "TEST_TOOLS": str(binaries),
    }


def _distribution_config(storage: Path, port: int) -> dict:
    return {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(storage)},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": f"127.0.0.1:{port}", "secret": secrets.token_hex(16)},
    }


def _start(
    supervisor: Supervisor,
    kept: Path,
    count: int,
    attempt: Callable[[list[int]], tuple[Child, Callable[[], bool]]],
) -> list[int]:
    """Starts a server on the ports of the last time, or on new ones, and waits until it is ready."""
    ports = _kept_ports(kept, count) or free_ports(count)
    for tries_left in reversed(range(_TRIES)):
        child, is_ready = attempt(ports)
        try:
            supervisor.wait(is_ready, limit=_READY_SECONDS, what=f"{child.name} did not get ready (log: {child.log})")
        except Failure:
            if child.alive or tries_left == 0:
                raise
            supervisor.drop(child)
            supervisor.check()  # it was this child, was it?
            ports = free_ports(count)
        else:
            break
    kept.write_text(json.dumps(ports))
    return ports


def _kept_ports(path: Path, count: int) -> list[int]:
    try:
        ports = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    usable = isinstance(ports, list) and len(ports) == count and all(isinstance(port, int) for port in ports)
    return ports if usable and all(map(port_is_free, ports)) else []


def _clean_environment(**more: str) -> dict[str, str]:
    """The little that a server needs. Both servers let variables override their options, Distribution any that starts
    with REGISTRY_, and some of those are ours."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, **more}


def _remove_sockets(ports: list[int]) -> None:
    """SeaweedFS also listens on sockets in /tmp, named after its ports, and leaves some of them behind."""
    for port in ports:
        for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            socket.unlink(missing_ok=True)
