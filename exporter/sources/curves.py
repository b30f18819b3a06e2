"""How pools exchange one token for another: exact integer arithmetic of the contracts, and prices as exact fractions.

Amounts are raw, fees in hundredths of a bip. `zero_for_one` says that token0 goes in. No input or output.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

WHOLE: Final = 1_000_000
"""A fee of everything."""
X96: Final = 2**96
LEAST_SQRT_PRICE, MOST_SQRT_PRICE = 4295128739, 1461446703485210103287273052203988822378723970342
_UNIT: Final = 10**18
"""What stable pools scale both reserves to."""
_ROUNDS: Final = 255
_SCALE: Final = 2**64


class Impossible(ArithmeticError):
    """The curve has no answer, and its contract would revert."""


@dataclass(frozen=True, slots=True)
class ConstantProduct:
    """x·y = k. `fee_first`: the fee is taken off and rounded before the exchange, as Solidly's pools do."""

    reserve0: int
    reserve1: int
    fee_first: bool = False

    @property
    def price(self) -> Fraction | None:
        """Token1 for one token0, raw, without fee; None for an empty pool."""
        return Fraction(self.reserve1, self.reserve0) if self.reserve0 and self.reserve1 else None

    @property
    def virtual(self) -> tuple[int, int]:
        """Reserves of the constant product that it is, scaled as `optimum` wants them."""
        return self.reserve0 * _SCALE, self.reserve1 * _SCALE

    def out(self, amount: int, zero_for_one: bool, fee: int) -> int:
        """What comes out for so much."""
        mine, theirs = (self.reserve0, self.reserve1) if zero_for_one else (self.reserve1, self.reserve0)
        if self.fee_first:
            amount = less_fee(amount, fee)
            return amount * theirs // (mine + amount)
        paid = amount * (WHOLE - fee)
        return paid * theirs // (mine * WHOLE + paid)


