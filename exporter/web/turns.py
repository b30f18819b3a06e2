"""Requests begun in one turn of the event loop: a burst of hundreds takes many short turns instead of a long one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

AT_ONCE: Final = 2
"""Requests begun in one turn; an answer takes the loop for a third of a millisecond to a few."""


class Turns:
    """Lets so many in with each turn of the loop, in the order in which they come."""

    def __init__(self, most: int = AT_ONCE) -> None:
        self._most = self._left = most
        self._queue: deque[asyncio.Future[None]] = deque()
        self._renewing = False

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._queue)

    async def come(self) -> None:
        """Wait for one's turn; not at all if few come."""
        if self._left and not self._queue:
            self._spend()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._renew_soon()
        await turn

    def _spend(self) -> None:
        self._left -= 1
        self._renew_soon()

    def _renew_soon(self) -> None:
        if not self._renewing:
            self._renewing = True
            asyncio.get_running_loop().call_soon(self._renew)

    def _renew(self) -> None:
        self._renewing, self._left = False, self._most
        while self._left and self._queue:
            turn = self._queue.popleft()
            if not turn.done():  # else whoever waited has gone
                turn.set_result(None)
                self._spend()
