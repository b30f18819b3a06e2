"""The bot's memory bank, watched and never written: which files are new, and what they and the recent list say."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from exporter.log import Plain
from exporter.sources import records
from exporter.sources.files import (
    Gist,
    Settling,
    Stamp,
    Unreadable,
    document,
    folder,
    mark_of,
    read_together,
    starts_with,
    text_of,
)  # fmt: skip
from exporter.sources.recent_list import BadRow, Known, Rows
from exporter.sources.records import Execution, Opportunity, Record, Trade

TRADES: Final = "trades"
RECENT: Final = "recent_trades.json"
SETTLE: Final = 2.0
"""Seconds that a broken file must stay as it is before it is called invalid: until then it is being written."""
SWEEP_SHARE: Final = 300
"""A look at every file's stamp is repeated no sooner than this many times its own duration later."""


class Missing(Plain):
    """The memory bank is not there."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in the bank that cannot be used; `key` is the same for the same fault in the same content."""

    kind: str
    reason: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """How the list of recent trades was found: what tells it from others, and the rows that have been read of it."""

    mark: bytes = b""
    gist: Gist | None = None
    known: Known = field(default_factory=Known)


@dataclass(slots=True)
class Batch:
    """What files of one source say; `complete` if that is all the source says now, `listed` if all of its list."""

    source: str
    listed: Listed | None = None
    complete: bool = False
    trades: list[Trade] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    opportunities: list[Opportunity] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    stamps: dict[str, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to put down."""
        return not (self.trades or self.executions or self.opportunities or self.faults)

    def add(self, record: Record | BadRow) -> None:
        """Sort a record in."""
        if isinstance(record, BadRow):
            self.faults.append(Fault(self.source, record.reason, record.mark))
        elif isinstance(record, Trade):
            self.trades.append(record)
        elif isinstance(record, Opportunity):
            self.opportunities.append(record)
        else:
            self.executions.append(record)


@dataclass(frozen=True, slots=True)
class Recent:
    """What is new in the list of recent trades: so many rows, in batches that are read as they are taken."""

    rows: int
    batches: Iterator[Batch]


class Bank:
    """Remembers which files it has reported and finds what is new; every call blocks and belongs in a thread.

    A batch counts as reported once `keep` was called for it, so that nothing is lost if it cannot be put down.
    """

    def __init__(
        self, path: Path, zone: ZoneInfo, file_bytes: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._zone, self._limit, self._monotonic = path, zone, file_bytes, monotonic
        self._known: dict[str, int] = {}
        self._broken = Settling(SETTLE, monotonic)
        self._folder_stamp: tuple[int, int] = (0, 0)
        self._next_sweep = 0.0
        self._listed = Listed()

    def changed(self) -> list[str]:
        """The names in `trades/` that are new or written since they were reported.

        Raises:
            Missing: there is no bank. OSError: it cannot be looked at.
        """
        with self._trades() as trades:
            if trades is None:
                return []
            status = os.fstat(trades)
            now = self._monotonic()
            if now >= self._next_sweep:
                return self._sweep(trades, now)
            # A change within the clock's grain of the last look leaves the same time behind: look again for a while.
            young = time.time_ns() - status.st_mtime_ns < 2_000_000_000
            if young or (status.st_mtime_ns, status.st_ino) != self._folder_stamp:
                self._folder_stamp = status.st_mtime_ns, status.st_ino
                names = [name for name in os.listdir(trades) if _wanted(name)]  # noqa: PTH208  Path takes no descriptor
                return [name for name in names if name not in self._known]
            return [name for name in self._broken.names() if name != RECENT]

    def _sweep(self, trades: int, started: float) -> list[str]:
        found: dict[str, int] = {}
        with os.scandir(trades) as listing:
            for entry in listing:
                if _wanted(entry.name):
                    try:
                        found[entry.name] = hash(Stamp.of(entry.stat(follow_symlinks=False)))
                    except FileNotFoundError:
                        continue
        self._known = {name: stamp for name, stamp in self._known.items() if name in found}
        for name in self._broken.names():
            if name not in found and name != RECENT:
                self._broken.forget(name)
        now = self._monotonic()
        self._next_sweep = now + SWEEP_SHARE * (now - started)
        return [name for name, stamp in found.items() if self._known.get(name) != stamp]

    def read(self, names: list[str]) -> Batch:
        """What these files of `trades/` say; a broken one is tried again until it has settled.

        Raises:
            Missing, OSError: nothing was read.
        """
        batch = Batch("memory_bank")
        with self._trades() as trades:
            if trades is None:
                return batch
            before = {name: _stamp(trades, name) for name in names}
            for name, content in read_together(trades, names, self._limit).items():
                stamp = before[name]
                if stamp is not None and self._take(batch, name, content):
                    batch.stamps[name] = stamp
        return batch

    def keep(self, batch: Batch) -> None:
        """Remember that all of a batch is durable."""
        if batch.listed is not None:
            self._listed = batch.listed
        self._known |= batch.stamps
        for name in batch.stamps:
            self._broken.forget(name)

    def _take(self, batch: Batch, name: str, content: bytes | Unreadable) -> bool:
        """Whether the file is done with: read, or settled as invalid."""
        try:
            if isinstance(content, Unreadable):
                raise content
            batch.add(records.from_file(name, document(content), self._zone))
        except Unreadable as unusable:
            mark = mark_of(name, unusable.reason, content)
            if not self._broken.settled(name, mark):
                return False
            if name.startswith("trade_"):
                batch.faults.append(Fault("trade", unusable.reason, mark))
        return True

    def recent(self, most: int) -> Recent | None:
        """What `recent_trades.json` says if that is new; None if it is not, or there is no such file.

        A batch has at most `most` rows. The last one is there even if there is no row in it.

        Raises:
            Missing, OSError: it cannot be looked at.
        """
        with self._trades() as trades:
            if trades is None or starts_with(trades, RECENT, self._listed.gist):
                return None
            content = read_together(trades, [RECENT], self._limit).get(RECENT)
        if content is None:
            return None
        mark = mark_of(RECENT, "", content)
        if mark == self._listed.mark:
            return None
        gist = Gist.of(content) if isinstance(content, bytes) else None
        try:
            text = _text(content)
            del content  # which may be large, as the text is
            rows = Rows(text, self._zone, self._listed.known)
        except Unreadable as unusable:
            return self._unusable(unusable, Listed(mark, gist, self._listed.known))
        self._broken.forget(RECENT)
        return Recent(len(rows), _batches(rows, Listed(mark, gist, rows.known), most))

    def _unusable(self, error: Unreadable, listed: Listed) -> Recent | None:
        if not self._broken.settled(RECENT, listed.mark):
            return None
        return Recent(0, iter([Batch("recent", listed, faults=[Fault("recent", error.reason, listed.mark)])]))

    @contextmanager
    def _trades(self) -> Iterator[int | None]:
        """A descriptor of `trades/`, or None while the bank has no such directory."""
        with ExitStack() as stack:
            try:
                root = stack.enter_context(folder(self._path))
            except (FileNotFoundError, NotADirectoryError):
                raise Missing("the memory bank is not there") from None
            try:
                trades: int | None = stack.enter_context(folder(TRADES, root))
            except FileNotFoundError:
                trades = None
            yield trades


def _text(content: bytes | Unreadable) -> str:
    if isinstance(content, Unreadable):
        raise content
    return text_of(content)


def _batches(rows: Rows, listed: Listed, most: int) -> Iterator[Batch]:
    found = iter(rows)
    for start in range(0, max(len(rows), 1), most):
        batch = Batch("recent")
        for row in islice(found, most):
            batch.add(row)
        if start + most >= len(rows):
            batch.listed, batch.complete = listed, True
        yield batch


def _wanted(name: str) -> bool:
    return name.endswith(".json") and name != RECENT and not name.startswith((".", "sample_trade_"))


def _stamp(trades: int, name: str) -> int | None:
    try:
        return hash(Stamp.of(os.stat(name, dir_fd=trades, follow_symlinks=False)))
    except FileNotFoundError:
        return None
