"""The messages of `arb.live.v1`: what the server says, as finished frames, and what a client may ask for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from exporter.live import frames, topics
from exporter.log import Plain

PROTOCOL: Final = "arb.live.v1"
VERSION: Final = 1
HEARTBEAT: Final = 5.0
"""Seconds between heartbeats."""
MAX_PAIRS: Final = 100
MAX_SEQ: Final = 2**53
SHORT: Final = 512
"""Characters of a message whose meaning is remembered for the next who says the same."""


class Malformed(Plain):
    """A message that says nothing we know; `code` is for programs."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Wants these topics: only these pairs, if given; what came after `since` of the session it knew."""

    topics: tuple[str, ...]
    pairs: frozenset[str] | None = None
    session: str | None = None
    since: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """No longer wants these topics."""

    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """Wants to know how long an answer takes."""


def encode(value: object) -> bytes:
    """A value as compact JSON, in ASCII.

    Raises:
        ValueError, TypeError: it cannot be said in JSON; NaN and infinities cannot.
    """
    return _encode(value).encode()


_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode  # `json.dumps` makes one each time


def hello(session: str) -> bytes:
    """The first message."""
    about = {"version": VERSION, "session": session, "topics": topics.NAMES, "heartbeat_s": int(HEARTBEAT)}
    return frames.text(encode({"type": "hello", **about}))


def snapshot(topic: str, seq: int, ts: float, items: Iterable[bytes]) -> bytes:
    """All that is known of a topic; `items` are encoded."""
    data = b",".join(items)
    return frames.text(b'{"type":"snapshot","topic":"%b","seq":%d,"ts":%.6f,"data":[%b]}' % (
        topic.encode(), seq, ts, data))  # fmt: skip


def update(topic: str, seq: int, prev: int, ts: float, items: Iterable[bytes]) -> bytes:
    """What is new in a topic; `items` are encoded."""
    data = b",".join(items)
    return frames.text(b'{"type":"update","topic":"%b","seq":%d,"prev":%d,"ts":%.6f,"data":[%b]}' % (
        topic.encode(), seq, prev, ts, data))  # fmt: skip


def gap(topic: str, first: int, last: int) -> bytes:
    """These numbers are lost for this client."""
    return frames.text(encode({"type": "gap", "topic": topic, "from": first, "to": last}))


def heartbeat(ts: float) -> bytes:
    """Still here."""
    return frames.text(b'{"type":"heartbeat","ts":%.6f}' % ts)


def pong(ts: float) -> bytes:
    """The answer to a ping."""
    return frames.text(b'{"type":"pong","ts":%.6f}' % ts)


def error(code: str, words: str) -> bytes:
    """A message was not understood."""
    return frames.text(encode({"type": "error", "code": code, "message": words}))


def parse(text: str) -> Subscribe | Unsubscribe | Ping:
    """What a client asks for.

    Raises:
        Malformed: it is nothing that we know.
    """
    return _known(text) if len(text) <= SHORT else _parse(text)


def _parse(text: str) -> Subscribe | Unsubscribe | Ping:
    match _object(text):
        case {"op": "subscribe", **rest}:
            _only(rest, "topics", "pairs", "session", "since")
            return Subscribe(_topics(rest), _pairs(rest), _session(rest), _since(rest))
        case {"op": "unsubscribe", **rest}:
            _only(rest, "topics")
            return Unsubscribe(_topics(rest))
        case {"op": "ping", **rest}:
            return Ping()
        case _:
            raise Malformed("unknown_op", "op must be subscribe, unsubscribe or ping")


_known: Final = lru_cache(64)(_parse)  # thousands who come back at once all want the same


def _no_number(_: str) -> float:
    raise ValueError


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


_DECODER: Final = json.JSONDecoder(parse_constant=_no_number, object_pairs_hook=_unique)


def _object(text: str) -> dict[str, Any]:
    try:
        found = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise Malformed("bad_json", "a message is one JSON object") from None
    if not isinstance(found, dict):
        raise Malformed("bad_json", "a message is one JSON object")
    return found


def _only(rest: Mapping[str, Any], *known: str) -> None:
    if not rest.keys() <= set(known):
        raise Malformed("bad_request", f"the known keys are op, {', '.join(known)}")


def _topics(rest: Mapping[str, Any]) -> tuple[str, ...]:
    found = rest.get("topics")
    if not isinstance(found, list) or not found:
        raise Malformed("bad_request", "topics must be a list of names, and not empty")
    if not all(isinstance(name, str) and name in topics.NAMES for name in found):
        raise Malformed("unknown_topic", f"the topics are {', '.join(topics.NAMES)}")
    return tuple(dict.fromkeys(found))


def _pairs(rest: Mapping[str, Any]) -> frozenset[str] | None:
    found = rest.get("pairs")
    if found is None:
        return None
    if not isinstance(found, list) or not found or len(found) > MAX_PAIRS:
        raise Malformed("bad_request", f"pairs must be a list of 1 to {MAX_PAIRS} pairs")
    if not all(isinstance(pair, str) and 0 < len(pair) <= 64 for pair in found):
        raise Malformed("bad_request", "a pair is a text of at most 64 characters, such as WETH/USDC")
    return frozenset(found)


def _session(rest: Mapping[str, Any]) -> str | None:
    found = rest.get("session")
    if found is not None and not isinstance(found, str):
        raise Malformed("bad_request", "session must be a text")
    return found


def _since(rest: Mapping[str, Any]) -> Mapping[str, int]:
    found = rest.get("since")
    if found is None:
        return {}
    if not isinstance(found, dict) or not found.keys() <= set(topics.NAMES):
        raise Malformed("bad_request", "since must map topics to numbers")
    if not all(type(seq) is int and 0 <= seq <= MAX_SEQ for seq in found.values()):
        raise Malformed("bad_request", "since must map topics to whole numbers that are not negative")
    return found
