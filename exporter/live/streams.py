"""What a topic remembers, and what of it is new to a listener: the newest value per key, or the last events."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

from exporter.live import messages
from exporter.live.parts import Key, Memo, Opening, Pairs, Part, wants
from exporter.live.topics import Topic

RING_MESSAGES: Final = 1_000
RING_BYTES: Final = 512 << 10
SHOWN_EVENTS: Final = 100
"""How many of the last events a snapshot shows."""
LARGEST: Final = 32 << 10
"""Bytes of events after which a message takes no more."""
FORGET_AFTER: Final = 60.0
"""Seconds after which no listener can have missed that a key is gone: one that lags so long has been cut off."""
PIECE: Final = 64 << 10
"""Bytes of a replay that are sent in one go: all that a listener who does not take them can cost."""


class Stream(Protocol):
    """A topic's memory. Numbers count its messages, from 1."""

    topic: Topic
    seq: int

    def put(self, key: Key, value: Mapping[str, Any] | None) -> None:
        """Take a value; it is shown at the next `commit`."""

    def commit(self, now: float) -> list[dict[str, Any]]:
        """Number what was put, or as much of it as one message holds; its items, if any. Times are epoch seconds."""

    def base(self, wanted: Pairs) -> int:
        """Where new listeners with these wishes stand."""

    def opening(self, opening: Opening, wanted: Pairs, last: int) -> Part:
        """What a new listener gets before anything else; `last` is where the others with its wishes stand."""

    def since(self, last: int, wanted: Pairs) -> Part:
        """What is new to a listener that has everything up to `last`, or the first piece of it."""


@dataclass(slots=True)
class _Value:
    seq: int
    pair: str | None
    item: dict[str, Any]
    text: bytes
    gone_at: float | None = None


class State:
    """The newest value per key, in the order of their changes."""

    def __init__(self, topic: Topic) -> None:
        self.topic, self.seq = topic, 0
        self._values: dict[Key, _Value] = {}
        self._put: dict[Key, _Value] = {}
        self._gone = 0
        self._at = time.time()
        self._memo = Memo()

    def put(self, key: Key, value: Mapping[str, Any] | None) -> None:
        if len(key) != len(self.topic.key):
            raise ValueError(f"{self.topic.name}: a key has {len(self.topic.key)} parts")
        if value is not None:
            item = dict(value)
            self._put[key] = _Value(0, item.get("pair"), item, messages.encode(item))
        elif (known := self._put.get(key) or self._values.get(key)) and known.gone_at is None:
            item = dict(zip(self.topic.key, key, strict=True)) | {"gone": True}
            self._put[key] = _Value(0, known.pair, item, messages.encode(item), time.time())

    def commit(self, now: float) -> list[dict[str, Any]]:
        if not self._put:
            return []
        self.seq, self._at = self.seq + 1, now
        for key, value in self._put.items():
            value.seq = self.seq
            self._values.pop(key, None)  # so that it goes to the end
            self._values[key] = value
            self._gone += value.gone_at is not None
        items = [value.item for value in self._put.values()]
        self._put.clear()
        self._memo.clear()
        if self._gone:
            self._forget(now)
        return items

    def items(self) -> list[dict[str, Any]]:
        """The newest value of every key that is there."""
        return [value.item for value in self._values.values() if value.gone_at is None]

    def held(self) -> list[Key]:
        """Every key that is there."""
        return [key for key, value in self._values.items() if value.gone_at is None]

    def _forget(self, now: float) -> None:
        old = [k for k, v in self._values.items() if v.gone_at is not None and now - v.gone_at > FORGET_AFTER]
        for key in old:
            del self._values[key]
        self._gone = sum(value.gone_at is not None for value in self._values.values())

    def base(self, wanted: Pairs) -> int:
        return self.seq

    def opening(self, opening: Opening, wanted: Pairs, last: int) -> Part:
        key = ("opening", wanted, last)
        if (made := self._memo.get(key)) is not None:
            return made
        texts = (v.text for v in self._values.values() if v.gone_at is None and wants(wanted, v.pair))
        return self._memo.keep(key, Part(messages.snapshot(self.topic.name, last, self._at, texts), 1, last))

    def since(self, last: int, wanted: Pairs) -> Part:
        key = (last, wanted)
        if (made := self._memo.get(key)) is not None:
            return made
        news = [value for value in self._after(last) if wants(wanted, value.pair)]
        if not news:
            return self._memo.keep(key, Part(b"", 0, last))
        frame = messages.update(self.topic.name, news[0].seq, last, self._at, (v.text for v in reversed(news)))
        return self._memo.keep(key, Part(frame, 1, news[0].seq))

    def _after(self, last: int) -> Iterator[_Value]:
        """What changed after a number, the newest first."""
        for value in reversed(self._values.values()):
            if value.seq <= last:
                return
            yield value


