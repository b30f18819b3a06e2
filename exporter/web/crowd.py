"""Who is connected: how many there may be, how long each may take, and who makes room for a newcomer."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import resource
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from exporter.web.turns import Turns

FIRST_REQUEST: Final = 5.0
"""Seconds in which a connection must have sent the head of a request, from its first byte (or its begin) on."""
IDLE: Final = 120.0
"""Seconds that a connection may rest between requests; scrapes can be a minute apart."""
DEAF: Final = 5
"""Looks in a row without a byte taken of what waits, after which a client does not read; a slow line takes some.

They are counted, not timed: when this program had no turn for seconds, its clients may have had none either.
"""
STALLED: Final = 5.0
"""Seconds in which a client must take at least `STEP` bytes of what waits for it."""
STEP: Final = 4 << 10
HELD: Final = 4 << 20
"""Bytes that may wait for all clients together; while it is more, who takes nothing goes before its time is over."""
TURNS: Final = 16
"""Turns of the loop that a newcomer has at least to send its request in, however many come after it."""
GRACE: Final = 0.01
"""Seconds that it has at least: turns can be short, and its own machine busy."""
LOOK: Final = 0.25
"""Seconds between two looks at everyone."""
TOGETHER: Final = 12
"""How many are sent away in one turn of the loop after a look, for each has much to be cleared away."""
OWN: Final = 64
"""Descriptors that the exporter needs beside its clients: ledger, logs, bank, nodes."""
FEWEST: Final = 24
RESERVED: Final = 12
"""Of all connections, those in which only scrapes and health checks are answered."""


class Guest(Protocol):
    """A connection, or one that is not yet."""

    def unsent(self) -> int:
        """Bytes that wait for the client to take them."""

    def abort(self) -> None:
        """End it at once."""


@dataclass(slots=True)
class Slow:
    """How much waited for a client when it had last taken `STEP` (loop time), and at the last look."""

    unsent: int
    since: float
    newest: int
    deaf: int = 0
    """Looks at which it had taken nothing since the one before."""


@dataclass(slots=True)
class Crowd:
    """Everyone who is connected and is not a listener of the live feed.

    Whoever has been silent for longest makes room for who comes: thousands of silent connections cost a scraper
    nothing, for it asks at once.
    """

    most: int = 256
    turns: Turns = field(default_factory=Turns)
    _waiting: dict[Guest, float] = field(default_factory=dict)
    _resting: dict[Guest, float] = field(default_factory=dict)
    _working: set[Guest] = field(default_factory=set)
    _slow: dict[Guest, Slow] = field(default_factory=dict)
    _timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting) + len(self._resting) + len(self._working)

    @property
    def full(self) -> bool:
        """Whether nobody else may come in."""
        return len(self) >= self.most

    @property
    def exchanges(self) -> int:
        """How many may be sent away for others in one turn of the loop, so that each has some turns to ask in."""
        return (self.most - len(self._working)) // TURNS

    @property
    def crowded(self) -> bool:
        """Whether what is left is for scrapes and health checks."""
        return len(self._working) - self.turns.waiting > self.most - RESERVED

    def wait(self, guest: Guest) -> None:
        """It has come, or begins another request, and has to send its head."""
        if guest not in self._waiting:
            self._forget(guest)
            self._waiting[guest] = self._now()
            self._watch()

    def work(self, guest: Guest) -> None:
        """Its request is being answered."""
        self._forget(guest)
        self._working.add(guest)

    def rest(self, guest: Guest) -> None:
        """It has its answer, or will soon."""
        if guest in self._working:
            self._forget(guest)
            self._resting[guest] = self._now()

    def rests(self, guest: Guest) -> bool:
        """Whether it is between two requests."""
        return guest in self._resting

    def leave(self, guest: Guest) -> None:
        """It is gone."""
        self._forget(guest)
        self._slow.pop(guest, None)

    def make_room(self) -> bool:
        """Send away who has neither asked nor been answered for longest; False if everybody is being answered."""
        guest = self._next_to_go()
        if guest is not None:
            self._send_away(guest)
        return guest is not None

    @property
    def grace(self) -> float:
        """Seconds until whoever would make room has had its time to ask."""
        guest = self._next_to_go()
        came = None if guest is None else self._waiting.get(guest)
        return 0.0 if came is None else max(0.0, came + GRACE - self._now())

    def _next_to_go(self) -> Guest | None:
        quiet = {guest: since for place in (self._waiting, self._resting) for guest, since in self._quiet(place)}
        others = itertools.chain(self._resting, self._slow)
        guest = min(quiet, key=quiet.__getitem__) if quiet else next(others, None)
        if guest in self._waiting and self._now() < self._waiting[guest] + GRACE:
            # Or else, where slow readers hold nearly all places, the door would let in a hundred a second only.
            return next(iter(self._slow), guest)
        return guest

    def _quiet(self, place: dict[Guest, float]) -> Iterator[tuple[Guest, float]]:
        """The first in this place for whom nothing waits."""
        return itertools.islice(((guest, since) for guest, since in place.items() if not guest.unsent()), 1)

    def _send_away(self, guest: Guest) -> None:
        self.leave(guest)
        guest.abort()

    def _forget(self, guest: Guest) -> None:
        self._waiting.pop(guest, None)
        self._resting.pop(guest, None)
        self._working.discard(guest)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _look(self) -> None:
        now = self._now()
        late = [*self._late(self._waiting, now - FIRST_REQUEST), *self._late(self._resting, now - IDLE)]
        stuck = [guest for guest in [*self._waiting, *self._resting, *self._working] if self._stuck(guest, now)]
        self._part([*dict.fromkeys([*late, *stuck, *self._heavy(set(stuck))])])
        self._timer = None
        if len(self):
            self._watch()

    def _part(self, guests: list[Guest]) -> None:
        """Send them away, some in each turn; who was answered meanwhile, and took it, stays."""
        for guest in guests[:TOGETHER]:
            if guest.unsent() or guest not in self._working:
                self._send_away(guest)
        if len(guests) > TOGETHER:
            asyncio.get_running_loop().call_soon(self._part, guests[TOGETHER:])

    def _heavy(self, going: set[Guest]) -> Iterator[Guest]:
        """While too much waits beside those, who took nothing since the last look, the longest without a byte first.

        One alone may have its time.
        """
        slow = {guest: slow for guest, slow in self._slow.items() if guest not in going}
        held, left = sum(each.newest for each in slow.values()), len(slow)
        for guest, each in sorted(slow.items(), key=lambda one: -one[1].deaf):
            if held > HELD and each.deaf and left > 1:
                held, left = held - each.newest, left - 1
                yield guest

    def _late(self, place: dict[Guest, float], since: float) -> list[Guest]:
        return [guest for guest, began in place.items() if began < since and not guest.unsent()]

    def _stuck(self, guest: Guest, now: float) -> bool:
        unsent, before = guest.unsent(), self._slow.get(guest)
        if not unsent:
            self._slow.pop(guest, None)
        elif before is None or not before.unsent - STEP < unsent <= before.unsent:
            self._slow[guest] = Slow(unsent, now, unsent)
        else:
            before.deaf = before.deaf + 1 if unsent == before.newest else 0
            before.newest = unsent
            return now - before.since > STALLED or before.deaf >= DEAF
        return False


def waiting(transport: asyncio.WriteTransport) -> int:
    """Bytes of an answer that the client's machine has not got, with those that the kernel holds; 0 if it holds all.

    The kernel asks for more by thirds of its buffer: by our own buffer alone, a slow line would seem to stand still.
    """
    ours, held = transport.get_write_buffer_size(), bytearray(4)
    sock = transport.get_extra_info("socket")
    if ours and sock is not None:
        with suppress(OSError):  # it is closed, or a system that does not say
            fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, held)
    return ours + int.from_bytes(held, sys.byteorder)


def descriptors(wanted: int) -> int:
    """How many connections this process may have, after asking for `wanted`; what it needs itself is kept apart."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = wanted + OWN
    if soft < enough and hard != soft:
        soft = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(0, min(wanted, soft - OWN))


def shares(connections: int, listeners: int) -> tuple[int, int]:
    """How many connections and listeners there may be at most, of so many that are wanted: requests come first."""
    room = descriptors(connections + listeners)
    requests = max(FEWEST, min(connections, room // 2 if room < connections + listeners else connections))
    return requests, max(0, min(listeners, room - requests))
