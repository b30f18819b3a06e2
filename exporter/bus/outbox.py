"""Events onto the bus, each once and in order: trades and opportunities from the ledger, errors and alerts from memory.

The stream itself holds how far it got: every message carries the place of its last row. Whatever happens between the
ledger and the bus, the newest message says where to go on, and none is taken that does not follow the newest.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from exporter import history, log
from exporter.board import Board
from exporter.bus.link import Conflict, Link, Stored, understood
from exporter.bus.names import MOST_MESSAGES, Names
from exporter.collectors.bus import Direction, Figures
from exporter.history import News, Place
from exporter.ledger import Ledger
from exporter.live import messages, rows
from exporter.live.hub import Hub
from exporter.live.pace import Allowance
from exporter.live.shapes import Item
from exporter.live.streams import LARGEST

FROM_LEDGER: Final = ("trades", "opportunities")
FROM_MEMORY: Final = ("errors", "alerts")
AT_ONCE: Final = 200
"""Rows of the ledger that are read together."""
MOST_WAITING: Final = 10_000
"""Errors and alerts that wait for a bus that takes none; of more, the oldest are dropped and counted."""
BURST, PER_SECOND = 10, 40
"""Messages at once and in the long run, as many as the hub's."""
LOOK_EVERY: Final = 1.0
"""Seconds after which the ledger is looked at without being told."""

logger = log.get("bus")


@dataclass(frozen=True, slots=True)
class End:
    """A subject's newest message: its number in the stream and in its topic, and the place it was told from."""

    number: int = 0
    seq: int = 0
    place: int = 0
    run: str = ""

    @classmethod
    def read(cls, found: Stored) -> End:
        """What `publish` had kept.

        Raises:
            Broken: somebody else did.
        """
        with understood():
            message = json.loads(found.data)
            return cls(found.number, int(message["seq"]), int(message["place"]), str(message["run"]))


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a ledger has been read: published, or passed over because it was history."""

    ledger: int
    place: Place

    def text(self) -> bytes:
        """As it is kept on the bus."""
        at = self.place
        kept = {"trade": at.trade, "opportunity": at.opportunity, "complete": sorted(at.complete)}
        return messages.encode({"ledger": self.ledger, **kept})

    @classmethod
    def read(cls, text: bytes) -> Cursor:
        """What `text` made.

        Raises:
            Broken: it is none.
        """
        with understood():
            kept = json.loads(text)
            place = Place(int(kept["trade"]), int(kept["opportunity"]), frozenset(map(str, kept["complete"])))
            return cls(int(kept["ledger"]), place)


class Outbox:
    """One run's events on their way; `run` works on one connection until that is over."""

    def __init__(self, board: Board, ledger: Ledger, hub: Hub, figures: Figures) -> None:
        self._ledger, self._figures = ledger, figures
        self._run = secrets.token_hex(8)
        self._waiting: dict[str, deque[tuple[int, Item]]] = {topic: deque() for topic in FROM_MEMORY}
        self._counts = dict.fromkeys(FROM_MEMORY, 0)
        self._changed = asyncio.Event()
        self._allowance = Allowance(BURST, PER_SECOND)
        self._started: tuple[str, Place] | None = None
        self.wanted = False
        board.listen(self._heard)
        for topic in FROM_MEMORY:
            hub.tap(topic, partial(self._take, topic))

    def _heard(self, _: str) -> None:
        if self.wanted:
            self._changed.set()

    def _take(self, topic: str, items: list[Item]) -> None:
        if not self.wanted:
            return
        waiting = self._waiting[topic]
        for item in items:
            self._counts[topic] += 1
            waiting.append((self._counts[topic], item))
        while len(waiting) > MOST_WAITING:
            waiting.popleft()
            self._figures.dropped += 1
        self._tally()
        self._changed.set()

    def _tally(self) -> None:
        self._figures.waiting = sum(map(len, self._waiting.values()))

    async def begin(self, bot: str) -> None:
        """Note where the ledger stands, for a bus that has never heard of this bot.

        Raises:
            sqlite3.Error, Busy: it cannot be read now.
        """
        if self._started is None or self._started[0] != bot:
            self._started = bot, await self._ledger.read(partial(history.present, bot=bot))

    async def run(self, link: Link, names: Names) -> None:
        """Publish what has not been, for ever.

        Raises:
            Broken: the connection is over, or the bus does not take it; whoever tries again loses and doubles nothing.
            sqlite3.Error, Busy: the ledger cannot be read now.
        """
        await self.begin(names.bot)
        await link.make_stream(names.stream, names.all_events, MOST_MESSAGES)
        desk = _Desk(link, names, self._run, self._figures, self._allowance)
        place = await desk.find(await self._ledger.read(partial(_standing, bot=names.bot)), self._first(names.bot))
        for topic in FROM_MEMORY:
            self._forget(topic, desk.told(topic))
        version = -1
        while True:
            self._changed.clear()
            if version != self._ledger.version:
                version = self._ledger.version
                place = await self._catch_up(desk, place)
            for topic in FROM_MEMORY:
                await self._empty(desk, topic)
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _first(self, bot: str) -> Place:
        assert self._started is not None and self._started[0] == bot  # noqa: S101  `begin` came before
        return self._started[1]

    async def _catch_up(self, desk: _Desk, place: Place) -> Place:
        """Publish the ledger's news after a place; the place after them."""
        more = True
        while more:
            query = partial(history.news, bot=desk.names.bot, place=place, limit=AT_ONCE)
            news = await self._ledger.read(query)
            await desk.publish_rows(news)
            place, more = news.place, news.more
        await desk.keep(place)
        return place

    async def _empty(self, desk: _Desk, topic: str) -> None:
        waiting = self._waiting[topic]
        while waiting:
            await desk.publish(topic, [(count, item) for count, item in list(waiting)[:AT_ONCE]])
            self._forget(topic, desk.told(topic))

    def _forget(self, topic: str, count: int) -> None:
        waiting = self._waiting[topic]
        while waiting and waiting[0][0] <= count:
            waiting.popleft()
        self._tally()


