"""The event loop, which hears of few events at a time: a crowd that comes or goes at once delays nobody's turn."""

from __future__ import annotations

import asyncio
import selectors
import sys
from collections.abc import Callable
from typing import Any, Final

EVENTS: Final = 24
"""Events that one turn of the loop is told of; of the others the next ones are, for the kernel goes round.

With all at once, what 200 clients say together keeps everything else waiting for 20 to 30 ms; so it is below 13.
"""


def new() -> asyncio.AbstractEventLoop:
    """A loop of asyncio's own; where there is no epoll, as usual."""
    if sys.platform != "linux":
        return asyncio.new_event_loop()
    return asyncio.SelectorEventLoop(_Few())


def for_tls() -> Callable[[], asyncio.AbstractEventLoop]:
    """With TLS, asyncio takes a quarter of a megabyte for each connection; the extra `fast` takes a tenth of that."""
    try:
        import aiofastnet
    except ImportError:
        return new
    return aiofastnet.loop_factory(new)


if sys.platform == "linux":

    class _Few(selectors.EpollSelector):
        def __init__(self) -> None:
            super().__init__()
            self._selector: Any = _Bounded(self._selector)

    class _Bounded:
        """The kernel's own, asked for less than it would tell."""

        def __init__(self, epoll: Any) -> None:
            self._epoll = epoll

        def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
            found: list[tuple[int, int]] = self._epoll.poll(timeout, min(most, EVENTS))
            return found

        def __getattr__(self, name: str) -> Any:
            return getattr(self._epoll, name)
