"""Who may report events now: so many requests and events a second for each client, and so much memory for all."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from exporter.event_intake import Intake
from exporter.live.pace import Allowance
from exporter.sources.event_fields import BadEvent
from exporter.sources.event_records import Event
from exporter.web.bodies import Purse
from exporter.web.doors import Full
from exporter.web.event_bodies import Records, portion
from exporter.worker import Worker

REQUESTS: Final = 50
"""A second, for each client."""
EVENTS: Final = 10_000
"""A second, for each client."""
LARGEST: Final = 8 << 20
"""Bytes of a body."""
MEMORY: Final = 2 * LARGEST
"""Bytes of all bodies that are being read."""
CLIENTS: Final = 1_000
"""Clients whose pace is remembered."""


@dataclass(slots=True)
class _Pace:
    requests: Allowance = field(default_factory=lambda: Allowance(REQUESTS, REQUESTS))
    events: Allowance = field(default_factory=lambda: Allowance(EVENTS, EVENTS))


@dataclass(slots=True)
class EventDoor:
    """Where events come in over HTTP. A body is taken whole, however many events it has; then the client waits."""

    intake: Intake
    worker: Worker
    clock: Callable[[], float] = monotonic
    _paces: OrderedDict[str, _Pace] = field(default_factory=OrderedDict)
    _held: list[int] = field(default_factory=lambda: [0])
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def admit(self, client: str) -> None:
        """Let a request in.

        Raises:
            Full: not now; `retry_after` says when.
        """
        pace, now = self._pace(client), self.clock()
        wait = pace.events.wait(now) or pace.requests.take(now)
        if wait:
            raise Full(429, "more requests or events a second than one client may send", math.ceil(wait))

    def charge(self, client: str, events: int) -> None:
        """So many records have come from a client."""
        pace = self._pace(client)
        pace.events.wait(self.clock())
        pace.events.charge(events)

    def purse(self) -> Purse:
        """For one body."""
        return Purse(self._held, MEMORY)

    async def portion(self, found: Records, most: int) -> list[Event | BadEvent]:
        """The next records of a body, parsed beside the loop, one body after the other.

        Raises:
            NotJson: the body holds none. Busy: the thread does not answer.
        """
        async with self._turn:
            return await self.worker.run(portion, found, most)

    def _pace(self, client: str) -> _Pace:
        pace = self._paces.setdefault(client, _Pace())
        self._paces.move_to_end(client)
        if len(self._paces) > CLIENTS:
            self._paces.popitem(last=False)
        return pace
