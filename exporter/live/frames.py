"""WebSocket frames (RFC 6455): a server's are made, a client's taken apart, strictly and without extensions."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from exporter.log import Plain

MAX_MESSAGE: Final = 4096
"""Bytes of a client's message; what it has to say takes a few hundred."""


class Op(IntEnum):
    """Opcodes."""

    MORE = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class Code(IntEnum):
    """Close codes that this server sends."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL = 1002
    NOT_UTF8 = 1007
    POLICY = 1008
    TOO_BIG = 1009
    SLOW = 1013
    SESSION_ENDED = 4401


class Violation(Plain):
    """What a client sent ends the connection, with this close code."""

    def __init__(self, code: Code, words: str) -> None:
        super().__init__(words)
        self.code = code


def frame(op: Op, payload: bytes) -> bytes:
    """A whole frame of a server: final, unmasked."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | op, size)) + payload
    if size < 1 << 16:
        return bytes((0x80 | op, 126)) + size.to_bytes(2) + payload
    return bytes((0x80 | op, 127)) + size.to_bytes(8) + payload


def text(payload: bytes) -> bytes:
    """The frame of a text message."""
    return frame(Op.TEXT, payload)


def close(code: int, words: str = "") -> bytes:
    """A close frame."""
    return frame(Op.CLOSE, code.to_bytes(2) + words.encode()[:123])


def close_code(payload: bytes) -> int:
    """The code of a client's close frame.

    Raises:
        Violation: it is none that may be sent, or its words are no UTF-8.
    """
    if not payload:
        return Code.NORMAL
    code = int.from_bytes(payload[:2])
    if len(payload) == 1 or not (code in _SENDABLE or 3000 <= code <= 4999):
        raise Violation(Code.PROTOCOL, "a close frame with a code that may not be sent")
    decoded(payload[2:])
    return code


_SENDABLE: Final = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}


def decoded(payload: bytes) -> str:
    """The text of a payload.

    Raises:
        Violation: it is no UTF-8.
    """
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        raise Violation(Code.NOT_UTF8, "a text that is not UTF-8") from None


class Parser:
    """Takes a client's bytes as they come and gives whole messages and control frames; never holds more than one."""

    __slots__ = ("_buffer", "_most", "_op", "_parts", "_size")

    def __init__(self, most: int = MAX_MESSAGE) -> None:
        self._most = most  # bytes of a message
        self._buffer = bytearray()  # what is taken off its front costs nothing
        self._op: Op | None = None  # of the message whose fragments are being collected
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Take more bytes; `frames` gives what they hold."""
        self._buffer += data

    def frames(self) -> Iterator[tuple[Op | None, bytes]]:
        """One item per frame: whole messages and control frames; None for a fragment that does not end its message.

        Raises:
            Violation: the client broke the protocol, or its message is too big.
        """
        while (taken := self._take()) is not None:
            yield self._whole(*taken)

    def _take(self) -> tuple[bool, Op, bytes] | None:
        """The next frame, unmasked, as soon as all of it is there."""
        data = self._buffer
        if len(data) < 2:
            return None
        final, op, size = self._checked(data[0], data[1])
        start = 2
        if size == 126:
            if len(data) < 4:
                return None
            size, start = int.from_bytes(data[2:4]), 4
        elif size == 127:
            if len(data) < 10:
                return None
            size, start = int.from_bytes(data[2:10]), 10
        if self._size + size > self._most:
            raise Violation(Code.TOO_BIG, "a message of more than 4 KiB")
        end = start + 4 + size
        if len(data) < end:
            return None
        payload = _unmasked(data[start + 4 : end], bytes(data[start : start + 4]))
        del data[:end]
        return final, op, payload

    def _checked(self, first: int, second: int) -> tuple[bool, Op, int]:
        op, size, final = first & 0x0F, second & 0x7F, first >= 0x80
        if first & 0x70:
            raise Violation(Code.PROTOCOL, "reserved bits are set, and no extension was agreed on")
        if op not in _KNOWN:
            raise Violation(Code.PROTOCOL, "an unknown opcode")
        if second < 0x80:
            raise Violation(Code.PROTOCOL, "a frame that is not masked")
        if op >= Op.CLOSE and (size > 125 or not final):
            raise Violation(Code.PROTOCOL, "a control frame that is fragmented or too long")
        if op < Op.CLOSE and (op == Op.MORE) != (self._op is not None):
            raise Violation(Code.PROTOCOL, "fragments out of order")
        return final, Op(op), size

    def _whole(self, final: bool, op: Op, payload: bytes) -> tuple[Op | None, bytes]:
        if op >= Op.CLOSE:
            return op, payload
        if final and self._op is None:
            return op, payload
        if self._op is None:
            self._op = op
        self._parts.append(payload)
        self._size += len(payload)
        if not final:
            return None, b""
        whole, op = b"".join(self._parts), self._op
        self._op, self._parts, self._size = None, [], 0
        return op, whole


_KNOWN: Final = frozenset(Op)


def _unmasked(payload: bytearray, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)
