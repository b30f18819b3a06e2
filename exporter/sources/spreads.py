"""What the same pair costs at different venues, and what can be earned by it. No input or output.

Pools belong together if their two tokens are the same contracts, whatever these call themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from statistics import median_low
from typing import Final

from exporter.sources import curves
from exporter.sources.contracts import Token
from exporter.sources.curves import WHOLE, Concentrated, Side
from exporter.sources.pairs import ADDRESSES
from exporter.sources.pools import Reading, Venue

DUST: Final = 0.01
"""A pool whose depth is below this share of the deepest one's makes no spread: nothing can be traded there."""
CANDIDATES: Final = 6
"""How many of the cheapest and of the dearest venues are tried against each other."""
ETHER: Final = "WETH"


@dataclass(frozen=True, slots=True)
class Offer:
    """A pool as a place to trade: `price` in quote for one base, fee as a ratio.

    `holds` is what can be traded with at most, in whole base and quote tokens, by what it has and by what is in range.
    """

    venue: Venue
    reading: Reading
    price: Fraction
    rough: float
    fee: float
    holds: tuple[tuple[float, float], ...]

    @property
    def bid(self) -> float:
        """What one base brings, less the fee."""
        return self.rough * (1 - self.fee)

    @property
    def ask(self) -> float:
        """What one base costs, with the fee."""
        return self.rough / (1 - self.fee)

    def depth(self, price: float = inf) -> float:
        """Worth of what it holds, in quote; the base at its own price, but no higher than this one."""
        return min(quote + base * min(self.rough, price) for base, quote in self.holds)


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one pair: dearest over cheapest less one, the same net of both pools' fees, and what the best trade leaves.

    `profit` is raw, of the token `quote`; None if a pool's exchange rule is not known.
    """

    pair: str
    ratio: float
    net_ratio: float
    quote: Token
    profit: int | None


def tokens(venue: Venue) -> tuple[str, str]:
    """What pools that belong together have in common."""
    return venue.facts.token0.address, venue.facts.token1.address


def offer(venue: Venue, reading: Reading) -> Offer | None:
    """A pool as a place to trade; None if nothing can be traded there."""
    price, fee = reading.price, reading.fee / WHOLE
    if price is None or reading.liquidity == 0 or fee >= 1:
        return None
    rough, holds = float(price), _holds(venue, reading)
    return Offer(venue, reading, price, rough, fee, holds) if 0 < rough < inf and holds else None


def _holds(venue: Venue, reading: Reading) -> tuple[tuple[float, float], ...]:
    curve, held = reading.state.curve, reading.state.reserves
    found = [] if held is None else [held]
    if isinstance(curve, Concentrated):
        found.append(curve.amounts)
    return tuple(_whole(venue, amounts) for amounts in found)


def _whole(venue: Venue, amounts: tuple[int, int]) -> tuple[float, float]:
    """Raw amounts as (base, quote)."""
    whole0: float = amounts[0] / 10**venue.facts.token0.decimals
    whole1: float = amounts[1] / 10**venue.facts.token1.decimals
    return (whole1, whole0) if venue.inverted else (whole0, whole1)


def spread(offered: Sequence[Offer]) -> Spread | None:
    """The spread of pools with the same tokens; None if fewer than two of them matter."""
    offers = _deep(offered)
    if len(offers) < 2:
        return None
    prices = [each.price for each in offers]
    bids = sorted(offers, key=lambda each: each.bid, reverse=True)[:CANDIDATES]
    asks = sorted(offers, key=lambda each: each.ask)[:CANDIDATES]
    net = max(bid.bid / ask.ask - 1 for bid in bids for ask in asks if bid is not ask)
    venue = offers[0].venue
    quote = venue.facts.token0 if venue.inverted else venue.facts.token1
    return Spread(venue.pair, float(max(prices) / min(prices) - 1), net, quote, _best(bids, asks))


def _deep(offers: Sequence[Offer]) -> list[Offer]:
    """Without dust; the base is worth no more than what it costs elsewhere, for a price that is off makes no depth."""
    if not offers:
        return []
    usual = median_low(each.rough for each in offers)
    depths = [each.depth(usual) for each in offers]
    return [each for each, depth in zip(offers, depths, strict=True) if 0 < depth >= max(depths) * DUST]


def _best(bids: Sequence[Offer], asks: Sequence[Offer]) -> int | None:
    """What the best trade through two of these leaves; None if that cannot be computed."""
    best, unknown = 0, False
    for ask, bid in _promising(bids, asks):
        buy, sell = _side(ask, buys_base=True), _side(bid, buys_base=False)
        if buy is None or sell is None:
            unknown = True
        else:
            best = max(best, curves.optimum(buy, sell).profit)
    return best if best or not unknown else None


def _promising(bids: Sequence[Offer], asks: Sequence[Offer]) -> Iterator[tuple[Offer, Offer]]:
    return ((ask, bid) for ask in asks for bid in bids if bid is not ask and bid.bid > ask.ask)


def _side(offered: Offer, *, buys_base: bool) -> Side | None:
    curve, held = offered.reading.state.curve, offered.reading.state.reserves
    if curve is None:
        return None
    zero_for_one = buys_base == offered.venue.inverted  # token0 goes in: the quote that buys, or the base that is sold
    most = held[1 if zero_for_one else 0] if isinstance(curve, Concentrated) and held is not None else None
    return Side(curve, zero_for_one, offered.reading.fee, most)


def ether_rate(token: Token, offers: Iterable[Offer]) -> Fraction | None:
    """Wei for one raw unit of a token, by the deepest pool that has it beside ether; None if there is none."""
    if _is_ether(token):
        return Fraction(1)
    beside = [each for each in offers if _beside_ether(token, each)]
    return _rate(token, max(beside, key=lambda each: _depth(token, each))) if beside else None


def _beside_ether(token: Token, offered: Offer) -> bool:
    one, other = offered.venue.facts.token0, offered.venue.facts.token1
    return (one.address == token.address and _is_ether(other)) or (other.address == token.address and _is_ether(one))


def _depth(token: Token, offered: Offer) -> float:
    """How deep a pool is in one of its tokens."""
    quote = offered.venue.facts.token0 if offered.venue.inverted else offered.venue.facts.token1
    return offered.depth() if quote.address == token.address else offered.depth() / offered.rough


def _rate(token: Token, offered: Offer) -> Fraction | None:
    price = offered.reading.state.price
    return price if price is None or offered.venue.facts.token0.address == token.address else 1 / price


def _is_ether(token: Token) -> bool:
    return token.symbol == ETHER or token.address == ADDRESSES[ETHER]
