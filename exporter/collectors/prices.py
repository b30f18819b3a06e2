"""Prices and reserves of pools, and the spread between venues."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from exporter import log
from exporter.collector import Collector, Poll, Sources
from exporter.config import Chain, Pool
from exporter.metrics import Family, counter, gauge
from exporter.sources import pools
from exporter.sources.contracts import Contracts, Known
from exporter.sources.jsonrpc import Malformed, RpcError, eth_call, words
from exporter.sources.pools import Reserves, Venue
from exporter.sources.rpc import Rpc

_VENUE = ("pair", "dex", "pool")
PRICE = gauge("arb_price_quote_per_base", "Price in the pair's quote token for one of its base token.", *_VENUE)
UPDATED = gauge("arb_price_last_update_timestamp_seconds", "When the pool's reserves last changed.", *_VENUE)
UPDATES = counter("arb_price_updates_total", "How often the pool's reserves were seen to change.", *_VENUE)
SPREAD = gauge("arb_price_spread_ratio", "Highest price over lowest across venues, less one.", "pair")
RESERVE = gauge("arb_pool_reserve_tokens", "Tokens in the pool, in the token's own unit.", *_VENUE, "token")
UP = gauge("arb_pool_up", "1 if the pool is what the settings say and its price can be read.", "dex", "pool")

logger = log.get("prices")


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool; `price` is None for an empty one, `changed` (epoch seconds) until a change was seen."""

    venue: Venue
    reserves: Reserves
    price: Fraction | None
    changed: float | None
    changes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All pools that can be read, and which of the configured ones those are."""

    states: tuple[PoolState, ...]
    up: Mapping[tuple[str, str], bool]


class Unknown(log.Plain):
    """What the pools are is not known yet."""


class Watch:
    """Reads all pools in one batch and remembers when each was seen to change."""

    def __init__(self, rpc: Rpc, contracts: Contracts, chain: Chain) -> None:
        self._rpc, self._contracts, self._chain = rpc, contracts, chain
        self._last: dict[str, PoolState] = {}
        self._told: set[str] = set()
        self._labels: dict[str, str] = {}

    async def read(self) -> Snapshot:
        """Reserves now; a pool that gives no usable answer costs only itself.

        Raises:
            Unknown: no pool is known yet. Unreachable: no endpoint answers.
        """
        known = await self._contracts.known()
        if not known.pools and known.pending:
            raise Unknown("what the pools are is being looked up")
        venues = self._venues(known)
        results = await self._rpc.batch([eth_call(v.facts.address, pools.GET_RESERVES) for v in venues])
        now = time.time()
        states = [self._state(v, r, now) for v, r in zip(venues, results, strict=True)]
        self._last |= {state.venue.label: state for state in states if state is not None}
        alive = {(state.venue.dex, state.venue.label) for state in states if state is not None}
        up = {(p.dex, self._labels[p.address]): False for p in self._chain.pools} | dict.fromkeys(alive, True)
        return Snapshot(tuple(state for state in states if state is not None), up)

    def _venues(self, known: Known) -> list[Venue]:
        facts = [known.pools.get(pool.address) for pool in self._chain.pools]
        names = pools.labels(self._chain.pools, [f.fee if f else None for f in facts])
        self._labels = {pool.address: name for pool, name in zip(self._chain.pools, names, strict=True)}
        return [
            pools.venue(pool, name, fact)
            for pool, name, fact in zip(self._chain.pools, names, facts, strict=True)
            if fact is not None and self._usable(pool, name, fact.kind)
        ]

    def _usable(self, pool: Pool, name: str, kind: str) -> bool:
        """A wrong price is worse than none: read only what is of a kind we read, and of the kind that was said."""
        if pool.kind == kind and kind in pools.READABLE:
            return True
        words_ = "is of another kind than configured" if pool.kind != kind else "is of a kind that is not read yet"
        if name not in self._told:
            self._told.add(name)
            logger.warning(f"pool {words_}", pool=name, configured=pool.kind, found=kind)
        return False

    def _state(self, venue: Venue, result: Any, now: float) -> PoolState | None:
        try:
            reserves = Reserves.of(words(result, 2))
        except (Malformed, RpcError):
            return None
        if reserves is None:
            return None
        last = self._last.get(venue.label)
        if last is not None and last.reserves == reserves:
            return last
        changes = 0 if last is None else last.changes + 1
        return PoolState(venue, reserves, pools.price(venue, reserves), now, changes)


def spreads(states: Sequence[PoolState]) -> dict[str, float]:
    """The spread of each pair with a price at two venues or more."""
    prices: dict[str, list[Fraction]] = {}
    for state in states:
        if state.price is not None:
            prices.setdefault(state.venue.pair, []).append(state.price)
    return {pair: float(max(p) / min(p) - 1) for pair, p in prices.items() if len(p) > 1}


def render(snapshot: Snapshot) -> Iterator[Family]:
    """All of it."""
    rows = [((s.venue.pair, s.venue.dex, s.venue.label), s) for s in snapshot.states]
    yield PRICE.each((labels, float(s.price)) for labels, s in rows if s.price is not None)
    yield UPDATED.each((labels, s.changed) for labels, s in rows if s.changed is not None)
    yield UPDATES.each((labels, s.changes) for labels, s in rows)
    yield SPREAD.each(((pair,), spread) for pair, spread in spreads(snapshot.states).items())
    yield RESERVE.each(row for labels, s in rows for row in _reserves(labels, s))
    yield UP.each((labels, up) for labels, up in snapshot.up.items())


def _reserves(labels: tuple[str, str, str], state: PoolState) -> Iterator[tuple[tuple[str, ...], float]]:
    tokens = state.venue.facts.token0, state.venue.facts.token1
    for token, amount in zip(tokens, pools.amounts(state.venue, state.reserves), strict=True):
        yield (*labels, token.symbol), float(amount)


def _open(sources: Sources) -> Poll | None:
    rpc, contracts, chain = sources.rpc, sources.contracts, sources.settings.chain
    if rpc is None or contracts is None or chain is None or not chain.pools:
        return None
    return Poll(Watch(rpc, contracts, chain).read, every=1.0)


COLLECTOR = Collector(
    name="prices",
    metrics=(PRICE, UPDATED, UPDATES, SPREAD, RESERVE, UP),
    open=_open,
    render=render,
    timeout=15.0,
    max_age=15.0,
    uses=("chain",),
    unset="chain.pools: prices, reserves and spreads",
)
