"""Spreads between venues by hand, and against a search through everything."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import Pool
from exporter.sources import curves, pools, spreads
from exporter.sources.contracts import PoolFacts, Token
from exporter.sources.curves import WHOLE, Concentrated, ConstantProduct, Curve, Side, Stable
from exporter.sources.pools import Reading, Venue
from exporter.sources.shapes import State
from exporter.sources.spreads import Offer, Spread

USDC, WETH, CBETH = (
    Token("0x" + "01" * 20, "USDC", 6),
    Token("0x" + "02" * 20, "WETH", 18),
    Token("0x" + "03" * 20, "cbETH", 18),
)
Q96 = 2**96
type Traded = tuple[Venue, Reading]


def traded(name: str, curve: Curve | None, price: Fraction | None, fee: int, held: tuple[int, int] | None,
           token0: Token = USDC, token1: Token = WETH) -> Traded:  # fmt: skip
    facts = PoolFacts("0x" + name.encode().hex().rjust(40, "0"), "any", token0, token1, fee)
    made = pools.venue(Pool(name, "any", facts.address), f"{name}-{fee}", facts)
    return made, pools.reading(made, State(curve, price, fee, held))


def pair(name: str, ether: float, price: float, fee: int = 3000) -> Traded:
    """A constant product of so much ether at a price in dollars; the dollar is token0, so that the pair is inverted."""
    curve = ConstantProduct(int(ether * price * 10**6), int(ether * 10**18))
    return traded(name, curve, curve.price, fee, (curve.reserve0, curve.reserve1))


def concentrated(name: str, price: float, liquidity: int, held: tuple[float, float] | None, fee: int = 500) -> Traded:
    root = int(math.sqrt(10**12 / price) * Q96)
    curve = Concentrated(root, liquidity)
    raw = None if held is None else (int(held[0] * 10**6), int(held[1] * 10**18))
    return traded(name, curve, curve.price, fee, raw)


def spread(made: Iterable[Traded]) -> Spread | None:
    return spreads.spread(offers(made))


def offers(made: Iterable[Traded]) -> list[Offer]:
    return [found for each in made if (found := spreads.offer(*each)) is not None]


def ether_rate(token: Token, made: Iterable[Traded]) -> Fraction | None:
    return spreads.ether_rate(token, offers(made))


def test_a_spread_gross_net_and_what_it_leaves() -> None:
    found = spread([pair("a", 100, 3000), pair("b", 100, 3030)])
    assert found is not None
    assert (found.pair, found.quote, found.ratio) == ("WETH/USDC", USDC, 0.01)
    assert found.net_ratio == pytest.approx(1.01 * 0.997 * 0.997 - 1, rel=1e-12)
    e, f, g = 0.997 * 0.997 * 100 * 303_000, 300_000 * 100, 0.997 * (100 + 0.997 * 100)
    assert found.profit == pytest.approx((e**0.5 - f**0.5) ** 2 / g * 10**6, abs=2)


def test_fees_can_eat_a_spread() -> None:
    found = spread([pair("a", 100, 3000), pair("b", 100, 3010)])
    assert found is not None
    assert found.ratio > 0 > found.net_ratio
    assert found.profit == 0


def test_one_venue_or_none_makes_no_spread() -> None:
    assert spread([]) is None
    assert spread([pair("a", 100, 3000)]) is None
    empty = traded("e", ConstantProduct(0, 0), None, 3000, (0, 0))
    assert spread([pair("a", 100, 3000), empty]) is None


def test_dust_makes_no_spread() -> None:
    deep, other = pair("a", 100, 3000), pair("b", 100, 3001)
    assert spread([deep, pair("dust", 0.9, 3100)]) is None
    assert spread([deep, pair("small", 1.1, 3000)]) is not None
    found = spread([deep, other, pair("dust", 0.1, 9000)])
    assert found is not None and found.ratio < 0.001
    absurd = concentrated("absurd", 3_000_000, 10**17, (5, 1))
    assert spread([deep, absurd]) is None, "an ether is no deeper for being overpriced"


def test_liquidity_that_is_not_in_range_is_dust() -> None:
    deep = pair("a", 100, 3000)
    whole = concentrated("full", 3030, 10**17, (300_000, 100))
    assert spread([deep, whole]) is not None
    assert spread([deep, concentrated("none", 3030, 0, (300_000, 100))]) is None
    assert spread([deep, concentrated("thin", 3030, 10**12, (300_000, 100))]) is None
    assert spread([deep, concentrated("lever", 3030, 10**17, (1, 0.001))]) is None, "much liquidity of few coins"
    assert spread([deep, concentrated("untold", 3030, 10**17, None)]) is not None


def test_an_unknown_rule_has_a_spread_and_no_profit() -> None:
    strange = traded("s", None, Fraction(10**18, 3030 * 10**6), 500, (303_000 * 10**6, 100 * 10**18))
    found = spread([pair("a", 100, 3000), strange])
    assert found is not None and found.net_ratio > 0
    assert found.profit is None
    found = spread([pair("a", 100, 3000), strange, pair("c", 100, 3040)])
    assert found is not None and found.profit


def test_a_fee_of_everything_is_no_venue() -> None:
    assert spread([pair("a", 100, 3000), pair("b", 100, 3030, fee=WHOLE)]) is None


prices = st.floats(2900, 3100)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(prices, st.floats(50, 500), st.sampled_from([100, 500, 3000])), min_size=2, max_size=6))
def test_against_a_search_through_all_ordered_pairs(drawn: list[tuple[float, float, int]]) -> None:
    made = [pair(f"v{i}", depth, price, fee) for i, (price, depth, fee) in enumerate(drawn)]
    found = spread(made)
    assert found is not None
    routes = [(buy, sell) for i, buy in enumerate(made) for j, sell in enumerate(made) if i != j]
    nets = [
        sell[1].price * (1 - Fraction(sell[1].fee, WHOLE)) / (buy[1].price / (1 - Fraction(buy[1].fee, WHOLE))) - 1
        for buy, sell in routes
        if buy[1].price is not None and sell[1].price is not None
    ]
    assert found.net_ratio == pytest.approx(float(max(nets)), abs=1e-14)
    best = max(
        curves.optimum(Side(b[1].state.curve, True, b[1].fee), Side(s[1].state.curve, False, s[1].fee)).profit
        for b, s in routes
        if b[1].state.curve is not None and s[1].state.curve is not None
    )
    assert found.profit == best


def test_a_pair_that_is_not_inverted_and_stable() -> None:
    dai = Token("0x" + "00" * 19 + "05", "DAI", 18)
    one = Stable(10**24, 10**12, 10**18, 10**6)
    other = Stable(10**24, 9 * 10**11, 10**18, 10**6)
    found = spread([
        traded(name, curve, curve.price, 100, (curve.reserve0, curve.reserve1), dai, USDC)
        for name, curve in (("one", one), ("other", other))
    ])  # fmt: skip
    assert found is not None
    assert (found.pair, found.quote) == ("USDC/DAI", dai) or (found.pair, found.quote) == ("DAI/USDC", USDC)
    assert found.profit is not None and found.profit > 0


def test_what_a_token_is_worth_in_ether() -> None:
    shallow, deep = pair("a", 1, 4000), pair("b", 50, 2500)
    assert ether_rate(WETH, []) == 1
    assert ether_rate(USDC, [shallow, deep]) == Fraction(10**18, 2500 * 10**6)
    assert ether_rate(CBETH, [shallow, deep]) is None
    staked = traded("s", ConstantProduct(100, 125), Fraction(5, 4), 0, (100 * 10**18, 125 * 10**18), CBETH, WETH)
    assert ether_rate(CBETH, [staked, deep]) == Fraction(5, 4)
    backwards = traded("t", ConstantProduct(125, 100), Fraction(4, 5), 0, (125 * 10**18, 100 * 10**18), WETH, CBETH)
    assert ether_rate(CBETH, [backwards]) == Fraction(5, 4)
    assert ether_rate(USDC, [traded("e", ConstantProduct(0, 0), None, 0, (0, 0))]) is None
