"""A ledger of every version there was becomes one of today, with all that was in it, or stays as it was."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter import books
from exporter.ledger import FILE, VERSIONS, Ledger, fetch

FROZEN = Path(__file__).parent / "ledgers"
"""Of every version a ledger as it was then, as SQL, with rows in every table. These files are never changed."""
EVERY = range(1, len(VERSIONS) + 1)

type Rows = list[tuple[Any, ...]]
type Tables = dict[str, Rows]


def frozen(version: int, file: Path | str = ":memory:") -> sqlite3.Connection:
    """A ledger as that version left it."""
    db = sqlite3.connect(file, isolation_level=None)
    db.executescript((FROZEN / f"v{version}.sql").read_text(encoding="utf-8"))
    return db


def of_version(version: int, state: Path) -> None:
    """A state directory as that version left it."""
    state.mkdir()
    with closing(frozen(version, state / FILE)) as db:
        db.execute("PRAGMA journal_mode=WAL")


def schema(db: sqlite3.Connection) -> Rows:
    return sorted(fetch(db, "SELECT type, name, sql FROM sqlite_master"))


def content(db: sqlite3.Connection) -> Tables:
    """Every row of every table, in an order of its own."""
    tables = [name for (name,) in fetch(db, "SELECT name FROM sqlite_master WHERE type='table'")]
    return {table: sorted(fetch(db, f"SELECT * FROM {table}"), key=repr) for table in tables}  # noqa: S608


def _numbered_opportunities(old: Tables) -> Tables:
    """Version 3 numbers opportunities, until then in the order of their keys; nobody knew since when."""
    by_key = enumerate(sorted(old["opportunity"], key=lambda row: row[:3]), 1)
    return {"opportunity": [(seq, *row, None) for seq, row in by_key]}


def _staged_opportunities(old: Tables) -> Tables:
    """Version 4 knows stages; what it finds was detected, for no reason that was told."""
    return {"opportunity": [(*row, "detected", None) for row in old["opportunity"]]}


def _aged_faults(old: Tables) -> Tables:
    """Version 5 keeps of a fault its key alone, and takes what it finds for seen now."""
    now = pytest.approx(time.time(), abs=3_600)
    return {"fault": [(seq, key, now) for seq, (key, *_) in enumerate(sorted(old["fault"]), 1)]}


CHANGES: dict[int, Callable[[Tables], Tables]] = {
    3: _numbered_opportunities, 4: _staged_opportunities, 5: _aged_faults,
}  # fmt: skip
"""What a version makes of tables of the one before; all others stay as they are, and new ones begin empty."""


def today(version: int) -> Tables:
    """What has to be in a ledger of that version once it is one of today."""
    with closing(frozen(version)) as db, closing(frozen(len(VERSIONS))) as newest:
        found, names = content(db), content(newest).keys()
    for later in range(version + 1, len(VERSIONS) + 1):
        found |= CHANGES.get(later, lambda _: {})(found)
    return {name: [] for name in names} | {name: sorted(rows, key=repr) for name, rows in found.items()}


async def check(version: int, state: Path, fresh: Path) -> None:
    async with Ledger(state) as ledger, Ledger(fresh) as new:
        assert await ledger.read(schema) == await new.read(schema)
        assert await ledger.read(lambda db: fetch(db, "PRAGMA user_version")) == [(len(VERSIONS),)]
        assert await ledger.read(lambda db: fetch(db, "PRAGMA integrity_check")) == [("ok",)]
        assert await ledger.read(content) == today(version)
        found = await ledger.read(lambda db: books.read(db, "alpha"))
        assert (found.sources["memory_bank"].success, found.sources["memory_bank"].failed) == (11, 12)
        assert await ledger.read(lambda db: books.known_opportunities(db, "alpha", ["opp-2", "opp-9"])) == {"opp-2"}


@pytest.mark.parametrize("version", EVERY)
def test_no_version_is_changed_afterwards(version: int) -> None:
    """Whoever has a ledger of that version would be left with another one than a new ledger is."""
    with closing(frozen(version)) as db, closing(sqlite3.connect(":memory:")) as built:
        for script in VERSIONS[:version]:
            built.executescript(script)
        assert schema(db) == schema(built)
        assert fetch(db, "PRAGMA user_version") == [(version,)]


@pytest.mark.parametrize("version", EVERY)
def test_each_column_of_each_version_has_something_in_it(version: int) -> None:
    with closing(frozen(version)) as db:
        for table, rows in content(db).items():
            columns = fetch(db, f"PRAGMA table_info({table})")
            assert [name for i, name, *_ in columns if not any(row[i] for row in rows)] == [], table


@pytest.mark.parametrize("version", EVERY)
async def test_every_version_becomes_the_newest(version: int, tmp_path: Path) -> None:
    of_version(version, tmp_path / "old")
    await check(version, tmp_path / "old", tmp_path / "fresh")
    await check(version, tmp_path / "old", tmp_path / "fresh")


@pytest.mark.parametrize("version", EVERY[:-1])
async def test_a_migration_that_fails_leaves_the_version_before(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_version(version, tmp_path / "old")
    broken = (*VERSIONS[:version], VERSIONS[version] + "SELECT * FROM nowhere;", *VERSIONS[version + 1 :])  # noqa: S608
    monkeypatch.setattr("exporter.ledger.VERSIONS", broken)
    with pytest.raises(Exception, match="cannot be opened"):
        async with Ledger(tmp_path / "old"):
            pass
    monkeypatch.undo()
    with closing(sqlite3.connect(tmp_path / "old" / FILE)) as db, closing(frozen(version)) as before:
        assert (schema(db), content(db)) == (schema(before), content(before))
        assert fetch(db, "PRAGMA user_version") == [(version,)]
    await check(version, tmp_path / "old", tmp_path / "fresh")
