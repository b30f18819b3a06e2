"""A body as its records: objects, arrays and lines, by media type and by shape."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources.event_fields import BadEvent
from exporter.web.event_bodies import JSON, LINES, NotJson, portion, records
from tests.sources.event_documents import TYPES, event

NDJSON = LINES[0]


def found(body: bytes, media: str = JSON) -> list[str]:
    """The ids, and the reasons of bad records in their places."""
    made = portion(records(body, media), 1_000)
    return [f"!{each.reason}" if isinstance(each, BadEvent) else each.id for each in made]


def text(*documents: Any, between: str = "\n", **how: Any) -> bytes:
    return between.join(json.dumps(document, **how) for document in documents).encode()


ALL = [event(kind, kind) for kind in TYPES]


@pytest.mark.parametrize("media", [JSON, *LINES])
def test_objects_arrays_and_lines(media: str) -> None:
    assert found(text(event("pool", "1")), media) == ["1"]
    assert found(text(ALL), media) == list(TYPES)
    assert found(text(ALL, indent=2), media) == list(TYPES)
    assert found(text(*ALL) + b"\n", media) == list(TYPES)
    assert found(text(*ALL, between="\r\n\r\n"), media) == list(TYPES)
    assert found(b"[]", media) == []
    assert found(b" [ ] ", media) == []


def test_one_object_may_go_over_lines_where_it_is_json() -> None:
    assert found(text(event("pool", "1"), indent=2)) == ["1"]
    assert set(found(text(event("pool", "1"), indent=2), NDJSON)) == {"!json"}


def test_what_is_bad_is_told_in_its_place_and_costs_only_itself() -> None:
    bad, good = event("pool", "x", size="many"), event("pool", "1")
    assert found(text([bad, good, 7, good, None])) == ["!value", "1", "!shape", "1", "!shape"]
    assert found(text(bad, good, 7, good), NDJSON) == ["!value", "1", "!shape", "1"]
    assert found(b"nope\n" + text(good) + b'\n{"id"', NDJSON) == ["!json", "1", "!json"]
    assert found(b"[" + text(good) + b', {"id": NaN}, ' + text(good) + b"]") == ["1", "!json", "1"]
    assert found(b"[" + text(good) + b", nope]") == ["1", "!json", "!json"]
    assert found(text(bad)) == ["!value"]
    assert found(text(good)[:-1] + b"}\n" + text(good) + b"\nnope") == ["1", "1", "!json"]
    assert found(b'{"id"\n\nnope\n' + text(good, good) + b"\r\n") == ["!json", "!json", "1", "1"]


@pytest.mark.parametrize(
    "body", [b"", b" ", b"nope", b"{", b'{"a":1}x', b"\xff", b"[nope]", b"[", b"[\xff]", b"[" * 9999]
)
def test_what_holds_nothing_is_not_json(body: bytes) -> None:
    with pytest.raises(NotJson, match="the body is not JSON"):
        found(body)


def test_a_body_of_empty_lines_costs_only_time() -> None:
    body = b"7" + b"\n" * 1_000_000 + text(event("pool", "1"))
    assert found(body, NDJSON) == ["!shape", "1"]


def test_no_lines_are_no_records() -> None:
    assert found(b"", NDJSON) == found(b"\n\n", NDJSON) == []


def test_records_come_in_portions() -> None:
    made = records(text(*ALL, *ALL), NDJSON)
    assert [len(portion(made, 10)) for _ in range(3)] == [10, 8, 0]


@given(st.binary(max_size=60) | st.text('[]{},:"1eN\n ', max_size=40).map(str.encode), st.sampled_from([JSON, NDJSON]))
def test_no_body_raises_anything_else(body: bytes, media: str) -> None:
    try:
        found(body, media)
    except NotJson:
        assert media == JSON or body.strip().startswith(b"[")
