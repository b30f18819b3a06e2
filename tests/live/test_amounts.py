"""Decimal strings: exact, plain, and the same number again when read."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.live.amounts import ether, text

CASES = {
    "0": [0, 0.0, Fraction(0), Decimal("0.00"), Decimal("0E-18")],
    "100": [100, 100.0, Fraction(100), Decimal("1E+2")],
    "0.1": [0.1, Fraction(1, 10), Decimal("0.10")],
    "-2.5": [-2.5, Fraction(-5, 2)],
    "0.00000000000000000001": [1e-20, Fraction(1, 10**20)],
    "0.333333333333333333": [Fraction(1, 3)],
    "3003.42": [3003.42, Fraction(300342, 100)],
}


@pytest.mark.parametrize("expected", CASES)
def test_known_numbers(expected: str) -> None:
    assert {text(number) for number in CASES[expected]} == {expected}


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_unknown(nothing: float | None) -> None:
    assert text(nothing) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_the_same_again(number: float) -> None:
    made = text(number)
    assert made is not None
    assert float(made) == number
    assert "e" not in made.lower()


@given(st.integers(-(10**60), 10**60))
def test_wei_are_exact_in_ether(wei: int) -> None:
    made = ether(wei)
    assert made is not None
    assert Fraction(made) * 10**18 == wei
    assert "e" not in made.lower()
    assert not made.endswith(".")


@given(st.fractions(min_value=Fraction(1, 10**12), max_value=10**12))
def test_a_fraction_is_right_to_18_digits(number: Fraction) -> None:
    made = text(number)
    assert made is not None
    assert abs(Fraction(made) - number) <= number / 10**17


def test_unknown_wei_stay_unknown() -> None:
    assert ether(None) is None
