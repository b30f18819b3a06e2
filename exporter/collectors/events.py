"""The bot's events: how many came in, by HTTP and by its file, which is followed here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from exporter import event_intake
from exporter.collector import Collector, Follow, Sources, idle
from exporter.event_intake import Delivery, Reached, Totals
from exporter.metrics import Family, counter, gauge
from exporter.sources.event_fields import FAULTS
from exporter.sources.event_lines import Heard, read
from exporter.sources.event_records import TYPES
from exporter.sources.logs import Follower

EVENTS = counter("arb_events_total", "Events of the bot that were taken in, each once.", "bot", "type")
SIMULATED = counter("arb_events_simulated_total", "Those of them that say themselves they are none.", "bot", "type")
DUPLICATES = counter("arb_events_duplicates_total", "Events that were known already.", "bot")
CONFLICTS = counter("arb_events_conflicts_total", "Events ignored because other content is known of them.", "bot")
INVALID = counter("arb_events_invalid_total", "Records that are no events.", "bot", "reason")
LAST = gauge("arb_events_last_timestamp_seconds", "When the newest event of a type happened.", "bot", "type")
REQUESTS = counter("arb_events_requests_total", "Requests that reported events, by how they were answered.", "outcome")

OUTCOMES: Final = ("accepted", "invalid", "malformed", "too_large", "throttled", "refused", "unavailable")
EVERY: Final = 0.5
PORTION: Final = 128 << 10
"""Bytes of the file that are read, parsed and made durable together."""
FORGET_EVERY: Final = 60.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What has come in; `totals` is None until the source is known: its file read through, or a request accepted."""

    bot: str
    totals: Totals | None
    requests: Mapping[str, int]


class Following:
    """The file of events, if there is to be one, on its way into the ledger."""

    def __init__(self, sources: Sources, tail: Follower[Heard] | None, known: bool) -> None:
        self._sources, self._tail, self._known = sources, tail, known

    @property
    def first(self) -> bool:
        """Whether the file is there and has never been read through."""
        return self._tail is not None and self._tail.present and not self._known

    async def look(self) -> None:
        """See what is new in the file."""
        if self._tail is not None:
            await self._sources.worker("events").run(self._tail.look)
        self._tell()

    async def read(self) -> bool:
        """Read on for a while, each portion durable before the next; whether there is more."""
        until = time.monotonic() + EVERY
        while self._tail is not None and (self._tail.behind or self.first):
            await self._portion(self._tail)
            if time.monotonic() >= until:
                return True
        self._tell()
        return False

    async def _portion(self, tail: Follower[Heard]) -> None:
        taken = await self._sources.worker("events").run(tail.take)
        complete = self.first and not tail.behind
        reached = Reached(taken.cursors, taken.forgotten)
        await self._sources.intake.put(Delivery(taken.counts.events, taken.counts.invalid, reached, complete))
        self._known = self._known or complete

    def _tell(self) -> None:
        intake, progress = self._sources.intake, self._sources.progress("events")
        begun = intake.first_read
        intake.first_read = self.first
        done, total = (0, 0) if self._tail is None else self._tail.progress
        self._sources.backlog.tell("events", total - done > PORTION)
        if self.first:
            progress(min(done, max(total - 1, 0)), max(total, 1))
        elif begun:
            progress(1, 1)

    def release(self) -> None:
        """Hold no file open any more."""
        self._sources.backlog.tell("events", False)
        if self._tail is not None:
            self._tail.release()


async def follow(sources: Sources) -> AsyncGenerator[Snapshot]:
    """A snapshot after every look at the file and at what came by HTTP; the place comes from the ledger anew."""
    following, view = await _load(sources), _View(sources)
    try:
        while True:
            sources.intake.news.clear()
            await following.look()
            while await following.read():
                following._tell()
                yield await view.snapshot()
            yield await view.snapshot()
            await view.forget()
            await idle(_news(sources))
    finally:
        following.release()


async def _news(sources: Sources) -> None:
    """Return soon after something was put down, or after a while."""
    try:
        async with asyncio.timeout(EVERY):
            await sources.intake.news.wait()
            await asyncio.sleep(EVERY / 2)
    except TimeoutError:
        return


async def _load(sources: Sources) -> Following:
    bot = sources.settings.bot
    cursors, totals = await sources.ledger.read(
        lambda db: (event_intake.cursors(db, bot.name), event_intake.totals(db, bot.name))
    )
    tail = None if bot.events is None else Follower(bot.events, cursors, Heard, read, PORTION)
    return Following(sources, tail, totals.known)


class _View:
    """The newest snapshot; the same object for as long as nothing has changed."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._newest: Snapshot | None = None
        self._version = -1
        self._forgot = time.monotonic()

    async def snapshot(self) -> Snapshot:
        """What has come in so far."""
        bot, ledger = self._sources.settings.bot.name, self._sources.ledger
        requests = {outcome: self._sources.intake.requests[outcome] for outcome in OUTCOMES}
        if self._newest is None or self._version != ledger.version:
            self._version = ledger.version
            totals = await ledger.read(lambda db: event_intake.totals(db, bot))
            made = Snapshot(bot, totals if totals.known else None, requests)
        else:
            made = Snapshot(bot, self._newest.totals, requests)
        if self._newest != made:
            self._newest = made
        return self._newest

    async def forget(self) -> None:
        """Now and then, let go of ids that have been known for long, also while nothing comes in."""
        if time.monotonic() - self._forgot < FORGET_EVERY:
            return
        self._forgot = time.monotonic()
        settings, now, most = self._sources.settings, time.time(), event_intake.FORGOTTEN_AT_ONCE
        await self._sources.ledger.write(lambda db: event_intake.forget(db, settings, now, most), shown=False)


def render(snapshot: Snapshot) -> Iterator[Family]:
    """Requests always; the rest once the source is known, so that history never looks like a burst."""
    yield REQUESTS.each(((outcome,), count) for outcome, count in snapshot.requests.items())
    bot, totals = snapshot.bot, snapshot.totals
    if totals is None:
        return
    for metric, fact in ((EVENTS, event_intake.ACCEPTED), (SIMULATED, event_intake.SIMULATED)):
        yield metric.each(((bot, kind), totals.of(fact).get(kind, 0)) for kind in TYPES)
    yield DUPLICATES.each([((bot,), totals.of(event_intake.DUPLICATE).get("", 0))])
    yield CONFLICTS.each([((bot,), totals.of(event_intake.CONFLICT).get("", 0))])
    yield INVALID.each(((bot, reason), totals.of(event_intake.INVALID).get(reason, 0)) for reason in FAULTS)
    yield LAST.each(((bot, kind), at) for kind, at in totals.last.items())


COLLECTOR = Collector(
    name="events",
    metrics=(EVENTS, SIMULATED, DUPLICATES, CONFLICTS, INVALID, LAST, REQUESTS),
    open=lambda sources: Follow(lambda: follow(sources)),
    render=render,
    timeout=60.0,
    max_age=60.0,
    uses=("bot", "limits"),
)
