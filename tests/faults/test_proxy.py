"""The bad network itself: bytes arrive whole and in their order, late, in slices, after a silence, or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import Proxy, between


@asynccontextmanager
async def echo() -> AsyncIterator[Proxy]:
    """A proxy before a server that says what it hears."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        with between(server.sockets[0].getsockname()[1]) as proxy:
            yield proxy


async def said(proxy: Proxy, data: bytes) -> bytes:
    """What comes back of it, to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(data)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(-1), 60)
    finally:
        writer.close()


async def test_in_calm_weather_everything_passes() -> None:
    data = bytes(range(256)) * 10_000
    async with echo() as proxy:
        assert await said(proxy, data) == data
        assert await said(proxy, b"") == b""
        assert (proxy.connections, proxy.resets) == (2, 0)


async def test_latency_delays_and_does_not_throttle() -> None:
    data = bytes(range(256)) * 4_000
    async with echo() as proxy:
        proxy.weather.latency = 0.1
        began = time.monotonic()
        assert await said(proxy, data) == data
        assert 0.2 <= time.monotonic() - began < 10


async def test_slices_arrive_whole() -> None:
    data = bytes(range(256)) * 8
    async with echo() as proxy:
        proxy.weather.slices = 1
        assert await said(proxy, data) == data


async def test_a_reset_comes_after_as_many_bytes_as_were_asked() -> None:
    async with echo() as proxy:
        proxy.weather.reset_after = 10
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"x" * 100)
        assert await asyncio.wait_for(reader.readexactly(10), 60) == b"x" * 10
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 60)
        writer.close()
        assert proxy.resets == 1
        proxy.weather.clear()
        assert await said(proxy, b"x" * 100) == b"x" * 100


async def test_what_was_said_in_silence_arrives_after_it() -> None:
    async with echo() as proxy:
        proxy.weather.silent = True
        saying = asyncio.create_task(said(proxy, b"hello"))
        done, _ = await asyncio.wait([saying], timeout=0.3)
        assert not done
        proxy.weather.clear()
        assert await saying == b"hello"


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    async with echo() as proxy:
        proxy.target = 1
        with pytest.raises(ConnectionResetError):
            await said(proxy, b"hello")
