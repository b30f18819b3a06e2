"""What makes pools worth a look: a new head, logs of theirs, or a connection that may have missed some."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Self

from exporter.sources.heads import Heads

MOST: Final = 4000
"""Logs that are kept for a reader that is slow; if there are more, all are dropped and the pools read."""

type Entry = dict[str, Any]


class News:
    """Collects what comes, so that whoever looks gets all of it at once; `anew` says that pools must be read."""

    def __init__(self) -> None:
        self.anew = True
        self.entries: list[Entry] = []
        self._came = asyncio.Event()
        self._came.set()

    def put(self, entries: list[Entry]) -> None:
        """Logs; none of them means that some may have been missed."""
        if len(self.entries) + len(entries) > MOST:
            self.entries, entries = [], []
        self.entries += entries
        self.anew |= not entries
        self._came.set()

    def ask(self) -> None:
        """Have the pools read."""
        self.anew = True
        self._came.set()

    async def wait(self, seconds: float) -> None:
        """Return when something has come; after so many seconds the pools are to be read in any case."""
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            self.anew = True

    def take(self) -> tuple[list[Entry], bool]:
        """All that has come, and whether the pools must be read."""
        taken = self.entries, self.anew
        self.entries, self.anew = [], False
        self._came.clear()
        return taken

    @classmethod
    @asynccontextmanager
    async def of(cls, heads: Heads | None) -> AsyncGenerator[Self]:
        """News from these heads, as long as it is open; without any nothing comes but time."""
        news = cls()
        tasks = [] if heads is None else [
            asyncio.create_task(news._logs(heads), name="pool logs"),
            asyncio.create_task(news._heads(heads), name="pool heads"),
        ]  # fmt: skip
        try:
            yield news
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _logs(self, heads: Heads) -> None:
        async with aclosing(heads.logs()) as batches:
            async for batch in batches:
                self.put(batch)

    async def _heads(self, heads: Heads) -> None:
        version, newest = heads.version, heads.newest
        while True:
            version = await heads.changed(version)
            if heads.newest != newest:
                newest = heads.newest
                self.ask()
