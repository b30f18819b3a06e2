"""Parsers of what comes over the network to us: heads, events, configurations, documents of the bot, the bus."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser

from exporter.bus import outbox
from exporter.bus.link import Broken, Heard, Stored
from exporter.bus.names import EVENTS, Names
from exporter.bus.outbox import End
from exporter.bus.relay import Relay, Values
from exporter.collectors.bus import Figures
from exporter.live.echo import Echo
from exporter.sources import bank_documents, bot_documents, log_files
from exporter.sources.event_fields import BadEvent
from exporter.sources.event_records import Event
from exporter.sources.files import Unreadable
from exporter.sources.log_files import Cursor
from exporter.sources.log_lines import Place
from exporter.web import access, event_bodies, knock, remote, ws
from exporter.web.site import host
from tests.fuzz.target import Target, as_json, in_a_loop

FOLDER = Path(tempfile.mkdtemp(prefix="arb-fuzz-"))


def knocking(data: bytes) -> None:
    """A head that is let in at the door is, to an HTTP server, that one request and no other."""
    for head in (data, knock.FIRST_LINE + b"Host: localhost\r\n" + data + knock.END):
        known = knock.read(head, "127.0.0.1")
        if known is not None:
            request = in_a_loop(_as_a_server_reads(head))
            assert (request.method, request.path) == ("GET", "/ws")
            assert _lowered(request.headers) == _lowered(known.headers)
            assert isinstance(ws.handshake(known), dict | web.Response)
            access.is_loopback(host(known))


def _lowered(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted((name.lower(), value) for name, value in headers.items())


async def _as_a_server_reads(data: bytes) -> Any:
    loop: Any = asyncio.get_running_loop()
    parser = HttpRequestParser(asyncio.StreamReader(), loop, 2**16)  # type: ignore[arg-type]
    try:
        ((request, _),), _, rest = parser.feed_data(data)
    except HttpProcessingError as error:
        raise AssertionError("no server would take it") from error
    assert not rest
    return request


def bodies(data: bytes) -> None:
    """Events in a body: each is one, or is told what is wrong with it."""
    for media in (event_bodies.JSON, event_bodies.LINES[0]):
        with suppress(event_bodies.NotJson):
            assert all(isinstance(found, Event | BadEvent) for found in event_bodies.records(data, media))


def web_config(data: bytes) -> None:
    """A web configuration, or problems of one line each."""
    file = FOLDER / "web.yml"
    file.write_bytes(data)
    found, problems = access.load(file)
    assert (found is None) == bool(problems)
    assert all("\n" not in problem.message for problem in problems)


def said(data: bytes) -> None:
    """What each of the bot's documents says."""
    for name in bot_documents.READERS:
        with suppress(Unreadable):
            bot_documents.said(name, data)


def documents(data: bytes) -> None:
    """Documents in a bank, one of them this."""
    (FOLDER / "bank" / "state").mkdir(parents=True, exist_ok=True)
    (FOLDER / "bank" / "state" / "state.json").write_bytes(data)
    (found,), faults = bank_documents.Documents(FOLDER / "bank", 1 << 20).read()
    assert found.valid is not False and not faults, "what is broken has to settle first"
    for report in bot_documents.Reports(FOLDER / "bank", 1 << 20).read():
        assert report.whole is found.valid


def answer(data: bytes) -> None:
    """An answer over the bus is one that can be given on."""
    with suppress(remote.Malformed):
        found = remote.parsed(data)
        assert 200 <= found.status <= 599 and web.Response(status=found.status, headers=found.headers, body=found.body)


def told(data: bytes) -> None:
    """What is said on the bus, to a gateway and to an exporter that begins."""
    in_a_loop(_told(data))


async def _told(data: bytes) -> None:
    hub, figures = Echo(), Figures()
    hub.begin("session")
    relay, values = Relay(hub, Names("b"), figures, lambda ready: None), Values(hub, figures)
    for topic in EVENTS:
        with suppress(Broken):
            relay._hear(Heard(f"arb.b.event.{topic}", data, 1))
    with suppress(Broken):
        values._hear(Heard("arb.b.state", data))
    with suppress(Broken):
        assert outbox.Cursor.read(outbox.Cursor.read(data).text()) == outbox.Cursor.read(data)
    with suppress(Broken):
        End.read(Stored(1, data))
    hub.begin("another")


