"""The newest snapshot of everything, and the only error boundary: `poll` and `follow` keep it up to date."""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from exporter import exposition, log
from exporter.collector import Collector, Kept, Read, Stream, busy_clock
from exporter.exposition import Format
from exporter.metrics import Family, Gated, counter, gate, gauge

SUCCESS = gauge("arb_scrape_collector_success", "1 if the collector's last read succeeded.", "collector")
DURATION = gauge("arb_scrape_collector_duration_seconds", "How long the collector's last read took.", "collector")
LAST_SUCCESS = gauge(
    "arb_scrape_collector_last_success_timestamp_seconds", "When the collector last read with success.", "collector"
)
DROPPED = counter(
    "arb_exporter_dropped_samples_total", "Samples held back: not finite, negative counters, doubles.", "collector"
)
METRICS: Final = (SUCCESS, DURATION, LAST_SUCCESS, DROPPED)

RETRY_FIRST, RETRY_LAST = 0.5, 2.0  # a bank or log that comes back is seen within a second or two
MAX_SERIES: Final = 2_000

logger = log.get("board")


class TooManySeries(log.Plain):
    """A snapshot would take the board over its limit of series; the one before it stays."""


@dataclass(slots=True, eq=False)
class _Pieces:
    """Rendered text of one collector, by format, made when first asked for."""

    families: tuple[Family, ...]
    made: dict[Format, tuple[bytes, bytes]] = field(default_factory=dict)

    def get(self, form: Format) -> tuple[bytes, bytes]:
        if form not in self.made:
            text = exposition.encode(self.families, form)
            self.made[form] = text, exposition.deflate(text)
        return self.made[form]


NOTHING: Final = _Pieces(())


@dataclass(slots=True)
class State:
    """How a collector fares. Times are epoch seconds; `taken` is on the monotonic clock."""

    max_age: float
    success: bool | None = None
    snapshot: Any = None
    error: str = ""
    duration: float = 0.0
    last_success: float | None = None
    taken: float = 0.0
    dropped: int = 0
    series: int = 0
    fresh: _Pieces = NOTHING
    lasting: _Pieces = NOTHING

    def pieces(self, now: float) -> _Pieces:
        """All of the snapshot while it is young enough, afterwards only what lasts."""
        return self.fresh if now - self.taken <= self.max_age else self.lasting


@dataclass(frozen=True, slots=True)
class Page:
    """One exposition; `gzipped` is the same body compressed."""

    body: bytes
    gzipped: bytes


