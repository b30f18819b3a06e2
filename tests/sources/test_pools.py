from decimal import Decimal, localcontext
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Pool
from exporter.sources import pools
from exporter.sources.contracts import PoolFacts, Token
from exporter.sources.pools import Reserves, Venue

amounts = st.integers(1, 2**112 - 1)


def venue(decimals0: int, decimals1: int, inverted: bool) -> Venue:
    facts = PoolFacts("0x1", "uniswap_v2", Token("0x2", "A", decimals0), Token("0x3", "B", decimals1), 3000)
    return Venue("v", "dex", facts, "A/B", inverted)


@given(amounts, amounts, st.integers(0, 30), st.integers(0, 30), st.booleans())
def test_a_price_is_the_quotient_of_the_reserves(r0: int, r1: int, d0: int, d1: int, inverted: bool) -> None:
    price = pools.price(venue(d0, d1, inverted), Reserves(r0, r1))
    assert price is not None
    with localcontext(prec=150):
        one, other = Decimal(r0).scaleb(-d0), Decimal(r1).scaleb(-d1)
        expected = one / other if inverted else other / one
        assert abs(Decimal(price.numerator) / Decimal(price.denominator) / expected - 1) < Decimal("1e-100")


def test_an_empty_pool_has_no_price() -> None:
    assert pools.price(venue(18, 6, inverted=False), Reserves(0, 5)) is None
    assert pools.price(venue(18, 6, inverted=False), Reserves(5, 0)) is None


def test_reserves_larger_than_a_pair_can_hold_are_none() -> None:
    assert Reserves.of([2**112 - 1, 1, 9]) == Reserves(2**112 - 1, 1)
    assert Reserves.of([2**112, 1]) is None


def test_amounts_are_in_the_tokens_own_units() -> None:
    assert pools.amounts(venue(18, 6, inverted=True), Reserves(5 * 10**17, 1)) == (Fraction(1, 2), Fraction(1, 10**6))


def test_labels_are_names_or_dex_and_fee_and_unique() -> None:
    def pool(dex: str, name: str | None = None) -> Pool:
        return Pool(dex, "uniswap_v2", "0x1", name)

    configured = [pool("a"), pool("a"), pool("a", "a-3000-2"), pool("b"), pool("a"), pool("c", "mine")]
    assert pools.labels(configured, [3000, 3000, 1, 500, 3000, None]) == [
        "a-3000", "a-3000-3", "a-3000-2", "b-500", "a-3000-4", "mine",
    ]  # fmt: skip
    assert pools.labels([pool("x")], [None]) == ["x-unknown"]
