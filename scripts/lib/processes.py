"""Runs programs. One that lasts, with all that it starts, is in the hands of a program of `tests/`, which this process becomes."""

from __future__ import annotations

import os
import subprocess
from typing import Mapping, NoReturn, Optional, Sequence

from .console import Failure

_PATIENCE = 8.0
"""Seconds that a program has to end when this process is told to."""


def run(command: Sequence[object], **options) -> int:
    """Runs a program to its end, with its output on stdout, and gives its status. Options are those of `subprocess.Popen`."""
    process = start(command, **options)
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
        raise


def start(command: Sequence[object], **options) -> subprocess.Popen:
    """Starts a program without input, and with its messages on stdout: stderr is for the reason of a failure alone."""
    words = [str(word) for word in command]
    try:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, **options)
    except OSError as error:
        raise Failure(f"cannot start {words[0]}: {error.strerror}") from None


def become(command: Sequence[object], env: Optional[Mapping[str, str]] = None) -> NoReturn:
    """Goes on as another program, which gets the signals that are meant for this one."""
    words = [str(word) for word in command]
    try:
        os.execve(words[0], words, os.environ if env is None else env)
    except OSError as error:
        raise Failure(f"cannot start {words[0]}: {error.strerror}") from None
