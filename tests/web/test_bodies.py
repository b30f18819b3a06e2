"""Bodies over a real socket: right ones are read, wrong, huge and slow ones refused in good time."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from exporter.web import bodies
from exporter.web.access import Access
from exporter.web.server import application
from exporter.web.site import Site
from tests.live.test_shapes import filled
from tests.web.test_server import Server, problem, serving

MOST = 1_000


async def echo(request: web.Request) -> web.Response:
    return web.json_response({"read": str(await bodies.read_json(request, MOST))})


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    def with_echo(site: Site) -> web.Application:
        app = application(site)
        app.router.add_post("/echo", echo)
        return app

    monkeypatch.setattr("tests.web.test_server.application", with_echo)
    site = Site(filled("exporter"), Access({}, {}), loopback_only=True)
    async with serving(site) as made:
        yield made
    await site.hub.close()


def request(body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    lines = ["POST /echo HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Type: {kind}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def plain(body: bytes, kind: str = "application/json") -> bytes:
    return request(body, f"Content-Length: {len(body)}", kind=kind)


async def sent(served: Server, data: bytes) -> tuple[int, bytes]:
    """Status and body of the answer; the server may keep the connection for a while, to be polite to slow senders."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        writer.write(data)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        length = re.search(rb"Content-Length: ([0-9]+)", head)
        assert length
        return int(head[9:12]), await asyncio.wait_for(reader.readexactly(int(length[1])), 20)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_body_is_read_strictly(served: Server) -> None:
    assert await sent(served, plain(b' {"a": [1, 0.10, "x"]}\n')) == (
        200, json.dumps({"read": "{'a': [1, Decimal('0.10'), 'x']}"}).encode(),
    )  # fmt: skip
    assert (await sent(served, plain(b"[]", "Application/JSON; charset=utf-8")))[0] == 200


BROKEN = {
    "nothing": b"",
    "cut off": b'{"a":',
    "two documents": b"{} {}",
    "NaN": b"[NaN]",
    "a name twice": b'{"a": 1, "a": 2}',
    "no UTF-8": b'["\xff"]',
    "deep": b"[" * 900,
    "a huge number": b"1" * 900,
    "UTF-16": '{"a": 1}'.encode("utf-16"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_what_is_not_json_is_400_and_not_repeated(served: Server, case: str) -> None:
    status, body = await sent(served, plain(BROKEN[case]))
    assert (status, problem(body)) == (400, ("bad_request", "the body is not JSON"))


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"])
async def test_a_form_of_another_site_is_415(served: Server, kind: str) -> None:
    status, body = await sent(served, plain(b"{}", kind))
    assert (status, problem(body)[0]) == (415, "unsupported_media_type")


async def test_too_much_is_413_by_its_word_and_by_what_comes(served: Server) -> None:
    whole = b'"' + b"x" * (MOST - 2) + b'"'
    assert (await sent(served, plain(whole)))[0] == 200
    assert (await sent(served, plain(whole + b" ")))[0] == 413
    assert (await sent(served, request(b"", "Content-Length: 1000000000")))[0] == 413
    chunk = b"100\r\n" + b"1" * 256 + b"\r\n"
    status, body = await sent(served, request(chunk * 5 + b"0\r\n\r\n", "Transfer-Encoding: chunked"))
    assert (status, problem(body)) == (413, ("request_entity_too_large", "the body is too large"))


async def test_a_body_that_does_not_come_is_408(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SLOWEST", 0.05)
    status, body = await sent(served, request(b"{", "Content-Length: 10"))
    assert (status, problem(body)[0]) == (408, "request_timeout")


async def test_a_client_that_leaves_in_the_middle_is_no_fault(served: Server, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request(b"{", "Content-Length: 10"))
        await writer.drain()
        assert (await served.get("/healthz"))[0] == 200
        writer.transport.abort()
    assert (await served.get("/healthz"))[0] == 200
    assert [record.fields for record in caplog.records] == []  # type: ignore[attr-defined]