def cursor(data: bytes) -> None:
    """How far a file was read is known again, whatever its name is."""
    name, number = os.fsdecode(data.replace(b"\0", b"")), int.from_bytes(data[:8])
    made = replace(log_files.begin(number, name, FOLDER.stat()), offset=number, place=Place(skipping=number % 2 == 1))
    assert Cursor.load(made.dump()) == made
    assert made.dump().isascii(), "SQLite takes no half of a character"


_KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
_KNOCK = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:10453\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n" + _KEY + b"Origin: http://127.0.0.1:10453\r\n\r\n"
)
_EVENT = {"id": "1", "type": "trade", "time": 1.7e9, "pair": "WETH/USDC", "dex_buy": "a", "dex_sell": "b",
          "outcome": "success", "net_profit_eth": "0.1", "gas_fee_eth": "0.001"}  # fmt: skip
_EVENTS = as_json(_EVENT, _EVENT | {"id": "2", "type": "price", "price": "1"})
_HASH = "$2b$04$" + "a" * 21 + "O" + "a" * 31
_WEB = f"""tls_server_config: {{cert_file: a.pem, key_file: b.pem, client_auth_type: NoClientCert}}
http_server_config: {{headers: {{X-Frame-Options: DENY}}}}
basic_auth_users: {{ops: "{_HASH}"}}
""".encode()
_STATES = {"run": "a", "n": 1, "all": {"prices": [{"pair": "P", "dex": "d", "pool": "p", "price": "1", "ts": 1.0}]}}

TARGETS = {
    "knock": Target(knocking, (
        _KNOCK, _KNOCK.replace(b"Origin", b"Host"), _KNOCK.replace(b"Origin:", b"Content-Length: 5\r\nOrigin:"),
        _KNOCK.replace(b"Origin: ", b"Origin:\t "), _KNOCK.replace(b"\r\n", b"\n"), b"GET /ws HTTP/1.1\r\n\r\n",
        _KNOCK.partition(b"10453\r\n")[2].strip(),
    )),
    "event_bodies": Target(bodies, (
        _EVENTS[0], b"\n".join(_EVENTS), b"[" + b",".join(_EVENTS) + b"]", b"[1,{},1e999," + _EVENTS[0] + b"]",
        b"\n\n{}\n[]\nnull", json.dumps(_EVENT, indent=1).encode(), b"[" * 3_000, b"[" + b"9" * 5_000 + b"]",
    )),
    "web_config": Target(web_config, (
        _WEB, _WEB.partition(b"\n")[2], b"basic_auth_users: {a: b}", b"tls_server_config: {}", b"a: &x [*x]", b"",
    )),
    "bot_documents": Target(said, (*as_json(
        {"web3_connected": True, "bot_status": "Running ", "wallet_balance": 1.5, "current_block": 7},
        {"components": {"a": {"status": "ok"}}, "uptime": 5, "network": {"block_number": 7}},
        {"performance": {"total_trades": 5, "success_rate": 50}, "wallet_balance": "1", "opportunities": [1]},
        {"total_trades": 5, "failed_trades": 1, "total_profit_usd": 1e300, "success_rate": 0.5},
        {"a": {"total_trades": 5, "success_rate": 1, "total_profit_usd": 1.5}, "b": {"total_trades": 2**60}},
    ), b'{"total_trades": 1e999, "a": {"total_profit_usd": 9e9999}}', b"[" * 3_000)),
    "documents": Target(documents, (*as_json({"bot_status": "running"}, [1]), b"", b"\0" * 50, b"{" * 3_000)),
    "remote": Target(answer, (
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: "t"\r\nRetry-After: 1\r\n\r\n{}',
        b"HTTP/1.1 404\r\n\r\n", b"HTTP/1.1 200 OK\r\nETag: a\nb\r\n\r\n",
    )),
    "bus": Target(told, (*as_json(
        _STATES, _STATES | {"n": 2, "topics": {"prices": []}},
        {"seq": 1, "ts": 1.0, "place": 1, "run": "r", "items": [{}]},
        {"ledger": 1, "trade": 2, "opportunity": 3, "complete": ["a"]},
    ), b"[" * 100_000, b'{"seq": 1e999, "ts": NaN, "items": []}')),
    "cursor": Target(cursor, (b"/var/log/bot.log", "/тест/\U0001f600".encode(), b"\xff\xfe/\xed\xa0\x80", b"")),
}  # fmt: skip
