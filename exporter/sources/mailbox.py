"""Logs on their way to a reader who may be slow: bounded, each once, and what does not fit is said to be missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

MOST: Final = 2000

type Entry = dict[str, Any]


class Mailbox:
    """What has come since the reader last looked. Whoever puts something in never waits."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._entries: list[Entry] = []
        self._anew = True
        self._filled = asyncio.Event()
        self._filled.set()

    def put(self, entry: Entry) -> None:
        """One more; if there are too many, all are dropped and the reader is told to read everything anew."""
        if len(self._entries) >= self._most:
            self.anew()
        else:
            self._entries.append(entry)
            self._filled.set()

    def anew(self) -> None:
        """Let the reader read everything anew by other means: something may have been missed."""
        self._entries, self._anew = [], True
        self._filled.set()

    async def batches(self) -> AsyncGenerator[list[Entry]]:
        """Everything that has come, as it comes; an empty list means: read everything anew."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            anew, self._anew = self._anew, False
            entries, self._entries = self._entries, []
            if anew:
                yield []
            if entries:
                yield entries


class Seen:
    """Logs that came already, the last few thousand of them; one that is removed may come again."""

    def __init__(self, most: int = 2 * MOST) -> None:
        self._keys: dict[int, None] = {}
        self._most = most

    def new(self, entry: Entry) -> bool:
        """Whether a log has not come before; it has from now on."""
        place = tuple(str(entry.get(key)) for key in ("blockHash", "transactionHash", "logIndex", "preconfirmed"))
        removed = entry.get("removed") is True
        self._keys.pop(hash((*place, not removed)), None)
        key = hash((*place, removed))
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > self._most:
            del self._keys[next(iter(self._keys))]
        return True
