"""A TCP proxy that can be told to fail, as networks and servers do.

Everything runs on one event loop in a thread of its own; the methods may be called from any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import Coroutine, Optional

FAULTS = ("refuse", "stall", "reset")
"""Nobody listens; bytes are taken and go nowhere until it heals; connections end as soon as they carry something."""

_CHUNK = 1 << 16


class Proxy:
    """Listens on a loopback port and passes on to another, until told otherwise."""

    def __init__(self, port: int, target: int):
        self.port, self._target = port, target
        self._fault: Optional[str] = None
        self._server: Optional[asyncio.AbstractServer] = None
        self._connections: set[asyncio.Task] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(self._begin())

    def fail(self, fault: str) -> None:
        """Has a fault, also on the connections that are open."""
        self._call(self._set(fault))

    def heal(self) -> None:
        """Has none any more. Stalled answers go on."""
        self._call(self._set(None))

    def close(self) -> None:
        """Ends everything."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _set(self, fault: Optional[str]) -> None:
        self._fault = fault
        if fault is None:
            self._healthy.set()
        else:
            self._healthy.clear()
        if fault in ("refuse", "reset"):
            for connection in self._connections:
                connection.cancel()
        if fault == "refuse" and self._server:
            self._server.close()
            self._server = None
        elif fault != "refuse" and not self._server:
            await self._listen()

    async def _begin(self) -> None:
        self._healthy = asyncio.Event()
        self._healthy.set()
        await self._listen()

    async def _end(self) -> None:
        await self._set("refuse")
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        upstream: Optional[asyncio.StreamWriter] = None
        try:
            if self._fault == "reset":
                return
            answers, upstream = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(self._pump(reader, upstream), self._pump(answers, writer))
        except (OSError, asyncio.CancelledError):
            pass  # One side is gone, or is told to be.
        finally:
            self._connections.discard(task)
            for end in filter(None, (writer, upstream)):
                _reset(end)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            if self._fault == "stall":
                await self._healthy.wait()
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection at once, with a reset if anything is still under way."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
