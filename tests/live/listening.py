"""A client that believes nothing: it takes a server's bytes apart and checks what every message promises."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from exporter.live.topics import ALL

TOPICS = {topic.name: topic for topic in ALL}


def unframed(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole frames of a server, and what is left."""
    found = []
    while len(data) >= 2:
        size, start = data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start])
        if len(data) < start + size:
            break
        assert data[0] & 0x80, "a server's frames are whole"
        found.append((data[0] & 0x0F, data[start : start + size]))
        data = data[start + size :]
    return found, data


class Listener:
    """What a client knows after all it was told; it fails as soon as two messages contradict each other."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.controls: list[tuple[int, bytes]] = []
        self.last: dict[str, int] = {}
        self.known: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
        self.begun: dict[str, int] = {}
        self.shown: dict[str, list[dict[str, Any]]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.gaps: dict[str, list[tuple[int, int]]] = {}
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Bytes of the server, after the handshake."""
        found, self._rest = unframed(self._rest + data)
        for op, payload in found:
            if op == 1:
                self.hear(json.loads(payload))
            else:
                self.controls.append((op, payload))

    def hear(self, message: dict[str, Any]) -> None:
        """One message."""
        self.messages.append(message)
        kind, topic = message["type"], message.get("topic", "")
        if kind == "snapshot":
            self._begin(topic, message)
        elif kind == "update":
            self._go_on(topic, message)
        elif kind == "gap":
            assert topic in self.last, "a gap before any snapshot"
            self.gaps[topic].append((message["from"], message["to"]))
            if message["from"] > 0:  # within this session
                assert message["from"] == self.last[topic] + 1
                assert message["to"] >= message["from"]
                self.last[topic] = message["to"]

    def forget(self, topic: str) -> None:
        """No longer subscribed."""
        del self.last[topic]

    def _begin(self, topic: str, message: dict[str, Any]) -> None:
        self.last[topic] = self.begun[topic] = message["seq"]
        if TOPICS[topic].events:
            self.shown[topic], self.events[topic], self.gaps[topic] = message["data"], [], []
        else:
            self.known[topic] = {self._key(topic, item): item for item in message["data"]}
            assert len(self.known[topic]) == len(message["data"])
            assert not any("gone" in item for item in message["data"])

    def _go_on(self, topic: str, message: dict[str, Any]) -> None:
        assert topic in self.last, "an update before any snapshot"
        if self.gaps.get(topic):  # the number before it may be one that was lost
            assert message["prev"] <= self.last[topic]
        else:
            assert message["prev"] == self.last[topic], message
        assert message["seq"] > self.last[topic]
        assert message["data"]
        self.last[topic] = message["seq"]
        if TOPICS[topic].events:
            self.events[topic] += message["data"]
            return
        for item in message["data"]:
            key = self._key(topic, item)
            if item.get("gone"):
                assert set(item) == {*TOPICS[topic].key, "gone"}
                self.known[topic].pop(key, None)
            else:
                self.known[topic][key] = item

    @staticmethod
    def _key(topic: str, item: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(item[name] for name in TOPICS[topic].key)


class Wire(asyncio.Transport):
    """A transport whose other end takes everything, or nothing until it is told to."""

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self.listener = listener
        self.flows, self.waiting, self.reading = True, b"", True
        self.closed = self.aborted = False
        self.protocol: Any = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high in (0, 1)

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:  # type: ignore[override]
        if self.flows:
            assert not self.waiting
            self.listener.feed(data)
            return
        paused, self.waiting = bool(self.waiting), self.waiting + data
        if not paused:
            self.protocol.pause_writing()

    def stall(self) -> None:
        """The other end takes nothing any more."""
        self.flows = False

    def flow(self) -> None:
        """The other end takes everything again."""
        self.flows = True
        waiting, self.waiting = self.waiting, b""
        if waiting:
            self.listener.feed(waiting)
            self.protocol.resume_writing()

    def close(self) -> None:
        self._end()

    def abort(self) -> None:
        self.aborted = True
        self._end()

    def _end(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)
