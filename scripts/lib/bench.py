"""The command `scripts/bench`: the release binaries, measured against the targets.

`stage` sets up the servers, `measures` measures them, one part a function; this module is the command and its table.
A report, not a test: a missed target is shown and does not fail the command.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Optional, Sequence

from . import console, measures, tools
from .console import Failure, step
from .functions import Plain
from .measures import Row
from .processes import Supervisor
from .stage import Stage

HELP = """\
Measures the release binaries in plain HTTP, with a real S3 server and a real OCI registry, and prints one table of what was
measured beside its target. Builds them first. Where the recorded registry (../shared/community) is missing, the example of
tests/fixtures is measured instead, and the table says so.
"""


def main(root: Path, arguments: list[str]) -> int:
    """Measures and prints."""
    parts = "\n".join(f"  {name:<10}{part.__doc__.splitlines()[0]}" for name, part in measures.PARTS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=HELP,
        epilog=f"parts:\n{parts}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="parts to measure (default: all)")
    parser.add_argument("--quick", action="store_true", help="shorter and fewer measurements, smaller large registry")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to a file, as Markdown")
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in measures.PARTS]
    if unknown:
        raise Failure(f"there is no part {unknown[0]}; parts are {', '.join(measures.PARTS)}")

    chosen = options.parts or list(measures.PARTS)
    with tempfile.TemporaryDirectory(prefix="devfile-bench-") as data, Supervisor() as supervisor:
        binaries = tools.ensure(root / ".tools", ["weed", "docker-registry", "wrk", "nginx"])
        for build in [Plain.build, *([Plain.tool] if "tool" in chosen else [])]:
            step("build", " ".join(build))
            if supervisor.run("cargo", build, cwd=root) != 0:
                raise Failure("the build failed; see the messages of the compiler above")
        conditions = machine()
        stage = Stage(supervisor, root, Path(data), binaries, quick=options.quick)
        rows: list[Row] = []
        for name in chosen:
            step("measure", name)
            begin = time.monotonic()
            for row in measures.PARTS[name](stage):
                rows.append(row)
                step("", f"{row.what}: {row.measured}")
            step("", f"({time.monotonic() - begin:.0f} s)")
        conditions.append(f"Registry: {stage.description}.")
        if options.quick:
            conditions.append("Quick run: short measurements.")
    console.line()
    for text in text_table(rows):
        console.line(text)
    for condition in conditions:
        console.line(condition)
    if options.markdown:
        options.markdown.write_text("\n".join(markdown(rows, conditions)) + "\n")
    return 0


def machine() -> list[str]:
    """The machine of the measurement, and whether it was calm."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [f"Machine: {cores} cores of {_model()}, {memory:.0f} GiB of memory; wrk, servers and functions share it."]
    load = os.getloadavg()[0]
    if load > cores / 2:
        lines.append(f"The machine was not calm: a load of {load:.1f} before the first measurement.")
    return lines


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [text.split(":", 1)[1].strip() for text in lines if text.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def text_table(rows: Sequence[Row]) -> list[str]:
    """The table in columns."""
    cells = [("what", "target", "measured", "")] + [(row.what, row.target, row.measured, _mark(row.met)) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    return ["  ".join([*(text.ljust(width) for text, width in zip(row, widths)), row[3]]).rstrip() for row in cells]


def markdown(rows: Sequence[Row], conditions: Sequence[str]) -> list[str]:
    """The table as Markdown, with the conditions below."""
    lines = ["| measurement | target | measured | |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.target} | {row.measured} | {_mark(row.met)} |" for row in rows]
    return [*lines, "", *conditions]


def _mark(met: Optional[bool]) -> str:
    return {True: "met", False: "missed", None: ""}[met]
