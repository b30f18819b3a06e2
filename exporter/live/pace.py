"""How often something may happen: so many at once, and so many a second in the long run."""

from __future__ import annotations

import math


class Allowance:
    """A bucket of `burst` turns that fills at `per_second`."""

    __slots__ = ("_at", "_burst", "_left", "_per_second")

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._left, self._at = burst, -math.inf

    def take(self, now: float) -> float:
        """Take a turn: 0.0, or how many seconds too early it is."""
        wait = self.wait(now)
        if not wait:
            self._left -= 1
        return wait

    def wait(self, now: float) -> float:
        """How many seconds too early it is for a turn; 0.0 if there is one."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._per_second
        return 0.0

    def charge(self, turns: float) -> None:
        """Turns that were taken without asking: there may be a debt, which time pays."""
        self._left -= turns
