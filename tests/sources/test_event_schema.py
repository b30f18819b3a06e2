"""The published schema is the parser's: what one takes the other takes; and the copy in docs/ is current."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from exporter.sources import event_schema, files
from exporter.sources.event_fields import BadEvent
from exporter.sources.event_records import RULES, parse
from tests.sources.event_documents import TYPES, event

ROOT = Path(__file__).parent.parent.parent
VALIDATOR = Draft202012Validator(event_schema.document())


def taken(document: Any) -> bool:
    try:
        parse(files.parse(json.dumps(document)))
    except BadEvent:
        return False
    return True


def test_it_is_a_schema_and_the_copy_in_the_documents_is_current() -> None:
    Draft202012Validator.check_schema(event_schema.document())
    copy = ROOT / "docs" / "events.schema.json"
    assert json.loads(copy.read_text()) == event_schema.document(), "make golden"


@pytest.mark.parametrize("kind", TYPES)
def test_a_whole_event_fits_and_so_does_one_with_what_is_required(kind: str) -> None:
    whole = event(kind)
    assert VALIDATOR.is_valid(whole)
    for _, said, _, optional in RULES[kind]:
        for document in ({k: v for k, v in whole.items() if k != said}, whole | {said: None}):
            assert VALIDATOR.is_valid(document) is taken(document)
            assert taken(document) is (optional and said != "dex")


@pytest.mark.parametrize("document", [None, 1, [], {}, {"type": "swap"}, event("trade", type="bundle")])
def test_what_is_no_event_does_not_fit(document: Any) -> None:
    assert not VALIDATOR.is_valid(document)
    assert not taken(document)


FIELDS = st.sampled_from(sorted({said for rules in RULES.values() for _, said, _, _ in rules} | {"note"}))
VALUES = st.sampled_from(
    [None, True, False, 0, 1, -1, 2, 0.5, -0.5, 1.5, 1e21, 1e23, "", "x", "1", "-1", "0.5", [], {}, "WETH/USDC",
     "success", "failed", "ok", "executed", "included", 1_767_225_600, 1_767_225_600_000, "y" * 300]
)  # fmt: skip


@given(st.sampled_from(TYPES), st.dictionaries(FIELDS, VALUES, max_size=3))
def test_what_fits_is_taken_and_the_other_way_round(kind: str, fields: dict[str, Any]) -> None:
    document = event(kind) | fields
    # A schema cannot bound the number in a string, and takes any text for a date.
    strings = [v for k, v in fields.items() if isinstance(v, str)]
    if taken(document) or not strings:
        assert VALIDATOR.is_valid(document) is taken(document)


def test_numbers_in_strings_are_numbers() -> None:
    assert taken(event("trade", net_profit_eth="-0.5"))
    assert not taken(event("trade", gas_fee_eth="-0.5"))
    assert Decimal("0.5") == files.parse("0.5")
