"""Exchange arithmetic against rational mathematics and brute force; the contracts themselves are in test_pools."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.sources import curves
from exporter.sources.curves import WHOLE, Concentrated, ConstantProduct, Impossible, Side, Stable, Trade

reserves = st.integers(10**6, 2**112 - 1)
fees = st.sampled_from([0, 1, 100, 500, 2500, 3000, 10_000, 100_000])
Q96 = 2**96


@given(reserves, reserves, st.integers(0, 10**30), fees, st.booleans(), st.booleans())
def test_a_constant_product_gives_the_most_that_keeps_its_product(
    r0: int, r1: int, amount: int, fee: int, forward: bool, fee_first: bool
) -> None:
    curve = ConstantProduct(r0, r1, fee_first)
    out = curve.out(amount, forward, fee)
    mine, theirs = (r0, r1) if forward else (r1, r0)
    paid = amount - amount * fee // WHOLE if fee_first else Fraction(amount * (WHOLE - fee), WHOLE)
    assert (mine + paid) * (theirs - out) >= mine * theirs
    assert (mine + paid) * (theirs - out - 1) < mine * theirs


@given(reserves, reserves)
def test_the_price_of_a_constant_product_is_its_quotient(r0: int, r1: int) -> None:
    assert ConstantProduct(r0, r1).price == Fraction(r1, r0)
    assert ConstantProduct(0, r1).price is None
    assert ConstantProduct(r0, 0).price is None


roots = st.integers(2**64, 2**128)
liquidities = st.integers(10**9, 2**110)


@given(roots, liquidities, st.integers(0, 10**27), fees, st.booleans())
def test_concentrated_liquidity_never_gives_more_than_its_virtual_reserves_would(
    root: int, liquidity: int, amount: int, fee: int, forward: bool
) -> None:
    out = Concentrated(root, liquidity).out(amount, forward, fee)
    x, y = Fraction(liquidity * Q96, root), Fraction(liquidity * root, Q96)
    mine, theirs = (x, y) if forward else (y, x)
    paid = amount * (WHOLE - fee) // WHOLE
    exact = theirs * paid / (mine + paid)
    assert 0 <= out <= exact
    # Rounding takes at most one step of the root price and a unit of the amount.
    step = Fraction(liquidity, Q96) if forward else Fraction(liquidity * Q96, root * root)
    assert exact - out <= step + 2


@given(roots, liquidities)
def test_the_price_of_concentrated_liquidity_is_the_square_of_its_root(root: int, liquidity: int) -> None:
    curve = Concentrated(root, liquidity)
    assert curve.price == Fraction(root, Q96) ** 2
    x, y = curve.amounts
    assert (x, y) == (liquidity * Q96 // root, liquidity * root // Q96)


def test_a_pool_without_price_or_liquidity_gives_nothing() -> None:
    empty = Concentrated(0, 5)
    assert (empty.price, empty.virtual, empty.out(10, True, 0)) == (None, (0, 0), 0)
    assert Concentrated(Q96, 0).out(10, True, 0) == 0


whole = st.integers(10**3, 10**10)
units = st.sampled_from([10**6, 10**8, 10**18])


def exact_out(x: Decimal, y: Decimal, paid: Decimal) -> Decimal:
    """What leaves y on the curve x3y + xy3 = k when this much comes into x, by bisection with a hundred digits."""
    k = x**3 * y + x * y**3
    new = x + paid
    low, high = Decimal(0), 2 * y
    for _ in range(400):
        middle = (low + high) / 2
        if new**3 * middle + new * middle**3 < k:
            low = middle
        else:
            high = middle
    return y - high


@settings(max_examples=60, deadline=None)
@given(
    whole,
    st.integers(20, 500),
    units,
    units,
    st.integers(1, 10**6),
    st.sampled_from([0, 100, 500, 3000]),
    st.booleans(),
)
def test_a_stable_pool_follows_its_curve(
    depth: int, skew: int, unit0: int, unit1: int, share: int, fee: int, forward: bool
) -> None:
    r0, r1 = depth * unit0, depth * unit1 * skew // 100
    curve = Stable(r0, r1, unit0, unit1)
    amount = (r0 if forward else r1) * share // 10**6
    unit_in, unit_out = (unit0, unit1) if forward else (unit1, unit0)
    with localcontext(prec=100):
        x, y = Decimal(r0) / unit0, Decimal(r1) / unit1
        paid = Decimal(amount - amount * fee // WHOLE) / unit_in
        exact = exact_out(*((x, y) if forward else (y, x)), paid) * unit_out
        # Everything is rounded to 18 decimals on the way, and the invariant of large pools in its last digits.
        allowed = 3 + Decimal(depth) * Decimal(unit_out) / 10**16
        assert abs(curve.out(amount, forward, fee) - exact) <= allowed


@settings(max_examples=60)
@given(whole, st.integers(5, 2000), units, units)
def test_the_price_of_a_stable_pool_is_the_slope_of_its_curve(depth: int, skew: int, unit0: int, unit1: int) -> None:
    curve = Stable(depth * unit0, depth * unit1 * skew // 100, unit0, unit1)
    assert curve.price is not None
    with localcontext(prec=100):
        x, y = Decimal(depth), Decimal(depth * unit1 * skew // 100) / unit1
        little = x / 10**30
        # A little each way: the terms of second order cancel.
        given_, taken = exact_out(x, y, little), -exact_out(x, y, -little)
        slope = Decimal(curve.price.numerator) / Decimal(curve.price.denominator) * unit0 / unit1
        assert abs((given_ + taken) / (2 * little) / slope - 1) < Decimal("1e-20")


def test_an_empty_stable_pool_has_no_price_and_a_hopeless_one_no_answer() -> None:
    assert Stable(0, 5, 1, 1).price is None
    with pytest.raises(Impossible):
        Stable(0, 0, 10**6, 10**6).out(0, True, 0)


# --- the best arbitrage ---


def profit(buy: Side, sell: Side, amount: int) -> int:
    return sell.out(buy.out(amount)) - amount


def brute(buy: Side, sell: Side, most: int) -> int:
    """The best profit on a fine grid of amounts, and finer around its best."""
    low, high, best = 0, most, 0
    for _ in range(16):
        step = max((high - low) // 24, 1)
        grid = range(low, high + 1, step)
        top = max(grid, key=lambda amount: profit(buy, sell, amount))
        best = max(best, profit(buy, sell, top))
        low, high = max(top - step, 0), top + step
    return best


@st.composite
def curve(draw: st.DrawFn) -> tuple[ConstantProduct | Concentrated | Stable, int]:
    """A pool of about a million of each token, at a price near one, and its fee."""
    depth = draw(st.integers(10**9, 10**21))
    tilt = draw(st.integers(900, 1100))
    kind = draw(st.sampled_from(["v2", "solidly", "v3", "stable"]))
    fee = draw(st.sampled_from([0, 100, 500, 3000]))
    if kind == "v3":
        return Concentrated(math.isqrt(Q96 * Q96 * tilt // 1000), depth), fee
    if kind == "stable":
        return Stable(depth, depth * tilt // 1000, 10**9, 10**9), fee
    return ConstantProduct(depth, depth * tilt // 1000, kind == "solidly"), fee


@settings(max_examples=60, deadline=None)
@given(curve(), curve())
@example((ConstantProduct(10**9, 10**9), 0), (ConstantProduct(10**9, 10**9), 0))
@example((Stable(1_330_554_035_543_211, 1_198_829_186_024_433, 10**9, 10**9), 0), (ConstantProduct(10**9, 10**9), 0))
def test_the_best_arbitrage_is_as_good_as_any_that_is_tried(
    one: tuple[ConstantProduct, int], other: tuple[ConstantProduct, int]
) -> None:
    buy, sell = Side(one[0], False, one[1]), Side(other[0], True, other[1])
    found = curves.optimum(buy, sell)
    tried = brute(buy, sell, 10**21)
    assert found.profit == (profit(buy, sell, found.amount) if found.amount else 0)
    assert found.profit >= tried - max(tried // 1000, 16)


def test_two_pools_at_one_price_leave_nothing() -> None:
    pool = ConstantProduct(10**12, 10**12)
    assert curves.optimum(Side(pool, False, 3000), Side(pool, True, 3000)) == Trade(0, 0)


def test_a_closed_solution_to_the_last_digit() -> None:
    """Without fees and of equal depth the best trade brings both pools to one price."""
    buy, sell = ConstantProduct(10**24, 10**24), ConstantProduct(10**24, 4 * 10**24)
    found = curves.optimum(Side(buy, False, 0), Side(sell, True, 0))
    bought = buy.out(found.amount, False, 0)
    after = (
        Fraction(10**24 + found.amount, 10**24 - bought),
        Fraction(4 * 10**24 - sell.out(bought, True, 0), 10**24 + bought),
    )
    assert abs(after[0] / after[1] - 1) < Fraction(1, 10**20)


@settings(max_examples=60, deadline=None)
@given(st.integers(10**15, 10**20), st.integers(1, 1000))
def test_a_pool_that_runs_dry_limits_the_trade(depth: int, share: int) -> None:
    held = depth * share // 1000
    buy = Side(Concentrated(Q96, depth), False, 500, most=held)
    sell = Side(ConstantProduct(depth, depth * 2), True, 3000)
    found = curves.optimum(buy, sell)
    assert buy.out(found.amount) <= held
    assert found.profit >= brute(buy, sell, depth) - max(found.profit // 500, 16)
