"""Fees seen over the last hour: how they are spread, and where the newest stands among them. Bounded, no I/O."""

from __future__ import annotations

import bisect
import math
import time
from array import array
from collections.abc import Callable
from typing import Final

SECONDS: Final = 3_600.0
LEAST: Final = 60
"""Samples below which nothing is said."""
MOST: Final = 7_200
LARGEST: Final = 2**63 - 1


class FeeWindow:
    """Samples of a fee in wei, in order of time and in order of size; three arrays of eight bytes a sample."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._times, self._fees, self._sorted = array("d"), array("q"), array("q")

    def add(self, fee_wei: int) -> None:
        """Note a fee seen now, and forget those that are too old; one that no chain has is not noted."""
        now = self._monotonic()
        while self._times and (now - self._times[0] > SECONDS or len(self._times) >= MOST):
            self._times.pop(0)
            del self._sorted[bisect.bisect_left(self._sorted, self._fees.pop(0))]
        if fee_wei <= LARGEST:
            self._times.append(now)
            self._fees.append(fee_wei)
            bisect.insort(self._sorted, fee_wei)

    def percentile(self, percent: int) -> int | None:
        """The smallest fee that so many per cent of the samples do not exceed; None while there are too few."""
        count = len(self._sorted)
        return self._sorted[max(math.ceil(count * percent / 100), 1) - 1] if count >= LEAST else None

    def trend(self) -> float | None:
        """The newest fee against the median, as a ratio less one; None while there are too few, or all was free."""
        median = self.percentile(50)
        return self._fees[-1] / median - 1 if median else None
