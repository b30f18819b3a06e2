"""Prices and reserves of pools, and the spread between venues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from exporter import log
from exporter.collector import Collector, Poll, Sources
from exporter.config import Chain, Pool
from exporter.metrics import Family, counter, gauge
from exporter.sources import pools
from exporter.sources.contracts import Contracts, Known
from exporter.sources.jsonrpc import Call, Malformed, RpcError, eth_call, quantity, words
from exporter.sources.pools import Reserves, Venue
from exporter.sources.rpc import Rpc

_VENUE = ("pair", "dex", "pool")
PRICE = gauge("arb_price_quote_per_base", "Price in the pair's quote token for one of its base token.", *_VENUE)
UPDATED = gauge("arb_price_last_update_timestamp_seconds", "When the pool's reserves last changed.", *_VENUE)
UPDATES = counter("arb_price_updates_total", "How often the pool's reserves were seen to change.", *_VENUE)
SPREAD = gauge("arb_price_spread_ratio", "Highest price over lowest across venues, less one.", "pair")
RESERVE = gauge("arb_pool_reserve_tokens", "Tokens in the pool, in the token's own unit.", *_VENUE, "token")
UP = gauge("arb_pool_up", "1 if the pool is what the settings say and its price can be read.", "dex", "pool")

HEAD: Final[Call] = ("eth_blockNumber", [])
MOST_BEHIND: Final = 3
"""Looks for which an older block counts as a node that lags; after that it is a reorg, or a chain begun anew."""

_END_OF_TIME: Final = 2**32  # as pairs count it

logger = log.get("prices")


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool; `price` is None for an empty one, `changed` (epoch seconds, the pool's own word) if it never did."""

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
    """Reads all pools in one batch and counts how often each was seen to change."""

    def __init__(self, rpc: Rpc, contracts: Contracts, chain: Chain) -> None:
        self._rpc, self._contracts, self._chain = rpc, contracts, chain
        self._known: Known | None = None
        self._venues: list[Venue] = []
        self._labels: dict[str, str] = {}
        self._order: dict[str, int] = {}
        self._last: dict[str, PoolState] = {}
        self._told: set[str] = set()
        self._shown: Snapshot | None = None
        self._block = self._behind = 0

    async def read(self) -> Snapshot:
        """Reserves now; a pool that gives no usable answer costs only itself. The last snapshot if nothing changed.

        Raises:
            Unknown: no pool is known yet. Unreachable: no endpoint answers.
        """
        await self._rpc.ready()  # else the contracts need not be looked up
        known = await self._contracts.known()
        if not known.pools and known.pending:
            raise Unknown("what the pools are is being looked up")
        if known is not self._known:
            self._learn(known)
        calls = [eth_call(venue.facts.address, pools.GET_RESERVES) for venue in self._venues]
        block, *results = await self._rpc.batch([HEAD, *calls])
        lags, shown = self._lags(block), self._shown
        if shown is None or not lags:
            snapshot = self._snapshot(results)
            shown = self._shown = shown if shown == snapshot else snapshot
        return shown

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
        self._known = known

    def _lags(self, answer: Any) -> bool:
        """Whether the node is behind what was shown already: of several behind one address, some are."""
        try:
            block = quantity(answer)
        except (Malformed, RpcError):
            return False
        if block < self._block and self._behind < MOST_BEHIND:
            self._behind += 1
            return True
        self._block, self._behind = block, 0
        return False

    def _snapshot(self, results: Sequence[Any]) -> Snapshot:
        made = [self._state(venue, result) for venue, result in zip(self._venues, results, strict=True)]
        states = tuple(state for state in made if state is not None)
        self._last |= {state.venue.label: state for state in states}
        up = {(pool.dex, self._labels[pool.address]): False for pool in self._chain.pools}
        return Snapshot(states, up | {(state.venue.dex, state.venue.label): True for state in states})

    def _usable(self, pool: Pool, name: str, kind: str) -> bool:
        """A wrong price is worse than none: read only what is of a kind we read, and of the kind that was said."""
        if pool.kind == kind and kind in pools.READABLE:
            return True
        wrong = "is of another kind than configured" if pool.kind != kind else "is of a kind that is not read yet"
        if pool.address not in self._told:
            self._told.add(pool.address)
            logger.warning(f"pool {wrong}", pool=name, configured=pool.kind, found=kind)
        return False

    def _state(self, venue: Venue, result: Any) -> PoolState | None:
        try:
            amount0, amount1, changed = words(result, 3)
        except (Malformed, RpcError):
            return None
        reserves = Reserves.of((amount0, amount1))
        if reserves is None or changed >= _END_OF_TIME:
            return None
        last = self._last.get(venue.label)
        if last is not None and last.reserves == reserves:
            return last
        changes = 0 if last is None else last.changes + 1
        return PoolState(venue, reserves, pools.price(venue, reserves), float(changed) or None, changes)


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
