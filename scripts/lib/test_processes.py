"""Tests of supervision, with real processes.

A pipe that all processes of a run have inherited says without polling when the last of them is gone: it ends.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from . import guardian, servers
from .console import Failure
from .processes import Supervisor, exclusive, free_ports, port_is_free

SCRIPTS = Path(__file__).resolve().parent.parent

# A child, and a grandchild that hides in a session of its own as the Lambda emulator's functions do.
FAMILY = "import subprocess, sys; subprocess.run(['sleep', '600'], start_new_session=True)"

COMMAND = f"""
import sys
from lib.console import run
from lib.processes import Supervisor
def main():
    with Supervisor() as supervisor:
        supervisor.spawn("family", [sys.executable, "-c", {FAMILY!r}])
        while len(supervisor.marked()) < 2:
            pass
        print("up", flush=True)
        supervisor.wait(lambda: False)
sys.exit(run(main))
"""


class Ending(unittest.TestCase):
    """The children of a command, and theirs, are gone at any end of it."""

    def end_by(self, signum: int) -> int:
        with subprocess.Popen([sys.executable, "-B", "-c", COMMAND], cwd=SCRIPTS, stdout=subprocess.PIPE) as command:
            self.assertEqual(command.stdout.readline(), b"up\n")
            command.send_signal(signum)
            self.assertEqual(command.stdout.read(), b"", "the pipe ends with its last holder")
            return command.wait()

    def test_by_interrupt(self) -> None:
        self.assertEqual(self.end_by(signal.SIGINT), 130)

    def test_by_request(self) -> None:
        self.assertEqual(self.end_by(signal.SIGTERM), 143)

    @unittest.skipUnless(Path("/proc/self/environ").exists(), "the guardian finds processes through /proc")
    def test_by_force(self) -> None:
        self.assertEqual(self.end_by(signal.SIGKILL), -signal.SIGKILL)

    def test_by_an_error(self) -> None:
        with self.assertRaises(ZeroDivisionError), Supervisor() as supervisor:
            child = supervisor.spawn("sleep", ["sleep", "600"])
            1 / 0
        self.assertFalse(child.alive)
        self.assertEqual(supervisor.marked(), [])


class Children(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = Path(folder.name) / "log"

    def test_a_child_that_was_killed_is_noticed(self) -> None:
        with Supervisor() as supervisor:
            child = supervisor.spawn("server", ["sleep", "600"], log=self.log)
            os.kill(child.process.pid, signal.SIGKILL)
            with self.assertRaisesRegex(Failure, "^server was killed by SIGKILL$"):
                supervisor.wait(lambda: False)

    def test_a_child_that_gives_up_is_quoted(self) -> None:
        with Supervisor() as supervisor:
            supervisor.spawn("server", ["sh", "-c", "echo starting; echo no room >&2; exit 3"], log=self.log)
            with self.assertRaisesRegex(Failure, "^server ended with status 3: no room "):
                supervisor.wait(lambda: False)

    def test_an_answer_does_not_count_if_the_child_is_gone(self) -> None:
        with Supervisor() as supervisor:
            child = supervisor.spawn("server", ["true"], log=self.log)
            child.process.wait()
            with self.assertRaises(Failure):
                supervisor.wait(lambda: True)

    def test_a_child_that_ignores_requests_is_killed(self) -> None:
        with Supervisor() as supervisor:
            script = "trap '' TERM; echo up; while :; do sleep 60; done"
            child = supervisor.spawn("deaf", ["sh", "-c", script], log=self.log)
            supervisor.wait(lambda: bool(child.last_words()))
            child.stop(limit=0.2)
            self.assertEqual(child.process.returncode, -signal.SIGKILL)

    def test_a_missing_program_is_a_plain_sentence(self) -> None:
        with Supervisor() as supervisor, self.assertRaisesRegex(Failure, "^cannot start it .*: No such file"):
            supervisor.spawn("it", ["/no/such/program"])

    def test_a_command_runs_to_its_end(self) -> None:
        with Supervisor() as supervisor:
            self.assertEqual(supervisor.run("sh", ["sh", "-c", "exit 7"]), 7)

    def test_the_answer_is_apart_from_the_log(self) -> None:
        answer = self.log.with_name("answer")
        with Supervisor() as supervisor:
            supervisor.run("sh", ["sh", "-c", "echo yes; echo hm >&2"], log=self.log, answer=answer)
        self.assertEqual((answer.read_text(), self.log.read_text()), ("yes\n", "hm\n"))


class Ports(unittest.TestCase):
    def test_a_server_that_loses_its_port_gets_another(self) -> None:
        with tempfile.TemporaryDirectory() as folder, Supervisor() as supervisor, socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            ports_tried = []

            def attempt(ports: list[int]):
                ports_tried.append(ports[0])
                if len(ports_tried) == 1:
                    ports[0] = taken.getsockname()[1]
                command = [sys.executable, "-c", SERVER, str(ports[0])]
                child = supervisor.spawn("server", command, log=Path(folder) / "log")
                return child, lambda: not port_is_free(ports[0]) and ports[0] != taken.getsockname()[1]

            ports = servers._start(supervisor, Path(folder) / "ports.json", 1, attempt)
            self.assertEqual(len(ports_tried), 2)
            self.assertEqual(ports, ports_tried[-1:])

    def test_dev_says_so_in_one_sentence(self) -> None:
        with tempfile.TemporaryDirectory() as folder, socket.socket() as taken:
            (Path(folder) / "stacks").mkdir()
            port = free_ports(1)[0]
            taken.bind(("127.0.0.1", port))
            taken.listen()
            environment = {**os.environ, "DEV_PORT": str(port), "DEV_SOURCE": folder, "DEV_DIR": f"{folder}/dev"}
            command = [sys.executable, "-B", str(SCRIPTS / "dev")]
            result = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, "")
        self.assertEqual(
            result.stderr, f"error: port {port} is taken; end the process that listens there, or set DEV_PORT to another port\n"
        )


SERVER = """
import socket, sys, time
with socket.socket() as server:
    server.bind(("127.0.0.1", int(sys.argv[1])))
    server.listen()
    time.sleep(600)
"""


class Locks(unittest.TestCase):
    def test_the_second_learns_who_has_it(self) -> None:
        def taken(holder: str) -> None:
            raise Failure(holder)

        with tempfile.TemporaryDirectory() as folder:
            lock = Path(folder) / "lock"
            with exclusive(lock, taken), self.assertRaisesRegex(Failure, f"^{os.getpid()}$"), exclusive(lock, taken):
                pass
            with exclusive(lock, taken):
                pass


class Marks(unittest.TestCase):
    def test_only_a_run_s_own_processes_carry_it(self) -> None:
        with Supervisor() as one, Supervisor() as other:
            child = one.spawn("sleep", ["sleep", "600"])
            # Its environment is visible once the system has replaced the image of the process.
            one.wait(lambda: one.marked() == [child.process.pid], limit=10, what="the mark is not there")
            self.assertEqual(other.marked(), [])
        self.assertEqual(guardian.marked("no such run"), [])
