"""What a collector is: its metrics, its rhythm, and how it reads; and what it may read from."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from exporter.backlog import Backlog
from exporter.metrics import Family, Metric

if TYPE_CHECKING:
    from exporter.collectors import live
    from exporter.collectors.bus import Figures
    from exporter.config import Settings
    from exporter.event_intake import Intake
    from exporter.ledger import Ledger
    from exporter.sources.contracts import Contracts
    from exporter.sources.costs import Costs
    from exporter.sources.heads import Heads
    from exporter.sources.rpc import Rpc
    from exporter.worker import Worker

type Read = Callable[[], Awaitable[Any]]
type Stream = Callable[[], AsyncGenerator[Any]]
type Progress = Callable[[int, int], None]
"""Called with (done, total) while a first read runs."""


_paused: ContextVar[float] = ContextVar("paused", default=0.0)


async def idle[T](waiting: Awaitable[T]) -> T:
    """Wait for something to happen, without that time counting as part of a read."""
    started = time.perf_counter()
    try:
        return await waiting
    finally:
        _paused.set(_paused.get() + time.perf_counter() - started)


async def pause(seconds: float) -> None:
    """Sleep between two looks of a stream, without that time counting as part of a read."""
    await idle(asyncio.sleep(seconds))


def busy_clock() -> float:
    """Seconds of this task's time, pauses left out: only differences mean anything."""
    return time.perf_counter() - _paused.get()


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that collectors may read from; what is not configured is None."""

    settings: Settings
    ledger: Ledger
    rpc: Rpc | None
    contracts: Contracts | None
    worker: Callable[[str], Worker]
    progress: Callable[[str], Progress]
    live: Callable[[], live.Snapshot]
    costs: Costs
    heads: Heads | None
    intake: Intake
    bus: Figures | None = None
    backlog: Backlog = field(default_factory=Backlog)


@dataclass(frozen=True, slots=True)
class Poll:
    """Read anew every `every` seconds."""

    read: Read
    every: float


def when_moved(
    sources: Sources, read: Callable[[Sources], Awaitable[Any]], every: float = 1.0, at_least: float = math.inf
) -> Poll:
    """Look every `every` seconds, but read only if the ledger has moved, or `at_least` seconds after the last time.

    A snapshot that says the same is the same object: nothing has to be rendered anew.
    """
    newest: tuple[int, float, Any] = -1, 0.0, None

    async def unless_unchanged() -> Any:
        nonlocal newest
        version, now = sources.ledger.version, time.monotonic()
        if newest[0] != version or now - newest[1] >= at_least:
            made = await read(sources)
            newest = version, now, newest[2] if made == newest[2] else made
        return newest[2]

    return Poll(unless_unchanged, every)


@dataclass(frozen=True, slots=True)
class Follow:
    """Take snapshots, some only `Kept`, from a stream as they come; it is opened again when it fails."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Kept:
    """What the ledger holds, shown while a stream's source cannot be read: it makes no success of a failure."""

    snapshot: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """One subsystem: `open` says how to read it (None: not configured), `render` turns a snapshot into families.

    `uses` names the sections of the settings it depends on: a reload that changes one opens it anew.
    `timeout` bounds one read (or the wait for a stream's next snapshot), `max_age` the life of observed state,
    both in seconds. `unset` is what the landing page says while nothing is configured.
    """

    name: str
    metrics: tuple[Metric, ...]
    open: Callable[[Sources], Poll | Follow | None]
    render: Callable[[Any], Iterator[Family]]
    timeout: float
    max_age: float
    uses: tuple[str, ...] = ("bot", "limits")
    unset: str = ""
