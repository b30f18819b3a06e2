"""Prices, reserves and liquidity of pools, and the spreads between venues: what they are, and what they would earn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from exporter import log
from exporter.collector import Collector, Follow, Sources, idle
from exporter.config import Chain, Pool
from exporter.metrics import Family, counter, gauge
from exporter.sources import pools
from exporter.sources.contracts import Contracts, Known
from exporter.sources.costs import Costs
from exporter.sources.curves import WHOLE
from exporter.sources.heads import Heads
from exporter.sources.impatience import first_of
from exporter.sources.market import Market, PoolState
from exporter.sources.news import News
from exporter.sources.pools import Reader, Venue
from exporter.sources.records import WEI
from exporter.sources.rpc import Rpc
from exporter.sources.weighing import Opportunity, Scales

_VENUE = ("pair", "dex", "pool")
PRICE = gauge("arb_price_quote_per_base", "Price in the pair's quote token for one of its base token.", *_VENUE)
UPDATED = gauge(
    "arb_price_last_update_timestamp_seconds",
    "When the pool last changed, by its own word or its block's; of kinds that do not tell, when it was first seen so.",
    *_VENUE,
)
UPDATES = counter("arb_price_updates_total", "How often the pool was seen to change.", *_VENUE)
PRECONFIRMED = gauge("arb_price_preconfirmed", "1 if the price is promised for a block that is not there yet.", *_VENUE)
SPREAD = gauge("arb_price_spread_ratio", "Highest price over lowest across venues, less one.", "pair")
NET = gauge(
    "arb_price_net_spread_ratio",
    "What one base brings at the best venue over what it costs at another, both net of fees, less one.",
    "pair",
)
PROFIT = gauge(
    "arb_price_spread_profit_ether",
    "What the best trade through two pools leaves before gas, at its best size.",
    "pair",
)
PAYS = gauge("arb_price_spread_profitable", "1 if that is more than the gas of an arbitrage costs now.", "pair")
SINCE = gauge("arb_price_spread_since_timestamp_seconds", "Since when the net spread has been above zero.", "pair")
RESERVE = gauge("arb_pool_reserve_tokens", "Tokens in the pool: its reserves, or its balances.", *_VENUE, "token")
LIQUIDITY = gauge("arb_pool_active_liquidity", "Liquidity in range at the present price, in the pool's unit.", *_VENUE)
FEE = gauge("arb_pool_fee_ratio", "The pool's fee, as it is now.", *_VENUE)
UP = gauge("arb_pool_up", "1 if the pool is what the settings say and its price can be read.", "dex", "pool")

MOST_BEHIND: Final = 3
"""Looks for which an older block counts as a node that lags; after that it is a reorg, or a chain begun anew."""
EVERY, EVERY_HEADLESS = 2.0, 1.0
"""Seconds after which pools are read though nothing has come."""
AGAIN: Final = 0.2
"""Seconds until the next try after a failure, or after a node that was behind."""
GATHER, GAP = 0.004, 0.02
"""Seconds to wait for the rest of a burst of logs, and between two snapshots: a block's logs make one."""
IMPATIENCE: Final = 0.8
"""Seconds after which a read that hangs gets company: a node that has come back answers the new one at once."""
READ_TIMEOUT, PATIENCE = 6.0, 45.0
"""Seconds that a read may take, and that it is tried again before the failure is told once more."""

