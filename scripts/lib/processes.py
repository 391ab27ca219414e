"""Starts processes and answers for them: however a command ends, none of its children outlives it.

Three layers, each for the processes that the one before cannot see: `Supervisor` ends its children in reverse order when its block is
left; a mark in their environment finds the processes that they have started in turn; a guardian process does both when the command
itself is killed.

There is one thread. Children write to log files, and a waiting caller calls `Supervisor.wait`, which looks at the
children, at the logs and at the awaited thing in turn.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path
from typing import Callable, Iterator, Mapping, Optional, Sequence

from . import guardian
from .console import Failure, Stopped

TICK_SECONDS = 0.1
_TERM_SECONDS = 8.0
"""An orderly end of the S3 server takes two seconds, more when the machine is busy."""


class Child:
    """A running process with its log."""

    def __init__(self, name: str, process: subprocess.Popen, log: Optional[Path], lasting: bool):
        self.name, self.process, self.log, self.lasting = name, process, log, lasting

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def last_words(self, count: int = 1) -> list[str]:
        """The last lines of the log."""
        if self.log is None or not self.log.exists():
            return []
        return [text for text in self.log.read_text(errors="replace").splitlines() if text.strip()][-count:]

    def how_it_ended(self) -> str:
        """For a message: `seaweedfs ended with status 1: bind: address already in use`."""
        status = self.process.returncode
        if status < 0:
            return f"{self.name} was killed by {signal.Signals(-status).name}"
        words = self.last_words()
        return f"{self.name} ended with status {status}" + (f": {words[0].strip()} (log: {self.log})" if words else "")

    def stop(self, limit: float = _TERM_SECONDS) -> None:
        """Asks its process group to end, insists after a while, and waits until it has."""
        for signum, patience in ((signal.SIGTERM, limit), (signal.SIGKILL, None)):
            if not self.alive:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)


class Supervisor:
    """A block of code outside of which its children do not exist.

    Inside the block SIGINT, SIGTERM and SIGHUP raise `Stopped`.
    """

    def __init__(self, lock: Optional[int] = None) -> None:
        """A lock's file descriptor, if given, is held until all is cleaned up, even if this process is killed."""
        self._run, self._lock = uuid.uuid4().hex, lock
        self._children: list[Child] = []
        self._at_end: list[Callable[[], None]] = []
        self._held: Optional[int] = None
        self._holding = False
        self.on_tick: Callable[[], None] = lambda: None
        """Called while something is awaited, for instance to show new lines of the logs."""

    def __enter__(self) -> "Supervisor":
        self._guardian = guardian.start(self._run, () if self._lock is None else (self._lock,))
        self._handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        for signum, before in self._handlers.items():
            # nohup means it; a shell that starts a job in the background and so ignores SIGINT for it does not.
            if signum != signal.SIGHUP or before != signal.SIG_IGN:
                signal.signal(signum, self._on_signal)
        return self

    def __exit__(self, *_exception) -> None:
        for signum in self._handlers:
            signal.signal(signum, signal.SIG_IGN)
        try:
            for child in reversed(self._children):
                child.stop()
            guardian.sweep(self._run, grace=2.0)
            for action in self._at_end:
                action()
        finally:
            self._guardian.stdin.close()
            self._guardian.wait()
            for signum, before in self._handlers.items():
                signal.signal(signum, before if before is not None else signal.SIG_DFL)

    def _on_signal(self, signum: int, _frame) -> None:
        if self._holding:
            self._held = signum
        else:
            raise Stopped(signum)

    @contextlib.contextmanager
    def _signals_held(self) -> Iterator[None]:
        """Between the start of a process and its entry in the list a signal would make us lose it."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._held is not None:
            raise Stopped(self._held)

    def spawn(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Optional[Mapping[str, str]] = None,
        cwd: Optional[Path] = None,
        log: Optional[Path] = None,
        answer: Optional[Path] = None,
        lasting: bool = True,
    ) -> Child:
        """Starts a child in a session of its own.

        Its output goes to the log, from the log's start, or else to our stdout. With an answer file its stdout goes
        there instead. A lasting child is one that must not end by itself.
        """
        with self._signals_held(), contextlib.ExitStack() as files:
            output = files.enter_context(open(log, "wb")) if log else 1
            try:
                process = subprocess.Popen(
                    [str(part) for part in command],
                    env={**(os.environ if env is None else env), guardian.MARK: self._run},
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=files.enter_context(open(answer, "wb")) if answer else output,
                    stderr=output,
                    start_new_session=True,
                )
            except OSError as error:
                raise Failure(f"cannot start {name} ({command[0]}): {error.strerror}") from None
            child = Child(name, process, log, lasting)
            self._children.append(child)
        return child

    def run(self, name: str, command: Sequence[str], **options) -> int:
        """Runs a command to its end, with its output on stdout, and gives its status."""
        child = self.spawn(name, command, lasting=False, **options)
        try:
            self.wait(lambda: not child.alive)
            return child.process.returncode
        finally:
            self.drop(child)

    def drop(self, child: Child) -> None:
        """Ends a child that is not needed any more."""
        child.stop()
        self._children.remove(child)

    def marked(self) -> list[int]:
        """The processes that this supervisor has started, and all that they have."""
        return guardian.marked(self._run)

    def at_end(self, action: Callable[[], None]) -> None:
        """Registers a call for the time when all children are gone."""
        self._at_end.append(action)

    def check(self) -> None:
        """Fails when a lasting child has ended."""
        for child in self._children:
            if child.lasting and not child.alive:
                self.on_tick()
                raise Failure(child.how_it_ended())

    def wait(self, condition: Callable[[], bool], *, limit: Optional[float] = None, what: str = "") -> None:
        """Waits until the condition holds, for at most `limit` seconds. Fails at once when a lasting child ends."""
        deadline = None if limit is None else time.monotonic() + limit
        while True:
            self.on_tick()
            holds = condition()
            # In this order: an answer counts only if the child that is said to have given it still lives.
            self.check()
            if holds:
                return
            if deadline is not None and time.monotonic() > deadline:
                raise Failure(f"{what} within {limit:.0f} seconds")
            time.sleep(TICK_SECONDS)


class Tail:
    """Reads whole lines as they are appended to a file, which may not exist yet or start anew."""

    def __init__(self, path: Path):
        self._path, self._offset, self._rest = path, 0, b""

    def lines(self) -> list[str]:
        """The lines that were completed since the last call."""
        try:
            with open(self._path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < self._offset:
                    self._offset, self._rest = 0, b""
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [text.decode(errors="replace").rstrip("\r") for text in whole]


def port_is_free(port: int) -> bool:
    """Whether a server could listen on a loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Distinct free loopback ports, below those that systems hand out to outgoing connections: nothing but another
    server takes them between this look and their use."""
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 4_000):
        if port_is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise Failure("no free ports on 127.0.0.1")


@contextlib.contextmanager
def exclusive(path: Path, taken: Callable[[str], None]) -> Iterator[int]:
    """Holds a lock file with our process id in it, and gives its file descriptor. When it is held already, calls
    `taken` (which may raise) with the content of the file, and then waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            taken(path.read_text().strip())
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield lock.fileno()
