"""Values become JSON exactly, or not at all."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.client import values
from exporter.client.values import Unfit, ether
from exporter.sources import event_fields


class Level(IntEnum):
    LOW = 3


class Word(StrEnum):
    SUCCESS = "success"


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**59), max_value=10**59, places=18))
def test_a_decimal_is_written_in_full(value: Decimal) -> None:
    text = json.loads(values.amount(value))
    assert Decimal(text) == value
    assert event_fields._number(text) == value  # as the exporter reads it
    assert "e" not in text.lower()


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e50, max_value=1e50))
def test_a_float_counts_as_its_shortest_form(value: float) -> None:
    try:
        assert float(json.loads(values.amount(value))) == value
    except Unfit:
        assert abs(value) < 1e-43


@given(st.integers(min_value=-(2**190), max_value=2**190))
def test_wei_become_ether_without_rounding(wei: int) -> None:
    whole, _, part = json.loads(values.amount(ether(wei))).partition(".")
    assert int(whole + part.ljust(18, "0")) == wei


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-20"), "0.00000000000000000001"),
        (Decimal("-0"), "0"),
        (Decimal("0E+999999"), "0"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (" 1".strip(), "1"),
        ("1.50", "1.50"),
        ("1e-3", "0.001"),
        (2**198, str(2**198)),
        (Level.LOW, "3"),
        ("+1", "1"),
        (".5", "0.5"),
        ("2.", "2"),
    ],
)
def test_amounts(given: Any, written: str) -> None:
    assert values.amount(given) == f'"{written}"'


@pytest.mark.parametrize(
    "given",
    [
        *(float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), Decimal("1E+60")),
        *(Decimal("1E-61"), Decimal("1E+999999"), 2**1000, True, None, "", "x", "1,5", "٣", " 1", "1" * 200, "nan"),
        *("1e99999", b"1", object(), [1], ether("1"), ether(True)),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_amount(given: object) -> None:
    with pytest.raises(Unfit):
        values.amount(given)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (1_700_000_000, 1_700_000_000.0),
        (1_700_000_000.1234567, 1_700_000_000.123457),
        (datetime(2025, 1, 2, 3, 4, 5, 600_000, UTC), 1_735_787_045.6),
        (datetime(2025, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), 1_735_779_845.0),
        ("2025-01-02T03:04:05Z", 1_735_787_045.0),
        ("2025-01-02T03:04:05.5+00:00", 1_735_787_045.5),
    ],
)
def test_moments(given: Any, seconds: float) -> None:
    assert json.loads(values.moment(given)) == seconds


@pytest.mark.parametrize(
    "given",
    [
        *(datetime(2025, 1, 2), "2025-01-02T03:04:05", "yesterday", 0, -1, 1_700_000_000_000, float("nan")),
        *(float("inf"), True, None, b"", "9" * 5000),
    ],
)
def test_what_is_no_moment(given: object) -> None:
    with pytest.raises(Unfit):
        values.moment(given)


REFUSED: list[tuple[Callable[[object], str], object]] = [
    *((values.name, given) for given in ("", "x" * 201, "a\nb", "\ud800", None, 1, b"x")),
    *((values.words, given) for given in (None, 1, b"x")),
    *((values.transaction, given) for given in (b"x" * 31, None, 1, "")),
    *((values.count, given) for given in (-1, 1.0, True, None, "1", 2**53)),
    *((values.flag, given) for given in (1, 0, None, "true")),
    *((values.one_of("success"), given) for given in ("Success", None, 1, "", ["success"])),
]


@pytest.mark.parametrize(("write", "given"), REFUSED)
def test_what_is_refused(write: Callable[[object], str], given: object) -> None:
    with pytest.raises(Unfit):
        write(given)


def test_what_is_taken() -> None:
    assert values.name('WETH/"é"') == '"WETH/\\"\\u00e9\\""'
    assert values.count(2**53 - 1) == "9007199254740991"
    assert values.count(Level.LOW) == "3"
    assert (values.flag(True), values.flag(False)) == ("true", "false")
    assert values.one_of("success", "failed")(Word.SUCCESS) == '"success"'
    assert values.transaction(bytes(range(32))) == f'"0x{bytes(range(32)).hex()}"'
    assert values.transaction("0xabc") == '"0xabc"'


def test_an_explanation_is_cut_and_cleaned() -> None:
    assert json.loads(values.words("a\n\x00b\ud800" + "x" * 500)) == "a  b " + "x" * 195
    assert values.words("") == '""'
