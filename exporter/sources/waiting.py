"""How long a wallet's transactions have waited: told apart from nodes that lag or have no pool of their own. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from exporter.sources.jsonrpc import Malformed, field

IDLE: Final = 5
"""Looks in a row that must see nothing pending before a wait is over: of several nodes, not all know of all."""
STUCK_SECONDS: Final = 60.0
STUCK_BLOCKS: Final = 30
MOST_NONCES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Wait:
    """Since when the next transaction is known to wait (epoch seconds), and how many are stuck behind it."""

    since: float
    stuck: int


class Queue:
    """One wallet's pending transactions, look by look; only a mined one, or a long emptiness, ends a wait."""

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._mined = -1
        self._idle = 0
        self._began: tuple[float, float] | None = None
        self._last = 0

    def look(self, mined: int, pending: int, block_seconds: float | None) -> Wait | None:
        """Note how many are mined and pending now; None while none waits."""
        self._idle = 0 if pending else self._idle + 1
        if mined > self._mined or self._idle >= IDLE:
            self._began = None
        self._mined = max(self._mined, mined)  # a node that lags sees fewer
        if pending:
            self._began = self._began or (self._monotonic(), self._clock())
            self._last = pending
        if self._began is None:
            return None
        waited, limit = self._monotonic() - self._began[0], max(STUCK_SECONDS, STUCK_BLOCKS * (block_seconds or 0.0))
        return Wait(self._began[1], self._last if waited > limit else 0)


def nonce_gap(mined: int, content: Any) -> int:
    """How many nonces are missing below queued transactions, by the node's pool; 0 if none is queued.

    Raises:
        Malformed, RpcError: the node did not tell.
    """
    queued = [nonce for nonce in _nonces(field(content, "queued")) if nonce >= mined]
    if not queued:
        return 0
    known = {nonce for nonce in _nonces(field(content, "pending")) if nonce >= mined} | set(queued)
    last = max(queued)
    return last + 1 - mined - sum(nonce <= last for nonce in known)


def _nonces(part: Any) -> Iterable[int]:
    if not isinstance(part, dict) or len(part) > MOST_NONCES:
        raise Malformed("the pool's transactions are not listed by nonce")
    return map(_nonce, part)


def _nonce(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Malformed("a nonce is no number")
    return int(text)
