"""A fault counts once while it is remembered, which is as long as it is there and a month more; memory is bounded."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exporter import fault_books
from exporter.fault_books import FORGOTTEN_AT_ONCE, REMEMBERED, SEEN_AGAIN, put, totals, unknown
from exporter.ledger import VERSIONS, fetch
from exporter.sources.memory_bank import Fault

NOW = 1_800_000_000.0


def database() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript("".join(VERSIONS))
    return db


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(database()) as made:
        yield made


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the newest ten are known for ever."""
    monkeypatch.setattr(fault_books, "KEPT", 10)


def faults(*numbers: int) -> list[Fault]:
    return [Fault("trade", "json", b"%d" % number) for number in numbers]


def known(db: sqlite3.Connection) -> list[int]:
    return [int(key) for (key,) in fetch(db, "SELECT key FROM fault ORDER BY seq")]


def test_a_fault_counts_once_for_each_content(db: sqlite3.Connection) -> None:
    put(db, "b", faults(1, 1), NOW)
    put(db, "b", faults(1, 2), NOW + 1)
    assert totals(db, "b") == {("trade", "json"): 2}
    assert totals(db, "another") == {}


def test_what_is_known_needs_no_write_until_it_has_not_been_seen_for_a_day(db: sqlite3.Connection) -> None:
    put(db, "b", faults(1, 2), NOW)
    assert unknown(db, faults(1, 3, 3), NOW + SEEN_AGAIN - 1) == faults(3)
    assert unknown(db, faults(1), NOW + SEEN_AGAIN) == faults(1)
    put(db, "b", faults(1), NOW + SEEN_AGAIN)
    assert unknown(db, faults(1), NOW + SEEN_AGAIN + 1) == []
    assert (known(db), totals(db, "b")) == ([2, 1], {("trade", "json"): 2})


@pytest.mark.usefixtures("few")
def test_a_fault_that_stays_is_never_forgotten_and_never_counted_again(db: sqlite3.Connection) -> None:
    for day in range(100):
        put(db, "b", faults(0, day + 1), NOW + day * SEEN_AGAIN)
    assert totals(db, "b") == {("trade", "json"): 101}
    assert 0 in known(db)
    assert 1 not in known(db)
    assert len(known(db)) <= 33


@pytest.mark.usefixtures("few")
def test_one_is_forgotten_only_after_a_month_and_if_enough_others_were_seen_since(db: sqlite3.Connection) -> None:
    put(db, "b", faults(*range(12)), NOW)
    put(db, "b", faults(99), NOW + REMEMBERED)
    assert len(known(db)) == 13, "a month is not over"
    put(db, "b", faults(99), NOW + REMEMBERED + SEEN_AGAIN)
    assert known(db) == [*range(3, 12), 99], "the newest stay, how old they are"
    put(db, "b", faults(3), NOW + REMEMBERED + 2 * SEEN_AGAIN)
    assert totals(db, "b") == {("trade", "json"): 13}


@pytest.mark.usefixtures("few")
def test_no_transaction_forgets_many(db: sqlite3.Connection) -> None:
    put(db, "b", faults(*range(1000)), NOW)
    for number in range(3):
        put(db, "b", faults(2000 + number), NOW + REMEMBERED + 1)
        assert len(known(db)) == 1000 + number + 1 - (number + 1) * FORGOTTEN_AT_ONCE


looks = st.lists(st.tuples(st.lists(st.integers(0, 30), max_size=8), st.floats(0, 12 * 86_400)), max_size=40)


@pytest.mark.parametrize("kept", [0, 3, fault_books.KEPT])
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=looks)
def test_no_fault_counts_twice_within_its_memory(
    kept: int, seen: list[tuple[list[int], float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a plain list of when each was last seen; only who was away for a month may count again."""
    monkeypatch.setattr(fault_books, "KEPT", kept)
    now, last, least, most = NOW, dict[int, float](), 0, 0
    with closing(database()) as db:
        for numbers, pause in seen:
            now += pause
            for number in set(numbers):
                least += number not in last
                most += number not in last or now - last[number] > REMEMBERED - SEEN_AGAIN
                last[number] = now
            put(db, "b", faults(*numbers), now)
        counted = totals(db, "b").get(("trade", "json"), 0)
        assert least <= counted <= most
        assert counted == least or kept < 31, "so few stay known however old they are"
