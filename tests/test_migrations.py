"""A ledger of every version there was becomes one of today, with all that was in it, or stays as it was."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from exporter import books
from exporter.ledger import FILE, VERSIONS, Ledger, fetch, rows

ROWS = {
    "source": "('b', 'memory_bank', 1, 5.0)",
    "trade": "(1, 'b', 'memory_bank', x'01', x'02', 5.0, 'WETH/USDC', 'a', 'c', 'success', NULL, '7', '1', NULL, '0')",
    "route": "('b', 'memory_bank', 'WETH/USDC', 'a', 'c')",
    "total": "('b', 'memory_bank', 'WETH/USDC', 'a', 'c', 1, 0, '7', '7', '0', '1', '0')",
    "opportunity_total": "('b', 'memory_bank', 'WETH/USDC', 'a', 'c', 'detected', 1)",
    "log_total": "('bot', 'level', 'error', 3)",
    "token": "(8453, '0x2', 'WETH', 18)",
}
OPPORTUNITY = "INSERT INTO opportunity (bot, source, id, digest, pair, dex_buy, dex_sell) VALUES"
"""Its columns have changed their places since."""


def of_version(version: int, state: Path) -> None:
    """A ledger as that version left it."""
    state.mkdir()
    with closing(sqlite3.connect(state / FILE, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        for script in VERSIONS[:version]:
            db.executescript(script)
        for table, row in ROWS.items():
            db.execute(f"INSERT INTO {table} VALUES {row}")  # noqa: S608
        db.execute(f"{OPPORTUNITY} ('b', 'memory_bank', 'opp-1', x'03', 'WETH/USDC', 'a', 'c')")
        db.execute(f"PRAGMA user_version={version}")


def schema(db: sqlite3.Connection) -> list[tuple[str, ...]]:
    return sorted(fetch(db, "SELECT type, name, sql FROM sqlite_master"))


async def check(state: Path, fresh: Path) -> None:
    async with Ledger(state) as ledger, Ledger(fresh) as new:
        assert await ledger.read(schema) == await new.read(schema)
        assert await ledger.read(lambda db: fetch(db, "PRAGMA user_version")) == [(len(VERSIONS),)]
        assert await ledger.read(lambda db: fetch(db, "PRAGMA integrity_check")) == [("ok",)]
        found = await ledger.read(lambda db: books.read(db, "b"))
        assert found.sources["memory_bank"].success == 1
        counts = await ledger.read(rows)
        assert {table: counts[table] for table in ("trade", "total", "opportunity", "token", "log_total")} == {
            "trade": 1, "total": 1, "opportunity": 1, "token": 1, "log_total": 1,
        }  # fmt: skip
        assert await ledger.read(lambda db: books.known_opportunities(db, "b", ["opp-1", "x"])) == {"opp-1"}


@pytest.mark.parametrize("version", range(1, len(VERSIONS) + 1))
async def test_every_version_becomes_the_newest(version: int, tmp_path: Path) -> None:
    of_version(version, tmp_path / "old")
    await check(tmp_path / "old", tmp_path / "fresh")
    await check(tmp_path / "old", tmp_path / "fresh")


@pytest.mark.parametrize("version", range(1, len(VERSIONS)))
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
    await check(tmp_path / "old", tmp_path / "fresh")
