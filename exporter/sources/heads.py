"""The head of the chain, followed by WebSocket where there is one, and always by asking; and logs as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final, Self

from exporter import log
from exporter.config import Chain
from exporter.log import Plain
from exporter.sources.blocks import Header
from exporter.sources.canonical import Canonical
from exporter.sources.feed import Feed
from exporter.sources.genesis import Genesis
from exporter.sources.mailbox import Mailbox, Seen
from exporter.sources.rpc import Rpc
from exporter.sources.subscription import Log, Message, Opened

POLL_SHORTEST, POLL_LONGEST = 0.2, 1.0
"""Seconds between two looks: the block interval kept between these, and the longest while heads come by themselves."""
BREATH: Final = 0.02
"""Seconds between two looks however much there is to look at."""
FAR_SECONDS, FAR_INTERVALS = 10.0, 5
"""A connection whose heads are further behind than the larger of these is as good as silent."""

logger = log.get("heads")


class Unknown(Plain):
    """No head is known yet."""


class Heads:
    """Follows the head in the background; use as an async context manager, with an open `Rpc`.

    `version` grows with every change of `newest` or `finalized`; `error` is what the last look failed with, if it did.
    """

    def __init__(self, rpc: Rpc, chain: Chain, genesis: Genesis | None = None) -> None:
        self.version = 0
        self.error: Exception | None = Unknown("no head is known yet")
        self.feed = Feed(chain, self._take, lambda: self.interval_seconds, genesis)
        self._rpc, self._chain = rpc, Canonical(rpc, chain.finality)
        self._shown: tuple[Header | None, Header | None, bool] = (None, None, False)
        self._changed, self._hint = asyncio.Event(), asyncio.Event()
        self._mailboxes: list[Mailbox] = []
        self._seen = Seen()
        self._pushed = ""
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._poll(), name="heads")]
        if self.feed.lines:
            self._tasks.append(asyncio.create_task(self.feed.run(), name="feed"))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def carry_on(self, other: Heads) -> None:
        """Go on counting where another left off: after a reload of the settings nothing falls."""
        self._chain.carry_on(other._chain)

    @property
    def newest(self) -> Header | None:
        """The newest canonical header known; it falls only when the chain itself does."""
        return self._chain.window.newest

    @property
    def finalized(self) -> Header | None:
        """The newest final header by the configured finality; its number never falls."""
        return self._chain.finality.newest

    @property
    def finality_violated(self) -> bool:
        """Whether the chain contradicts a block that was final; heals when the old chain is back."""
        return self._chain.finality.violated

    @property
    def interval_seconds(self) -> float | None:
        """Mean time between blocks, measured; None until there is enough to measure."""
        return self._chain.cadence.seconds

    @property
    def reorgs(self) -> int:
        """How often blocks that were the chain's have been taken back, replaced or not."""
        return self._chain.reorgs

    @property
    def fallbacks(self) -> int:
        """How many of these left the head lower, with nothing in place of what was taken back."""
        return self._chain.fallbacks

    @property
    def last_reorg_depth(self) -> int | None:
        """How many blocks the last of them took back; None before the first."""
        return self._chain.last_reorg_depth

    @property
    def by_websocket(self) -> bool:
        """Whether heads come by themselves; else they are only asked for."""
        return self.feed.active is not None

    @property
    def preconfirmations_active(self) -> bool:
        """Whether logs arrive before they are in a block."""
        return self.feed.preconfirmations

    def header(self, number: int) -> Header | None:
        """The canonical header of a height, if it is among the last thousand."""
        return self._chain.window.get(number)

    async def changed(self, version: int) -> int:
        """The present version, as soon as it is another than this one."""
        while self.version == version:
            await self._changed.wait()
        return self.version

    async def logs(self) -> AsyncGenerator[list[dict[str, Any]]]:
        """Logs of the configured pools as nodes write them, as they come by WebSocket, each once.

        The address is in lower case; `removed` logs come too, and those that are promised only have
        `preconfirmed: True`. An empty list, which always comes first, means: read everything anew, for
        logs may have been missed. A reader that is slow gets that too; nobody waits for it.
        """
        mailbox = Mailbox()
        self._mailboxes.append(mailbox)
        try:
            async for batch in mailbox.batches():
                yield batch
        finally:
            self._mailboxes.remove(mailbox)

    async def _poll(self) -> None:
        while True:
            try:
                await self._look()
                self.error = None
            except Exception as error:
                if not isinstance(error, Plain):
                    logger.error("the head cannot be followed", error=error)
                self.error = error
            await self._rest()

    async def _look(self) -> None:
        self._hint.clear()
        try:
            await self._chain.look()
        finally:
            self._tell()
        await self._chain.deepen()
        self._rpc.interval_seconds = self.interval_seconds

    async def _rest(self) -> None:
        """Wait for the next look's time, or for a head that is no simple successor."""
        await asyncio.sleep(BREATH)
        rhythm = POLL_LONGEST if self.by_websocket else self.interval_seconds or POLL_LONGEST / 2
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(rhythm, POLL_SHORTEST), POLL_LONGEST) - BREATH):
                await self._hint.wait()

    def _tell(self) -> None:
        state = self.newest, self.finalized, self.finality_violated
        if state != self._shown:
            self._shown = state
            self.version += 1
            self._changed.set()
            self._changed = asyncio.Event()

    def _take(self, message: Message) -> bool:
        """What came by WebSocket; whether it is a head as new as it should be."""
        if isinstance(message, Header):
            return self._take_head(message)
        if isinstance(message, Opened):
            for mailbox in self._mailboxes:
                mailbox.anew()
        elif isinstance(message, Log) and self._seen.new(message.entry):
            for mailbox in self._mailboxes:
                mailbox.put(message.entry)
        return False

    def _take_head(self, head: Header) -> bool:
        repeated, self._pushed = head.hash == self._pushed, head.hash
        if repeated:
            return False
        if self._chain.take(head):
            self._tell()
        elif not self._chain.window.holds(head):
            self._hint.set()
        interval, newest = self.interval_seconds, self.newest
        if interval is None or newest is None:
            return True
        return (newest.number - head.number) * interval <= max(FAR_SECONDS, FAR_INTERVALS * interval)
