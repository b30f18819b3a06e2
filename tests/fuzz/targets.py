"""Every parser of what others write: bytes in; out comes a value, or an error of ours, and nothing else."""

from __future__ import annotations

import base64
import struct
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

from exporter import config, yaml12
from exporter.live import alerts, frames, messages
from exporter.live.frames import Op, Violation
from exporter.log import Plain, scrub
from exporter.sources import blocks, event_records, files, jsonrpc, log_lines, recent_list, records
from exporter.sources.log_lines import START, Counts
from exporter.web.access import Access
from tests.fuzz import chain_targets, web_targets
from tests.fuzz.target import Target, as_json, text_of

UTC = ZoneInfo("UTC")


def settings(data: bytes) -> None:
    """The settings, or problems with a path and one line each."""
    loaded = config.read(text_of(data), Path("/nowhere"), {"HOME": "/nowhere"})
    assert (loaded.settings is None) == bool(loaded.problems)
    assert all("\n" not in problem.message for problem in loaded.problems)


def tree(data: bytes) -> None:
    """YAML as a tree, or what is wrong with it."""
    found, problems = yaml12.parse(text_of(data))
    assert found is not None or problems


def trade_file(data: bytes) -> None:
    """A file of the bank as a record whose digest is the same each time."""
    with suppress(files.Unreadable):
        document = files.document(data)
        assert records.content_digest(document) == records.content_digest(document)
        records.from_file("trade_1700000000.json", document, UTC)


def recent(data: bytes) -> None:
    """Rows of `recent_trades.json`; a bad one spoils no other."""
    with suppress(files.Unreadable):
        list(recent_list.Rows(files.text_of(data), UTC, recent_list.Known()))


def event(data: bytes) -> None:
    """A line of the bot's events."""
    with suppress(files.Unreadable, event_records.BadEvent):
        event_records.parse(files.document(data))


def log(data: bytes) -> None:
    """Lines of a log count the same, in whatever pieces they come."""
    whole, pieces = Counts(), Counts()
    log_lines.parse(data + b"\n", START, whole)
    place, rest = START, b""
    for start in range(0, len(data) + 1, 7):
        rest += (data + b"\n")[start : start + 7]
        done, place = log_lines.parse(rest, place, pieces)
        rest = rest[done:]
    assert whole == pieces


def batch(data: bytes) -> None:
    """A node's answer to three calls."""
    with suppress(Plain):
        for result in jsonrpc.answers(data, 3):
            with suppress(Plain):
                jsonrpc.quantity(result)
            with suppress(Plain):
                jsonrpc.words(result, 2)
            with suppress(Plain):
                blocks.header(result)


def message(data: bytes) -> None:
    """A listener's wish."""
    with suppress(messages.Malformed):
        messages.parse(text_of(data))


def client_frames(data: bytes) -> None:
    """Frames come out the same, in whatever pieces they go in, and none is larger than it may be."""
    found = []
    for size in (len(data) + 1, 3):
        parser, taken = frames.Parser(), []
        try:
            for start in range(0, len(data), size):
                parser.feed(data[start : start + size])
                for op, payload in parser.frames():
                    assert len(payload) <= frames.MAX_MESSAGE
                    taken.append((op, payload))
                    if op is Op.CLOSE:
                        frames.close_code(payload)
                    elif op is Op.TEXT:
                        frames.decoded(payload)
        except Violation as violation:
            taken.append((violation.code, b""))
        found.append(taken)
    assert found[0] == found[1]


def alert(data: bytes) -> None:
    """A message of Alertmanager."""
    with suppress(files.Unreadable, alerts.Malformed):
        alerts.read(files.parse(text_of(data)))


def credentials(data: bytes) -> None:
    """An Authorization header of whatever kind is judged without a fault."""
    known = Access({"ops": "$2b$04$" + "a" * 53}, {})
    for header in (text_of(data), "Basic " + base64.b64encode(data).decode()):
        assert known.knows(header) in (True, False)


def scrubbed(data: bytes) -> None:
    """What is scrubbed holds no address any more, and is not scrubbed twice."""
    once = scrub(text_of(data))
    assert "://" not in once or scrub(once) == once