logger = log.get("prices")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All pools that can be read, which of the configured ones those are, and the spreads of pairs."""

    states: tuple[PoolState, ...]
    up: Mapping[tuple[str, str], bool]
    opportunities: tuple[Opportunity, ...] = ()
    preconfirmations: bool = False


class Unknown(log.Plain):
    """What the pools are is not known yet."""


class Watch:
    """Reads all pools at every block and takes their events in between; outlives failures."""

    def __init__(
        self, rpc: Rpc, contracts: Contracts, chain: Chain, heads: Heads | None = None, costs: Costs | None = None
    ) -> None:
        self._rpc, self._contracts, self._chain, self._heads = rpc, contracts, chain, heads
        self._reader, self._market, self._scales = Reader(rpc), Market(), Scales(costs)
        self._known: Known | None = None
        self._venues: list[Venue] = []
        self._labels: dict[str, str] = {}
        self._order: dict[str, int] = {}
        self._told: set[str] = set()
        self._shown: Snapshot | None = None
        self._behind = 0
        self._failed = False

    async def stream(self) -> AsyncGenerator[Snapshot]:
        """A snapshot for every head and every burst of events, and now and then without any.

        Raises:
            Unknown: no pool is known yet. Unreachable: no endpoint answers.
        """
        async with News.of(self._heads) as news:
            while True:
                yield await self._next(news)
                await idle(asyncio.sleep(GAP))

    async def _next(self, news: News) -> Snapshot:
        await idle(news.wait(AGAIN if self._behind else EVERY if self._heads is not None else EVERY_HEADLESS))
        if news.entries:
            await idle(asyncio.sleep(GATHER))
        entries, anew = news.take()
        unsure = self._market.hear(entries)
        if not entries or self._shown is None or self._failed:
            return await self._persist()
        if anew or unsure:
            news.ask()  # next time: what the events told is shown first
        return self._snapshot()

    async def _persist(self) -> Snapshot:
        """Read; after a failure that is known already, until it is over: whoever waits longer shows older prices."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                async with asyncio.timeout(READ_TIMEOUT):
                    snapshot = await first_of(self.read, IMPATIENCE)
            except Exception:
                known, self._failed = self._failed, True
                if not known or time.monotonic() > until:
                    raise
                await idle(asyncio.sleep(AGAIN))
            else:
                self._failed = False
                return snapshot

    async def read(self) -> Snapshot:
        """All pools as they are now; a pool that gives no usable answer costs only itself.

        The last snapshot if nothing changed.

        Raises:
            Unknown: no pool is known yet. Unreachable: no endpoint answers.
        """
        await self._rpc.ready()  # else the contracts need not be looked up
        known = await self._contracts.known()
        if not known.pools and known.pending:
            raise Unknown("what the pools are is being looked up")
        if known is not self._known:
            self._learn(known)
        venues = self._venues
        seen = await self._reader.read(venues)
        if self._shown is None or not self._lags(seen.block):
            self._market.take(venues, seen)
        return self._snapshot()

    def _learn(self, known: Known) -> None:
        """Name the pools in the order in which they became known, so that no label ever moves to another pool."""
        for pool in self._chain.pools:
            if pool.address in known.pools:
                self._order.setdefault(pool.address, len(self._order))
        ordered = sorted(self._chain.pools, key=lambda pool: self._order.get(pool.address, len(self._order)))
        facts = [known.pools.get(pool.address) for pool in ordered]
        names = pools.labels(ordered, [fact.fee if fact else None for fact in facts])
        self._labels = {pool.address: name for pool, name in zip(ordered, names, strict=True)}
        self._venues = [
            pools.venue(pool, self._labels[pool.address], known.pools[pool.address])
            for pool in self._chain.pools
            if pool.address in known.pools
            and self._usable(pool, self._labels[pool.address], known.pools[pool.address].kind)
        ]
        self._market.know(self._venues)
        self._known = known

    def _usable(self, pool: Pool, name: str, kind: str) -> bool:
        """A wrong price is worse than none: read only what is of the kind that was said."""
        if pool.kind == kind and kind in pools.KINDS:
            return True
        if pool.address not in self._told:
            self._told.add(pool.address)
            logger.warning("pool is of another kind than configured", pool=name, configured=pool.kind, found=kind)
        return False

    def _lags(self, block: int | None) -> bool:
        """Whether the node is behind what was shown already: of several behind one address, some are."""
        newest = self._heads.newest if self._heads is not None else None
        head = self._market.block if newest is None else newest.number
        if block is None or block >= head or self._behind >= MOST_BEHIND:
            self._behind = 0
            return False
        self._behind += 1
        return block < self._market.block

    def _snapshot(self) -> Snapshot:
        states = self._market.states
        up = {(pool.dex, self._labels.get(pool.address, "")): False for pool in self._chain.pools if self._labels}
        up |= {(state.venue.dex, state.venue.label): True for state in states}
        promised = self._heads is not None and self._heads.preconfirmations_active
        made = Snapshot(states, up, self._scales.opportunities(states), promised)
        shown = self._shown = self._shown if self._shown == made else made
        return shown


def render(snapshot: Snapshot) -> Iterator[Family]:
    """All of it."""
    rows = [((s.venue.pair, s.venue.dex, s.venue.label), s) for s in snapshot.states]
    yield PRICE.each((labels, float(s.reading.price)) for labels, s in rows if s.reading.price is not None)
    yield UPDATED.each((labels, s.changed) for labels, s in rows if s.changed is not None)
    yield UPDATES.each((labels, s.changes) for labels, s in rows)
    yield PRECONFIRMED.each((labels, s.preconfirmed) for labels, s in rows if snapshot.preconfirmations)
    yield RESERVE.each(row for labels, s in rows for row in _reserves(labels, s))
    yield LIQUIDITY.each((labels, s.reading.liquidity) for labels, s in rows if s.reading.liquidity is not None)
    yield FEE.each((labels, s.reading.fee / WHOLE) for labels, s in rows)
    yield UP.each((labels, up) for labels, up in snapshot.up.items())
    found = [((o.spread.pair,), o) for o in snapshot.opportunities]
    yield SPREAD.each((pair, o.spread.ratio) for pair, o in found)
    yield NET.each((pair, o.spread.net_ratio) for pair, o in found)
    yield PROFIT.each((pair, o.profit_wei / WEI) for pair, o in found if o.profit_wei is not None)
    yield PAYS.each((pair, o.pays) for pair, o in found if o.pays is not None)
    yield SINCE.each((pair, o.since) for pair, o in found if o.since is not None)


def _reserves(labels: tuple[str, str, str], state: PoolState) -> Iterator[tuple[tuple[str, ...], float]]:
    facts, held = state.venue.facts, state.reading.state.reserves
    for token, amount in zip((facts.token0, facts.token1), held or (), strict=held is not None):
        yield (*labels, token.symbol), amount / 10**token.decimals


def _open(sources: Sources) -> Follow | None:
    rpc, contracts, chain = sources.rpc, sources.contracts, sources.settings.chain
    if rpc is None or contracts is None or chain is None or not chain.pools:
        return None
    return Follow(Watch(rpc, contracts, chain, sources.heads, sources.costs).stream)


COLLECTOR = Collector(
    name="prices",
    metrics=(
        PRICE, UPDATED, UPDATES, PRECONFIRMED, RESERVE, LIQUIDITY, FEE, UP, SPREAD, NET, PROFIT, PAYS, SINCE,
    ),
    open=_open,
    render=render,
    timeout=60.0,
    max_age=15.0,
    uses=("chain",),
    unset="chain.pools: prices, reserves and spreads",
)  # fmt: skip
