"""The best WebSocket connection there is: endpoints in order of preference, silence noticed, failures left alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final

import aiohttp

from exporter import log
from exporter.config import Chain, Endpoint
from exporter.sources import endpoint, subscription
from exporter.sources.endpoint import Failed
from exporter.sources.genesis import Genesis
from exporter.sources.subscription import Message, Subscription

RETRY_FIRST, RETRY_LAST = 0.5, 30.0
STEADY: Final = 60.0
"""Seconds a connection must last before earlier failures are forgiven."""
RETURN_EVERY: Final = 60.0
"""Seconds between two trials of an endpoint that is preferred to the one in use."""
SHORTEST_PATIENCE: Final = 5.0
INTERVALS: Final = 3

logger = log.get("feed")


class Line:
    """One endpoint's WebSocket: its health, and when it may be tried again. Its URL is never shown."""

    def __init__(self, settings: Endpoint) -> None:
        self.name, self.url = settings.name, settings.websocket_url
        self.up = False
        self.reason = ""
        self.due = 0.0
        self._wait = RETRY_FIRST
        self._since = 0.0

    def delivers(self) -> None:
        """Heads arrive, and they are new."""
        if not self.up:
            self.up, self.reason, self._since = True, "", time.monotonic()
            logger.info("heads arrive by WebSocket", endpoint=self.name)

    def failed(self, reason: str, wait: float = 0.0) -> None:
        """Leave it alone for a while, longer each time, or as long as it asked for."""
        now = time.monotonic()
        if self.up and now - self._since > STEADY:
            self._wait = RETRY_FIRST
        if self.up or reason != self.reason:
            logger.warning("WebSocket fails", endpoint=self.name, reason=reason)
        self.up, self.reason = False, reason
        self.due = now + max(self._wait, wait)
        self._wait = min(self._wait * 2, RETRY_LAST)


class Feed:
    """Runs one connection at a time and hands over what arrives; `take` says whether a head is as new as it should be.

    A connection that delivers no such head within three block intervals (`interval`, in seconds), or five seconds,
    is replaced: half-open sockets, subscriptions without events and nodes far behind all look like that.
    """

    def __init__(
        self,
        chain: Chain,
        take: Callable[[Message], bool],
        interval: Callable[[], float | None],
        genesis: Genesis | None = None,
    ) -> None:
        self.lines = [Line(e) for e in chain.endpoints if e.websocket_url]
        self._secure = chain.secure
        self._chain_id, self._addresses = chain.chain_id, [pool.address for pool in chain.pools]
        self._take, self._interval, self._genesis = take, interval, genesis
        self._subscription: Subscription | None = None
        self._left: asyncio.Event = asyncio.Event()

    @property
    def active(self) -> Line | None:
        """The line that heads arrive by."""
        return next((line for line in self.lines if line.up), None)

    @property
    def preconfirmations(self) -> bool:
        """Whether pre-confirmed logs arrive."""
        return self.active is not None and self._subscription is not None and self._subscription.preconfirmations.active

    async def run(self) -> None:
        """Keep one connection open, for ever."""
        async with endpoint.session(subscription.refuse_redirects, secure=self._secure) as connections:
            while True:
                line = next((line for line in self.lines if time.monotonic() >= line.due), None)
                if line is None:
                    await asyncio.sleep(min(line.due for line in self.lines) - time.monotonic())
                else:
                    await self._use(line, connections)

    async def _use(self, line: Line, connections: aiohttp.ClientSession) -> None:
        """Follow a line until it fails, or one that is preferred works again."""
        preferred = self.lines[: self.lines.index(line)]
        following = asyncio.create_task(self._follow(line, connections))
        trying = asyncio.create_task(self._try(preferred, connections))
        try:
            await asyncio.wait((following, trying), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (following, trying):
                task.cancel()
            await asyncio.gather(following, trying, return_exceptions=True)
            line.up = False

    async def _try(self, preferred: Sequence[Line], connections: aiohttp.ClientSession) -> None:
        """Return once one of these delivers a head."""
        while True:
            await asyncio.sleep(RETURN_EVERY)
            for line in preferred:
                if time.monotonic() >= line.due and await self._proves_well(line, connections):
                    return

    async def _proves_well(self, line: Line, connections: aiohttp.ClientSession) -> bool:
        with suppress(Failed, TimeoutError):
            async with self._watched(line, connections) as (messages, _, _):
                async for message in messages:
                    if self._take(message):
                        return True
        return False

    async def _follow(self, line: Line, connections: aiohttp.ClientSession) -> None:
        try:
            async with self._watched(line, connections) as (messages, watchdog, self._subscription):
                async for message in messages:
                    if self._take(message):
                        watchdog.reschedule(asyncio.get_running_loop().time() + self._patience())
                        line.delivers()
        except TimeoutError:
            line.failed("delivers no heads")
        except Failed as error:
            line.failed(str(error), error.wait)
        except Exception as error:
            line.failed("cannot be followed")
            logger.error("a WebSocket cannot be followed", error=error)

    @asynccontextmanager
    async def _watched(
        self, line: Line, connections: aiohttp.ClientSession
    ) -> AsyncGenerator[tuple[AsyncGenerator[Message], asyncio.Timeout, Subscription]]:
        async with asyncio.timeout(self._patience()) as watchdog:
            async with subscription.connect(connections, line.url) as socket:
                made = Subscription(socket, self._chain_id, self._addresses, self._interval, self._genesis)
                async with aclosing(made.messages()) as messages:
                    yield messages, watchdog, made

    def _patience(self) -> float:
        return max(SHORTEST_PATIENCE, INTERVALS * (self._interval() or 0.0))