def _frame(op: int, payload: bytes) -> bytes:
    head = bytes([0x80 | op, 0x80 | len(payload)]) if len(payload) < 126 else (
        bytes([0x80 | op, 0x80 | 126]) + struct.pack("!H", len(payload)))  # fmt: skip
    return head + b"\0\0\0\0" + payload


_TRADE = {"pair": "WETH/USDC", "dex_1": "a", "dex_2": "b", "success": True, "net_profit_eth": "0.1",
          "gas_cost": 0.001, "tx_hash": "0x" + "ab" * 32, "timestamp": "2026-01-01T00:00:00Z"}  # fmt: skip
_FILE = {"opportunity": {"token_pair": "WETH/USDC", "dex_1": "a", "dex_2": "b", "net_profit": 0.1}, "success": True,
         "tx_hash": "0x" + "cd" * 32, "timestamp": "2026-01-01T00:00:00", "gas_used": 21000}  # fmt: skip
_EVENT = {"id": "1", "type": "trade", "time": 1.7e9, "pair": "WETH/USDC", "dex_buy": "a", "dex_sell": "b",
          "outcome": "success", "net_profit_eth": "0.1", "gas_fee_eth": "0.001"}  # fmt: skip
_HEAD = {"number": "0x1", "hash": "0x" + "1" * 64, "parentHash": "0x" + "2" * 64, "timestamp": "0x5",
         "baseFeePerGas": "0x7", "gasUsed": "0x1", "gasLimit": "0x2"}  # fmt: skip
_ALERT = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "A"}, "annotations": {},
          "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "ab"}]}  # fmt: skip
_CONFIG = b"""bot: {name: b, timezone: UTC, logs: [{name: l, path: /x/*.log}]}
chain: {chain_id: 8453, endpoints: [{name: a, http: "http://127.0.0.1:1/k"}], finality: 5}
storage: [{name: s, path: /x}]
state: /nowhere
"""


TARGETS = {
    "settings": Target(settings, (_CONFIG, b"bot: {name: on}", b"a: &x [*x]", b"")),
    "tree": Target(tree, (_CONFIG, b"a: !!python/object:x {}", b"- [" * 50, b"%YAML 1.1\n---\na: 010")),
    "trade_file": Target(trade_file, (
        *as_json(_FILE, _TRADE, {"opportunity_id": "x"}), b'{"a": 1e999}', b'{"a": 1e' + b"9" * 40 + b"}", b"[" * 3_000,
    )),
    "recent": Target(recent, as_json([_TRADE, {**_TRADE, "net_profit_eth": None}], {"trades": [_TRADE]})),
    "event": Target(event, as_json(_EVENT, _EVENT | {"type": "price", "price": "1"}, _EVENT | {"time": "2026-01-01"})),
    "log": Target(log, (
        b"2026-01-01 00:00:00,000 - bot - ERROR - x\nTraceback (most recent call last):\n  File\nValueError: y\n",
        b'{"level": "info", "msg": "x"}\r\n\xff\xfe\n', b"x" * 300,
    )),
    "batch": Target(batch, as_json(
        [{"jsonrpc": "2.0", "id": n, "result": r} for n, r in enumerate(("0x1", "0x" + "0" * 128, _HEAD))],
        {"jsonrpc": "2.0", "id": None, "error": {"code": -32005, "message": "batch"}},
    )),
    "message": Target(message, as_json(
        {"op": "subscribe", "topics": ["prices"], "pairs": ["WETH/USDC"], "since": {"trades": 1}}, {"op": "ping"},
    )),
    "client_frames": Target(client_frames, (
        _frame(1, b'{"op":"ping"}') + _frame(9, b"x") + _frame(8, b"\x03\xe8"), _frame(2, b"y" * 300),
        b"\x01\x80\0\0\0\0",
    )),
    "alert": Target(alert, as_json(_ALERT)),
    "credentials": Target(credentials, (b"ops:right", b"Basic b3BzOnJpZ2h0", b":", b"\xff:\0")),
    "scrubbed": Target(scrubbed, (b"https://user:pass@host/key?api_key=abc", b"Authorization: Bearer abc", b"token=x")),
} | chain_targets.TARGETS | web_targets.TARGETS  # fmt: skip
