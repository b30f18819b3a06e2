"""Each kind of value: what it takes is what its schema takes."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from exporter.sources import event_fields
from exporter.sources.event_fields import BadEvent, Kind, choice, ratio, whole

KINDS = {name: kind for name, kind in vars(event_fields).items() if isinstance(kind, Kind)} | {
    "choice": choice("a", "b"), "ratio": ratio(-1, 1), "whole": whole(1, 100),
}  # fmt: skip
SAMPLES: list[Any] = [
    None, True, False, 0, 1, -1, 0.5, -0.5, 1.5, 2**53, 1e30, 1_767_225_600, 1_767_225_600_000, "", "a", "b", "1",
    "1.5", "-1", "1e2", "1e-2", ".5", "1.", "+1", "0x1", "NaN", " 1", "x" * 256, "x" * 257, [], {}, ["a"], {"a": 1},
]  # fmt: skip


def as_parsed(value: Any) -> Any:
    """A number as our JSON reader gives it."""
    return Decimal(repr(value)) if isinstance(value, float) else value


@pytest.mark.parametrize("name", KINDS)
def test_what_is_taken_is_what_the_schema_says(name: str) -> None:
    kind = KINDS[name]
    validator = Draft202012Validator(dict(kind.schema))
    for value in SAMPLES:
        taken = kind.read(as_parsed(value)) is not None
        # A schema cannot bound the number in a string; nor does it look at the format of a date.
        if taken or not isinstance(value, str):
            assert validator.is_valid(value) is taken, value


def test_words_name_the_field() -> None:
    assert str(BadEvent("time", "is missing", "missing")) == "time is missing"
    assert str(BadEvent(None, "must be a JSON object", "shape")) == "the record must be a JSON object"


@given(st.text() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.booleans())
def test_no_kind_ever_raises(value: Any) -> None:
    for kind in KINDS.values():
        kind.read(value)
