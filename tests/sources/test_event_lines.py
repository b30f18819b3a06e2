"""Lines in, events out: bad ones cost only themselves, wherever reads begin and end."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import event_lines
from exporter.sources.event_fields import BadEvent
from exporter.sources.event_lines import LONG, Heard, paced
from exporter.sources.log_lines import START, Place
from tests.sources.event_documents import TYPES, event


def line(kind: str, key: str, **fields: Any) -> bytes:
    return json.dumps(event(kind, key, **fields)).encode() + b"\n"


def heard(*reads: bytes) -> tuple[list[str], Counter[str], bytes]:
    """What comes of a file that is read in these pieces: ids, faults, and what is left over."""
    found, place, rest = Heard(), START, b""
    for data in reads:
        used, place = event_lines.read(rest + data, place, found)
        rest = (rest + data)[used:]
    return [each.id for each in found.events], found.invalid, rest


def test_every_line_is_an_event_and_the_last_one_waits_for_its_end() -> None:
    lines = [line(kind, kind) for kind in TYPES]
    assert heard(b"".join(lines)) == (list(TYPES), Counter(), b"")
    assert heard(b"".join(lines)[:-1]) == (list(TYPES[:-1]), Counter(), lines[-1][:-1])
    assert heard(b"".join(lines)[:-1], b"\n")[0] == list(TYPES)


def test_bad_lines_are_counted_by_what_is_wrong_and_cost_only_themselves() -> None:
    bad = [b"{nope\n", b'{"id": NaN}\n', b"\xff\n", b"[]\n", b"7\n", b'{"type":"x"}\n', b'{"type":"trade"}\n',
           line("trade", "x", pair=5), b"[" * 5000 + b"\n", b'{"a":1,"a":2}\n']  # fmt: skip
    ids, faults, rest = heard(line("pool", "1") + b"".join(bad) + b"\r\n \n\n" + line("pool", "2"))
    assert (ids, rest) == (["1", "2"], b"")
    assert faults == Counter(json=5, shape=2, type=1, missing=1, value=1)


def test_a_line_without_end_is_skipped_and_counted_once() -> None:
    long = b"x" * (LONG + 1)
    ids, faults, _ = heard(line("pool", "1") + long, long, long + b"\n" + line("pool", "2"))
    assert (ids, faults) == (["1", "2"], Counter(size=1))
    ids, faults, _ = heard(line("pool", "1") + long + b"\n" + line("pool", "2"))
    assert (ids, faults) == (["1", "2"], Counter(size=1))
    assert event_lines.read(b"more", Place(skipping=True), Heard()) == (4, Place(skipping=True))


def test_the_hole_of_a_truncated_file_is_nothing() -> None:
    assert heard(b"\0" * 100_000 + line("pool", "1") + b"\0" * 10 + line("pool", "2")) == (["1", "2"], Counter(), b"")


def test_a_record_that_is_too_long_is_none() -> None:
    with pytest.raises(BadEvent, match="the record is longer than 32 KiB"):
        event_lines.event(b" " * (LONG + 1))


def test_pauses_change_nothing() -> None:
    assert list(paced(range(100))) == list(range(100))


STREAM = b"".join(
    [line(kind, f"{kind}-{n}") for n in range(3) for kind in TYPES] + [b"bad\n", b"x" * (LONG + 5) + b"\n", b"\n"]
) + line("pool", "last")  # fmt: skip


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_wherever_reads_begin_and_end_the_same_is_heard(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    reads = [STREAM[start:end] for start, end in zip(places, places[1:], strict=False)]
    assert heard(*reads) == heard(STREAM)


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    used, _ = event_lines.read(data, START, Heard())
    assert 0 <= used <= len(data)
