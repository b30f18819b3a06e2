"""The canonical chain, as nodes tell it: gaps filled, parents checked, reorgs and rollbacks told from nodes behind."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Final

from exporter import log
from exporter.sources.blocks import Cadence, Header, Window, header, linked
from exporter.sources.finality import Finality
from exporter.sources.jsonrpc import Call, Malformed, RpcError
from exporter.sources.rpc import Rpc

FINAL_EVERY: Final = 1.0
MOST_GAP: Final = 256
"""Blocks that are filled in; after a longer absence what is in between is of no use any more."""
PREFILLED: Final = 64
MOST_BEHIND: Final = 3
"""Looks in a row for which a head that contradicts what is known counts as a node that lags or lies, at least."""
BEHIND_SECONDS: Final = 1.0
"""How long that must last for a head of another chain."""
STUCK_SECONDS, STUCK_INTERVALS = 3.0, 3
"""The same for an older head of our own chain: it must stand still for the longer of these."""
CLOCKS_DIFFER: Final = 60

logger = log.get("heads")


class Doubt:
    """A head that contradicts what is known: believed when it is said often and long enough."""

    def __init__(self) -> None:
        self._looks, self._since, self._number = 0, 0.0, -1

    def clear(self) -> None:
        """The head is in order."""
        self._looks = 0

    def overcome(self, number: int, seconds: float, *, moves: bool) -> bool:
        """Note one more look. What `moves` along our own chain is a node that lags, however long it does."""
        now = time.monotonic()
        if not self._looks or (moves and number != self._number):
            self._looks, self._since = 0, now
        self._looks, self._number = self._looks + 1, number
        return self._looks >= MOST_BEHIND and now - self._since >= seconds


class Canonical:
    """The newest headers; they change by `look`, and by `take` between two looks."""

    def __init__(self, rpc: Rpc, finality: str | int) -> None:
        self._rpc, self._wanted = rpc, finality
        self.window, self.finality, self.cadence = Window(), Finality(), Cadence()
        self.reorgs = 0
        self.fallbacks = 0
        self.last_reorg_depth: int | None = None
        self._doubt = Doubt()
        self._deepened = False
        self._final_due = 0.0

    def carry_on(self, other: Canonical) -> None:
        """Go on counting where another left off."""
        self.reorgs, self.fallbacks, self.last_reorg_depth = other.reorgs, other.fallbacks, other.last_reorg_depth

    def take(self, head: Header) -> bool:
        """A head that came by itself: taken if it simply follows the newest; everything else is for the next look."""
        newest = self.window.newest
        if newest is None or head.number != newest.number + 1 or not self.window.links(head):
            return False
        self.window.place([head])
        self._arrived(head)
        return True

    async def look(self) -> None:
        """Ask for the head, and now and then for what is final.

        Raises:
            Unreachable, Malformed, RpcError: there is no usable answer; what is known stays.
        """
        asks = time.monotonic() >= self._final_due
        latest, *final = await self._rpc.batch([_block("latest"), *(self._final_calls() if asks else ())])
        await self._follow(header(latest))
        if asks:
            self._final_due = time.monotonic() + FINAL_EVERY
            self._settle(final)

    async def deepen(self) -> None:
        """Learn some older headers, once: the interval can be measured at once, and a reorg's depth be told.

        Raises:
            Unreachable: there is no answer at all.
        """
        oldest = self.window.oldest
        if self._deepened or oldest is None or oldest.number == 0:
            return
        self._deepened = True
        with suppress(Malformed, RpcError):
            self.window.deepen(await self._headers(max(oldest.number - PREFILLED, 0), oldest.number - 1))
            self.cadence = Cadence()
            for known in self.window:
                self.cadence.see(known)

    async def _follow(self, head: Header) -> None:
        """Let the window end with this head, once it is to be believed."""
        newest = self.window.newest
        if newest is None:
            self.window.place([head])
        elif self.window.holds(head):
            self._fell_to(head, newest)
        elif head.number >= newest.number or self._doubt.overcome(head.number, BEHIND_SECONDS, moves=False):
            await self._extend(head, newest)
        if head == self.window.newest:
            self._arrived(head)

    def _arrived(self, head: Header) -> None:
        self._doubt.clear()
        self.cadence.see(head)
        if isinstance(self._wanted, int) and (final := self.window.get(max(head.number - self._wanted, 0))):
            self.finality.offer(final, self.window)

    def _fell_to(self, head: Header, newest: Header) -> None:
        """The head is of our own chain: the newest as before, or an older one of a node behind or after a rollback."""
        seconds = max(STUCK_SECONDS, STUCK_INTERVALS * (self.cadence.seconds or 0))
        if head.number < newest.number and self._doubt.overcome(head.number, seconds, moves=True):
            self.fallbacks += 1
            self._removed(self.window.cut(head.number), head)

    async def _extend(self, head: Header, newest: Header) -> None:
        if head.number - newest.number > MOST_GAP:
            if self._plausible(head, newest) or self._doubt.overcome(head.number, BEHIND_SECONDS, moves=False):
                self.window.restart([head])
            return
        chain = await self._back_to_window(head)
        if self.window.newest is not newest:
            return  # a head has been taken meanwhile: the next look will be about what is known then
        linking = self.window.links(chain[0])
        self._removed(self.window.place(chain) if linking else self.window.restart(chain), head)

    def _plausible(self, head: Header, newest: Header) -> bool:
        """Whether a jump is as far as the time that went by allows: a long pause, and no lie."""
        interval, elapsed = self.cadence.seconds, head.timestamp - newest.timestamp
        if interval is None or head.timestamp > time.time() + CLOCKS_DIFFER:
            return False
        return (head.number - newest.number) * interval <= 2 * elapsed

    async def _back_to_window(self, head: Header) -> list[Header]:
        """The headers after the common ancestor up to this head; as many as the window has if there is none in it."""
        chain, step = [head], 1
        while not self.window.links(chain[0]):
            newest, oldest, last = self.window.newest, self.window.oldest, chain[0].number - 1
            if newest is None or oldest is None or last < oldest.number:
                break
            first = newest.number + 1
            if last <= newest.number:  # the gap is filled, and does not fit: look for the ancestor in ever larger steps
                first, step = max(last - step + 1, oldest.number), step * 2
            chain = self._join(await self._headers(first, last), chain)
        return chain

    def _join(self, older: list[Header], chain: list[Header]) -> list[Header]:
        """Older headers before newer ones, as far down as they are needed."""
        if not linked([*older, chain[0]]):
            raise Malformed("the node's blocks do not fit together")
        while older and not self.window.links(chain[0]):
            chain = [older.pop(), *chain]
        return chain

    async def _headers(self, first: int, last: int) -> list[Header]:
        found = await self._rpc.batch([_block(hex(number)) for number in range(first, last + 1)])
        return [header(block) for block in found]

    def _removed(self, depth: int, head: Header) -> None:
        if depth:
            self.reorgs += 1
            self.last_reorg_depth = depth
            logger.info("blocks were taken back", depth=depth, head=head.number)

    def _final_calls(self) -> list[Call]:
        """What is final now, and whether what was final still is."""
        mine, newest = self.finality.newest, self.window.newest
        calls = [] if mine is None or self.window.get(mine.number) else [_block(hex(mine.number))]
        if isinstance(self._wanted, str):
            return [*calls, _block(self._wanted)]
        number = -1 if newest is None else newest.number - self._wanted
        return calls if number < 0 or self.window.get(number) else [*calls, _block(hex(number))]

    def _settle(self, answers: list[Any]) -> None:
        """Take what the node says about finality; errors and null are normal before there is any."""
        self.finality.recheck(self.window)
        for answer in answers:
            with suppress(Malformed, RpcError):
                found = header(answer)
                self.finality.check(found)
                self.finality.offer(found, self.window)


def _block(which: str) -> Call:
    return "eth_getBlockByNumber", [which, False]
