"""What a node tells of the states around a block: only while it has that block, and missing only if that lasts."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from exporter.sources.jsonrpc import Call
from exporter.sources.receipts import Block
from exporter.sources.rpc import Rpc
from exporter.sources.transactions import Moved, mark

PATIENCE: Final = 10.0
"""Seconds after which what a node does not tell counts as forgotten, and no longer as its trouble of the moment."""


@dataclass(slots=True)
class _Gap:
    """What is missing since a moment, the newest block it was missing for, and a later one for which it was told."""

    since: float
    newest: int
    told: float = math.inf


class States:
    """Asks about states by block number, as every node understands it, and makes sure whose they are."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._gaps: dict[str, _Gap] = {}

    async def at(self, block: Block, calls: Sequence[Call]) -> list[Any]:
        """Answers about the states after a block and before it; single errors stand in their place.

        One node that lags, or is on another branch, would tell of other states, or that there are none: the block is
        looked at before and after.

        Raises:
            Unreachable, Malformed: there is no usable answer. Moved: there is another block at its height, or none.
        """
        header: Call = ("eth_getBlockByNumber", [hex(block.number), False])
        first, *answers, last = await self._rpc.batch([header, *calls, header])
        if any(seen is None or mark(seen).hash != block.hash for seen in (first, last)):
            raise Moved("the chain is another one now")
        return answers

    def told(self, what: str, block: Block) -> None:
        """The node tells it of this block: so it has not forgotten it of this one or a newer one."""
        gap = self._gaps.get(what)
        if gap is not None and block.number <= gap.newest:
            del self._gaps[what]
        elif gap is not None:
            gap.told = min(gap.told, block.number)

    def missing(self, what: str, block: Block, error: Exception) -> None:
        """Return if it has been missing for long, and will be; `what` is one kind of thing that nodes tell.

        Raises:
            error: it may be told at the next try.
        """
        now, gap = time.monotonic(), self._gaps.get(what)
        if gap is None or block.number >= gap.told:
            gap = self._gaps[what] = _Gap(now, block.number)
        gap.newest = max(gap.newest, block.number)
        if now - gap.since < PATIENCE:
            raise error
