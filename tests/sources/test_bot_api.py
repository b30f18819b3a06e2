import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from exporter.sources import bot_api
from exporter.sources.bot_api import probe
from exporter.sources.endpoint import session

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def api(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    async with TestServer(app, host="127.0.0.1", shutdown_timeout=0.1) as server:
        yield f"http://127.0.0.1:{server.port}/health"


@pytest.fixture
async def connections() -> AsyncIterator[aiohttp.ClientSession]:
    async with session() as made:
        yield made


@pytest.mark.parametrize(
    ("status", "up"), [(200, True), (204, True), (304, False), (404, False), (500, False), (503, False)]
)
async def test_only_a_2xx_is_up(connections: aiohttp.ClientSession, status: int, up: bool) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with api(answer) as url:
        took = await probe(connections, url)
    assert (took is not None) is up
    assert took is None or 0 < took < bot_api.TIMEOUT


async def test_a_redirect_is_not_followed(connections: aiohttp.ClientSession) -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound("/login")

    async with api(elsewhere) as url:
        assert await probe(connections, url) is None
    assert asked == ["/health"]


async def test_a_silent_one_is_down_in_time(
    connections: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot_api, "TIMEOUT", 0.1)
    done = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await done.wait()
        return web.Response()

    async with api(silent) as url:
        assert await probe(connections, url) is None
        done.set()


async def test_the_time_includes_the_waiting(connections: aiohttp.ClientSession) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.05)
        return web.Response()

    async with api(slow) as url:
        took = await probe(connections, url)
    assert took is not None
    assert took >= 0.045


async def test_a_body_without_end_is_not_waited_for(connections: aiohttp.ClientSession) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(1 << 16))
                sent += 1 << 16
        except ConnectionError:
            return response

    async with api(endless) as url:
        assert await probe(connections, url) is not None
    assert sent < 64 << 20


async def test_a_packed_bomb_is_not_unpacked(connections: aiohttp.ClientSession) -> None:
    async def bomb(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(bytes(64 << 20)), headers={"Content-Encoding": "gzip"})

    async with api(bomb) as url:
        assert await probe(connections, url) is not None


async def test_one_that_hangs_up_or_talks_nonsense_is_down(connections: aiohttp.ClientSession) -> None:
    for words in (b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 "):

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: bytes = words) -> None:
            await reader.read(10)
            writer.write(words)
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server:
            assert await probe(connections, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/") is None


async def test_nobody_there(connections: aiohttp.ClientSession) -> None:
    assert await probe(connections, f"http://127.0.0.1:{unused_port()}/") is None


async def test_no_such_host(connections: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert await probe(connections, "http://bot.invalid/") is None


async def test_tls_to_one_that_has_none_is_down() -> None:
    async def fine(_: web.Request) -> web.Response:
        return web.Response()

    async with api(fine) as url, session(secure=True) as secure:
        assert await probe(secure, url.replace("http:", "https:")) is None
        assert await probe(secure, url) is not None


async def test_every_request_has_a_connection_of_its_own(connections: aiohttp.ClientSession) -> None:
    ports: set[object] = set()

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return web.Response(text="ok")

    async with api(note) as url:
        for _ in range(3):
            assert await probe(connections, url) is not None
    assert len(ports) == 3
