"""How fast an endpoint may be asked: as fast as anyone likes until it limits us, then half, then slowly faster."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

LEAST: Final = 2.0
"""Calls per second that are always made: an endpoint that is not asked at all can never be well again."""
GROWTH: Final = 0.5
"""Calls per second that are added in each second without a limit, at least."""
RECOVERY: Final = 30.0
"""Seconds in which what a limit has taken away is given back, at most."""
ENOUGH: Final = 1000.0
"""Calls per second from which on nothing is held back any more."""
LONGEST: Final = 1.0
"""Seconds that a turn waits at most, however large the one before it was."""
SETTLES: Final = 1.0
"""Seconds in which further limits belong to the one that was answered to already."""
MEMORY: Final = 5.0


class Pace:
    """A bucket of calls that is filled at `rate` per second; None, and no delay at all, until the first limit."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.rate: float | None = None
        self._monotonic = monotonic
        self._turn = asyncio.Lock()
        self._tokens = 0.0
        self._flow = 0.0
        """Calls per second of late, forgotten over a few seconds."""
        self._last = monotonic()
        self._growth = GROWTH
        self._limited = -math.inf
        self._served = True
        """Whether anything was answered since the rate was last lowered: else this rate has not been tried yet."""

    async def turn(self, calls: int) -> None:
        """Wait for the turn to make so many calls, first come, first served."""
        if self.rate is not None:
            async with self._turn:
                self._pass()
                if self.rate is not None and self._tokens < 0:
                    await asyncio.sleep(-self._tokens / self.rate)
        self._pass()
        self._flow += calls / MEMORY
        if self.rate is not None:
            self._tokens = max(self._tokens - calls, -LONGEST * self.rate)

    def served(self) -> None:
        """The endpoint answered."""
        self._served = True

    def limited(self) -> None:
        """The endpoint said that this is too fast; one that answers nothing at all says so of no rate."""
        now = self._monotonic()
        self._pass()
        if self._served and now - self._limited > SETTLES:
            self.rate = max((self._flow if self.rate is None else self.rate) / 2, LEAST)
            self._growth = max(GROWTH, self.rate / RECOVERY)
            self._tokens = min(self._tokens, 0.0)
            self._limited, self._served = now, False

    def _pass(self) -> None:
        """Let the time go by that has gone by."""
        now = self._monotonic()
        elapsed, self._last = max(now - self._last, 0.0), now
        self._flow *= math.exp(-elapsed / MEMORY)
        if self.rate is None:
            return
        self._tokens = min(self._tokens + elapsed * self.rate, self.rate)
        self.rate += self._growth * elapsed
        if self.rate > ENOUGH:
            self.rate = None
