"""Runs the examples of the documentation, so that they stay true.

An example is a fenced block marked `console`. A line that begins with `$ ` is a command; a backslash at its end continues
it. The lines below, up to the next command, are what it prints, where `...` stands for anything in a line and, alone, for any
number of lines. A command of which nothing is shown must succeed; what it prints is not looked at.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Mapping, NamedTuple, Optional, Sequence

from . import s3
from .console import step, warn
from .processes import Supervisor, free_ports
from .servers import Bucket

PAGES = ("docs/clients.md",)
"""The pages whose examples are run, with REGISTRY set to a registry that serves tests/fixtures/registry."""

_LIMIT_SECONDS = 60


class Example(NamedTuple):
    """A command with what it prints."""

    place: str
    command: str
    output: tuple[str, ...]


def examples(path: Path) -> list[Example]:
    """The examples of a page, in order."""
    found: list[Example] = []
    fence = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("```"):
            fence = line == "```console"
        elif fence and line.startswith("$ "):
            found.append(Example(f"{path.name}:{number}", line[2:], ()))
        elif fence and found and not found[-1].output and found[-1].command.endswith("\\"):
            found[-1] = found[-1]._replace(command=f"{found[-1].command}\n{line}")
        elif fence and found:
            found[-1] = found[-1]._replace(output=(*found[-1].output, line))
    return found


def fits(expected: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether what a command printed is what its example shows."""
    pattern = "".join(
        r"(?:[^\n]*\n)*" if line.strip() == "..." else r"[^\n]*".join(map(re.escape, line.split("..."))) + r"\n"
        for line in expected
    )
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed)) is not None


def run(example: Example, folder: Path, environment: Mapping[str, str]) -> str:
    """Runs an example in a folder and gives what is wrong, or an empty text."""
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", example.command],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=_LIMIT_SECONDS,
    )
    if example.output:
        shown = fits(example.output, result.stdout.splitlines())
        expected = "\n".join(example.output)
        return "" if shown else f"{example.place}: {example.command}\nshows\n{expected}\nand prints\n{result.stdout}"
    return "" if result.returncode == 0 else f"{example.place}: {example.command}\nfails:\n{result.stdout}"


def check(
    root: Path, supervisor: Supervisor, binaries: Path, bucket: Bucket, registry: str, logs: Path
) -> Optional[tuple[str, int]]:
    """Publishes the example registry, serves it and runs the examples of all pages against it."""
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        **bucket.environment(),
        "AWS_ENDPOINT_URL_S3": bucket.endpoint,
        "CACHE_BUCKET": bucket.name,
        "OCI_REGISTRY": f"{registry}/examples",
        "REGISTRY_REPO_URL": str(root / "tests/fixtures/registry"),
        "LISTEN_ADDR": f"127.0.0.1:{port}",
    }
    target = root / os.environ.get("CARGO_TARGET_DIR", "target") / "debug"
    step("test", "the examples of the documentation")
    command = [target / "refresh", "invoke", '{"action":"refresh"}']
    if status := supervisor.run("refresh", command, env=environment, log=logs / "examples-refresh.log"):
        return f"refresh (log: {logs / 'examples-refresh.log'})", status
    serve = supervisor.spawn("serve", [target / "serve"], env=environment, log=logs / "examples-serve.log")
    supervisor.wait(lambda: s3.get_status(port, "/health") == 200, limit=_LIMIT_SECONDS, what="serve did not get healthy")
    path = f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"
    shell = {**os.environ, "PATH": path, "REGISTRY": f"http://127.0.0.1:{port}", "LC_ALL": "C"}
    problems, count = [], 0
    for page in PAGES:
        with tempfile.TemporaryDirectory(prefix="devfile-registry-examples-") as folder:
            for example in examples(root / page):
                count += 1
                problems += filter(None, [run(example, Path(folder), shell)])
    supervisor.drop(serve)
    for problem in problems:
        for line in problem.splitlines():
            warn("example", line)
    step("test", f"{count - len(problems)} of {count} examples do what they show")
    return ("the examples of the documentation", 1) if problems or not count else None
