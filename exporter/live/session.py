"""One client's connection: its frames in, ours out, and how long it may lag, idle, chatter or take to leave."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from exporter.live import frames, messages
from exporter.live.figures import Left
from exporter.live.frames import Code, Op, Parser, Violation
from exporter.live.messages import Malformed
from exporter.live.pace import Allowance

if TYPE_CHECKING:
    from exporter.live.groups import Place
    from exporter.live.hub import Hub

UNSENT: Final = 4 << 10
"""Bytes that the kernel may hold and not have sent: what waits there grows old. Whoever reads takes them at once."""
STALLED: Final = 1.3
"""Seconds without a byte taken after which a client is too slow."""
LAGGING: Final = 10.0
"""Seconds after which it is, however slowly it reads."""
FAREWELL: Final = 0.4
"""Seconds to leave in, once told to."""
IDLE: Final = 30.0
"""Seconds without a sign of life, although every heartbeat asks for one."""
MISTAKES: Final = 20
WITHIN: Final = 10.0
"""Malformed messages in so many seconds that end the connection."""
FRAMES_AT_ONCE: Final = 500
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # linger for no time: reset
FRAMES_PER_SECOND: Final = 100


class Session(asyncio.Protocol):
    """A WebSocket after its handshake; it reads no further while its client does not take what it was sent."""

    __slots__ = (
        "_allowance", "_closing", "_deaf", "_ended", "_fd", "_heard", "_hub", "_lagged", "_left", "_mistakes",
        "_on_end", "_parser", "_pending", "_stalled", "_transport", "lagging", "may_stay", "places",
    )  # fmt: skip

    def __init__(
        self, hub: Hub, transport: asyncio.Transport, may_stay: Callable[[], bool], on_end: Callable[[], None]
    ) -> None:
        now = time.monotonic()
        self.may_stay = may_stay
        self.places: dict[str, Place] = {}
        self.lagging = False
        self._fd = _plain_socket(transport)
        self._on_end = on_end
        self._hub, self._transport, self._parser = hub, transport, Parser()
        self._allowance = Allowance(FRAMES_AT_ONCE, FRAMES_PER_SECOND)
        self._mistakes: deque[float] = deque(maxlen=MISTAKES)
        self._left: Left | None = None
        self._closing = self._ended = self._deaf = False
        self._heard = self._lagged = self._stalled = now
        self._pending = 0

    def begin(self, answer: bytes) -> None:
        """Take the transport over from whoever shook hands, who keeps nothing of it; `answer` is the handshake's."""
        transport = self._transport
        sock = transport.get_extra_info("socket")
        if sock is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            with suppress(OSError):  # a socket that is not TCP
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        # It shall say at once when a client does not keep up; with TLS, 0 would mean always.
        transport.set_write_buffer_limits(high=0 if self._fd >= 0 else 1)
        transport.set_protocol(self)
        if not transport.is_reading():
            transport.resume_reading()
        self._hub.enter(self)
        self.write(answer + self._hub.hello)

    # --- what the transport tells ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        self._heard = time.monotonic()
        if not self._deaf:
            self._parser.feed(data)
        if not self.lagging:
            self._read()

    def pause_writing(self) -> None:
        """The client does not keep up: it stands aside until it has taken what waits, and is not read from."""
        self.lagging = True
        self._lagged = self._stalled = time.monotonic()
        self._pending = self._transport.get_write_buffer_size()
        for place in self.places.values():
            if self in place.group.ready:
                del place.group.ready[self]
                place.last = place.group.last
        self._transport.pause_reading()
        self._hub.watch(self)

    def resume_writing(self) -> None:
        """It has taken everything: give it what is new by now."""
        self.lagging = False
        if self._closing:
            self._transport.resume_reading()
            return
        for place in tuple(self.places.values()):
            if not self.lagging and self not in place.group.ready:
                self._hub.catch_up(self, place)
        if not self.lagging:
            self._transport.resume_reading()
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._ended = True
        self._hub.leave(self, self._left or (Left.CLIENT if exc is None else Left.RESET))
        self._on_end()

    def eof_received(self) -> bool:
        """The client sends no more: so it leaves, without having said so."""
        return False

    def write(self, data: bytes) -> None:
        """Send a frame: straight to the kernel, which costs half of what a transport does, as long as nothing waits.

        The descriptor is the transport's, and open until `connection_lost` has been called.
        """
        if self._fd < 0 or self.lagging:
            self._transport.write(data)
            return
        try:
            sent = os.write(self._fd, data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the transport will find out by itself that the connection is lost
        if sent < len(data):
            self._transport.write(memoryview(data)[sent:])  # a copy for each who lags would add up

    # --- what the client says --------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            for op, payload in self._parser.frames():
                self._take(op, payload)
                if self.lagging or self._ended:
                    return
        except Violation as violation:
            left = Left.TOO_BIG if violation.code is Code.TOO_BIG else Left.PROTOCOL
            self._deaf, self._parser = True, Parser()  # what follows makes no sense any more
            self.close(violation.code, left, str(violation))

    def _take(self, op: Op | None, payload: bytes) -> None:
        if op is Op.CLOSE:
            self._bid_farewell(payload)
        elif self._closing:
            return
        elif self._allowance.take(time.monotonic()):
            self.close(Code.POLICY, Left.POLICY, "too many messages")
        elif op is Op.PING:
            self.write(frames.frame(Op.PONG, payload))
        elif op is Op.TEXT:
            self._obey(frames.decoded(payload))
        elif op is Op.BINARY:
            self._mistake(Malformed("bad_json", "a message is text, not binary"))

    def _obey(self, text: str) -> None:
        try:
            wish = messages.parse(text)
        except Malformed as malformed:
            self._mistake(malformed)
            return
        match wish:
            case messages.Subscribe():
                self._hub.subscribe(self, wish)
            case messages.Unsubscribe():
                self._hub.unsubscribe(self, wish.topics)
            case messages.Ping():
                self.write(messages.pong(time.time()))

    def _mistake(self, malformed: Malformed) -> None:
        now, mistakes = time.monotonic(), self._mistakes
        mistakes.append(now)
        if len(mistakes) == MISTAKES and now - mistakes[0] <= WITHIN:
            self.close(Code.POLICY, Left.POLICY, "too many malformed messages")
        else:
            self.write(messages.error(malformed.code, str(malformed)))

    def _bid_farewell(self, payload: bytes) -> None:
        """The client closes, or answers our close."""
        if not self._closing:
            code = frames.close_code(payload)
            self.close(code, Left.CLIENT)
        # In the next turn: a selector transport that is closed while it says that it has sent all ends twice.
        asyncio.get_running_loop().call_soon(self._transport.close)

    # --- its time --------------------------------------------------------------------------------------------------

    def beat(self, beat: bytes, now: float) -> None:
        """A heartbeat, for whoever keeps up; who has not been heard of for too long has gone."""
        if self._closing or self._ended:
            return
        if now - self._heard > IDLE:
            self.close(Code.POLICY, Left.IDLE, "no sign of life")
        elif not self.lagging:
            self.write(beat)

    def look(self, now: float) -> bool:
        """Whether to look again soon: it lags or is leaving, and still has time."""
        if self._ended or not (self.lagging or self._closing):
            return False
        if self._closing:
            if now - self._stalled > FAREWELL:
                self.abort()
            return not self._ended
        pending = self._transport.get_write_buffer_size()
        if pending < self._pending:
            self._pending, self._stalled = pending, now
        if now - self._stalled > STALLED or now - self._lagged > LAGGING:
            self.close(Code.SLOW, Left.SLOW, "too slow")
        return True

    def close(self, code: int, left: Left, words: str = "") -> None:
        """Say why, and leave; a client that does not is cut off soon."""
        if self._closing or self._ended:
            return
        self._closing, self._left, self._stalled = True, left, time.monotonic()
        self._hub.unsubscribe(self, tuple(self.places))
        self.write(frames.close(code, words))
        self._hub.watch(self)

    def abort(self) -> None:
        """Cut the connection off; the kernel shall not go on to offer what nobody takes."""
        self._left = self._left or Left.SLOW
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            with suppress(OSError):  # it is closed already
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self._transport.abort()


def _plain_socket(transport: asyncio.Transport) -> int:
    """The descriptor of a connection without TLS; else -1."""
    sock = transport.get_extra_info("socket")
    return -1 if sock is None or transport.get_extra_info("ssl_object") is not None else int(sock.fileno())
