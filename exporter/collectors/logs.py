"""The bot's logs as numbers: records by level, exceptions by class, freshness; never a word of their text."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.collector import Collector, Follow, Sources, pause
from exporter.config import LogFile
from exporter.ledger import fetch
from exporter.metrics import OTHER, Family, counter, gauge
from exporter.sources.log_files import Cursor
from exporter.sources.log_lines import LEVELS, Counts
from exporter.sources.logs import Tail, Taken

UP = gauge("arb_bot_log_up", "1 if the log is there and can be read.", "bot", "log")
WRITTEN = gauge("arb_bot_log_last_write_timestamp_seconds", "When the log was last written.", "bot", "log")
MESSAGES = counter("arb_bot_log_messages_total", "Records in the log.", "bot", "log", "level")
EXCEPTIONS = counter("arb_bot_log_exceptions_total", "Tracebacks in the log.", "bot", "log", "exception")
BYTES = counter("arb_bot_log_bytes_total", "Bytes of the log that were read.", "bot", "log")

EVERY: Final = 0.5
MOST_EXCEPTIONS: Final = 30
"""Classes told apart in one log, first come first kept; the rest is `other`."""


@dataclass(slots=True)
class Totals:
    """What a log has counted, as far as it is durable; `complete` once all that was there at first has been read."""

    complete: bool = False
    bytes: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    exceptions: Counter[str] = field(default_factory=Counter)

    def add(self, taken: Taken[Counts], complete: bool) -> None:
        """Add what was put down."""
        self.complete = self.complete or complete
        self.bytes += taken.bytes
        self.levels.update(taken.counts.levels)
        self.exceptions.update(taken.counts.exceptions)

    def bound(self, found: Mapping[str, int]) -> Counter[str]:
        """These exceptions with the classes that there is no room for as `other`."""
        made: Counter[str] = Counter()
        for name, count in found.items():
            room = name in self.exceptions or len(self.exceptions.keys() | made.keys()) < MOST_EXCEPTIONS
            made[name if room else OTHER] += count
        return made


@dataclass(frozen=True, slots=True)
class LogState:
    """One log now; the counts are None before its first complete read."""

    log: str
    up: bool
    last_write: float | None
    bytes: int | None = None
    levels: Mapping[str, int] | None = None
    exceptions: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The bot's logs."""

    bot: str
    logs: tuple[LogState, ...]


@dataclass(slots=True)
class Following:
    """One log, its place and its totals."""

    log: str
    tail: Tail
    totals: Totals

    @property
    def first(self) -> bool:
        """Whether its first complete read is still to come."""
        return self.tail.present and not self.totals.complete

    def state(self) -> LogState:
        """The log now."""
        there = LogState(self.log, self.tail.present, self.tail.last_write)
        if not self.totals.complete:
            return there
        levels = {level: self.totals.levels[level] for level in LEVELS}
        return LogState(self.log, there.up, there.last_write, self.totals.bytes, levels, dict(self.totals.exceptions))


async def follow(sources: Sources) -> AsyncGenerator[Snapshot]:
    """A snapshot after every look at the logs, and now and then while much is read.

    All places and totals come from the ledger anew, for a write that was interrupted may have been made or not.
    """
    logs = [await _load(sources, log) for log in sources.settings.bot.logs]
    newest, total = None, 0
    try:
        while True:
            await sources.worker("logs").run(_look, logs)
            while await _read(sources, logs):
                total = _tell(sources, logs)
                yield _snapshot(sources, logs, None)
            if total:
                sources.progress("logs")(total, total)
                total = 0
            newest = _snapshot(sources, logs, newest)
            yield newest
            await pause(EVERY)
    finally:
        for log in logs:
            log.tail.release()


def _look(logs: Iterable[Following]) -> None:
    for log in logs:
        log.tail.look()


