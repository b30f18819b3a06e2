"""The chain's head: how far it is, how old, how fast, what is final, how often it went back, and how it is learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.collector import Collector, Poll, Sources
from exporter.metrics import Family, counter, gauge
from exporter.sources.heads import Heads, Unknown
from exporter.sources.rpc import Rpc

HEAD = gauge("arb_chain_head_block", "Number of the newest block.")
HEAD_TIME = gauge("arb_chain_head_timestamp_seconds", "When the newest block was made, by its own word.")
FINALIZED = gauge("arb_chain_finalized_block", "Newest block that counts as final, by the configured finality.")
VIOLATED = gauge("arb_chain_finality_violated", "1 while the chain contradicts a block that was final.")
INTERVAL = gauge("arb_chain_block_interval_seconds", "Mean time between blocks, measured over the last minute.")
REORGS = counter("arb_chain_reorgs_total", "How often blocks that had been seen were taken back.")
DEPTH = gauge("arb_chain_reorg_depth_blocks", "How many blocks the last reorg took back.", lasting=True)
FALLBACKS = counter(
    "arb_chain_head_fallbacks_total", "Reorgs that left the head lower, with nothing in place of what was taken back."
)
SOURCE = gauge("arb_chain_head_source", "1 for the way by which heads are learned first.", "source")
LAG = gauge(
    "arb_chain_head_lag_seconds",
    "How much older the endpoint's newest block is than the newest that any endpoint told of, by the blocks' times.",
    "endpoint",
)
PRECONFIRMED = gauge("arb_chain_preconfirmations_active", "1 while logs arrive before they are in a block.")

SOURCES: Final = ("websocket", "http")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The head; `finalized_block` is None where the node cannot tell, `block_interval_seconds` until it is measured.

    `head_lag_seconds` has the endpoints that have told of their newest block.
    """

    head_block: int
    head_timestamp_seconds: int
    finalized_block: int | None = None
    finality_violated: bool = False
    block_interval_seconds: float | None = None
    reorgs: int = 0
    last_reorg_depth_blocks: int | None = None
    fallbacks: int = 0
    source: str = "http"
    head_lag_seconds: Mapping[str, float] = field(default_factory=dict)
    preconfirmations_active: bool = False


async def read(heads: Heads, rpc: Rpc) -> Snapshot:
    """What is known of the head.

    Raises:
        Unreachable, Malformed, RpcError, Unknown: the last look at it failed, and no heads come by themselves.
    """
    if heads.error is not None and not heads.by_websocket:
        raise heads.error
    newest, finalized = heads.newest, heads.finalized
    if newest is None:
        raise Unknown("no head is known yet")
    return Snapshot(
        head_block=newest.number,
        head_timestamp_seconds=newest.timestamp,
        finalized_block=None if finalized is None else finalized.number,
        finality_violated=heads.finality_violated,
        block_interval_seconds=heads.interval_seconds,
        reorgs=heads.reorgs,
        last_reorg_depth_blocks=heads.last_reorg_depth,
        fallbacks=heads.fallbacks,
        source="websocket" if heads.by_websocket else "http",
        head_lag_seconds={node.name: node.lag_seconds for node in rpc.nodes if node.lag_seconds is not None},
        preconfirmations_active=heads.preconfirmations_active,
    )


def render(snapshot: Snapshot) -> Iterator[Family]:
    """All of it."""
    yield HEAD(snapshot.head_block)
    yield HEAD_TIME(snapshot.head_timestamp_seconds)
    yield FINALIZED.maybe(snapshot.finalized_block)
    yield VIOLATED(snapshot.finality_violated)
    yield INTERVAL.maybe(snapshot.block_interval_seconds)
    yield REORGS(snapshot.reorgs)
    yield DEPTH.maybe(snapshot.last_reorg_depth_blocks)
    yield FALLBACKS(snapshot.fallbacks)
    yield SOURCE.each(((source,), source == snapshot.source) for source in SOURCES)
    yield LAG.each(((name,), lag) for name, lag in snapshot.head_lag_seconds.items())
    yield PRECONFIRMED(snapshot.preconfirmations_active)


def _open(sources: Sources) -> Poll | None:
    heads, rpc = sources.heads, sources.rpc
    return None if heads is None or rpc is None else Poll(lambda: read(heads, rpc), every=1.0)


COLLECTOR = Collector(
    name="chain",
    metrics=(
        HEAD, HEAD_TIME, FINALIZED, VIOLATED, INTERVAL, REORGS, DEPTH, FALLBACKS, SOURCE, LAG, PRECONFIRMED,
    ),
    open=_open,
    render=render,
    timeout=15.0,
    max_age=15.0,
    uses=("chain",),
)  # fmt: skip
