"""The stores: how much is in each directory, how fresh it is, how fast it grows, and how old its backups are."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.collector import Collector, Poll, Sources
from exporter.config import Store
from exporter.metrics import Family, gauge
from exporter.sources import storage
from exporter.sources.storage import Backups, Growth, Survey
from exporter.worker import Busy, Worker

UP = gauge("arb_storage_up", "1 if the store is there and could be looked at.", "store")
BYTES = gauge("arb_storage_bytes", "Bytes in the store's files.", "store")
FILES = gauge("arb_storage_files", "Files in the store.", "store")
WRITTEN = gauge("arb_storage_last_write_timestamp_seconds", "When a file of the store was last written.", "store")
TRUNCATED = gauge("arb_storage_truncated", "1 if the store holds more than limits.store_files entries.", "store")
GROWTH = gauge("arb_storage_growth_bytes_per_second", "Growth of the store over up to the last hour.", "store")
BACKUPS = gauge("arb_storage_backups", "Backups in the store.", "store")
BACKUP = gauge("arb_storage_backup_last_timestamp_seconds", "When the newest backup was made.", "store")

EVERY: Final = 2.0
LEAST: Final = 10.0
"""Seconds between two walks of a store, at least."""
SHARE: Final = 20
"""A walk is repeated no sooner than this many times its own duration later."""
PATIENCE: Final = 5.0
"""Seconds that one look waits for a walk; what takes longer is shown by a later look."""
STUCK: Final = 600.0
"""Seconds after which a walk that has not come back is taken for a mount that is gone."""


@dataclass(frozen=True, slots=True)
class StoreState:
    """What is known of a store; `survey` is None if it is not there."""

    store: str
    survey: Survey | None
    growth: float | None = None
    backups: Backups | None = None


@dataclass(slots=True)
class Watch:
    """One store, walked in a thread of its own, so that a mount that hangs costs only itself."""

    store: Store
    sources: Sources
    worker: Worker
    monotonic: Callable[[], float] = time.monotonic
    newest: StoreState | None = None
    _growth: Growth = field(default_factory=Growth)
    _due: float = 0.0
    _started: float | None = None

    async def look(self) -> StoreState | None:
        """The newest state, after a new walk if one is due; None before the first has come to its end."""
        if self.monotonic() >= self._due:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self.worker.run(self._walk)
            except (TimeoutError, Busy):
                if self._started is not None and self.monotonic() - self._started >= STUCK:
                    return StoreState(self.store.name, None)
        return self.newest

    def _walk(self) -> None:
        """Blocks; it leaves the state behind also when nobody waits for it any more."""
        self._started = started = self.monotonic()
        pause = LEAST
        try:
            self.newest = self._surveyed()
        except OSError as error:
            self._growth = Growth()
            self.newest = StoreState(self.store.name, None)
            pause = 0.0 if isinstance(error, FileNotFoundError) else LEAST  # one that appears is seen at once
        self._started = None
        now = self.monotonic()
        self._due = now + max(pause, SHARE * (now - started))

    def _surveyed(self) -> StoreState:
        limit = self.sources.settings.limits.store_files
        # The configured path itself may be a link, nothing below it.
        path = Path(os.path.realpath(self.store.path, strict=True))
        found = storage.survey(path, limit)
        zone = self.sources.settings.bot.timezone
        backups = storage.backups(path, zone, limit) if self.store.backup and path.is_dir() else None
        return StoreState(self.store.name, found, self._grown(found), backups)

    def _grown(self, found: Survey) -> float | None:
        if found.truncated:  # what was not looked at may differ from walk to walk
            self._growth = Growth()
            return None
        return self._growth.add(self.monotonic(), found.bytes)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The stores that have been looked at."""

    stores: tuple[StoreState, ...]


async def read(watches: Iterable[Watch]) -> Snapshot:
    """All stores at once; a missing one is a finding, not a failure."""
    states = await asyncio.gather(*(watch.look() for watch in watches))
    return Snapshot(tuple(state for state in states if state is not None))


def render(snapshot: Snapshot) -> Iterator[Family]:
    """What is known of each store; only `up` while it is not there."""
    yield UP.each(((state.store,), state.survey is not None) for state in snapshot.stores)
    there = [((state.store,), state, state.survey) for state in snapshot.stores if state.survey is not None]
    yield BYTES.each((name, found.bytes) for name, _, found in there)
    yield FILES.each((name, found.files) for name, _, found in there)
    yield WRITTEN.each((name, found.last_write) for name, _, found in there if found.last_write is not None)
    yield TRUNCATED.each((name, found.truncated) for name, _, found in there)
    yield GROWTH.each((name, state.growth) for name, state, _ in there if state.growth is not None)
    kept = [(name, state.backups) for name, state, _ in there if state.backups is not None]
    yield BACKUPS.each((name, found.count) for name, found in kept)
    yield BACKUP.each((name, found.newest) for name, found in kept if found.newest is not None)


def _open(sources: Sources) -> Poll | None:
    if not sources.settings.storage:
        return None
    watches = [Watch(s, sources, sources.worker(f"storage-{s.name}")) for s in sources.settings.storage]
    return Poll(lambda: read(watches), every=EVERY)


COLLECTOR = Collector(
    name="storage",
    metrics=(UP, BYTES, FILES, WRITTEN, TRUNCATED, GROWTH, BACKUPS, BACKUP),
    open=_open,
    render=render,
    timeout=30.0,
    max_age=60.0,
    uses=("storage", "bot", "limits"),
    unset="storage: directories whose size and freshness to show",
)