@dataclass(frozen=True, slots=True)
class Concentrated:
    """Liquidity that is in range at a price: right until the next initialised tick, which is not known here."""

    sqrt_price_x96: int
    liquidity: int

    @property
    def price(self) -> Fraction | None:
        """Token1 for one token0, raw, without fee; None for a pool that has none yet."""
        return Fraction(self.sqrt_price_x96**2, X96**2) if self.sqrt_price_x96 else None

    @property
    def virtual(self) -> tuple[int, int]:
        """Reserves of the constant product that it is within its range, scaled as `optimum` wants them."""
        price, liquidity = self.sqrt_price_x96, self.liquidity
        return (liquidity * X96 * _SCALE // price, liquidity * price * _SCALE // X96) if price else (0, 0)

    @property
    def amounts(self) -> tuple[int, int]:
        """The same reserves, raw."""
        virtual0, virtual1 = self.virtual
        return virtual0 // _SCALE, virtual1 // _SCALE

    def out(self, amount: int, zero_for_one: bool, fee: int) -> int:
        """What comes out for so much, if no tick is crossed."""
        price, liquidity = self.sqrt_price_x96, self.liquidity
        if not price or not liquidity:
            return 0
        paid = amount * (WHOLE - fee) // WHOLE
        if zero_for_one:
            then = -(-(liquidity * X96 * price) // (liquidity * X96 + paid * price))
            return liquidity * (price - then) // X96
        then = price + paid * X96 // liquidity
        return liquidity * X96 * (then - price) // then // price


@dataclass(frozen=True, slots=True)
class Stable:
    """x³y + xy³ = k, of reserves scaled to 18 decimals, as Solidly's stable pools have it; `unit` is 10^decimals."""

    reserve0: int
    reserve1: int
    unit0: int
    unit1: int

    @property
    def price(self) -> Fraction | None:
        """Token1 for one token0, raw, without fee: the slope of the curve; None for an empty pool."""
        if not self.reserve0 or not self.reserve1:
            return None
        x, y = self.reserve0 * self.unit1, self.reserve1 * self.unit0
        slope = Fraction(y * (3 * x * x + y * y), x * (x * x + 3 * y * y))
        return slope * Fraction(self.unit1, self.unit0)

    def out(self, amount: int, zero_for_one: bool, fee: int) -> int:
        """What comes out for so much.

        Raises:
            Impossible: the contract would find no answer either.
        """
        amount = less_fee(amount, fee)
        x, y = self.reserve0 * _UNIT // self.unit0, self.reserve1 * _UNIT // self.unit1
        k = _invariant(x, y)
        if zero_for_one:
            return (y - _other(amount * _UNIT // self.unit0 + x, k, y)) * self.unit1 // _UNIT
        return (x - _other(amount * _UNIT // self.unit1 + y, k, x)) * self.unit0 // _UNIT


type Curve = ConstantProduct | Concentrated | Stable


def less_fee(amount: int, fee: int) -> int:
    """An amount without its fee, as Solidly's pools round it."""
    return amount - amount * fee // WHOLE


def _invariant(x: int, y: int) -> int:
    return (x * y // _UNIT) * (x * x // _UNIT + y * y // _UNIT) // _UNIT


def _other(x: int, k: int, y: int) -> int:
    """The other reserve that belongs to this one: Newton's way, rounded as the contracts round it."""
    for _ in range(_ROUNDS):
        found = _invariant(x, y)
        slope = 3 * x * (y * y // _UNIT) // _UNIT + (x * x // _UNIT) * x // _UNIT
        if not slope:
            break
        step = abs(k - found) * _UNIT // slope
        if found < k:
            if step == 0 and _invariant(x, y + 1) > k:
                return y + 1
            y += step or 1
        else:
            if step == 0 and (found == k or _invariant(x, y - 1) < k):
                return y
            y -= step or 1
    raise Impossible("the curve has no such point")


@dataclass(frozen=True, slots=True)
class Side:
    """A pool as one half of an arbitrage: which way it is used, and the most that can come out of it, if known."""

    curve: Curve
    zero_for_one: bool
    fee: int
    most: int | None = None

    def out(self, amount: int) -> int:
        """What comes out for so much."""
        given = self.curve.out(amount, self.zero_for_one, self.fee)
        return given if self.most is None else min(given, self.most)

    def reserves(self) -> tuple[int, int] | None:
        """Reserves of the constant product it is, what goes in first; None if it is none."""
        if isinstance(self.curve, Stable):
            return None
        virtual0, virtual1 = self.curve.virtual
        return (virtual0, virtual1) if self.zero_for_one else (virtual1, virtual0)


@dataclass(frozen=True, slots=True)
class Trade:
    """What to put in, and what is left over after both exchanges, both raw and of the same token."""

    amount: int
    profit: int


def optimum(buy: Side, sell: Side) -> Trade:
    """The best arbitrage through two pools one after the other; nothing of nothing if none gains.

    Two constant products have a closed solution; with other curves, or where a pool runs dry, it is searched for.
    """
    first, second = buy.reserves(), sell.reserves()
    if first is None or second is None:
        return _search(buy, sell)
    amount = _closed(first, buy.fee, second, sell.fee)
    middle = buy.out(amount)
    if amount and (buy.most == middle or sell.most == sell.out(middle)):
        return _search(buy, sell)
    return _kept(buy, sell, amount)


def _closed(first: tuple[int, int], fee1: int, second: tuple[int, int], fee2: int) -> int:
    """Both exchanges together give e·q / (f + g·q) for q; that less q is greatest where its slope is none."""
    (in1, out1), (in2, out2) = first, second
    kept1, kept2 = WHOLE - fee1, WHOLE - fee2
    e, f = kept1 * kept2 * out1 * out2, in1 * in2 * WHOLE * WHOLE
    g = kept1 * (in2 * WHOLE + kept2 * out1)
    return (math.isqrt(e * f) - f) // g // _SCALE if e > f and g else 0


def _kept(buy: Side, sell: Side, amount: int) -> Trade:
    profit = sell.out(buy.out(amount)) - amount
    return Trade(amount, profit) if profit > 0 else Trade(0, 0)


_STEPS, _CUTS = 200, 48
_SMALLEST_SHARE: Final = 32
"""Bits by which the first amount that is tried is below the smaller pool's own."""
_NOISE: Final = 8
"""Raw amounts that rounding makes of nothing."""


def _search(buy: Side, sell: Side) -> Trade:
    """The profit of an amount rises to one top and falls: double until it falls, then close in on it.

    Of small amounts it is rough, for each exchange rounds: so the best of all that were tried counts.
    """
    tried: dict[int, int] = {0: 0}

    def profit(amount: int) -> int:
        if amount not in tried:
            tried[amount] = sell.out(buy.out(amount)) - amount
        return tried[amount]

    try:
        low, high = _around(profit, max(min(_size(buy), _size(sell)) >> _SMALLEST_SHARE, 1))
        for _ in range(_CUTS):
            if high - low <= max(high >> 14, 4):
                break
            third = (high - low) // 3
            one, other = low + third, high - third
            low, high = (one, high) if profit(one) < profit(other) else (low, other)
    except Impossible:
        pass  # what has been tried until then counts
    return Trade(*max(tried.items(), key=lambda found: found[1]))


def _around(profit: Callable[[int], int], amount: int) -> tuple[int, int]:
    """Two amounts with the best between them."""
    best = found = 0
    for _ in range(_STEPS):
        made = profit(amount)
        if made > best:
            best, found = made, amount
        elif made < best - best // 8 - _NOISE and (found or made < -amount // 16):
            break
        amount *= 2
    return found // 2, amount if found else 0


def _size(side: Side) -> int:
    """What the pool has of the token that goes in."""
    curve = side.curve
    if isinstance(curve, Concentrated):
        return curve.amounts[0 if side.zero_for_one else 1]
    return curve.reserve0 if side.zero_for_one else curve.reserve1
