"""The listening socket: accepts in turns, with the TLS of the moment, and outlives a want of descriptors."""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final

from aiohttp import web

from exporter import log
from exporter.web.crowd import Crowd

AT_ONCE: Final = 8
"""Connections accepted in one turn of the loop at least, if so many wait."""
ACCEPTING: Final = 0.003
"""Seconds of a turn in which more are."""
RETURNING: Final = 0.008
"""Seconds of a turn while it is listeners who come: thousands may have come back at once."""
WAITING: Final = 4096
"""Connections that the kernel holds until their turn; it may allow fewer."""
HANDSHAKE: Final = 5.0
"""Seconds in which TLS must be agreed on."""
PAUSE: Final = 0.1
"""Seconds until the next try after the system had no descriptor or memory for a connection."""
QUIET: Final = 60.0
"""Seconds between two lines about that."""
_WANT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

logger = log.get("web")


class Arrival:
    """A connection that is not one yet: nothing has been heard of it, or TLS is being agreed on."""

    __slots__ = ("_others", "sock", "task")

    def __init__(self, sock: socket.socket, others: set[Arrival]) -> None:
        others.add(self)
        self._others, self.sock = others, sock
        self.task: asyncio.Task[None] | None = None

    def unsent(self) -> int:
        """Nothing waits for it."""
        return 0

    def abort(self) -> None:
        """Give it up."""
        if self.task is not None:
            self.task.cancel()
        else:
            asyncio.get_running_loop().remove_reader(self.sock.fileno())
            self.sock.close()
            self.over()

    def over(self) -> None:
        """It has become something else, or nothing."""
        self._others.discard(self)


class Gate(web.BaseSite):
    """Accepts connections; `context` may be replaced at any time and holds for whoever comes next.

    asyncio's own server logs a traceback for each connection that it has no descriptor for, and asks nobody
    whether there is room. `listener` may take a connection without TLS, with its client's address, for itself.
    """

    def __init__(
        self, runner: web.BaseRunner, sockets: list[socket.socket], crowd: Crowd, context: ssl.SSLContext | None,
        listener: Callable[[socket.socket, str], bool],
    ) -> None:  # fmt: skip
        super().__init__(runner)
        self.context = context
        self._sockets, self._crowd, self._listener = sockets, crowd, listener
        self._arrivals: set[Arrival] = set()
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        self._told = -QUIET

    @property
    def name(self) -> str:
        """As aiohttp's own sites have it."""
        return f"{'https' if self.context else 'http'}://{self._sockets[0].getsockname()[:2]}"

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """(host, port) of each socket."""
        return [listening.getsockname()[:2] for listening in self._sockets]

    async def start(self) -> None:
        """Listen from now on."""
        await super().start()
        for listening in self._sockets:
            listening.listen(WAITING)
            self._resume(listening)

    async def stop(self) -> None:
        """Listen no more; whoever is in stays."""
        loop = asyncio.get_running_loop()
        for pause in self._pauses.values():
            pause.cancel()
        for listening in self._sockets:
            loop.remove_reader(listening.fileno())
            listening.close()
        for arrival in list(self._arrivals):
            arrival.abort()
        self._runner._unreg_site(self)

    def _resume(self, listening: socket.socket) -> None:
        self._pauses.pop(listening, None)
        asyncio.get_running_loop().add_reader(listening.fileno(), self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        exchanged, begun, seconds = 0, monotonic(), ACCEPTING
        for number in itertools.count():
            if number >= AT_ONCE and monotonic() - begun > seconds:
                return
            full = self._crowd.full
            if full and self._crowd.turns.waiting:
                return  # soon they have their answers, and some of them can go
            if full and (grace := self._crowd.grace):
                self._pause(listening, grace)
                return
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._want(listening, error)
                return
            accepted.setblocking(False)
            if self.context is None and self._listener(accepted, address[0]):
                seconds = RETURNING
                continue
            seconds = ACCEPTING
            if full and not self._crowd.make_room():
                accepted.close()
                continue
            self._receive(Arrival(accepted, self._arrivals), address[0])
            exchanged += full
            if exchanged and exchanged >= self._crowd.exchanges:
                return  # who left is really gone in the next turn only

    def _want(self, listening: socket.socket, error: OSError) -> None:
        """The system has nothing left for a connection: somebody has to go, and we try again soon."""
        loop = asyncio.get_running_loop()
        if error.errno in _WANT:
            self._crowd.make_room()
        if loop.time() - self._told >= QUIET:
            self._told = loop.time()
            logger.warning("a connection cannot be accepted now", error=log.describe(error))
        self._pause(listening, PAUSE)

    def _pause(self, listening: socket.socket, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening.fileno())
        self._pauses[listening] = loop.call_later(seconds, self._resume, listening)

    def _receive(self, arrival: Arrival, address: str) -> None:
        self._crowd.wait(arrival)
        if self.context is None:
            asyncio.get_running_loop().add_reader(arrival.sock.fileno(), self._hear, arrival, address)
        else:
            self._greet(arrival)

    def _hear(self, arrival: Arrival, address: str) -> None:
        """It says something: a listener is one at once, everything else is for the HTTP server."""
        if self._listener(arrival.sock, address):  # whose own reader has taken this one's place
            self._crowd.leave(arrival)
            arrival.over()
        else:
            asyncio.get_running_loop().remove_reader(arrival.sock.fileno())
            self._greet(arrival)

    def _greet(self, arrival: Arrival) -> None:
        # Eager, for a task that is cancelled before it has begun would never close the socket.
        loop = asyncio.get_running_loop()
        arrival.task = asyncio.Task(self._let_in(arrival), loop=loop, eager_start=True)

    async def _let_in(self, arrival: Arrival) -> None:
        loop, server = asyncio.get_running_loop(), self._runner.server
        patience = HANDSHAKE if self.context else None
        try:
            if server is None:
                arrival.sock.close()
                return
            with suppress(OSError):  # no TLS, or gone
                await loop.connect_accepted_socket(
                    server, arrival.sock, ssl=self.context, ssl_handshake_timeout=patience,
                    ssl_shutdown_timeout=1.0 if self.context else None,
                )  # fmt: skip
        finally:
            self._crowd.leave(arrival)
            arrival.over()


def bound(host: str, port: int) -> list[socket.socket]:
    """Sockets bound to all addresses of a host.

    Raises:
        OSError: one of them cannot be had.
    """
    made: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            made.append(_bound(family, kind, protocol, address))
    except OSError:
        for one in made:
            one.close()
        raise
    return made


def _bound(family: int, kind: int, protocol: int, address: object) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)
        made.bind(address)  # type: ignore[arg-type]  # what getaddrinfo says
    except OSError:
        made.close()
        raise
    return made