class Board:
    """Holds one state per collector; whatever reads it can neither block nor fail."""

    def __init__(
        self,
        max_series: int = MAX_SERIES,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.states: dict[str, State] = {}
        self.progress: dict[str, tuple[int, int]] = {}
        self._max_series = max_series
        self._clock = clock
        self._monotonic = monotonic
        self._own: tuple[_Pieces, bool] = NOTHING, False
        self._pages: dict[Format, tuple[list[_Pieces], Page]] = {}
        self._listeners: list[Callable[[str], None]] = []

    def listen(self, callback: Callable[[str], None]) -> None:
        """Call back with a collector's name after each of its reads, in the same turn of the loop; never raises."""
        self._listeners.append(callback)

    def _tell(self, name: str) -> None:
        for callback in self._listeners:
            callback(name)

    def current(self, name: str) -> Any:
        """A collector's newest snapshot while it is young enough to be shown; else None."""
        state = self.states.get(name)
        if state is None or state.last_success is None or self._monotonic() - state.taken > state.max_age:
            return None
        return state.snapshot

    def declare(self, name: str, max_age: float) -> None:
        """Make a collector known: its `success` is 0 until it has read once."""
        self.states[name] = State(max_age)
        self._own = NOTHING, False

    def retire(self, name: str) -> None:
        """Forget a collector and all it showed, after a reload of the settings took it away."""
        self.states.pop(name, None)
        self.progress.pop(name, None)
        self._own = NOTHING, False
        self._tell(name)

    def publish(self, collector: Collector, snapshot: Any, duration: float) -> None:
        """Put all of a snapshot up, or none of it; one that is shown already is only made young again.

        Raises:
            Undeclared, TooManySeries: nothing has changed.
        """
        state = self.states.get(collector.name)
        if state is None:
            return  # retired while it was being read
        self._show(collector, state, snapshot)
        if state.success is False:
            logger.info("collector works again", collector=collector.name)
        state.success, state.error, state.duration = True, "", duration
        state.last_success = self._clock()
        self._own = NOTHING, False
        self._tell(collector.name)

    def keep(self, collector: Collector, snapshot: Any) -> None:
        """Put a snapshot up that says nothing of the collector's source: it works or fails as before.

        Raises:
            Undeclared, TooManySeries: nothing has changed.
        """
        state = self.states.get(collector.name)
        if state is None or state.last_success is None:
            return  # retired while it was being read; or nothing may be shown yet
        self._show(collector, state, snapshot)
        self._own = NOTHING, False
        self._tell(collector.name)

    def _show(self, collector: Collector, state: State, snapshot: Any) -> None:
        if snapshot is not state.snapshot or state.last_success is None:
            self._draw(collector, state, snapshot)
        state.taken = self._monotonic()

    def _draw(self, collector: Collector, state: State, snapshot: Any) -> None:
        gated = gate(collector.render(snapshot), collector.metrics)
        self._check_room(collector.name, gated)
        state.snapshot, state.series = snapshot, gated.series
        state.dropped += gated.dropped
        state.fresh = _Pieces(gated.families)
        state.lasting = _Pieces(tuple(f for f in gated.families if f.metric.lasting))

    def fail(self, name: str, error: BaseException, duration: float) -> None:
        """Mark a failed read; only the change of state is logged, not each failure."""
        state, words = self.states.get(name), log.describe(error)
        if state is None:
            return  # retired while it was being read
        if state.success is not False:
            logger.warning("collector fails", collector=name, error=words)
        elif state.error != words:
            logger.debug("collector still fails", collector=name, error=words)
        state.success, state.error, state.duration = False, words, duration
        self._own = NOTHING, False
        self._tell(name)

    def page(self, form: Format, names: Collection[str] = ()) -> Page:
        """The exposition of all, or of the families that have samples with these names; made once per change."""
        now = self._monotonic()
        pieces = [self._own_pieces(), *(state.pieces(now) for state in self.states.values())]
        if names:
            return self._assemble([_Pieces(_named(piece.families, names)) for piece in pieces], form)
        cached = self._pages.get(form)
        if cached is None or not _same(cached[0], pieces):
            cached = self._pages[form] = pieces, self._assemble(pieces, form)
        return cached[1]

    def families(self) -> list[Family]:
        """Everything that is shown now."""
        now = self._monotonic()
        own = self._own_pieces()
        return [f for p in (own, *(s.pieces(now) for s in self.states.values())) for f in p.families]

    def _assemble(self, pieces: list[_Pieces], form: Format) -> Page:
        end = form.end
        made = [piece.get(form) for piece in pieces]
        return Page(*exposition.join([*made, (end, exposition.deflate(end))]))

    def _own_pieces(self) -> _Pieces:
        if not self._own[1]:
            self._own = _Pieces(tuple(self._about())), True
        return self._own[0]

    def _about(self) -> Iterable[Family]:
        rows = [((name,), state) for name, state in self.states.items()]
        yield SUCCESS.each((name, float(state.success is True)) for name, state in rows)
        yield DURATION.each((name, state.duration) for name, state in rows if state.success is not None)
        yield LAST_SUCCESS.each((n, s.last_success) for n, s in rows if s.last_success is not None)
        yield DROPPED.each((name, state.dropped) for name, state in rows)

    def _check_room(self, name: str, gated: Gated) -> None:
        others = sum(state.series for other, state in self.states.items() if other != name)
        total = others + gated.series + len(METRICS) * len(self.states)
        if total > self._max_series:
            raise TooManySeries(f"{gated.series} series more would make {total}; the limit is {self._max_series}")


def _same(one: list[_Pieces], other: list[_Pieces]) -> bool:
    return len(one) == len(other) and all(map(operator.is_, one, other))


def _named(families: tuple[Family, ...], names: Collection[str]) -> tuple[Family, ...]:
    return tuple(f for f in families if any(_asked(f, suffix, names) for suffix, _, _ in f.samples))


def _asked(family: Family, suffix: str, names: Collection[str]) -> bool:
    name = family.metric.name
    return name in names or name + suffix in names or name.removesuffix("_total") in names


async def poll(board: Board, collector: Collector, read: Read, every: float) -> None:
    """Read, render and put up every `every` seconds, for ever; what fails is marked and tried again in its turn."""
    due = time.monotonic()
    while True:
        await _once(board, collector, read)
        due = max(due + every, time.monotonic())
        await asyncio.sleep(due - time.monotonic())


async def follow(board: Board, collector: Collector, stream: Stream) -> None:
    """Put up each snapshot of a stream as it comes, for ever; a stream that fails or falls silent is opened again."""
    wait = RETRY_FIRST
    while True:
        try:
            async with aclosing(stream()) as snapshots:
                while await _once(board, collector, snapshots.__anext__):
                    wait = RETRY_FIRST
        except Exception as error:
            _mark(board, collector, error, 0.0)
        await asyncio.sleep(wait)
        wait = min(wait * 2, RETRY_LAST)


async def _once(board: Board, collector: Collector, read: Callable[[], Awaitable[Any]]) -> bool:
    """One read inside the error boundary; cancellation passes through."""
    started = busy_clock()
    try:
        async with asyncio.timeout(collector.timeout):
            snapshot = await read()
        duration = busy_clock() - started
        if isinstance(snapshot, Kept):
            board.keep(collector, snapshot.snapshot)
        else:
            board.publish(collector, snapshot, duration)
    except Exception as error:
        _mark(board, collector, error, busy_clock() - started)
        return False
    return True


def _mark(board: Board, collector: Collector, error: Exception, duration: float) -> None:
    """Note a failure; but what a cancelled task raises while it cleans up does not undo its cancellation."""
    if (task := asyncio.current_task()) is not None and task.cancelling():
        raise asyncio.CancelledError from error
    board.fail(collector.name, error, duration)
