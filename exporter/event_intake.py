"""Takes the bot's events in: each id once, whichever way it comes, and durable before anybody is told."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from exporter import event_books
from exporter.config import Settings
from exporter.ledger import Ledger, fetch
from exporter.sources.event_records import Event
from exporter.sources.log_files import Cursor

REMEMBERED: Final = 30 * 86_400.0
"""Seconds for which an id is known."""
FORGOTTEN_AT_ONCE: Final = 500
TOGETHER: Final = 500
"""Events of deliveries that share a transaction, unless one of them has more."""
CLOCK_SLACK: Final = 300.0
"""Seconds that an event's time may lie ahead of our clock before it is not believed."""
ACCEPTED, SIMULATED, DUPLICATE, CONFLICT, INVALID = "accepted", "simulated", "duplicate", "conflict", "invalid"


@dataclass(frozen=True, slots=True)
class Reached:
    """How far the file of events has been read by a delivery: it is put down together with the events."""

    cursors: Sequence[Cursor] = ()
    forgotten: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """Events that came together, and how many records were none, by what is wrong with them.

    `complete` with the last of a file's first read: from then on the source is shown.
    """

    events: Sequence[Event] = ()
    invalid: Mapping[str, int] = field(default_factory=dict)
    reached: Reached | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the events of a delivery: taken in, known already, or known with other content."""

    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0

    def plus(self, other: Receipt) -> Receipt:
        """Both together."""
        return Receipt(
            self.accepted + other.accepted, self.duplicates + other.duplicates, self.conflicts + other.conflicts
        )


type Waiting = tuple[Delivery, asyncio.Future[Receipt]]


class Intake:
    """The one way in. Deliveries that come while another is being written share the next transaction.

    `first_read` while there is a file of events that has not been read through yet; whoever follows that file says so
    here. `requests` counts answers to those who report over HTTP, by outcome.
    """

    def __init__(self, ledger: Ledger, settings: Callable[[], Settings]) -> None:
        self._ledger, self._settings = ledger, settings
        self._waiting: list[Waiting] = []
        self._writing: asyncio.Task[None] | None = None
        self.requests: Counter[str] = Counter()
        self.first_read = settings().bot.events is not None  # until a look at the file says otherwise
        self.news = asyncio.Event()

    async def put(self, delivery: Delivery) -> Receipt:
        """Take a delivery in, all of it or nothing; it is durable when this returns.

        Raises:
            sqlite3.Error, OSError, Busy: nothing of it was written.
        """
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, receipt))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await receipt

    async def _write(self) -> None:
        while self._waiting:
            together = self._next()
            settings, now, complete = self._settings(), time.time(), not self.first_read
            deliveries = [delivery for delivery, _ in together]
            try:
                receipts = await self._ledger.write(lambda db: put(db, settings, deliveries, now, complete))  # noqa: B023
            except Exception as error:
                _settle(together, error)
                continue
            for (_, future), receipt in zip(together, receipts, strict=True):
                if not future.done():
                    future.set_result(receipt)
            self.news.set()

    def _next(self) -> list[Waiting]:
        """The deliveries that have waited longest, as many as may share a transaction; at least one."""
        count = events = 0
        for delivery, _ in self._waiting:
            events += len(delivery.events)
            if count and events > TOGETHER:
                break
            count += 1
        together, self._waiting = self._waiting[:count], self._waiting[count:]
        return together


def _settle(together: Iterable[Waiting], error: Exception) -> None:
    for _, future in together:
        if not future.done():
            future.set_exception(error)


def put(
    db: sqlite3.Connection, settings: Settings, deliveries: Iterable[Delivery], now: float, complete: bool = True
) -> list[Receipt]:
    """Put deliveries down inside the caller's transaction, each event once by its id; what became of each."""
    counts, receipts = Counts(db, settings.bot.name, now), []
    fresh: list[Event] = []
    for delivery in deliveries:
        receipts.append(counts.take(delivery, fresh))
        complete = complete or delivery.complete
    conflicts = event_books.count(db, settings, fresh, now, complete)
    counts.add(CONFLICT, "", conflicts)
    counts.flush()
    forget(db, settings, now, max(FORGOTTEN_AT_ONCE, 2 * len(fresh)))
    return receipts


