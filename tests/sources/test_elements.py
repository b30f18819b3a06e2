"""Arrays one element at a time: what is wrong is told where it is, and what follows is still read."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources.elements import elements
from exporter.sources.files import Unreadable


def found(text: str) -> list[Any]:
    """The elements, and the reason in place of an error."""
    return [each.reason if isinstance(each, Unreadable) else each for each in elements(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", []),
        ("[ \n]", []),
        ("[1]", [1]),
        (' [1 , {"a": [2]}\t,\n"x" ] '.strip(), [1, {"a": [2]}, "x"]),
        ("[1.50]", [Decimal("1.50")]),
        ("[NaN, 2]", ["number", 2]),
        ('[{"a":1,"a":2}, 2]', ["duplicate_key", 2]),
        ("[1e999, 2]", ["number", 2]),
        ("[" + "9" * 100 + ", 2]", ["number", 2]),
        ("[" + '{"a":1e999,"b":' + "9" * 5000 + "}, 2]", ["number", 2]),
        ("[1, nope, 2]", [1, "json", "json"]),
        ("[1 2]", [1, "json"]),
        ("[1", [1, "json"]),
        ("[1,", [1, "json", "json"]),
        ("[1,]", [1, "json", "json"]),
        ("[", ["json", "json"]),
        ("[1]x", [1, "json"]),
        ("[1][2]", [1, "json"]),
        ("[" + "[" * 100_000, ["json", "json"]),
        ('[{"a":1e999,"b":' + "[" * 100_000, ["number", "json"]),
    ],
)
def test_elements(text: str, expected: list[Any]) -> None:
    assert found(text) == expected


@given(st.lists(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists)))
def test_an_array_is_its_elements(items: list[Any]) -> None:
    assert found(json.dumps(items)) == items
    assert found(json.dumps(items, indent=1)) == items


@given(st.text('[]{},:"1e9N \n\\truefalsn', max_size=40))
def test_no_text_raises(rest: str) -> None:
    found("[" + rest)
