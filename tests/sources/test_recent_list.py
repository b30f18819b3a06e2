"""The list of recent trades: as strict as any document, and what was read before is never counted or read again."""

import json
import random
from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import records
from exporter.sources.files import Unreadable, document, parse
from exporter.sources.recent_list import BadRow, Known, Rows
from exporter.sources.records import Trade
from tests import bank

UTC = ZoneInfo("UTC")


def rows_of(text: str) -> int | str:
    """How many rows there are, or why there are none."""
    try:
        return len(Rows(text, UTC, Known()))
    except Unreadable as unusable:
        return unusable.reason


def keys(rows: Rows) -> list[bytes]:
    return [row.key for row in rows if isinstance(row, Trade)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"trades": [1, 2]}', 2),
        (' {"x": {"trades": [1]} , "trades" : [ 1 , 2 ] } ', 2),
        ('{"trades": []}', 0),
        ("{}", 0),
        ("[1]", 1),
        ("[ ]", 0),
        ('{"trade_history": [1], "x": 1}', 1),
        ('{"trade_history": [1, 2], "trades": [1]}', 1),
        ('{"trade_history": [1, 2], "trades": null}', "shape"),
        ("3", "shape"),
        ('"x"', "shape"),
        ("null", "shape"),
        ('{"trades": {}}', "shape"),
        ('{"trades": [1], "trades": [2]}', "duplicate_key"),
        ('{"trades": [{"a": 1, "a": 2}]}', "duplicate_key"),
        ('{"trades": [NaN]}', "number"),
        ("[1e999]", "number"),
        ("[" * 200_000, "depth"),
        ("[1] x", "torn"),
        ("[1,]", "json"),
        ("[1", "json"),
        ("[1 2]", "json"),
        ("[,1]", "json"),
        ('{"trades": [1]', "json"),
        ('{"trades": [1],}', "json"),
        ('{"trades" [1]}', "json"),
        ('{"trades":}', "json"),
        ("{1: 2}", "json"),
        ("{[]: 2}", "json"),
        ("{,}", "json"),
        ("", "json"),
        ("[1}", "json"),
    ],
)
def test_every_shape_and_what_is_none(text: str, expected: int | str) -> None:
    assert rows_of(text) == expected


def test_every_truncation_of_a_list_is_refused() -> None:
    whole = json.dumps({"trades": [bank.row(random.Random(n)) for n in range(2)], "of": "bot"})
    assert [end for end in range(len(whole)) if not isinstance(rows_of(whole[:end]), str)] == []
    assert rows_of(whole) == 2


@given(st.text('{}[]":, \n\\1eaN.-tdrsx', max_size=40) | st.text(max_size=20))
def test_it_refuses_what_a_document_refuses(text: str) -> None:
    for whole in (text, f'{{"trades": {text}}}', f"[{text}]", f'{{"trades": [{text}], "x": {text}}}'):
        try:
            parse(whole)
        except Unreadable:
            assert isinstance(rows_of(whole), str)
        else:
            assert rows_of(whole) == "shape" or isinstance(rows_of(whole), int)


def test_a_row_is_what_it_is_alone() -> None:
    row = bank.row(random.Random(1), tx_hash="0x" + "1" * 64)
    assert list(Rows(json.dumps([row]), UTC, Known())) == [records.from_row(document(json.dumps(row).encode()), UTC)]


def test_only_new_rows_are_read() -> None:
    old = [bank.row(random.Random(n)) for n in range(5)]
    before = Rows(json.dumps(old), UTC, Known())
    assert (len(before), len(set(keys(before)))) == (5, 5)
    after = Rows(json.dumps({"trades": [bank.row(random.Random(9)), *old[:3]]}), UTC, before.known)
    assert (len(after), len(keys(after))) == (1, 1)
    again = Rows(json.dumps([*old[:3], bank.row(random.Random(9)), old[4]]), UTC, after.known)
    assert set(keys(again)) <= set(keys(Rows(json.dumps(old), UTC, Known())))  # it was pruned, and is counted already


def test_the_same_row_spelled_otherwise_is_no_other() -> None:
    first = Rows('[{"success": true, "profit": 0.5}]', UTC, Known())
    (key,) = keys(first)
    spelled = Rows('[{"profit": 0.50, "success": true}]', UTC, first.known)
    assert keys(spelled) == [key]
    twice = Rows('[{"profit": 0.50, "success": true}, {"success": true, "profit": 0.5}]', UTC, first.known)
    assert keys(twice) == [key + (1).to_bytes(4, "big")]


def test_a_bad_row_is_known_as_well() -> None:
    first = Rows('[{"profit": 1}, 2, 2]', UTC, Known())
    found = list(first)
    assert [row.reason for row in found if isinstance(row, BadRow)] == ["shape"] * 3
    assert len({row.mark for row in found if isinstance(row, BadRow)}) == 2
    assert len(Rows('[2, {"profit": 1}, 2]', UTC, first.known)) == 0


small = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=8)


@given(st.lists(small, max_size=5))
def test_whatever_was_known_before_the_same_keys_are_counted(lists: list[list[tuple[int, bool]]]) -> None:
    """Rows of few contents, spelled in two ways: remembered or not, the ledger gets each key that it should."""
    known, counted, fresh = Known(), set[bytes](), set[bytes]()
    most: Counter[int] = Counter()
    for contents in lists:
        text = json.dumps([_row(*each) for each in contents])
        rows = Rows(text, UTC, known)
        counted |= set(keys(rows))
        known = rows.known
        fresh |= set(keys(Rows(text, UTC, Known())))
        most |= Counter(content for content, _ in contents)
    assert counted == fresh
    assert len(counted) == most.total()


def _row(content: int, turned: bool) -> dict[str, Any]:
    row = {"success": True, "profit": content}
    return dict(reversed(row.items())) if turned else row
