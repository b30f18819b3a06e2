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
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._per_second
        self._left -= 1
        return 0.0
