"""Tests of the parts of `scripts/soak`: the plan, the proxy, the tally."""

from __future__ import annotations

import contextlib
import socket
import threading
import unittest

from .processes import free_ports
from .proxy import FAULTS, Proxy
from .readers import Known, Tally
from .soak import phases


class Plan(unittest.TestCase):
    def test_every_target_has_every_fault_and_heals(self) -> None:
        for seconds in (30, 120, 600):
            plan = phases(seconds)
            faults = {(phase.target, phase.fault) for phase in plan[::2]}
            self.assertEqual(len(faults), 3 * len(FAULTS))
            self.assertEqual({phase.name for phase in plan[1::2]}, {"all well"})
            self.assertAlmostEqual(sum(phase.seconds for phase in plan), seconds, delta=seconds * 0.11)

    def test_targets_that_are_not_there_do_not_fail(self) -> None:
        plan = phases(12, ("GitHub",))
        self.assertEqual({phase.target for phase in plan}, {"GitHub", None})
        self.assertAlmostEqual(sum(phase.seconds for phase in plan), 12, delta=2)


class Tallies(unittest.TestCase):
    def test_percentiles(self) -> None:
        tally = Tally()
        self.assertEqual(tally.percentile(99), 0.0)
        tally.milliseconds = [float(number) for number in range(100, 0, -1)]
        self.assertEqual((tally.percentile(50), tally.percentile(99), tally.percentile(100)), (51.0, 100.0, 100.0))
        self.assertEqual(Tally.sum([tally, tally]).percentile(100), 100.0)

    def test_one_tag_a_release(self) -> None:
        known = Known()
        known.commit("c" * 40, 1)
        self.assertEqual((known.number("c" * 40), known.number("d" * 40)), (1, 0))
        self.assertTrue(known.same_tag("/index", 1, "a") and known.same_tag("/index", 2, "b"))
        self.assertFalse(known.same_tag("/index", 1, "b"))


class Proxies(unittest.TestCase):
    """In front of a server that echoes requests."""

    def setUp(self) -> None:
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def echo(connection: socket.socket) -> None:
            with connection, contextlib.suppress(ConnectionResetError):
                while data := connection.recv(1024):
                    connection.sendall(data)

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=echo, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        [self.port] = free_ports(1)
        self.proxy = Proxy(self.port, server.getsockname()[1])
        self.addCleanup(self.proxy.close)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        self.addCleanup(connection.close)
        return connection

    def test_it_passes_on(self) -> None:
        connection = self.connect()
        connection.sendall(b"hello")
        self.assertEqual(connection.recv(5), b"hello")

    def test_it_refuses_and_heals(self) -> None:
        self.proxy.fail("refuse")
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.proxy.heal()
        self.test_it_passes_on()

    def test_it_stalls_and_what_was_sent_arrives_later(self) -> None:
        connection = self.connect()
        self.proxy.fail("stall")
        connection.sendall(b"late")
        connection.settimeout(0.2)
        with self.assertRaises(socket.timeout):
            connection.recv(4)
        self.proxy.heal()
        connection.settimeout(5)
        self.assertEqual(connection.recv(4), b"late")

    def test_it_resets_open_and_new_connections(self) -> None:
        connection = self.connect()
        connection.sendall(b"x")
        connection.recv(1)
        self.proxy.fail("reset")
        # A new connection may be reset before it is seen to be there.
        for connect in (lambda: connection, self.connect):
            with self.assertRaises(ConnectionError):
                broken = connect()
                broken.sendall(b"x")
                if not broken.recv(1):
                    raise ConnectionResetError


if __name__ == "__main__":
    unittest.main()
