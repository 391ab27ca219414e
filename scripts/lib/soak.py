"""The command `scripts/soak`: the soak of `tests/`, with the programs and servers that it needs."""

from __future__ import annotations

from typing import Sequence

from .programs import FUNCTIONS, TOOL, Program

HELP = """\
usage: scripts/soak [--dev] [--seconds N] [--store] [--markdown FILE]

Reads a registry while the bucket, the OCI registry and GitHub fail and heal in turn (docs/contributors/soak.md).

  --dev            development binaries instead of release ones
  --seconds N      how long (default: 600)
  --store          one process with a directory, instead of both functions with servers
  --markdown FILE  write the table to a file, as Markdown
"""


def _tools(arguments: Sequence[str]) -> list[str]:
    return [] if "--store" in arguments else ["weed", "docker-registry"]


SOAK = Program("soak", HELP, _tools, lambda arguments: [TOOL if "--store" in arguments else FUNCTIONS])
main, builds, command = SOAK.main, SOAK.builds, SOAK.command
