"""Pre-confirmed logs: only where blocks are slow, the node offers them, and they really arrive. No input or output."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from exporter.sources.jsonrpc import Call, Malformed

SLOW: Final = 1.0
"""Seconds between blocks up to which a block is as quick as any promise of it."""
PATIENCE: Final = 60.0
"""Seconds without a message after which the subscription is given up: some nodes accept it and deliver nothing."""
AGAIN: Final = 600.0
"""Seconds after which what was given up is tried once more."""


class Preconfirmations:
    """Which subscription to try, and whether anything comes of it."""

    def __init__(self, addresses: Sequence[str], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._kinds: tuple[list[Any], ...] = (
            ["pendingLogs", {"address": list(addresses)}],
            ["newFlashblockTransactions", True],
        )
        self._wanted = bool(addresses)
        self._monotonic = monotonic
        self._next = 0
        self._asking = False
        self._subscription: str | None = None
        self._arrived: float | None = None
        self._since = 0.0

    @property
    def active(self) -> bool:
        """Whether they arrive."""
        return self._subscription is not None and self._arrived is not None

    def requests(self, interval: float | None) -> list[Call]:
        """What to ask of the node now, at this block interval in seconds."""
        now = self._monotonic()
        slow = interval is not None and interval > SLOW
        last = self._since if self._arrived is None else self._arrived
        if self._subscription is not None and (not slow or now - last > PATIENCE):
            return self._give_up()
        if self._next >= len(self._kinds) and now - self._since > AGAIN:
            self._next = 0
        if not slow or self._asking or self._subscription is not None or not self._wanted:
            return []
        if self._next >= len(self._kinds):
            return []
        self._asking, self._since = True, now
        return [("eth_subscribe", self._kinds[self._next])]

    def _give_up(self) -> list[Call]:
        name, self._subscription, self._arrived = self._subscription, None, None
        self._next, self._since = self._next + 1, self._monotonic()
        return [("eth_unsubscribe", [name])]

    def answered(self, subscription: str | None) -> None:
        """The node's answer: the subscription's name, or None for an error."""
        self._asking, self._since = False, self._monotonic()
        self._subscription = subscription
        self._next += subscription is None

    def logs(self, result: Any) -> list[Any]:
        """The logs of one message: it is one, or a transaction that has some.

        Raises:
            Malformed: it is neither.
        """
        if not isinstance(result, dict):
            raise Malformed("a pre-confirmation is none")
        found = result.get("logs", []) if "address" not in result else [result]
        if not isinstance(found, list):
            raise Malformed("a pre-confirmation's logs are none")
        self._arrived = self._monotonic()
        return found
