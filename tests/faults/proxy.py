"""A bad network between two programs: a TCP proxy with connections that are late, sliced, reset or silent."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

CHUNK = 64 << 10
SLICED = 500
"""Bytes; to slice all would be a matter of bandwidth, not of slices."""
_AT_ONCE = struct.pack("ii", 1, 0)  # linger for no time: reset
CALM_LOOK = 0.01


@dataclass(slots=True)
class Weather:
    """What is wrong; it may be changed at any time, by any thread."""

    latency: float = 0.0
    """Seconds that every byte is under way, in each direction."""
    slices: int = 0
    """Bytes that go on at once, in the first `SLICED` of whatever comes in one piece; 0: as it came."""
    reset_after: int | None = None
    """Bytes of the server after which a connection is reset; they are counted while this is set."""
    silent: bool = False
    """Nothing goes on in either direction, new connections are taken all the same; what was held goes on afterwards."""

    def clear(self) -> None:
        """Nothing is wrong any more."""
        self.latency, self.slices, self.reset_after, self.silent = 0.0, 0, None, False


class Proxy:
    """Listens on loopback, and talks to the server at `target` for everyone who comes."""

    def __init__(self, target: int) -> None:
        self.target, self.port, self.weather = target, 0, Weather()
        self.connections = self.resets = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, started: threading.Event, stop: asyncio.Event) -> None:
        """Until it is stopped."""
        server = await asyncio.start_server(self._come, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            ends.append(far_writer)
            async with asyncio.TaskGroup() as group:
                for one in ends:
                    one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                group.create_task(_Way(self, reader, far_writer, counts=False).go())
                group.create_task(_Way(self, far_reader, writer, counts=True).go())
        except* OSError:
            self.resets += 1
            for one in ends:
                with suppress(OSError):  # it is closed already
                    one.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        finally:
            for one in ends:
                one.transport.abort()


class _Way:
    """One direction of a connection."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool
    ) -> None:
        self._proxy, self._reader, self._writer, self._counts = proxy, reader, writer, counts
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        self._passed = 0

    async def go(self) -> None:
        """Until the end of what comes has gone on.

        Raises:
            OSError: one of both ends is gone, or shall be.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take())
            group.create_task(self._give())

    async def _take(self) -> None:
        data = b"?"
        while data:
            data = await self._reader.read(CHUNK)
            await self._under_way.put((time.monotonic() + self._proxy.weather.latency, data))

    async def _give(self) -> None:
        while True:
            due, data = await self._under_way.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not data:
                break
            await self._pass_on(data)
        with suppress(OSError):
            self._writer.write_eof()

    async def _pass_on(self, data: bytes) -> None:
        weather, whole = self._proxy.weather, len(data)
        while data:
            while weather.silent:  # noqa: ASYNC110  another thread ends it
                await asyncio.sleep(CALM_LOOK)
            sliced = weather.slices and whole - len(data) < SLICED
            size = min(weather.slices, len(data)) if sliced else len(data)
            if self._counts and weather.reset_after is not None:
                size = min(size, max(weather.reset_after - self._passed, 0))
                if size == 0:
                    raise ConnectionResetError
                self._passed += size
            self._writer.write(data[:size])
            await self._writer.drain()
            data = data[size:]
            if sliced:
                await asyncio.sleep(0)


@contextmanager
def between(target: int) -> Iterator[Proxy]:
    """A proxy in a thread of its own before a server on loopback."""
    proxy, started, stops = Proxy(target), threading.Event(), list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]()

    async def run() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))
        await proxy.serve(started, stop)

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="proxy")
    thread.start()
    assert started.wait(20), "the proxy could not be started"
    try:
        yield proxy
    finally:
        loop, stop = stops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
