import sqlite3
from collections.abc import Iterator

import pytest

from exporter import event_totals, ledger
from exporter.event_totals import SECONDS, Word


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript("".join(ledger.VERSIONS))
    connection.execute("INSERT INTO source VALUES ('b', 'events', 1, NULL)")
    yield connection
    connection.close()


def test_only_what_is_asked_for_of_this_bot_and_exact_beyond_any_float(db: sqlite3.Connection) -> None:
    rows = [("b", "x", "1", ""), ("b", "y", "1", "2"), ("b", "z", "", ""), ("c", "x", "1", "")]
    db.executemany("INSERT INTO event_total VALUES (?,?,?,?,?)", [(*row, str(10**40 + 1)) for row in rows])
    assert event_totals.totals(db, "b", ("x", "y", "none")) == {
        "x": {("1", ""): 10**40 + 1},
        "y": {("1", "2"): 10**40 + 1},
    }


def test_nothing_before_the_first_read_is_complete(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO event_total VALUES ('b', 'x', '', '', '1')")
    db.execute("UPDATE source SET first_read=0")
    assert event_totals.totals(db, "b", ("x",)) == {}


def test_words_and_the_last_one_on_a_subject(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO word VALUES ('b', 'price', 'WETH/USDC aerodrome', 7.5, '3000.25')")
    db.execute("INSERT INTO word VALUES ('b', 'component', 'the scanner', 8.5, 'ok')")
    price = Word("price", "WETH/USDC", ("aerodrome",), 7.5, ("3000.25",))
    assert event_totals.words(db, "b") == (Word("component", "the scanner", (), 8.5, ("ok",)), price)
    assert event_totals.last_word(db, "b", "price", "WETH/USDC aerodrome") == price
    assert event_totals.last_word(db, "b", "price", "WETH/USDC") is None


def test_distributions_are_whole_and_some_are_there_empty() -> None:
    found = {"n": {("p", "00"): 2, ("p", "11"): 1}, "sum": {("p", ""): 75_500_000}}
    made = dict(event_totals.distributions(found, "n", "sum", SECONDS, 10**6, ("p", "q")))
    assert (made["p"].counts, made["p"].total) == ([2, *[0] * 10, 1], 75.5)
    assert (made["q"].counts, made["q"].total) == ([0] * 12, 0)


@pytest.mark.parametrize(("simulated", "accepted", "found"), [(0, 0, ()), (0, 3, ()), (2, 3, ()), (3, 3, ("events",))])
def test_a_source_is_simulated_if_all_its_trades_are(
    db: sqlite3.Connection, simulated: int, accepted: int, found: tuple[str, ...]
) -> None:
    rows = [("b", "simulated", "trade", simulated), ("b", "accepted", "trade", accepted), ("b", "accepted", "cache", 9)]
    db.executemany("INSERT INTO event_count VALUES (?,?,?,?,NULL)", [row for row in rows if row[3]])
    assert event_totals.simulated(db, "b") == found
