"""The command `scripts/bench`: the bench of `tests/`, with the programs and servers that it needs."""

from __future__ import annotations

from typing import Sequence

from .programs import FUNCTIONS, TOOL, Command, Program

PARTS = "index refresh git start cold-start http nginx viewer starters tool large"
HELP = f"""\
usage: scripts/bench [--dev] [--quick] [--markdown FILE] [PART...]

Measures the release binaries in plain HTTP, with a real S3 server and a real OCI registry, and prints one table of the
measurements beside their targets (docs/contributors/performance.md). Where the recorded registry (../shared/community) is
missing, the example of tests/fixtures is measured instead, and the table says so.

  PART             parts to measure (default: all): {PARTS.replace(" ", ", ")}
  --dev            development binaries instead of release ones
  --quick          shorter and fewer measurements, and a smaller large registry
  --markdown FILE  write the table to a file, as Markdown
"""


def _release(arguments: Sequence[str]) -> list[Command]:
    chosen = set(arguments) & set(PARTS.split())
    return [FUNCTIONS, *([TOOL] if not chosen or "tool" in chosen else [])]


BENCH = Program("bench", HELP, lambda _: ["weed", "docker-registry", "wrk", "nginx"], _release)
main, builds, command = BENCH.main, BENCH.builds, BENCH.command
