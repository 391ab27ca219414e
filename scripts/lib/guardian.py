"""Ends the processes of a command when the command itself was killed and could not.

Every child carries a mark in its environment. A process's environment is inherited by all that it starts, also by those
that open sessions of their own (the Lambda emulator does that for each function), so the mark finds them where process
groups would not. The guardian holds the read end of a pipe whose other end only the command has: end of file means
that the command is gone, for any reason.

Needs /proc. Elsewhere only a command that ends in an orderly way (which includes signals that it can catch) cleans up.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Sequence

MARK = "DEVFILE_REGISTRY_RUN"
GRACE_SECONDS = 5.0


def marked(run: str) -> list[int]:
    """The processes that carry the mark of a run. Those that are already dead (zombies) have none."""
    wanted = f"{MARK}={run}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # gone in between, or somebody else's
    return found


def sweep(run: str, grace: float = GRACE_SECONDS) -> None:
    """Ends every process of a run: asks first, insists after the grace time."""
    deadline = time.monotonic() + grace
    asked: set[int] = set()
    while pids := marked(run):
        insist = time.monotonic() >= deadline
        for pid in pids:
            if insist or pid not in asked:
                try:
                    os.kill(pid, signal.SIGKILL if insist else signal.SIGTERM)
                except ProcessLookupError:
                    pass
        asked.update(pids)
        time.sleep(0.05)


def start(run: str, keep: Sequence[int] = ()) -> subprocess.Popen:
    """Starts a guardian for this process, which keeps some file descriptors (locks) open as well. Close its stdin once
    nothing is left to guard."""
    return subprocess.Popen(
        [sys.executable, os.path.abspath(__file__), run],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=keep,
    )


def main() -> None:
    """Waits for the end of the pipe. In a session of its own, it hears nothing of Ctrl-C; other requests it ignores."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    sys.stdin.buffer.read()
    sweep(sys.argv[1])


if __name__ == "__main__":
    main()