@dataclass(frozen=True, slots=True)
class _Message:
    """One numbered message of events, and its frame for those who want everything."""

    seq: int
    at: float
    items: tuple[tuple[str | None, bytes], ...]
    frame: bytes

    def texts(self, wanted: Pairs) -> list[bytes]:
        return [text for pair, text in self.items if wants(wanted, pair)]


class Events:
    """The last messages of events in a ring that is bounded in number and bytes."""

    def __init__(self, topic: Topic) -> None:
        self.topic, self.seq = topic, 0
        self._ring: deque[_Message] = deque()
        self._bytes = 0
        self._put: deque[tuple[str | None, bytes, dict[str, Any]]] = deque()
        self._at = time.time()
        self._memo = Memo()

    def put(self, key: Key, value: Mapping[str, Any] | None) -> None:
        item = dict(value or {})
        self._put.append((item.get("pair"), messages.encode(item), item))

    def commit(self, now: float) -> list[dict[str, Any]]:
        if not self._put:
            return []
        taken, size = [], 0
        while self._put and size < LARGEST:
            taken.append(self._put.popleft())
            size += len(taken[-1][1])
        self._append(tuple((pair, text) for pair, text, _ in taken), now)
        return [item for _, _, item in taken]

    def take(self, seq: int, at: float, items: list[dict[str, Any]]) -> bool:
        """Take a message that has its number already; False for one that is here.

        Where numbers are missing what came before is forgotten, so that listeners are told of the gap.
        """
        if seq <= self.seq:
            return False
        if seq > self.seq + 1:
            self._ring.clear()
            self._bytes, self.seq = 0, seq - 1
        self._append(tuple((item.get("pair"), messages.encode(item)) for item in items), at)
        return True

    def _append(self, items: tuple[tuple[str | None, bytes], ...], now: float) -> None:
        self.seq, self._at = self.seq + 1, now
        frame = messages.update(self.topic.name, self.seq, self.seq - 1, now, (text for _, text in items))
        self._ring.append(_Message(self.seq, now, items, frame))
        self._bytes += len(frame)
        while len(self._ring) > RING_MESSAGES or (self._bytes > RING_BYTES and len(self._ring) > 1):
            self._bytes -= len(self._ring.popleft().frame)
        self._memo.clear()

    def base(self, wanted: Pairs) -> int:
        if wanted is not None:
            for message in reversed(self._ring):
                if message.texts(wanted):
                    return message.seq
            return self.seq - len(self._ring)
        return self.seq

    def opening(self, opening: Opening, wanted: Pairs, last: int) -> Part:
        key = (opening, wanted, last)
        if (made := self._memo.get(key)) is not None:
            return made
        since = opening.since
        if since is None or opening.foreign or since > self.seq:
            part = self._present(wanted, last)
            if since is not None:  # its numbers mean nothing here: whatever came before the snapshot may be lost
                part = Part(part.frames + messages.gap(self.topic.name, 0, self.seq), 2, last)
        else:
            begin = since if self.since(since, wanted).count else last
            part = Part(messages.snapshot(self.topic.name, begin, self._at, ()), 1, begin)
        return self._memo.keep(key, part)

    def _present(self, wanted: Pairs, last: int) -> Part:
        shown: deque[bytes] = deque()
        for message in reversed(self._ring):
            shown.extendleft(reversed(message.texts(wanted)))
            if len(shown) >= SHOWN_EVENTS:
                break
        latest = islice(shown, max(0, len(shown) - SHOWN_EVENTS), None)
        return Part(messages.snapshot(self.topic.name, last, self._at, latest), 1, last)

    def since(self, last: int, wanted: Pairs) -> Part:
        key = (last, wanted)
        if (made := self._memo.get(key)) is not None:
            return made
        made = self._replay(last, wanted)
        return self._memo.keep(key, made)

    def _replay(self, last: int, wanted: Pairs) -> Part:
        found: list[bytes] = []
        size = 0
        oldest = self.seq - len(self._ring) + 1
        if last < oldest - 1:
            found.append(messages.gap(self.topic.name, last + 1, oldest - 1))
            last = oldest - 1
        for message in self._after(last):
            if wanted is None:
                found.append(message.frame)
            elif texts := message.texts(wanted):
                found.append(messages.update(self.topic.name, message.seq, last, message.at, texts))
            else:
                continue
            last, size = message.seq, size + len(found[-1])
            if size >= PIECE:
                break
        return Part(b"".join(found), len(found), last)

    def _after(self, last: int) -> list[_Message]:
        """The messages after a number, in order."""
        count = min(self.seq - last, len(self._ring))
        return list(islice(reversed(self._ring), count))[::-1]


def open_stream(topic: Topic) -> State | Events:
    """The memory that fits a topic."""
    return Events(topic) if topic.events else State(topic)
