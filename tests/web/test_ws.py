"""`/ws` over real sockets: who may listen, the handshake, the protocol with two independent clients, hostile ones."""

import asyncio
import base64
import gc
import json
import os
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from websockets.asyncio.client import connect

from exporter.board import Board
from exporter.config import Live
from exporter.live import hub as hubs
from exporter.live import session as sessions
from exporter.live.session import LAGGING
from exporter.web import ws
from exporter.web.access import Access, Tls
from exporter.web.doors import Doors
from exporter.web.server import Runner, application, open_door
from exporter.web.site import Site
from tests.live.listening import Listener
from tests.live.test_frames import masked
from tests.running import PATIENCE, eventually
from tests.tiers import FULL
from tests.web.test_access import HASH, basic, pem

__all__ = ["pem"]

KEY = base64.b64encode(b"0123456789abcdef").decode()
ACCEPT = "BACScCJPNqyz+UBoqMH89VmURoA="


class Feed:
    """A served site and its hub."""

    def __init__(self, site: Site, port: int, tls: bool) -> None:
        self.site, self.hub, self.port = site, site.hub, port
        self.raws: list[Raw] = []
        self.url = f"{'wss' if tls else 'ws'}://localhost:{port}/ws"
        self.http = f"{'https' if tls else 'http'}://localhost:{port}"

    def price(self, number: int, pair: str = "WETH/USDC", more: str = "") -> None:
        value = {"pair": pair, "dex": "d", "pool": "p", "price": str(number), "more": more}
        self.hub.state("prices", (pair, "d", "p"), value)

    async def raw(self, *headers: str, path: str = "/ws", method: str = "GET", more: bytes = b"") -> "Raw":
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"{method} {path} HTTP/1.1", *headers]
        if not any(line.lower().startswith("host:") for line in lines):
            lines.append(f"Host: localhost:{self.port}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + more)
        self.raws.append(Raw(reader, writer))
        return self.raws[-1]

    async def open(self) -> "Raw":
        """A connection that has shaken hands and been greeted."""
        raw = await self.raw(*UPGRADE)
        assert (await raw.head())[0] == 101
        assert (await raw.message())["type"] == "hello"
        return raw


UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13")


class Raw:
    """A client that sends whatever it likes, and looks at every byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)).decode().split("\r\n")
        return int(lines[0].split()[1]), {
            k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:] if line)
        }

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def say(self, **message: Any) -> None:
        self.send(masked(1, json.dumps(message).encode()))

    async def frame(self) -> tuple[int, bytes]:
        first, size = await asyncio.wait_for(self.reader.readexactly(2), 20)
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
        return first & 15, await self.reader.readexactly(size)

    async def message(self) -> dict[str, Any]:
        op, payload = await self.frame()
        assert op == 1, (op, payload)
        return json.loads(payload)

    async def close_code(self) -> int:
        """The code that the server closes with; what it says before is passed over."""
        while True:
            op, payload = await self.frame()
            if op == 8:
                return int.from_bytes(payload[:2])

    async def ended(self) -> None:
        """Wait until the server has closed the connection."""
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            while True:
                await self.frame()

    def reset(self) -> None:
        if not self.writer.is_closing():
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@asynccontextmanager
async def serving(access: Access | None = None, live: Live | None = None, tls: Any = None) -> AsyncIterator[Feed]:
    site = Site(Board(), access or Access({}, {}), access is None, doors=Doors(live or Live()))
    runner = Runner(application(site), access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await open_door(runner, "127.0.0.1", 0, tls)
        feed = Feed(site, runner.addresses[0][1], tls is not None)
        yield feed
    finally:
        for raw in feed.raws:
            raw.reset()
        await site.hub.close(0.2)
        await runner.cleanup()


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    async with serving() as made:
        yield made


# --- the handshake -------------------------------------------------------------------------------------------------


async def test_the_handshake_is_that_of_rfc_6455(feed: Feed) -> None:
    raw = await feed.raw(*UPGRADE, "Sec-WebSocket-Protocol: other, arb.live.v1",
                         "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")  # fmt: skip
    status, headers = await raw.head()
    assert status == 101
    assert {name: headers.get(name) for name in ("upgrade", "connection", "sec-websocket-accept")} == {
        "upgrade": "websocket", "connection": "Upgrade", "sec-websocket-accept": ACCEPT,
    }  # fmt: skip
    assert headers["sec-websocket-protocol"] == "arb.live.v1"
    assert "sec-websocket-extensions" not in headers  # nothing is compressed
    assert (await raw.message())["type"] == "hello"


async def test_another_subprotocol_is_not_agreed_to(feed: Feed) -> None:
    status, headers = await (await feed.raw(*UPGRADE, "Sec-WebSocket-Protocol: graphql-ws")).head()
    assert status == 101
    assert "sec-websocket-protocol" not in headers


async def test_tokens_are_found_in_lists_and_in_any_case(feed: Feed) -> None:
    lines = ("upgrade: WebSocket", "connection: keep-alive, UPGRADE", *UPGRADE[2:])
    assert (await (await feed.raw(*lines)).head())[0] == 101


HANDSHAKES = {
    "no upgrade": (("Connection: Upgrade", *UPGRADE[2:]), 426),
    "no connection": (("Upgrade: websocket", *UPGRADE[2:]), 426),
    "another upgrade": (("Upgrade: h2c", "Connection: Upgrade", *UPGRADE[2:]), 426),
    "nothing at all": ((), 426),
    "an old version": ((*UPGRADE[:3], "Sec-WebSocket-Version: 8"), 426),
    "no version": (UPGRADE[:3], 426),
    "no key": ((*UPGRADE[:2], UPGRADE[3]), 400),
    "a short key": ((*UPGRADE[:2], "Sec-WebSocket-Key: AAAA", UPGRADE[3]), 400),
    "a key that is no base64": ((*UPGRADE[:2], "Sec-WebSocket-Key: " + "!" * 24, UPGRADE[3]), 400),
}


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_what_is_no_handshake_is_refused_in_the_shape_of_errors(feed: Feed, name: str) -> None:
    headers, expected = HANDSHAKES[name]
    raw = await feed.raw(*headers, "Connection: close" if not headers else "X: y")
    status, answered = await raw.head()
    assert status == expected
    body = json.loads(await raw.reader.readexactly(int(answered["content-length"])))
    assert set(body["error"]) == {"code", "message"}
    if status == 426:
        assert answered["sec-websocket-version"] == "13"
    assert not feed.site.doors._inside
    raw.writer.close()


@pytest.mark.parametrize("header", ["Content-Length: 10", "Transfer-Encoding: chunked"])
async def test_a_handshake_with_a_body_is_refused(feed: Feed, header: str, caplog: pytest.LogCaptureFixture) -> None:
    raw = await feed.raw(*UPGRADE, header)
    assert (await raw.head())[0] == 400
    raw.reset()
    await eventually(lambda: not feed.site.doors._inside)
    assert not caplog.records


async def test_a_connection_that_was_used_for_pages_can_become_a_feed(feed: Feed) -> None:
    raw = await feed.raw(
        path="/healthz", more="\r\n".join(["GET /ws HTTP/1.1", "Host: localhost", *UPGRADE, "", ""]).encode()
    )
    status, headers = await raw.head()
    assert (status, await raw.reader.readexactly(int(headers["content-length"]))) == (200, b"ok\n")
    assert (await raw.head())[0] == 101
    assert (await raw.message())["type"] == "hello"
    raw.say(op="ping")
    assert (await raw.message())["type"] == "pong"


async def test_only_get_listens(feed: Feed) -> None:
    for method in ("POST", "PUT", "HEAD", "DELETE"):
        raw = await feed.raw(*UPGRADE, method=method)
        assert (await raw.head())[0] == 405
        raw.writer.close()


async def test_what_came_with_the_handshake_is_heard(feed: Feed) -> None:
    raw = await feed.raw(*UPGRADE, more=masked(1, b'{"op":"ping"}') + masked(9, b"x"))
    assert (await raw.head())[0] == 101
    assert [(await raw.message())["type"] for _ in range(2)] == ["hello", "pong"]
    assert await raw.frame() == (10, b"x")


# --- who may listen ------------------------------------------------------------------------------------------------

ME = basic("me", "right")


def users(**roles: tuple[str, ...]) -> Access:
    return Access({"me": HASH, "other": HASH}, roles)


async def status(feed: Feed, *headers: str, path: str = "/ws") -> tuple[int, dict[str, str]]:
    raw = await feed.raw(*UPGRADE, *headers, path=path)
    found = await raw.head()
    raw.writer.close()
    return found


async def test_origin_comes_before_credentials_and_credentials_before_limits() -> None:
    live = Live(max_clients=1, allowed_origins=("https://grafana.example",))
    async with serving(users(), live) as feed:
        own, evil = f"Origin: http://localhost:{feed.port}", "Origin: http://evil.example"
        first = await feed.raw(*UPGRADE, f"Authorization: {ME}")
        assert (await first.head())[0] == 101
        assert (await status(feed, evil))[0] == 403
        assert (await status(feed, evil, f"Authorization: {ME}"))[0] == 403
        assert (await status(feed, own))[0] == 401
        assert (await status(feed))[0] == 401
        assert (await status(feed, f"Authorization: {basic('me', 'wrong')}"))[0] == 401
        assert (await status(feed, "Authorization: Bearer x"))[0] == 401
        for origin in (own, "Origin: https://grafana.example"):
            answer = await status(feed, origin, f"Authorization: {ME}")
            assert (answer[0], answer[1]["retry-after"]) == (503, "5")
        assert feed.hub.snapshot().refused == {"origin": 2, "credentials": 4, "address": 0, "full": 2}
        first.reset()
        await eventually(lambda: not feed.hub.sessions)
        assert (await status(feed, own, f"Authorization: {ME}"))[0] == 101


async def test_the_origin_is_compared_with_the_host_that_was_asked() -> None:
    async with serving(users(), Live()) as feed:
        me = f"Authorization: {ME}"
        assert (await status(feed, "Host: bot.example", "Origin: http://bot.example", me))[0] == 101
        assert (await status(feed, "Host: bot.example:80", "Origin: http://bot.example", me))[0] == 101
        assert (await status(feed, "Host: bot.example", "Origin: https://bot.example", me))[0] == 403
        assert (await status(feed, "Host: bot.example", "Origin: http://bot.example:81", me))[0] == 403
        assert (await status(feed, "Host: bot.example", "Origin: null", me))[0] == 403
        assert (await status(feed, "Host: a", "Origin: http://a", "Origin: http://a", me))[0] == 403


async def test_on_loopback_a_name_that_is_not_ours_is_refused(feed: Feed) -> None:
    assert (await status(feed, "Host: evil.example", "Origin: http://evil.example"))[0] == 403
    assert (await status(feed, "Host: 127.0.0.1", "Origin: http://127.0.0.1"))[0] == 101


HOSTS = {
    "none": ((), "1.1"),
    "none, as of old": ((), "1.0"),
    "ours and another": (("localhost", "evil.example"), "1.1"),
    "another and ours": (("evil.example", "localhost"), "1.1"),
    "ours twice": (("localhost", "localhost"), "1.1"),
    "another": (("evil.example",), "1.1"),
    "nothing": (("",), "1.1"),
    "two in one": (("localhost, evil.example",), "1.1"),
    "another behind ours": (("localhost.evil.example",), "1.1"),
}


@pytest.mark.parametrize("pieces", [1, 2], ids=["at once", "in two pieces"])
@pytest.mark.parametrize("case", HOSTS)
async def test_on_loopback_nobody_listens_without_exactly_one_host_of_ours(feed: Feed, case: str, pieces: int) -> None:
    """At once, it is judged before any HTTP server sees it; in pieces, by that."""
    names, version = HOSTS[case]
    lines = [f"GET /ws HTTP/{version}", *(f"Host: {name}" for name in names), *UPGRADE, "", ""]
    raw = "\r\n".join(lines).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", feed.port)
    writer.write(raw[:30] if pieces == 2 else raw)
    if pieces == 2:
        await eventually(lambda: len(feed.site.crowd) == 1)
        writer.write(raw[30:])
    said = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    writer.transport.abort()
    assert said[9:12] in (b"400", b"403"), said
    assert not feed.hub.sessions
    assert not feed.site.doors._inside


async def test_the_role_is_live() -> None:
    async with serving(users(me=("scrape", "read"), other=("live",))) as feed:
        assert (await status(feed, f"Authorization: {ME}"))[0] == 403
        assert (await status(feed, f"Authorization: {basic('other', 'right')}"))[0] == 101


async def test_handshakes_have_a_rate_that_is_said() -> None:
    async with serving(live=Live(handshakes_per_second=1)) as feed:
        answers = [await status(feed) for _ in range(4)]
        refused = [headers for code, headers in answers if code == 429]
        assert refused
        assert feed.hub.snapshot().refused["address"] == len(refused)
        assert all(0 < int(headers["retry-after"]) <= 5 for headers in refused)


async def ticket(feed: Feed, session: aiohttp.ClientSession, **options: Any) -> tuple[int, Any]:
    async with session.post(feed.http + "/api/v1/ws-ticket", **options) as answer:
        return answer.status, await answer.json()


async def test_a_ticket_lets_a_browser_in_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with serving(users(other=("read",))) as feed, aiohttp.ClientSession() as session:
        me = {"Authorization": ME}
        code, body = await ticket(feed, session, headers=me)
        assert (code, body["expires_in_s"]) == (200, 15)
        assert (await status(feed, path=f"/ws?ticket={body['ticket']}"))[0] == 101
        assert (await status(feed, path=f"/ws?ticket={body['ticket']}"))[0] == 401
        assert (
            await status(
                feed,
                path="/ws?ticket=",
            )
        )[0] == 401
        assert (await status(feed, f"Authorization: {ME}", path="/ws?ticket=x"))[0] == 401
        assert (await ticket(feed, session))[0] == 401
        assert (await ticket(feed, session, headers={"Authorization": basic("other", "right")}))[0] == 403
        assert (await ticket(feed, session, headers=me | {"Origin": "http://evil.example"}))[0] == 403
        _, second = await ticket(feed, session, headers=me)
        feed.site.access.users = {}
        assert (await status(feed, path=f"/ws?ticket={second['ticket']}"))[0] == 401
    for made in (body, second):
        assert made["ticket"] not in caplog.text + str([record.__dict__ for record in caplog.records])


async def test_a_ticket_works_where_nobody_needs_one(feed: Feed) -> None:
    async with aiohttp.ClientSession() as session:
        _, body = await ticket(feed, session)
    assert (await status(feed, path=f"/ws?ticket={body['ticket']}"))[0] == 101
    assert (await status(feed, path=f"/ws?ticket={body['ticket']}"))[0] == 401


CHANGES: dict[str, Callable[[Access], None]] = {
    "the user is gone": lambda access: setattr(access, "users", {"other": HASH}),
    "the password is another": lambda access: setattr(access, "users", {"me": HASH[:-1] + "x"}),
    "the role is gone": lambda access: setattr(access, "roles", {"me": ("scrape",)}),
    "nobody needs credentials now": lambda access: setattr(access, "users", {}),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_who_may_no_longer_listen_is_told_4401(name: str) -> None:
    async with serving(users()) as feed, connect(feed.url, additional_headers={"Authorization": ME}) as client:
        await client.recv()
        feed.hub.review()
        await asyncio.wait_for(await client.ping(), 20)
        CHANGES[name](feed.site.access)
        feed.hub.review()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(client.recv(), 20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


# --- the protocol, with two independent clients --------------------------------------------------------------------


async def test_a_conversation_with_aiohttp(feed: Feed) -> None:
    listener = Listener()
    async with aiohttp.ClientSession() as session, session.ws_connect(feed.url, protocols=["arb.live.v1"]) as client:
        assert client.protocol == "arb.live.v1"
        assert client.compress == 0

        async def hear(count: int) -> None:
            for _ in range(count):
                listener.hear(await client.receive_json(timeout=20))

        feed.price(1)
        feed.hub.event("trades", {"pair": "WETH/USDC", "n": 1})
        await client.send_json({"op": "subscribe", "topics": ["prices", "trades"], "session": feed.hub.session})
        await hear(3)
        assert [m["type"] for m in listener.messages] == ["hello", "snapshot", "snapshot"]
        assert listener.shown["trades"] == [{"pair": "WETH/USDC", "n": 1}]
        feed.price(2)
        feed.hub.state("prices", ("WETH/USDC", "d", "p"), None)
        await hear(2)
        assert listener.known["prices"] == {}
        await client.send_json({"op": "ping"})
        await hear(1)
        assert listener.messages[-1]["type"] == "pong"
        await client.close()
    await eventually(lambda: not feed.hub.sessions)
    assert feed.hub.snapshot().disconnects["client"] == 1


async def test_a_conversation_with_websockets_and_its_resumption(feed: Feed) -> None:
    listener = Listener()
    async with connect(feed.url, subprotocols=["arb.live.v1"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "arb.live.v1"
        await client.send(json.dumps({"op": "subscribe", "topics": ["trades"], "pairs": ["A/B"]}))
        for _ in range(2):
            listener.hear(json.loads(await client.recv()))
        for number in range(1, 6):
            feed.hub.event("trades", {"pair": "A/B" if number % 2 else "C/D", "n": number})
        for _ in range(3):
            listener.hear(json.loads(await client.recv()))
        assert [(m["seq"], m["prev"]) for m in listener.messages[2:]] == [(1, 0), (3, 1), (5, 3)]
        await asyncio.wait_for(await client.ping(b"x" * 125), 20)
    feed.hub.event("trades", {"pair": "A/B", "n": 6})
    async with connect(feed.url) as client:
        wish = {
            "op": "subscribe",
            "topics": ["trades"],
            "pairs": ["A/B"],
            "session": feed.hub.session,
            "since": listener.last,
        }
        await client.send(json.dumps(wish))
        for _ in range(3):
            listener.hear(json.loads(await client.recv()))
        assert listener.events["trades"] == [{"pair": "A/B", "n": 6}]
        wish["session"] = "of yesterday"
        await client.send(json.dumps(wish))
        for _ in range(2):
            listener.hear(json.loads(await client.recv()))
        assert listener.messages[-1] == {"type": "gap", "topic": "trades", "from": 0, "to": 6}
        assert [event["n"] for event in listener.shown["trades"]] == [1, 3, 5, 6]


async def test_big_messages_over_tls(pem: Path) -> None:
    tls = Tls(cert_file=pem / "cert.pem", key_file=pem / "key.pem").context()
    trusted = ssl.create_default_context(cafile=str(pem / "cert.pem"))
    async with serving(tls=tls) as feed, connect(feed.url, ssl=trusted, max_size=1 << 24) as client:
        await client.recv()
        feed.hub.states("prices", [((str(n), "d", "p"), {"pair": str(n), "dex": "d", "pool": "p", "x": "x" * 900})
                                   for n in range(5_000)])  # fmt: skip
        await client.send(json.dumps({"op": "subscribe", "topics": ["prices"]}))
        snapshot = json.loads(await asyncio.wait_for(client.recv(), 20))
        assert len(snapshot["data"]) == 5_000
        feed.price(7)
        listener = Listener()
        listener.hear(snapshot)
        listener.hear(json.loads(await asyncio.wait_for(client.recv(), 20)))
        assert listener.known["prices"]["WETH/USDC", "d", "p"]["price"] == "7"


async def test_the_heart_beats(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs.messages, "HEARTBEAT", 0.02)
    async with connect(feed.url) as client:
        kinds = [json.loads(await asyncio.wait_for(client.recv(), 20))["type"] for _ in range(4)]
    assert kinds == ["hello", "heartbeat", "heartbeat", "heartbeat"]


# --- slow clients --------------------------------------------------------------------------------------------------


async def stuck(feed: Feed, **wish: Any) -> Raw:
    """A client that has subscribed and reads no more."""
    raw = await feed.open()
    raw.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.say(op="subscribe", topics=["prices"], **wish)
    await raw.message()
    raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
    return raw


async def bystander(feed: Feed, ages: list[float], stop: asyncio.Event) -> None:
    """A client that reads: how old each price is when it gets it, in seconds."""
    async with connect(feed.url) as client:
        await client.send('{"op":"subscribe","topics":["prices"]}')
        while not stop.is_set():
            message = json.loads(await client.recv())
            if message["type"] == "update":
                ages.append(time.time() - message["ts"])


def quick(ages: list[float], when: str) -> bool:
    """Whether prices were young: nearly all of them where nothing else keeps the machine busy, else the most."""
    ordered = sorted(ages)
    median, late = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    print(f"{when}: {len(ages)} prices, p50 {median * 1e3:.1f} ms, p99 {late * 1e3:.1f} ms")
    return (late if FULL else median) <= 0.1


def cut_off(raw: Raw) -> bool:
    """Whether the connection is over for the client too, although it does not read what came before that."""
    info = raw.writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return info[0] != 1  # established


async def test_clients_that_never_read_are_gone_in_two_seconds_and_others_notice_nothing(feed: Feed) -> None:
    deaf = [await stuck(feed) for _ in range(10)]
    ages: list[float] = []
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(bystander(feed, ages, stop))
        await eventually(lambda: len(feed.hub.sessions) == 15)
        lagged: float | None = None
        number = 0
        while len(feed.hub.sessions) > 5 or not all(map(cut_off, deaf)):
            number += 1
            feed.price(number, more="x" * 8_000)
            if lagged is None and sum(s.lagging for s in feed.hub.sessions) == 10:
                lagged = time.monotonic()
            await asyncio.sleep(0.01)
            assert lagged is None or time.monotonic() - lagged < 5
        stop.set()
        feed.price(0)
    assert lagged is not None
    assert time.monotonic() - lagged < 2.5  # of which half a second is the machine's
    assert len(ages) > number  # nobody who reads missed much
    assert quick(ages, "beside ten who never read")
    assert feed.hub.snapshot().disconnects["slow"] == 10
    for raw in deaf:
        raw.writer.transport.abort()


def sipping(port: int) -> socket.socket:
    """A connection whose kernel holds next to nothing, after its handshake and a wish for prices."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.connect(("127.0.0.1", port))
    head = ["GET /ws HTTP/1.1", "Host: localhost", *UPGRADE, "", ""]
    sock.sendall("\r\n".join(head).encode() + masked(1, b'{"op":"subscribe","topics":["prices"]}'))
    sock.setblocking(False)
    return sock


async def test_a_client_that_takes_a_byte_now_and_then_is_too_slow_and_others_notice_nothing(feed: Feed) -> None:
    ages: list[float] = []
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    sock, taken, number = sipping(feed.port), 0, 0
    async with asyncio.TaskGroup() as group:
        group.create_task(bystander(feed, ages, stop))
        await eventually(lambda: len(feed.hub.sessions) == 2)
        began = loop.time()
        while len(feed.hub.sessions) > 1:
            number += 1
            feed.price(number, more="x" * 8_000)
            if number % 10 == 0:
                taken += len(await loop.sock_recv(sock, 1))
            await asyncio.sleep(0.01)
            assert loop.time() - began < PATIENCE
        took = loop.time() - began
        stop.set()
        feed.price(0)
    sock.close()
    assert taken > 5, "it did read"
    assert quick(ages, f"beside one who took {taken} bytes in {took:.1f} s")
    assert not FULL or took < LAGGING + 2
    assert feed.hub.snapshot().disconnects["slow"] == 1


async def test_who_never_answers_is_gone_and_who_does_stays(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs.messages, "HEARTBEAT", 0.2)
    monkeypatch.setattr(sessions, "IDLE", 3.0)
    async with connect(feed.url, ping_interval=None) as polite:
        silent = await feed.open()
        began = time.monotonic()
        assert await silent.close_code() == 1008
        await silent.ended()
        print(f"silent for {time.monotonic() - began:.1f} s, of {sessions.IDLE} s that are allowed")
        await eventually(lambda: len(feed.hub.sessions) == 1)
        while time.monotonic() - began < 2 * sessions.IDLE:
            await asyncio.wait_for(polite.recv(), PATIENCE)
        assert feed.hub.snapshot().disconnects["idle"] == 1
        assert len(feed.hub.sessions) == 1


async def test_a_slow_reader_gets_what_is_new_not_what_was(feed: Feed) -> None:
    """It reads a fifth of what there is: the age of what it gets stays small."""
    raw = await feed.open()
    sock = raw.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    raw.say(op="subscribe", topics=["prices"])
    ages: list[float] = []
    reading = raw.reader._transport  # type: ignore[attr-defined]
    raw.reader._limit = 8_192  # type: ignore[attr-defined]
    publisher = asyncio.create_task(flood(feed))
    until = time.monotonic() + 3
    while time.monotonic() < until:
        message = await raw.message()
        if message["type"] == "update":
            ages.append(time.time() - message["ts"])
        await asyncio.sleep(0.05)  # 80 kB/s of 400
    publisher.cancel()
    assert len(ages) > 20
    assert sorted(ages)[len(ages) // 2] < 1.0
    assert feed.hub.snapshot().disconnects["slow"] == 0
    assert not reading.is_closing()
    raw.reset()


async def test_who_asks_for_much_and_says_good_bye_at_once_leaves_in_peace(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    feed.price(1, more="x" * 8_000_000)
    raw = await feed.open()
    raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
    (session,) = feed.hub.sessions
    raw.send(masked(1, b'{"op":"subscribe","topics":["prices"]}') + masked(8, (1000).to_bytes(2)))
    await eventually(lambda: session.lagging)
    raw.reader._transport.resume_reading()  # type: ignore[attr-defined]
    assert await raw.close_code() == 1000
    await raw.ended()
    await eventually(lambda: not feed.hub.sessions)
    assert feed.hub.snapshot().disconnects["client"] == 1
    assert not caplog.records


async def flood(feed: Feed) -> None:
    number = 0
    while True:
        number += 1
        feed.price(number, more="x" * 4_000)
        await asyncio.sleep(0.01)


async def test_a_lagging_client_costs_little(feed: Feed) -> None:
    for number in range(900):
        feed.hub.event("trades", {"pair": "A", "n": number, "more": "x" * 500})
    await eventually(lambda: not feed.hub._channels["trades"].stream._put)  # type: ignore[union-attr]
    deaf = [await stuck(feed) for _ in range(5)]
    for raw in deaf:
        raw.say(op="subscribe", topics=["trades"], since={"trades": 0}, session=feed.hub.session)
    await eventually(lambda: all(session.lagging for session in feed.hub.sessions))
    waiting = [session._transport.get_write_buffer_size() for session in feed.hub.sessions]
    assert max(waiting) < 100_000
    for raw in deaf:
        raw.reset()


# --- hostile clients -----------------------------------------------------------------------------------------------

ATTACKS: dict[str, tuple[Callable[[], bytes], int]] = {
    "not masked": (lambda: b"\x81\x0d" + b'{"op":"ping"}', 1002),
    "oversize": (lambda: masked(1, b"x" * 5_000), 1009),
    "announced oversize": (lambda: b"\x81\xff" + (1 << 40).to_bytes(8), 1009),
    "endless fragments": (lambda: masked(1, b"x", final=False) + masked(0, b"x", final=False) * 600, 1008),
    "big fragments": (lambda: masked(1, b"x" * 4_000, final=False) + masked(0, b"x" * 4_000, final=False), 1009),
    "a compressed bomb": (lambda: masked(1, zlib.compress(b"0" * 3_000_000)[:4_000], first=0x40), 1002),
    "a flood of pings": (lambda: masked(9, b"x" * 125) * 5_000, 1008),
    "a flood of pongs": (lambda: masked(10) * 5_000, 1008),
    "a flood of ping messages": (lambda: masked(1, b'{"op":"ping"}') * 5_000, 1008),
    "bad JSON": (lambda: masked(1, b"{") * 30, 1008),
    "deep JSON": (lambda: masked(1, b"[" * 4_000) * 30, 1008),
    "bad UTF-8": (lambda: masked(1, b"\xff"), 1007),
    "binary": (lambda: masked(2, b"\0" * 100) * 30, 1008),
    "10^5 subscriptions": (lambda: masked(1, b'{"op":"subscribe","topics":["prices","trades","gas"]}') * 100_000, 1008),
    "HTTP again": (lambda: b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 1002),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_hostile_clients_are_shown_out_and_others_stay(feed: Feed, name: str) -> None:
    attack, code = ATTACKS[name]
    feed.price(1)
    async with connect(feed.url) as bystander:
        await bystander.recv()
        raw = await feed.open()
        try:
            raw.send(attack())
            assert await raw.close_code() == code
            await raw.ended()
        except ConnectionError:
            pass  # it had more to say than anybody reads
        await eventually(lambda: len(feed.hub.sessions) == 1)
        await asyncio.wait_for(await bystander.ping(), 20)


async def test_one_byte_at_a_time_is_slow_but_right(feed: Feed) -> None:
    raw = await feed.open()
    for byte in masked(1, b'{"op":"pi', final=False) + masked(9, b"!") + masked(0, b'ng"}'):
        raw.send(bytes([byte]))
        await raw.writer.drain()
        await asyncio.sleep(0)
    assert await raw.frame() == (10, b"!")
    assert (await raw.message())["type"] == "pong"


async def test_a_client_that_never_says_good_bye_is_cut_off(feed: Feed) -> None:
    raw = await feed.open()
    (session,) = feed.hub.sessions
    session.close(1008, ws_left())
    assert await raw.close_code() == 1008
    await asyncio.wait_for(raw.ended(), 10)
    assert not feed.hub.sessions


def ws_left() -> Any:
    from exporter.live.figures import Left

    return Left.POLICY


async def test_resets_at_every_stage_leave_nothing_behind(feed: Feed) -> None:
    """100 cycles of connect, stall and reset; descriptors, tasks and threads are exactly what they were."""

    async def cycle(number: int) -> None:
        raw = await feed.raw(*(UPGRADE[: number % 5]))
        if number % 5 < 4:
            raw.reset()
            return
        if number % 2:
            await raw.head()
            raw.say(op="subscribe", topics=["prices", "trades"])
            raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
            feed.price(number, more="x" * 300_000)
            await asyncio.sleep(0)
        raw.reset()

    def held() -> tuple[int, int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks()), threading.active_count()

    for number in range(10):
        await cycle(number)
    await eventually(lambda: not feed.hub.sessions and not feed.site.doors._inside)
    await asyncio.sleep(0.1)
    feed.raws.clear()
    before = held()
    for number in range(100):
        await cycle(number)
    feed.raws.clear()
    await eventually(lambda: held() == before)
    assert not feed.hub.sessions
    assert not feed.site.doors._inside
    assert all(not channel.groups for channel in feed.hub._channels.values())
    assert not feed.hub._watched


async def test_nobody_comes_in_after_closing_time(feed: Feed) -> None:
    async with connect(feed.url) as client:
        await client.recv()
        await feed.hub.close(5)
        assert (await status(feed))[0] == 503
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


def test_the_routes_have_roles() -> None:
    assert ws.ROLES == {"/ws": None, "/api/v1/ws-ticket": "live"}
    assert web.RouteDef
