"""What one arbitrage costs now, told by who reads fees to who weighs profits against it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

FRESH: Final = 15.0
"""Seconds after which a cost that nobody renewed is not known any more."""


class Costs:
    """The newest cost of a typical trade in wei; None until one is known, and again when it has grown old."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._trade: tuple[int | None, float] = (None, 0.0)

    @property
    def trade_cost_wei(self) -> int | None:
        """Gas of a typical arbitrage at the fees of now, in wei: L2's, L1's and the operator's together."""
        cost, since = self._trade
        return cost if self._monotonic() - since <= FRESH else None

    @trade_cost_wei.setter
    def trade_cost_wei(self, cost: int | None) -> None:
        self._trade = cost, self._monotonic()
