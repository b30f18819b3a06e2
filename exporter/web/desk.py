"""Where clients read the ledger: a few at a time, so that they hold up no write, and none waits for ever."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from exporter.ledger import Ledger
from exporter.log import Plain
from exporter.worker import Busy

SEATS: Final = 2
TABLES: Final = SEATS
"""Lists that are put together at the same time: each may be half a megabyte of small pieces."""
PATIENCE: Final = 3.0
"""Seconds that a client waits for a table or a seat, and then for its answer."""


class Closed(Plain):
    """The ledger does not answer, or not soon enough."""


class Desk:
    """Reads for clients; one that is given up keeps its seat until the ledger has answered it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seats, self._tables = asyncio.Semaphore(SEATS), asyncio.Semaphore(TABLES)
        self._readers: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def table(self) -> AsyncGenerator[None]:
        """Room to put a list together from several reads.

        Raises:
            Closed: not now.
        """
        await _free(self._tables)
        try:
            yield
        finally:
            self._tables.release()

    async def read[T](self, query: Callable[[sqlite3.Connection], T]) -> T:
        """What `query` reads.

        Raises:
            Closed: not now.
        """
        await _free(self._seats)
        task = asyncio.create_task(self._serve(query))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)
        # Cancelling the read would make the ledger's next writer find its thread busy.
        await asyncio.wait((task,), timeout=PATIENCE)
        if not task.done() or (answer := task.result()) is None:
            raise Closed("the ledger does not answer now")
        return answer[0]

    async def _serve[T](self, query: Callable[[sqlite3.Connection], T]) -> tuple[T] | None:
        try:
            return (await self._ledger.read(query),)
        except (sqlite3.Error, Busy, OSError, Plain):
            return None
        finally:
            self._seats.release()


async def _free(places: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await places.acquire()
    except TimeoutError:
        raise Closed("too many are reading the ledger") from None