async def _read(sources: Sources, logs: list[Following]) -> bool:
    """Read what the last look has seen, in slices, each durable before the next; whether there is more after a while.

    A log's first read is complete once it is not behind.
    """
    until = time.monotonic() + EVERY
    for log in logs:
        while log.tail.behind or log.first:
            if time.monotonic() >= until:
                return True
            taken = await sources.worker("logs").run(log.tail.take)
            await _put(sources, log, taken, complete=log.first and not log.tail.behind)
    return False


def _tell(sources: Sources, logs: Iterable[Following]) -> int:
    """Tell the progress of the first reads; the number of bytes they are over."""
    parts = [log.tail.progress for log in logs if log.first]
    done, total = sum(part[0] for part in parts), sum(part[1] for part in parts)
    if total:
        sources.progress("logs")(min(done, total - 1), total)
    return total


def _snapshot(sources: Sources, logs: list[Following], newest: Snapshot | None) -> Snapshot:
    """The logs now; the same object for as long as they are the same."""
    made = Snapshot(sources.settings.bot.name, tuple(log.state() for log in logs))
    return newest if newest == made else made


async def _load(sources: Sources, log: LogFile) -> Following:
    cursors, totals = await sources.ledger.read(lambda db: _loaded(db, log.name))
    return Following(log.name, Tail(log.path, cursors), totals)


def _loaded(db: sqlite3.Connection, log: str) -> tuple[list[Cursor], Totals]:
    cursors = fetch(db, "SELECT state FROM log_cursor WHERE log = ? ORDER BY file", log)
    totals = Totals()
    for kind, name, count in fetch(db, "SELECT kind, name, count FROM log_total WHERE log = ?", log):
        if kind == "level":
            totals.levels[name] = count
        elif kind == "exception":
            totals.exceptions[name] = count
        elif name == "bytes":
            totals.bytes = count
        else:
            totals.complete = True
    return [Cursor.load(state) for (state,) in cursors], totals


async def _put(sources: Sources, log: Following, taken: Taken[Counts], complete: bool) -> None:
    """Make places and counts durable together, then show them."""
    taken.counts.exceptions = log.totals.bound(taken.counts.exceptions)
    await sources.ledger.write(lambda db: _written(db, log.log, taken, complete))
    log.totals.add(taken, complete)


def _written(db: sqlite3.Connection, log: str, taken: Taken[Counts], complete: bool) -> None:
    db.executemany("DELETE FROM log_cursor WHERE log = ? AND file = ?", [(log, file) for file in taken.forgotten])
    db.executemany("REPLACE INTO log_cursor VALUES (?, ?, ?)", [(log, c.file, c.dump()) for c in taken.cursors])
    rows = [("level", *item) for item in taken.counts.levels.items()]
    rows += [("exception", *item) for item in taken.counts.exceptions.items()]
    rows += [("read", "bytes", taken.bytes)] + [("read", "complete", 1)] * complete
    db.executemany(
        "INSERT INTO log_total VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        [(log, *row) for row in rows],
    )


def render(snapshot: Snapshot) -> Iterator[Family]:
    """The state of each log, and its counts once all that was there at first has been read."""
    bot = snapshot.bot
    yield UP.each(((bot, log.log), log.up) for log in snapshot.logs)
    yield WRITTEN.each(((bot, log.log), log.last_write) for log in snapshot.logs if log.last_write is not None)
    yield MESSAGES.each(
        ((bot, log.log, level), count) for log in snapshot.logs for level, count in (log.levels or {}).items()
    )
    yield EXCEPTIONS.each(
        ((bot, log.log, name), count) for log in snapshot.logs for name, count in (log.exceptions or {}).items()
    )
    yield BYTES.each(((bot, log.log), log.bytes) for log in snapshot.logs if log.bytes is not None)


def _open(sources: Sources) -> Follow | None:
    return Follow(lambda: follow(sources)) if sources.settings.bot.logs else None


COLLECTOR = Collector(
    name="logs",
    metrics=(UP, WRITTEN, MESSAGES, EXCEPTIONS, BYTES),
    open=_open,
    render=render,
    timeout=30.0,
    max_age=60.0,
    uses=("bot",),
    unset="bot.logs: the bot's logs",
)
