"""Pools of each kind: what to ask them, and what their words mean. Strict with nonsense; no input or output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from exporter.sources import curves
from exporter.sources.contracts import PoolFacts
from exporter.sources.curves import Concentrated, ConstantProduct, Curve, Stable
from exporter.sources.jsonrpc import Malformed, call_data
from exporter.sources.multicall import Read

GET_RESERVES, GET_AMOUNT_OUT, GET_FEE = "0x0902f1ac", "0xf140a35a", "0xcc56b2c5"
SLOT0, LIQUIDITY, FEE, BALANCE_OF = "0x3850c7bd", "0x1a686502", "0xddca3f43", "0x70a08231"
STABLE, FACTORY = "0x22be3de1", "0xc45a0155"
CUBE_ROOT: Final = 3
ROUNDING: Final = 2
"""Raw amounts by which implementations of a stable pool's curve differ in how they end their search."""
_BITS_V2, _BITS_LIQUIDITY, _BITS_AMOUNT = 112, 128, 160
_END_OF_TIME: Final = 2**32  # as pairs count it
_BPS: Final = 100  # hundredths of a bip
_SIGN, _BEYOND = 2**23, 2**256


@dataclass(frozen=True, slots=True)
class Nature:
    """What a Solidly pool never changes; `factory` None if it tells none."""

    stable: bool = False
    factory: str | None = None


PLAIN: Final = Nature()
"""Of pools of other kinds."""


