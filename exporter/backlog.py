"""Which sources of trades read what is long past, and did so a moment ago: a rate over that is no burst of today."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

HELD: Final = 60.0
"""Seconds for which it is told after it is over: it may begin and end between two scrapes."""


class Backlog:
    """Told by whoever reads trades, by source."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._behind: set[str] = set()
        self._until = -1.0

    def tell(self, source: str, behind: bool) -> None:
        """Whether a source reads what is long past now."""
        if behind:
            self._behind.add(source)
        elif source in self._behind:
            self._behind.remove(source)
            self._until = self._monotonic() + HELD

    @property
    def active(self) -> bool:
        """Whether any does, or did within the last minute."""
        return bool(self._behind) or self._monotonic() < self._until
