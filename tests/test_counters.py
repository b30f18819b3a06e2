"""Every counter that the ledger keeps is compared before a copy takes its place, and named if it would fall."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from exporter.counters import COUNTERS, NO_COUNTERS
from exporter.ledger import FILE, VERSIONS
from exporter.safekeeping import Unkept, backup, restore

LEDGERS = Path(__file__).parent / "ledgers"
COUNTED = [(table, column) for table, sums in COUNTERS.items() for column in sums.counters]
GAUGES = {("total", "net_wei"), ("wallet_flow", "amount"), ("event_count", "last"), ("course", "net_wei"),
          ("course", "peak_wei")}  # fmt: skip
"""Columns of sums of which no counter is made."""
ROWS = {
    "source", "trade", "route", "opportunity", "fault", "log_cursor", "token", "pool", "chain", "chain_block",
    "wallet_transaction", "wallet_nonce", "claim", "event", "event_cursor", "slot", "word", "awaited",
}  # fmt: skip
"""Tables that hold no sums: things one by one, places in files and chains, last words."""


def of_version(version: int, state: Path) -> None:
    """A ledger as that version left it, with rows in every table."""
    state.mkdir()
    with closing(sqlite3.connect(state / FILE)) as db:
        db.executescript((LEDGERS / f"v{version}.sql").read_text(encoding="utf-8"))


def change(file: Path, query: str, *values: object) -> None:
    with closing(sqlite3.connect(file)) as db:
        assert db.execute(query, values).rowcount
        db.commit()


@pytest.mark.parametrize(("table", "column"), COUNTED)
def test_each_counter_that_would_fall_is_named(table: str, column: str, tmp_path: Path) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy"
    many = 10 ** (21 if column.endswith("_wei") or column == "amount" else 18)  # more than a float tells apart
    of_version(len(VERSIONS), state)
    change(state / FILE, "INSERT INTO event_total VALUES ('alpha', 'fee_wei', 'gas', '', '1')")
    change(state / FILE, f"UPDATE {table} SET {column}=?", str(many))  # noqa: S608
    backup(state, copy)
    assert restore(state, copy) == []
    change(state / FILE, f"UPDATE {table} SET {column}=?", str(many + 1))  # noqa: S608
    with pytest.raises(Unkept) as refused:
        restore(state, copy)
    *told, _ = str(refused.value).split("; ")
    assert told
    for words in told:
        assert re.fullmatch(rf"{COUNTERS[table].counters[column]} of \S+( \S+)? fall from \d+ to \d+", words)
        was, left = map(int, re.findall(r"(\d+)(?: to|$)", words))
        assert 1 <= was - left <= 2, "by one in each row"
    assert restore(state, copy, accept_loss=True) == told


@pytest.mark.parametrize(("table", "column"), sorted(GAUGES))
def test_what_may_fall_is_not_told(table: str, column: str, tmp_path: Path) -> None:
    of_version(len(VERSIONS), tmp_path / "state")
    backup(tmp_path / "state", tmp_path / "copy")
    change(tmp_path / "state" / FILE, f"UPDATE {table} SET {column}='1000000000000000000000'")  # noqa: S608
    assert restore(tmp_path / "state", tmp_path / "copy") == []


@pytest.mark.parametrize("what", NO_COUNTERS)
def test_totals_of_events_that_are_no_counters_may_fall(what: str, tmp_path: Path) -> None:
    of_version(len(VERSIONS), tmp_path / "state")
    change(tmp_path / "state" / FILE, "UPDATE event_total SET what=?", what)
    backup(tmp_path / "state", tmp_path / "copy")
    change(tmp_path / "state" / FILE, "UPDATE event_total SET amount='1000000000000000000000'")
    assert restore(tmp_path / "state", tmp_path / "copy") == []


def test_every_column_of_sums_is_compared_or_known_to_be_no_counter(tmp_path: Path) -> None:
    of_version(len(VERSIONS), tmp_path / "state")
    with closing(sqlite3.connect(tmp_path / "state" / FILE)) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        columns = {
            (table, column) for table in tables - ROWS
            for _, column, _, _, _, key in db.execute(f"PRAGMA table_info({table})") if not key
        }  # fmt: skip
    assert columns == {*COUNTED, *GAUGES}
    assert tables > ROWS


def test_rows_are_compared_one_by_one(tmp_path: Path) -> None:
    """What one row has more in the copy makes up for nothing in another, whose series would fall."""
    state, copy = tmp_path / "state", tmp_path / "copy"
    of_version(len(VERSIONS), state)
    backup(state, copy)
    change(copy, "UPDATE wallet_total SET count=count+100 WHERE outcome='success'")
    change(state / FILE, "UPDATE wallet_total SET count=86 WHERE outcome='failed'")
    (words,) = restore(state, copy, accept_loss=True)
    assert words == f"wallet transactions of 0x{'b2' * 20} fall from 86 to 85"


def test_what_an_older_copy_has_no_table_for_would_fall_to_nothing(tmp_path: Path) -> None:
    of_version(len(VERSIONS), tmp_path / "state")
    of_version(1, tmp_path / "older")
    told = restore(tmp_path / "state", tmp_path / "older" / FILE, accept_loss=True)
    assert "events of alpha accepted fall from 101 to 0" in told
    assert f"transactions removed by reorgs of 0x{'b2' * 20} fall from 91 to 0" in told
    assert not [words for words in told if words.startswith(("successful", "gains", "log counts"))]


def test_a_copy_whose_sums_are_no_numbers_is_refused(tmp_path: Path) -> None:
    of_version(len(VERSIONS), tmp_path / "state")
    backup(tmp_path / "state", tmp_path / "copy")
    change(tmp_path / "copy", "UPDATE total SET gain_wei='many'")
    with pytest.raises(Unkept, match="holds a sum that is no number"):
        restore(tmp_path / "state", tmp_path / "copy")