@dataclass(frozen=True, slots=True)
class State:
    """A pool at one moment: raw amounts, fee in hundredths of a bip, price of token0 in token1, raw, without fee.

    `curve` is None if the pool exchanges by a rule that is not known; `reserves` is what it has, None if not told;
    `changed` (epoch seconds) is its own word for when it last changed.
    """

    curve: Curve | None
    price: Fraction | None
    fee: int
    reserves: tuple[int, int] | None
    changed: int | None = None

    def moved(self, curve: Curve, changed: int | None = None, amounts: tuple[int, int] = (0, 0)) -> State:
        """The same pool after an event told of its new state; `amounts` came into one with concentrated liquidity."""
        reserves = self.reserves
        if not isinstance(curve, Concentrated):
            reserves = curve.reserve0, curve.reserve1
        elif reserves is not None:
            reserves = max(reserves[0] + amounts[0], 0), max(reserves[1] + amounts[1], 0)
        told = None if isinstance(curve, Concentrated) else changed
        return State(curve, curve.price, self.fee, reserves, told)


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of pool; `reads` and `state` go together: one answer for each read."""

    reads: Callable[[PoolFacts, Nature, tuple[int, int] | None], list[Read]]
    state: Callable[[PoolFacts, Nature, tuple[int, int] | None, Sequence[bytes | None]], State]


def words(data: bytes | None, least: int) -> list[int]:
    """The first words of an answer.

    Raises:
        Malformed: there are fewer, or there is no answer.
    """
    if data is None or len(data) < 32 * least:
        raise Malformed("the contract does not answer that")
    return [int.from_bytes(data[32 * i : 32 * i + 32]) for i in range(least)]


def signed(word: int) -> int:
    """A word that may be negative."""
    return word - _BEYOND if word >= _BEYOND // 2 else word


def signed24(word: int) -> int:
    """A tick, as a word extends its sign.

    Raises:
        Malformed: it is none.
    """
    tick = signed(word)
    if not -_SIGN <= tick < _SIGN:
        raise Malformed("a tick is beyond all reason")
    return tick


def concentrated(sqrt_price_x96: int, liquidity: int) -> Concentrated:
    """The state of a pool with concentrated liquidity; without a price while it is not initialised.

    Raises:
        Malformed: there is no such state.
    """
    usual = curves.LEAST_SQRT_PRICE <= sqrt_price_x96 < curves.MOST_SQRT_PRICE
    if liquidity >> _BITS_LIQUIDITY or (sqrt_price_x96 and not usual):
        raise Malformed("price or liquidity is beyond all reason")
    return Concentrated(sqrt_price_x96, liquidity)


def reserves(amount0: int, amount1: int, bits: int) -> tuple[int, int]:
    """Reserves that a pool can hold.

    Raises:
        Malformed: it cannot.
    """
    if (amount0 | amount1) >> bits:
        raise Malformed("the reserves are beyond all reason")
    return amount0, amount1


# --- Uniswap V2 ---


def _v2_reads(facts: PoolFacts, _: Nature, __: object) -> list[Read]:
    return [(facts.address, GET_RESERVES)]


def _v2_state(facts: PoolFacts, _: Nature, __: object, data: Sequence[bytes | None]) -> State:
    held, changed = _reserves(data[0], _BITS_V2)
    curve = ConstantProduct(*held)
    return State(curve, curve.price, facts.fee, held, changed)


def _reserves(data: bytes | None, bits: int) -> tuple[tuple[int, int], int | None]:
    amount0, amount1, changed = words(data, 3)
    if changed >= _END_OF_TIME:
        raise Malformed("the time is beyond all reason")
    return reserves(amount0, amount1, bits), changed or None


# --- Solidly ---


def nature_reads(facts: PoolFacts) -> list[Read]:
    """What to ask a Solidly pool once."""
    return [(facts.address, STABLE), (facts.address, FACTORY)]


def nature(data: Sequence[bytes | None]) -> Nature:
    """What it said.

    Raises:
        Malformed: it is no Solidly pool.
    """
    (stable,) = words(data[0], 1)
    if stable > 1:
        raise Malformed("neither stable nor volatile")
    factory = words(data[1], 1)[0] if data[1] is not None and len(data[1]) == 32 else 0
    return Nature(stable == 1, f"0x{factory:040x}" if 0 < factory < 2**160 else None)


def probe(curve: Stable) -> tuple[int, int] | None:
    """How much of each token to ask a stable pool's price with; None for a pool that is too small to tell.

    A trade of a share s of the reserves moves the price by a term in s, which asking both ways about the same worth
    cancels, and one in s²; rounding costs 1/(s·reserve). Both are alike at s = 1/∛reserve: 10⁻⁸ at a million USDC.
    """
    share = round(min(curve.reserve0, curve.reserve1) ** (1 / CUBE_ROOT))
    if share <= 1 or curve.price is None:
        return None
    amount0 = curve.reserve0 // share
    return amount0, int(amount0 * curve.price)


def _suits(asked: tuple[int, int], best: tuple[int, int]) -> bool:
    """Whether amounts that were chosen for other reserves are still good."""
    return all(b <= 2 * a and a <= 2 * b for a, b in zip(asked, best, strict=True))


def _solidly_reads(facts: PoolFacts, own: Nature, asked: tuple[int, int] | None) -> list[Read]:
    reads: list[Read] = [(facts.address, GET_RESERVES)]
    if own.factory is not None:
        reads.append((own.factory, call_data(GET_FEE, int(facts.address, 16), int(own.stable))))
    if own.stable and asked is not None:
        tokens = facts.token0.address, facts.token1.address
        reads += [(facts.address, call_data(GET_AMOUNT_OUT, a, int(t, 16))) for a, t in zip(asked, tokens, strict=True)]
    return reads


def _solidly_state(facts: PoolFacts, own: Nature, asked: tuple[int, int] | None, data: Sequence[bytes | None]) -> State:
    held, changed = _reserves(data[0], _BITS_AMOUNT)
    fee = facts.fee if own.factory is None else _bps(data[1], facts.fee)
    if not own.stable:
        curve = ConstantProduct(*held, fee_first=True)
        return State(curve, curve.price, fee, held, changed)
    stable = stable_curve(facts, held)
    if not all(held):
        return State(stable, None, fee, held, changed)
    best = probe(stable)
    if best is None:
        raise Malformed("a stable pool is too small to tell its price")
    if asked is None or not _suits(asked, best):
        raise Unprobed(best)
    given = [words(answer, 1)[0] for answer in data[-2:]]
    price = _mid(asked, fee, given)
    if _agree(stable, asked, fee, given):
        return State(stable, stable.price, fee, held, changed)
    return State(None, price, fee, held, changed)


class Unprobed(Malformed):
    """The amounts that a stable pool was asked about do not suit it; `amounts` are those that do."""

    def __init__(self, amounts: tuple[int, int]) -> None:
        super().__init__("a stable pool has to be asked about other amounts")
        self.amounts = amounts


def stable_curve(facts: PoolFacts, held: tuple[int, int]) -> Stable:
    """The curve of a stable pool."""
    return Stable(*held, 10**facts.token0.decimals, 10**facts.token1.decimals)


def _bps(data: bytes | None, otherwise: int) -> int:
    """A fee in basis points; what no fee can be is none."""
    fee = int.from_bytes(data[:32]) * _BPS if data is not None and len(data) >= 32 else curves.WHOLE
    return fee if fee < curves.WHOLE else otherwise


def _mid(asked: tuple[int, int], fee: int, given: Sequence[int]) -> Fraction:
    """The price between what it is to sell a little and to buy a little, the fee taken out as the contract took it."""
    paid0, paid1 = (curves.less_fee(amount, fee) for amount in asked)
    if not (paid0 and paid1 and all(0 < out < 2**_BITS_AMOUNT for out in given)):
        raise Malformed("a stable pool gives no price")
    return (Fraction(given[0], paid0) + Fraction(paid1, given[1])) / 2


def _agree(curve: Stable, asked: tuple[int, int], fee: int, given: Sequence[int]) -> bool:
    """Whether the contract exchanges by the curve that is known here: then its slope is the price, exactly."""
    try:
        made = [curve.out(amount, place == 0, fee) for place, amount in enumerate(asked)]
    except curves.Impossible:
        return False
    return all(abs(own - theirs) <= ROUNDING for own, theirs in zip(made, given, strict=True))


# --- concentrated liquidity ---


def _v3_reads(facts: PoolFacts, _: Nature, __: object) -> list[Read]:
    pool, holder = facts.address, int(facts.address, 16)
    balances = [(token.address, call_data(BALANCE_OF, holder)) for token in (facts.token0, facts.token1)]
    return [(pool, SLOT0), (pool, LIQUIDITY), *balances]


def _v3_state(facts: PoolFacts, _: Nature, __: object, data: Sequence[bytes | None]) -> State:
    root, tick = words(data[0], 2)
    signed24(tick)
    held = _balances(data[2:4])
    if data[1] is None:
        return State(None, concentrated(root, 0).price, facts.fee, held)
    curve = concentrated(root, words(data[1], 1)[0])
    return State(curve, curve.price, facts.fee, held)


def _balances(data: Sequence[bytes | None]) -> tuple[int, int] | None:
    try:
        held0, held1 = (words(answer, 1)[0] for answer in data)
        return reserves(held0, held1, _BITS_AMOUNT)
    except Malformed:
        return None


def _slipstream_reads(facts: PoolFacts, own: Nature, asked: tuple[int, int] | None) -> list[Read]:
    return [*_v3_reads(facts, own, asked), (facts.address, FEE)]


def _slipstream_state(
    facts: PoolFacts, own: Nature, asked: tuple[int, int] | None, data: Sequence[bytes | None]
) -> State:
    state = _v3_state(facts, own, asked, data)
    fee = facts.fee if data[4] is None else words(data[4], 1)[0]
    if fee >= curves.WHOLE:
        raise Malformed("the fee is beyond all reason")
    return State(state.curve, state.price, fee, state.reserves)


SHAPES: Final = {
    "uniswap_v2": Shape(_v2_reads, _v2_state),
    "solidly": Shape(_solidly_reads, _solidly_state),
    "uniswap_v3": Shape(_v3_reads, _v3_state),
    "slipstream": Shape(_slipstream_reads, _slipstream_state),
}
