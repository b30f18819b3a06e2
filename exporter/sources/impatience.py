"""A request that hangs is sent again beside the first, and whichever answers first counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

MOST: Final = 4
"""How many run at the same time at most."""


async def first_of[T](attempt: Callable[[], Awaitable[T]], every: float) -> T:
    """The first result; another attempt is begun every so many seconds while none has answered.

    Raises:
        Exception: what the last of them failed with, if all have failed.
    """
    running: set[asyncio.Task[T]] = set()
    try:
        while True:
            if len(running) < MOST:
                running.add(asyncio.ensure_future(_as_task(attempt)))
            done, running = await asyncio.wait(running, timeout=every, return_when=asyncio.FIRST_COMPLETED)
            good = [task for task in done if task.exception() is None]
            if good:
                return good[0].result()
            if done and not running:
                return done.pop().result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _as_task[T](attempt: Callable[[], Awaitable[T]]) -> T:
    return await attempt()
