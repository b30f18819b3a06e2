"""The chain's head: how far it is, how old, how fast, and what is final."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from exporter.collector import Collector, Poll, Sources
from exporter.config import Chain
from exporter.metrics import Family, gauge
from exporter.sources.jsonrpc import Malformed, RpcError, field, quantity
from exporter.sources.rpc import Rpc

HEAD = gauge("arb_chain_head_block", "Number of the newest block.")
HEAD_TIME = gauge("arb_chain_head_timestamp_seconds", "When the newest block was made, by its own word.")
FINALIZED = gauge("arb_chain_finalized_block", "Newest block that counts as final, by the configured finality.")
INTERVAL = gauge("arb_chain_block_interval_seconds", "Mean time between blocks, measured over the last minutes.")

WINDOW: Final = 120
"""Looks that the block interval is measured over."""
SHORTEST: Final = 10
"""Seconds of the chain's time below which nothing is said: a whole second is a tenth of it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The head; `finalized_block` is None where the node cannot tell, `block_interval_seconds` until it is measured."""

    head_block: int
    head_timestamp_seconds: int
    finalized_block: int | None
    block_interval_seconds: float | None


class Head:
    """Reads the head and measures how fast it moves."""

    def __init__(self, rpc: Rpc, chain: Chain) -> None:
        self._rpc, self._finality = rpc, chain.finality
        self._seen: deque[tuple[int, int]] = deque(maxlen=WINDOW)

    async def read(self) -> Snapshot:
        """The head now.

        Raises:
            Unreachable, Malformed, RpcError: there is no usable answer.
        """
        tag = self._finality if isinstance(self._finality, str) else "finalized"
        latest, final = await self._rpc.batch(
            [("eth_getBlockByNumber", ["latest", False]), ("eth_getBlockByNumber", [tag, False])]
        )
        number, timestamp = quantity(field(latest, "number")), quantity(field(latest, "timestamp"))
        finalized = _number(final) if isinstance(self._finality, str) else max(number - self._finality, 0)
        return Snapshot(number, timestamp, finalized, self._interval(number, timestamp))

    def _interval(self, number: int, timestamp: int) -> float | None:
        """Blocks' own times over many looks: whole seconds are too coarse for two blocks, and clocks may differ."""
        while self._seen and number <= self._seen[-1][0]:
            self._seen.pop()  # seen already; or a reorg, or a node behind: what went before still counts
        self._seen.append((number, timestamp))
        (first, began), (last, ended) = self._seen[0], self._seen[-1]
        return (ended - began) / (last - first) if ended - began >= SHORTEST else None


def _number(block: Any) -> int | None:
    """A block's number; nodes answer with an error, or null, before there is a final one."""
    try:
        return quantity(field(block, "number"))
    except (Malformed, RpcError):
        return None


def render(snapshot: Snapshot) -> Iterator[Family]:
    """All of it."""
    yield HEAD(snapshot.head_block)
    yield HEAD_TIME(snapshot.head_timestamp_seconds)
    yield FINALIZED.maybe(snapshot.finalized_block)
    yield INTERVAL.maybe(snapshot.block_interval_seconds)


def _open(sources: Sources) -> Poll | None:
    chain = sources.settings.chain
    return None if sources.rpc is None or chain is None else Poll(Head(sources.rpc, chain).read, every=1.0)


COLLECTOR = Collector(
    name="chain",
    metrics=(HEAD, HEAD_TIME, FINALIZED, INTERVAL),
    open=_open,
    render=render,
    timeout=15.0,
    max_age=15.0,
    uses=("chain",),
)
