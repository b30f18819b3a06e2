"""Pools as they are now: what was read of a block is the truth, and events after it count until the next. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from exporter.sources import pool_events, pools
from exporter.sources.jsonrpc import Malformed
from exporter.sources.pool_events import Change
from exporter.sources.pools import Reading, Seen, Venue
from exporter.sources.shapes import State

LIFE: Final = 5.0
"""Seconds for which an event of a later block than the last one that was read counts."""
AHEAD: Final = 64
"""Blocks that an event may be ahead of what was read; what claims more is no event, or a lot was missed."""


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool since it last changed: in which block, when we learned it and when it happened (epoch seconds).

    `changed` is None for a pool that has no price yet and never changed.

    `place` is that of the event it was learned by, if it was by one; `preconfirmed` if that is in no block yet.
    """

    venue: Venue
    reading: Reading
    block: int | None
    learned: float
    changed: float | None
    changes: int = 0
    place: tuple[int, int] | None = field(default=None, compare=False)
    preconfirmed: bool = False


class Market:
    """All pools that can be read, by their address."""

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._venues: Mapping[str, Venue] = {}
        self._last: dict[str, PoolState] = {}
        self._up: set[str] = set()
        self._heard: dict[str, float] = {}
        self.block = 0
        """The last one that was read."""

    def know(self, venues: Sequence[Venue]) -> None:
        """These are the pools, in this order."""
        self._venues = {venue.facts.address: venue for venue in venues}
        self._up &= self._venues.keys()

    @property
    def states(self) -> tuple[PoolState, ...]:
        """Those that can be read; the same objects while nothing changes."""
        return tuple(self._last[address] for address in self._venues if address in self._up)

    def take(self, venues: Sequence[Venue], seen: Seen) -> None:
        """What was read of a block; None in place of a reading: the pool gives none at present."""
        self.block = self.block if seen.block is None else seen.block
        for venue, reading in zip(venues, seen.readings, strict=True):
            address = venue.facts.address
            if reading is None:
                self._up.discard(address)
            elif self._venues.get(address) == venue and not self._ahead(address, seen.block):
                self._put(venue, reading, seen)
                self._up.add(address)

    def _ahead(self, address: str, block: int | None) -> bool:
        """Whether an event of a later block is still to be believed."""
        last = self._last.get(address)
        if block is None or last is None or last.place is None or address not in self._up:
            return False
        return last.place[0] > block and self._monotonic() - self._heard.get(address, 0.0) < LIFE

    def _put(self, venue: Venue, reading: Reading, seen: Seen) -> None:
        address, last = venue.facts.address, self._last.get(venue.facts.address)
        told = reading.state.changed
        if last is not None and _same(last.reading.state, reading.state):
            settled = replace(last, venue=venue, reading=reading, place=None, preconfirmed=False,
                              changed=last.changed if told is None else float(told))  # fmt: skip
            self._last[address] = last if last == settled else settled
            return
        now = self._clock()
        if told is None and reading.price is not None:
            told = seen.time if seen.time is not None else int(now)
        changes = 0 if last is None else last.changes + 1
        happened = None if told is None else float(told)
        self._last[address] = PoolState(venue, reading, seen.block, now, happened, changes)

    def hear(self, entries: Iterable[Mapping[str, Any]]) -> bool:
        """Take logs in; whether the pools must be read to know how they are. What is malformed costs only itself."""
        unsure = False
        for entry in entries:
            address = entry.get("address")
            last = self._last.get(address) if isinstance(address, str) and address in self._up else None
            try:
                change = pool_events.change(entry, last.venue.facts, last.reading.state) if last else None
            except Malformed:
                continue
            if last is not None and change is not None:
                unsure |= not self._apply(last, change)
        return unsure

    def _apply(self, last: PoolState, change: Change) -> bool:
        """Whether it is known now how the pool is."""
        if change.curve is None:
            self._heard.pop(change.address, None)  # whatever an event has told of it
            return False
        place = change.place or (self.block + 1, -1)
        if place[0] > self.block + AHEAD:
            return False
        if place[0] <= self.block or (last.place is not None and place < last.place):
            return True
        now = self._clock()
        state = last.reading.state.moved(change.curve, change.time, change.amounts)
        self._heard[change.address] = self._monotonic()
        if _same(last.reading.state, state):
            self._last[change.address] = replace(last, place=place, preconfirmed=change.preconfirmed)
        else:
            happened = float(change.time) if change.time is not None else now
            self._last[change.address] = PoolState(
                last.venue, pools.reading(last.venue, state), place[0], now, happened, last.changes + 1, place,
                change.preconfirmed,
            )  # fmt: skip
        return True


def _same(one: State, other: State) -> bool:
    """Whether the pool has not changed; how its price is computed may differ in the last digits."""
    return one.curve == other.curve and (one.curve is not None or one.reserves == other.reserves)
