"""A plain socket as a session's transport: no task, no future and no copy until its client does not keep up."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from contextlib import suppress
from typing import Any, Final

AT_ONCE: Final = 8 << 10
"""Bytes read in one turn; a client has little to say, and asyncio's own 256 KiB are costly to make each time."""


class Wire(asyncio.Transport):
    """What a session needs of a transport; whatever waits to be written pauses its writer."""

    __slots__ = ("_closing", "_fd", "_loop", "_over", "_protocol", "_reading", "_sock", "_waiting")

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._sock, self._fd = sock, sock.fileno()
        self._protocol: asyncio.Protocol | None = None
        self._waiting = deque[memoryview]()
        self._reading = self._closing = self._over = False
        with suppress(OSError):  # a socket that is not TCP, or gone
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket; nothing else is known."""
        return self._sock if name == "socket" else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who hears from here on."""
        assert isinstance(protocol, asyncio.Protocol)  # noqa: S101
        self._protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It always says at once that something waits, and that nothing does any more."""

    # --- reading ---------------------------------------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Whether what comes is heard."""
        return self._reading

    def resume_reading(self) -> None:
        """Hear what comes."""
        if not self._reading and not self._closing:
            self._reading = True
            self._loop.add_reader(self._fd, self._read)

    def pause_reading(self) -> None:
        """Hear nothing for now."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def _read(self) -> None:
        try:
            data = self._sock.recv(AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self._listener.data_received(data)
        elif not self._listener.eof_received():
            self.close()
        else:
            self.pause_reading()

    # --- writing ---------------------------------------------------------------------------------------------------

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken."""
        return sum(map(len, self._waiting))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send this, as soon as the kernel takes it."""
        if self._over or not data:
            return
        self._waiting.append(memoryview(data))
        if len(self._waiting) == 1 and self._sent() and self._waiting:
            self._loop.add_writer(self._fd, self._go_on)
            self._listener.pause_writing()

    def _sent(self) -> bool:
        """Let the kernel take what it likes; False: the connection is lost."""
        waiting = self._waiting
        try:
            while waiting:
                sent = self._sock.send(waiting[0])
                if sent < len(waiting[0]):
                    waiting[0] = waiting[0][sent:]
                    break
                waiting.popleft()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._end(error)
            return False
        return True

    def _go_on(self) -> None:
        if self._sent() and not self._waiting:
            self._loop.remove_writer(self._fd)
            self._listener.resume_writing()
            if self._closing and not self._waiting:
                self._finish(None)

    # --- the end ---------------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether it is over, or will be when all is sent."""
        return self._closing

    def close(self) -> None:
        """End it when all is sent."""
        if not self._closing:
            self.pause_reading()
            self._closing = True
            if not self._waiting:
                self._finish(None)

    def abort(self) -> None:
        """End it at once."""
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        self.pause_reading()
        self._closing = True
        if self._waiting:
            self._waiting.clear()
            self._loop.remove_writer(self._fd)
        self._finish(error)

    def _finish(self, error: Exception | None) -> None:
        if not self._over:
            self._over = True
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        try:
            self._listener.connection_lost(error)
        finally:
            self._sock.close()

    @property
    def _listener(self) -> asyncio.Protocol:
        assert self._protocol is not None  # noqa: S101  nothing is heard or written before somebody listens
        return self._protocol
