"""The exporter's end of the bus: keeps a connection while one is wanted, and has everything published over it."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NamedTuple

from exporter import log
from exporter.board import Board
from exporter.bus import link
from exporter.bus.link import Link
from exporter.bus.names import Names
from exporter.bus.outbox import Outbox
from exporter.bus.states import States
from exporter.collectors.bus import Figures
from exporter.ledger import Ledger
from exporter.live.hub import Hub
from exporter.log import Plain
from exporter.worker import Busy

FIRST_WAIT, LAST_WAIT = 0.2, 5.0
LOOK_EVERY: Final = 1.0
ANSWERS: Final = 4
"""Requests that are answered at the same time."""

logger = log.get("bus")


class Wanted(NamedTuple):
    """The bus, and the bot whose exporter this is."""

    url: str
    bot: str


class Publisher:
    """One run's end; `wanted` gives the settings as they are now, None without a bus; `answer` answers requests."""

    def __init__(
        self,
        board: Board,
        ledger: Ledger,
        hub: Hub,
        figures: Figures,
        wanted: Callable[[], Wanted | None],
        answer: Callable[[bytes], Awaitable[bytes]],
    ) -> None:
        self._figures, self._wanted, self._answer = figures, wanted, answer
        self._outbox, self._states = Outbox(board, ledger, hub, figures), States(hub, figures)

    async def run(self) -> None:
        """Publish for ever, whatever the settings are by then."""
        wait = FIRST_WAIT
        while True:
            wanted = self._wanted()
            self._outbox.wanted = self._states.wanted = wanted is not None
            if wanted is None:
                await asyncio.sleep(LOOK_EVERY)
                continue
            began = asyncio.get_running_loop().time()
            await self._connect(wanted)
            lasted = asyncio.get_running_loop().time() - began
            wait = FIRST_WAIT if lasted > LAST_WAIT else min(wait * 2, LAST_WAIT)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  so that not all come back together

    async def _connect(self, wanted: Wanted) -> None:
        """One connection, from its beginning to its end; only a change is logged."""
        try:
            await self._outbox.begin(wanted.bot)
            async with link.connect(wanted.url) as found:
                self._figures.connections += 1
                await self._work(found, wanted)
        except (Plain, sqlite3.Error, Busy, OSError) as error:
            self._turn(False, error=log.describe(error))
        finally:
            self._figures.up = False

    async def _work(self, found: Link, wanted: Wanted) -> None:
        names = Names(wanted.bot)
        await found.serve(names.http, self._answer, ANSWERS)
        self._turn(True)
        self._figures.up = True
        await first_of(
            found.lost(), self._outbox.run(found, names), self._states.run(found, names), self._unwanted(wanted)
        )

    async def _unwanted(self, wanted: Wanted) -> None:
        while self._wanted() == wanted:  # noqa: ASYNC110  settings have no event
            await asyncio.sleep(LOOK_EVERY)

    _works: bool | None = None

    def _turn(self, works: bool, **more: str) -> None:
        if works is not self._works:
            (logger.info if works else logger.warning)(f"the bus {'works' if works else 'fails'}", **more)
        self._works = works


async def first_of(*calls: Coroutine[Any, Any, None]) -> None:
    """Run until the first is over, and end the others; what it raised is raised."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
