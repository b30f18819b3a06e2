"""Parameters: what their description lets through is read, and nothing else."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web import parameters
from exporter.web.parameters import choice, label, moment, whole

TIMES = {
    "0": 0.0,
    "1700000000": 1.7e9,
    "1700000000.25": 1.7e9 + 0.25,
    "2023-11-14T22:13:20Z": 1.7e9,
    "2023-11-14t22:13:20.5z": 1.7e9 + 0.5,
    "2023-11-14T23:13:20+01:00": 1.7e9,
    "2023-11-14T22:13:20.123456789Z": pytest.approx(1.7e9 + 0.123456),
    "": None,
    " 1": None,
    "1_000": None,
    "1e9": None,
    "-1": None,
    "٣": None,
    "2023-11-14": None,
    "2023-11-14T22:13:20": None,
    "2023-11-14 22:13:20Z": None,
    "2023-02-29T00:00:00Z": None,
    "2023-11-14T24:13:20Z": None,
    "20231114T221320Z": None,
    "0001-01-01T00:00:00+14:00": None,
    "9999-12-31T23:59:59-14:00": None,
}


@pytest.mark.parametrize("text", TIMES)
def test_times(text: str) -> None:
    assert moment("t", "").parse(text) == TIMES[text]


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(5000, 1, 1), timezones=st.just(UTC)))
def test_every_time_in_both_forms(time: datetime) -> None:
    assert parameters.seconds(time.isoformat()) == pytest.approx(time.timestamp(), abs=1e-5)
    assert parameters.seconds(f"{time.timestamp():.6f}") == pytest.approx(time.timestamp(), abs=1e-5)


@given(st.text(max_size=12))
def test_no_text_is_a_surprise(text: str) -> None:
    assert whole("n", "", 1, 10).parse(text) in (None, *range(1, 11))
    assert choice("c", "", "a", "b").parse(text) in (None, "a", "b")
    assert label("l", "").parse(text) in (None, text)
    parameters.seconds(text)


def test_a_description_says_what_is_taken() -> None:
    assert whole("limit", "", 1, 9, default=3).schema == {"type": "integer", "minimum": 1, "maximum": 9, "default": 3}
    assert choice("c", "", "a").needs == "one of a"
