"""Hand-encoded words of every kind, right and absurd."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import shapes
from exporter.sources.contracts import PoolFacts, Token
from exporter.sources.curves import Concentrated, ConstantProduct, Stable
from exporter.sources.jsonrpc import Malformed
from exporter.sources.shapes import PLAIN, Nature, State, Unprobed

POOL, FACTORY = "0x" + "aa" * 20, "0x" + "bb" * 20
WETH, USDC = Token("0x" + "11" * 20, "WETH", 18), Token("0x" + "22" * 20, "USDC", 6)
VOLATILE, STABLE = Nature(False, FACTORY), Nature(True, FACTORY)
Q96 = 2**96


def facts(kind: str, fee: int = 3000) -> PoolFacts:
    return PoolFacts(POOL, kind, WETH, USDC, fee)


def word(*numbers: int) -> bytes:
    return b"".join((number % 2**256).to_bytes(32) for number in numbers)


def state(kind: str, *data: bytes | None, nature: Nature = PLAIN, asked: tuple[int, int] | None = None) -> State:
    return shapes.SHAPES[kind].state(facts(kind), nature, asked, data)


def selectors(kind: str, nature: Nature = PLAIN, asked: tuple[int, int] | None = None) -> list[tuple[str, str]]:
    return [(to, data[:10]) for to, data in shapes.SHAPES[kind].reads(facts(kind), nature, asked)]


def test_what_is_asked_of_each_kind() -> None:
    balances = [(WETH.address, "0x70a08231"), (USDC.address, "0x70a08231")]
    concentrated = [(POOL, "0x3850c7bd"), (POOL, "0x1a686502"), *balances]
    assert selectors("uniswap_v2") == [(POOL, "0x0902f1ac")]
    assert selectors("uniswap_v3") == concentrated
    assert selectors("slipstream") == [*concentrated, (POOL, "0xddca3f43")]
    assert selectors("solidly", VOLATILE) == [(POOL, "0x0902f1ac"), (FACTORY, "0xcc56b2c5")]
    assert selectors("solidly", Nature(True, None), (5, 7)) == [(POOL, "0x0902f1ac"), *[(POOL, "0xf140a35a")] * 2]
    assert selectors("solidly", STABLE) == [(POOL, "0x0902f1ac"), (FACTORY, "0xcc56b2c5")]


def test_arguments_are_words() -> None:
    reads = shapes.SHAPES["solidly"].reads(facts("solidly"), STABLE, (5, 7))
    expected = [(int(POOL, 16), 1), (5, int(WETH.address, 16)), (7, int(USDC.address, 16))]
    assert [data[10:] for _, data in reads[1:]] == [word(*numbers).hex() for numbers in expected]


def test_reserves_of_a_pair() -> None:
    found = state("uniswap_v2", word(2 * 10**18, 6000 * 10**6, 1_750_000_000))
    curve = ConstantProduct(2 * 10**18, 6000 * 10**6)
    assert found == State(curve, Fraction(3000, 10**12), 3000, (2 * 10**18, 6000 * 10**6), 1_750_000_000)
    empty = state("uniswap_v2", word(0, 0, 0))
    assert (empty.price, empty.changed) == (None, None)


@pytest.mark.parametrize(
    "data", [None, b"", word(1, 2), word(2**112, 1, 1), word(1, 2**112, 1), word(1, 1, 2**32), word(-1, 1, 1)]
)
def test_a_pair_without_words_or_with_absurd_ones_is_refused(data: bytes | None) -> None:
    with pytest.raises(Malformed):
        state("uniswap_v2", data)


def test_a_volatile_pool_has_wide_reserves_and_the_fee_of_its_factory() -> None:
    found = state("solidly", word(2**120, 2**119, 5), word(7), nature=VOLATILE)
    assert found == State(ConstantProduct(2**120, 2**119, True), Fraction(1, 2), 700, (2**120, 2**119), 5)
    with pytest.raises(Malformed):
        state("solidly", word(2**160, 1, 5), word(7), nature=VOLATILE)


@pytest.mark.parametrize("fee", [None, b"", word(10_000), word(2**200)])
def test_a_factory_that_does_not_tell_a_fee_leaves_the_one_that_was_discovered(fee: bytes | None) -> None:
    assert state("solidly", word(5, 5, 5), fee, nature=VOLATILE).fee == 3000


def test_a_stable_pool_without_suitable_amounts_has_to_be_asked_again() -> None:
    held = (10**24, 10**12)
    for asked in (None, (1, 1), (10**20, 10**11)):
        with pytest.raises(Unprobed) as caught:
            state("solidly", word(*held, 5), word(5), word(1), word(1), nature=STABLE, asked=asked)
        assert caught.value.amounts == (10**20, 10**8)
    for small in ((0, 5), (3, 10**9)):
        assert shapes.probe(Stable(*small, 1, 1)) is None
    with pytest.raises(Malformed):
        state("solidly", word(3, 3, 5), word(5), nature=STABLE)


def answers(held: tuple[int, int], fee: int, off: int = 0) -> tuple[tuple[int, int], list[bytes]]:
    """What a stable pool answers, wrong by so much, to what it is asked."""
    curve = Stable(*held, 10**18, 10**6)
    asked = shapes.probe(curve)
    assert asked is not None
    given_ = [curve.out(amount, place == 0, fee) + off for place, amount in enumerate(asked)]
    return asked, [word(*held, 5), word(fee // 100), *map(word, given_)]


@given(st.integers(10**3, 10**10), st.integers(20, 500), st.integers(0, 99))
def test_a_stable_pool_on_the_known_curve_has_its_slope_for_a_price(depth: int, skew: int, bps: int) -> None:
    held = depth * 10**18, depth * 10**4 * skew
    asked, data = answers(held, bps * 100)
    found = state("solidly", *data, nature=STABLE, asked=asked)
    assert found.curve == Stable(*held, 10**18, 10**6)
    assert found.price == found.curve.price
    assert found.fee == bps * 100


@given(st.integers(10**4, 10**9), st.integers(50, 200), st.integers(0, 99))
def test_what_the_contract_answers_is_the_price_where_the_curve_is_another(depth: int, skew: int, bps: int) -> None:
    held = depth * 10**18, depth * 10**4 * skew
    asked, data = answers(held, bps * 100, off=3)
    found = state("solidly", *data, nature=STABLE, asked=asked)
    slope = Stable(*held, 10**18, 10**6).price
    assert found.curve is None
    assert found.price is not None and slope is not None
    # Amounts were chosen so that rounding and slippage are alike.
    assert abs(found.price / slope - 1) < 10 / min(held) ** (2 / 3)


def test_a_stable_pool_that_gives_nothing_has_no_price() -> None:
    asked, data = answers((10**24, 10**12), 500)
    for wrong in (word(0), word(-1), b"", None):
        with pytest.raises(Malformed):
            state("solidly", *data[:2], wrong, data[3], nature=STABLE, asked=asked)


def test_an_empty_stable_pool_has_reserves_only() -> None:
    found = state("solidly", word(0, 0, 0), word(5), nature=STABLE)
    assert (found.price, found.reserves) == (None, (0, 0))


def test_natures() -> None:
    assert shapes.nature([word(1), word(int(FACTORY, 16))]) == STABLE
    assert shapes.nature([word(0), None]) == Nature(False, None)
    assert shapes.nature([word(0), word(0)]) == Nature(False, None)
    assert shapes.nature([word(0), word(2**160)]) == Nature(False, None)
    for wrong in (None, b"", word(2)):
        with pytest.raises(Malformed):
            shapes.nature([wrong, word(1)])


UNISWAP = word(3 * Q96, 21973, 7, 8, 9, 0, 1)
PANCAKE = word(3 * Q96, 21973, 7, 8, 9, 2**31 + 5, 1)  # a protocol fee that is wider than Uniswap's byte
SLIPSTREAM = word(3 * Q96, -5, 7, 8, 9, 1)


@pytest.mark.parametrize("slot0", [UNISWAP, PANCAKE, SLIPSTREAM, word(3 * Q96, 0)])
def test_slot0_of_any_width(slot0: bytes) -> None:
    found = state("uniswap_v3", slot0, word(12345), word(7), word(8))
    assert found == State(Concentrated(3 * Q96, 12345), Fraction(9), 3000, (7, 8))


def test_a_dynamic_fee_is_read_every_time() -> None:
    assert state("slipstream", SLIPSTREAM, word(5), word(7), word(8), word(420)).fee == 420
    assert state("slipstream", SLIPSTREAM, word(5), word(7), word(8), None).fee == 3000
    with pytest.raises(Malformed):
        state("slipstream", SLIPSTREAM, word(5), word(7), word(8), word(1_000_000))


def test_a_price_stands_without_liquidity_or_balances() -> None:
    found = state("uniswap_v3", UNISWAP, None, None, None)
    assert found == State(None, Fraction(9), 3000, None)
    assert state("uniswap_v3", word(0, 0), word(0), word(1), word(1)).price is None


@pytest.mark.parametrize(
    "data",
    [
        (None, word(5)), (word(Q96), word(5)), (word(Q96, 2**23), word(5)), (word(Q96, -(2**23) - 1), word(5)),
        (word(5, 0), word(5)), (word(2**160, 0), word(5)), (word(Q96, 0), word(2**128)), (word(Q96, 0), b"\1"),
    ],
)  # fmt: skip
def test_absurd_words_of_concentrated_liquidity_are_refused(data: tuple[bytes | None, bytes]) -> None:
    with pytest.raises(Malformed):
        state("uniswap_v3", *data, word(1), word(1))


anything = st.one_of(
    st.none(), st.binary(max_size=250), st.lists(st.integers(0, 2**256 - 1), max_size=8).map(lambda w: word(*w))
)


@given(st.sampled_from(sorted(shapes.SHAPES)), st.lists(anything, min_size=5, max_size=5), st.booleans())
def test_nonsense_is_refused_and_nothing_else_happens(kind: str, data: list[bytes | None], stable: bool) -> None:
    nature = Nature(stable, FACTORY) if kind == "solidly" else PLAIN
    asked = (10**20, 10**8) if stable else None
    try:
        found = state(kind, *data[: len(selectors(kind, nature, asked))], nature=nature, asked=asked)
    except Malformed:
        return
    assert found.price is None or found.price > 0
