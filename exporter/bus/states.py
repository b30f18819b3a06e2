"""The newest values onto the bus: what changed, as it changes, and all of it to whoever asks."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from typing import Any, Final

from exporter.bus.link import Link
from exporter.bus.names import STATES, Names
from exporter.collectors.bus import Direction, Figures
from exporter.live import messages
from exporter.live.hub import Hub
from exporter.live.shapes import Item
from exporter.live.topics import ALL

BEAT: Final = 1.0
"""Seconds after which something is said although nothing is new."""
KEYS: Final = {topic.name: topic.key for topic in ALL}


class States:
    """One run's values; a bus that is slow or away gets the newest of each key, never a backlog."""

    def __init__(self, hub: Hub, figures: Figures) -> None:
        self._hub, self._figures = hub, figures
        self._run, self._count = secrets.token_hex(8), 0
        self._changes: dict[str, dict[tuple[Any, ...], Item]] = {topic: {} for topic in STATES}
        self._changed = asyncio.Event()
        self.wanted = False
        for topic in STATES:
            hub.tap(topic, partial(self._take, topic))

    def _take(self, topic: str, items: list[Item]) -> None:
        if self.wanted:
            self._changes[topic] |= {tuple(item[part] for part in KEYS[topic]): item for item in items}
            self._changed.set()

    async def run(self, link: Link, names: Names) -> None:
        """Tell everything, and then what changes, for ever.

        Raises:
            Broken: the connection is over.
        """
        await link.serve(names.ask, self.answer, at_once=4)
        self._count += 1
        self._news()  # is part of all there is
        await self._say(link, names, self._all())
        while True:
            try:
                async with asyncio.timeout(BEAT):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            self._count += 1
            await self._say(link, names, {"topics": self._news()})

    async def answer(self, _: bytes) -> bytes:
        """All newest values, as they stand after what was told last."""
        return self._text(self._all())

    async def _say(self, link: Link, names: Names, body: dict[str, Any]) -> None:
        await link.publish(names.state, self._text(body))
        self._figures.messages[Direction.PUBLISHED] += 1

    def _text(self, body: dict[str, Any]) -> bytes:
        return messages.encode({"run": self._run, "n": self._count, **body})

    def _all(self) -> dict[str, Any]:
        return {"all": {topic: self._hub.present(topic).items() for topic in STATES}}

    def _news(self) -> dict[str, list[Item]]:
        news = {topic: list(items.values()) for topic, items in self._changes.items() if items}
        self._changes = {topic: {} for topic in STATES}
        return news
