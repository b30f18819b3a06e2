"""What spreads are worth in ether, whether they pay their gas now, and since when. No input or output."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from exporter.sources import spreads
from exporter.sources.costs import Costs
from exporter.sources.market import PoolState
from exporter.sources.pools import Reading
from exporter.sources.spreads import Offer, Spread


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A pair's spread, what its best trade is worth (None: not known), and since when it has been above zero."""

    spread: Spread
    profit_wei: int | None
    since: float | None
    pays: bool | None


@dataclass(slots=True)
class Scales:
    """Spreads by the tokens of their pools, computed anew only where a pool has changed."""

    costs: Costs | None
    clock: Callable[[], float] = time.time
    _offers: dict[str, tuple[Reading, Offer | None]] = field(default_factory=dict)
    _made: dict[tuple[str, str], tuple[list[Offer], Spread | None]] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)

    def opportunities(self, states: Sequence[PoolState]) -> tuple[Opportunity, ...]:
        """One for each pair with two venues that matter; of several with one name the best."""
        offers = self._offered(states)
        best: dict[str, Spread] = {}
        for found in self._spreads(offers):
            if found.pair not in best or best[found.pair].net_ratio < found.net_ratio:
                best[found.pair] = found
        now = self.clock()
        self._since = {pair: self._since.get(pair, now) for pair, found in best.items() if found.net_ratio > 0}
        return tuple(self._opportunity(found, offers) for found in best.values())

    def _offered(self, states: Sequence[PoolState]) -> list[Offer]:
        made = {}
        for state in states:
            address, reading = state.venue.facts.address, state.reading
            last = self._offers.get(address)
            same = last is not None and last[0] is reading
            made[address] = last if last and same else (reading, spreads.offer(state.venue, reading))
        self._offers = made
        return [offered for _, offered in made.values() if offered is not None]

    def _spreads(self, offers: Sequence[Offer]) -> Iterator[Spread]:
        grouped: dict[tuple[str, str], list[Offer]] = {}
        for offered in offers:
            grouped.setdefault(spreads.tokens(offered.venue), []).append(offered)
        made = {}
        for key, members in grouped.items():
            last = self._made.get(key)
            made[key] = last if last is not None and _same(last[0], members) else (members, spreads.spread(members))
        self._made = made
        return (found for _, found in made.values() if found is not None)

    def _opportunity(self, found: Spread, offers: Sequence[Offer]) -> Opportunity:
        profit_wei: int | None = found.profit
        if found.profit:
            rate = spreads.ether_rate(found.quote, offers)
            profit_wei = None if rate is None else int(found.profit * rate)
        cost = self.costs.trade_cost_wei if self.costs is not None else None
        pays = None if profit_wei is None or cost is None else profit_wei > cost
        return Opportunity(found, profit_wei, self._since.get(found.pair), pays)


def _same(before: Sequence[Offer], now: Sequence[Offer]) -> bool:
    return len(before) == len(now) and all(map(operator.is_, before, now))
