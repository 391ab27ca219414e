"""Output for people.

Everything goes to stdout in whole lines; stderr is left to the one sentence that says why a command failed, so that
`command 2>problem` holds just that.
"""

from __future__ import annotations

import os
import signal
import sys

WIDTH = 10
_WARNING, _PLAIN_STEP, _GOOD = "33", "1", "32"


class Failure(Exception):
    """Why a command cannot go on: one plain sentence for its user."""


class Stopped(BaseException):
    """The command was told to end by a signal. Not an Exception, so that no handler of errors swallows it."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.status = 128 + signum


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str) -> str:
    """Text in a colour, on a terminal that wants it."""
    return f"\033[{colour}m{text}\033[0m" if _coloured() else text


def line(text: str = "") -> None:
    """Prints one line at once. When nobody reads any more (`scripts/dev | head`), that is a request to end."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python flushes stdout once more at exit; give it somewhere to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Stopped(signal.SIGPIPE) from None


def step(name: str, text: str) -> None:
    """Prints the steps of the command itself."""
    line(f"{paint(name.ljust(WIDTH), _PLAIN_STEP)}{text}")


def warn(name: str, text: str) -> None:
    """Prints a step that went wrong but does not end the command."""
    line(f"{paint(name.ljust(WIDTH), _WARNING)}{text}")


def good(text: str) -> None:
    """Prints a line that starts with good news."""
    word, _, rest = text.partition(" ")
    line(f"{paint(word, _GOOD)} {rest}")


def table(rows: list[tuple[str, str]]) -> None:
    """Prints names and values in two aligned columns, set off by empty lines."""
    line()
    for name, value in rows:
        line(f"  {paint(name.ljust(WIDTH), _PLAIN_STEP)}{value}")
    line()


def _stop(signum: int, _frame: object) -> None:
    raise Stopped(signum)


def run(main) -> int:
    """Runs a command's main function and turns how it ended into an exit status."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        # nohup means it.
        if signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, _stop)
    try:
        return main()
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        return stopped.status
    except KeyboardInterrupt:
        return 130