class Counts:
    """Which ids are new, and how many events there were of each kind: one batch on its way into the ledger."""

    def __init__(self, db: sqlite3.Connection, bot: str, now: float) -> None:
        self._db, self._bot, self._now = db, bot, now
        self._counts: Counter[tuple[str, str]] = Counter()
        self._last: dict[str, float] = {}

    def take(self, delivery: Delivery, fresh: list[Event]) -> Receipt:
        """Count a delivery, and add to `fresh` what is new in it and no simulation."""
        results = Counter(self._event(event, fresh) for event in delivery.events)
        for reason, count in delivery.invalid.items():
            self.add(INVALID, reason, count)
        if delivery.reached is not None:
            self._reach(delivery.reached)
        return Receipt(results[ACCEPTED], results[DUPLICATE], results[CONFLICT])

    def add(self, fact: str, name: str, count: int) -> None:
        """So many more."""
        if count:
            self._counts[fact, name] += count

    def _event(self, event: Event, fresh: list[Event]) -> str:
        fact, kind = self._remember(event), event.kind
        self._counts[fact, kind if fact == ACCEPTED else ""] += 1
        if fact == ACCEPTED:
            if event.simulated:
                self._counts[SIMULATED, kind] += 1
            else:
                fresh.append(event)
            if event.time <= self._now + CLOCK_SLACK:
                self._last[kind] = max(event.time, self._last.get(kind, 0.0))
        return fact

    def _remember(self, event: Event) -> str:
        key, digest = hashlib.blake2b(event.id.encode(), digest_size=16).digest(), event.digest[:16]
        added = self._db.execute(
            "INSERT INTO event (bot, key, digest, seen) VALUES (?,?,?,?) ON CONFLICT DO NOTHING",
            (self._bot, key, digest, self._now),
        ).rowcount
        if added:
            return ACCEPTED
        known = fetch(self._db, "SELECT digest FROM event WHERE bot=? AND key=?", self._bot, key)
        return DUPLICATE if known[0][0] == digest else CONFLICT

    def _reach(self, reached: Reached) -> None:
        self._db.executemany(
            "DELETE FROM event_cursor WHERE bot=? AND file=?", [(self._bot, file) for file in reached.forgotten]
        )
        self._db.executemany(
            "REPLACE INTO event_cursor VALUES (?,?,?)", [(self._bot, c.file, c.dump()) for c in reached.cursors]
        )

    def flush(self) -> None:
        """Write the counts down."""
        self._db.executemany(
            "INSERT INTO event_count VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET count=count+excluded.count,"
            " last=max(coalesce(last, excluded.last), coalesce(excluded.last, last))",
            [
                (self._bot, fact, name, count, self._last.get(name) if fact == ACCEPTED else None)
                for (fact, name), count in self._counts.items()
            ],
        )


def forget(db: sqlite3.Connection, settings: Settings, now: float, most: int) -> None:
    """Forget the oldest ids, up to so many, if they have been known for long enough."""
    before = now - REMEMBERED
    oldest = fetch(db, "SELECT seen FROM event ORDER BY seq LIMIT 1")
    if oldest and oldest[0][0] < before:
        db.execute("DELETE FROM event WHERE seq IN (SELECT seq FROM event ORDER BY seq LIMIT ?) AND seen<?",
                   (most, before))  # fmt: skip
        event_books.forget(db, settings, before, most)


@dataclass(slots=True)
class Totals:
    """What has been counted of a bot's events; `known` once they are shown."""

    known: bool = False
    facts: dict[str, dict[str, int]] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)

    def of(self, fact: str) -> Mapping[str, int]:
        """The counts of one fact, by name."""
        return self.facts.get(fact, {})


def totals(db: sqlite3.Connection, bot: str) -> Totals:
    """All of it."""
    found = Totals(bool(fetch(db, "SELECT 1 FROM source WHERE bot=? AND source='events' AND first_read", bot)))
    for fact, name, count, last in fetch(db, "SELECT fact, name, count, last FROM event_count WHERE bot=?", bot):
        found.facts.setdefault(fact, {})[name] = count
        if last is not None:
            found.last[name] = last
    return found


def cursors(db: sqlite3.Connection, bot: str) -> list[Cursor]:
    """How far the file of events, and what it was rotated to, have been read."""
    rows = fetch(db, "SELECT state FROM event_cursor WHERE bot=? ORDER BY file", bot)
    return [Cursor.load(state) for (state,) in rows]
