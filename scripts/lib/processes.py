"""Runs programs. One that lasts, with all that it starts, is in the hands of a program of `tests/`, which this process becomes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import Iterator, Mapping, NoReturn, Optional, Sequence

from .console import Failure

_PATIENCE = 20.0
"""Seconds that a program has to end when this process is asked to: longer than the programs of `tests/` give theirs (processes.rs)."""


def run(command: Sequence[object], **options) -> int:
    """Runs a program to its end, with its output on stdout, and gives its status. Options are those of `subprocess.Popen`."""
    process = None
    try:
        with signals_held():
            process = start(command, **options)
        return process.wait()
    finally:
        if process:
            end(process)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Lets signals act only after the block. A program may run before `Popen` returns, and an exception within `Popen` would lose it."""
    held: list[int] = []

    def hold(signum: int, _frame: object) -> None:
        held.append(signum)

    # A blocked signal would stay blocked in the program. Only Python's own handlers raise.
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    handlers = {signum: handler for signum, handler in handlers.items() if callable(handler)}
    for signum in handlers:
        signal.signal(signum, hold)
    try:
        yield
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
        for signum in held:
            signal.raise_signal(signum)


def start(command: Sequence[object], **options) -> subprocess.Popen:
    """Starts a program in a session of its own, without input, and with its messages on stdout: stderr is for the reason of a failure alone."""
    words = [str(word) for word in command]
    options.setdefault("stdin", subprocess.DEVNULL)
    try:
        return subprocess.Popen(words, stderr=subprocess.STDOUT, start_new_session=True, **options)
    except OSError as error:
        raise Failure(f"cannot start {words[0]}: {error.strerror}") from None


def end(process: subprocess.Popen) -> None:
    """Asks the processes of a program's session to end, insists after a while, and waits for the program."""
    for signum, patience in ((signal.SIGTERM, _PATIENCE), (signal.SIGKILL, None)):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)


def become(command: Sequence[object], env: Optional[Mapping[str, str]] = None) -> NoReturn:
    """Goes on as another program, which gets the signals that are meant for this one."""
    words = [str(word) for word in command]
    try:
        os.execve(words[0], words, os.environ if env is None else env)
    except OSError as error:
        raise Failure(f"cannot start {words[0]}: {error.strerror}") from None