def _standing(db: sqlite3.Connection, bot: str) -> Cursor:
    """The number that a ledger was given when it was made, and the place after everything in it."""
    return Cursor(int(db.execute("PRAGMA application_id").fetchone()[0]), history.present(db, bot))


class _Desk:
    """What is known of the stream's ends within one connection."""

    def __init__(self, link: Link, names: Names, run: str, figures: Figures, allowance: Allowance) -> None:
        self.names = names
        self._link, self._run, self._figures, self._allowance = link, run, figures, allowance
        self._ends: dict[str, End] = {}
        self._kept, self._number = Cursor(0, Place()), 0

    def told(self, topic: str) -> int:
        """How many of this run's items of a topic from memory the bus has."""
        end = self._ends[topic]
        return end.place if end.run == self._run else 0

    async def find(self, now: Cursor, first: Place) -> Place:
        """The place after what the bus knows of this ledger, `first` if it knows nothing; `now` is where it stands."""
        for topic in (*FROM_LEDGER, *FROM_MEMORY):
            self._ends[topic] = await self._end(topic)
        found = await self._link.last(self.names.stream, self.names.cursor)
        self._number = found.number if found else 0
        if found is not None:
            self._kept = Cursor.read(found.data)
            if self._kept.ledger == now.ledger and _within(self._newest(), now.place):
                return self._newest()
            logger.warning("the bus knows another ledger of this bot; events go on from the present")
        await self._keep(Cursor(now.ledger, first))
        return first

    def _newest(self) -> Place:
        """The kept place, or that of messages that came after it was kept."""
        trades, opportunities = (self._ends[topic] for topic in FROM_LEDGER)
        kept = self._kept.place
        return replace(
            kept,
            trade=trades.place if trades.number > self._number else kept.trade,
            opportunity=opportunities.place if opportunities.number > self._number else kept.opportunity,
        )

    async def _end(self, topic: str) -> End:
        found = await self._link.last(self.names.stream, self.names.event(topic))
        if found is None:
            return End()
        return End.read(found)

    async def keep(self, place: Place) -> None:
        """Have the place kept, unless the newest messages say the same."""
        if self._newest() != place:
            await self._keep(replace(self._kept, place=place))

    async def _keep(self, cursor: Cursor) -> None:
        self._number = await self._link.store(self.names.stream, self.names.cursor, cursor.text(), self._number)
        self._kept = cursor

    async def publish_rows(self, news: News) -> None:
        """Publish rows of the ledger."""
        await self.publish("trades", [(row.id, rows.trade(row)) for row in news.trades])
        await self.publish("opportunities", [(row.id, rows.opportunity(row)) for row in news.opportunities])

    async def publish(self, topic: str, items: list[tuple[int, Item]]) -> None:
        """Publish items with their places, in messages of a size that every listener takes."""
        for part in _parts(items):
            await asyncio.sleep(self._allowance.take(time.monotonic()))
            await self._store(topic, part[-1][0], [item for _, item in part])

    async def _store(self, topic: str, place: int, items: list[Item]) -> None:
        end = self._ends[topic]
        body = {"seq": end.seq + 1, "ts": time.time(), "place": place, "run": self._run, "items": items}
        try:
            number = await self._link.store(
                self.names.stream, self.names.event(topic), messages.encode(body), end.number
            )
        except Conflict:
            logger.warning("another exporter publishes for this bot", bot=self.names.bot)
            raise
        self._ends[topic] = End(number, end.seq + 1, place, self._run)
        self._figures.messages[Direction.PUBLISHED] += 1


def _within(place: Place, now: Place) -> bool:
    """Whether a ledger that stands there can have got so far; one that was put back to an earlier day has not."""
    return place.trade <= now.trade and place.opportunity <= now.opportunity


def _parts(items: Iterable[tuple[int, Item]]) -> Iterator[list[tuple[int, Item]]]:
    part: list[tuple[int, Item]] = []
    size = 0
    for place, item in items:
        part.append((place, item))
        size += len(messages.encode(item))
        if size >= LARGEST:
            yield part
            part, size = [], 0
    if part:
        yield part
