"""Death or an error at every call that changes the ledger's files: nothing that was said is ever lost."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.disturbed import library
from tests.running import unwatched
from tests.tiers import FULL

ROOT = Path(__file__).parents[2]
TRIED = 1_000 if FULL else 4
"""Calls that are tried of each kind."""

BOOKKEEPER = """
import asyncio, faulthandler, sys
from pathlib import Path
from exporter import books
from exporter.ledger import Ledger
from exporter.sources.memory_bank import Batch
from exporter.sources.records import Trade

def batch(number):
    trades = [
        Trade(b"%d-%d" % (number, part), b"digest", 1.0, "WETH/USDC", "a", "b", "success", None, 10**18, 1, None, None)
        for part in range(3)
    ]
    return Batch("memory_bank", complete=True, trades=trades)

async def main():
    faulthandler.dump_traceback_later(100)
    degraded = 0
    async with Ledger(Path(sys.argv[1])) as ledger:
        for number in range(int(sys.argv[2])):
            while True:
                try:
                    await ledger.write(lambda db: books.Writer(db, "b", "memory_bank", 10, 9.0).put(batch(number), []))
                except Exception as error:
                    degraded += 1
                    assert ledger.degraded
                    shown = await asked(ledger)
                    assert shown is None or shown == 3 * number, (shown, number)
                    assert degraded < 500
                    continue
                assert not ledger.degraded
                print(number, flush=True)
                break
        assert await asked(ledger) == 3 * int(sys.argv[2])
    print("degraded", degraded, flush=True)

async def asked(ledger):
    try:
        return (await ledger.read(lambda db: books.read(db, "b"))).sources["memory_bank"].success
    except KeyError:
        return 0
    except Exception:
        return None

asyncio.run(main())
"""
BATCHES = 4


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that is preloaded."""
    return library(tmp_path_factory.mktemp("faulty"), "faulty")


@dataclass
class Run:
    """How the bookkeeper fared: the batches it said were written, how often it could not write, its end."""

    said: int
    degraded: int | None
    code: int
    errors: str


def keep_books(state: Path, faulty: Path | None = None, **fault: object) -> Run:
    environment = unwatched()
    if faulty is not None:
        given = {f"FAULT_{name.upper()}": str(value) for name, value in fault.items()}
        environment |= {"LD_PRELOAD": str(faulty), "FAULT_DIR": str(state)} | given
    try:
        done = subprocess.run(
            [sys.executable, "-c", BOOKKEEPER, state, str(BATCHES)], cwd=ROOT, env=environment, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"it does not end: {late.stderr!r}") from None
    lines = done.stdout.split("\n")
    said = [int(line) for line in lines if line.isdigit()]
    assert said == list(range(len(said)))
    degraded = next((int(line.split()[1]) for line in lines if line.startswith("degraded")), None)
    return Run(len(said), degraded, done.returncode, done.stderr)


def calls(state: Path, faulty: Path, only: str = "") -> int:
    """How many calls, or how many of only one kind, the bookkeeper makes when nothing is wrong."""
    count = state.with_suffix(".count")
    assert keep_books(state, faulty, count=count, only=only).code == 0
    found = int(count.read_text())
    assert found > BATCHES, "the library sees what SQLite does"
    return found


def some(last: int) -> list[int]:
    """Calls to try, spread over all of them."""
    return list(range(1, last + 1, max(1, last // TRIED)))


def counted(state: Path) -> tuple[int, int]:
    """(trades, trades in the totals) of a ledger that is whole."""
    with closing(sqlite3.connect(state / "ledger.sqlite3")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (trades,) = db.execute("SELECT count(*) FROM trade").fetchone()
        (total,) = db.execute("SELECT coalesce(sum(success), 0) FROM total").fetchone()
    return trades, total


@pytest.mark.parametrize("kind", ["kill", "torn"])
def test_death_at_every_write_of_the_ledger_loses_nothing_that_was_said(
    kind: str, faulty: Path, tmp_path: Path
) -> None:
    made = calls(tmp_path / "whole", faulty)
    points, died = some(made), 0
    for point in points:
        state = tmp_path / f"{kind}-{point}"
        first = keep_books(state, faulty, at=point, kind=kind)
        assert first.code in (0, -9), first.errors
        died += first.code == -9
        again = keep_books(state)
        assert again.code == 0, again.errors
        assert counted(state) == (3 * BATCHES, 3 * BATCHES), f"{kind} at {point}, {first.said} said"
    assert died >= len(points) * 0.75  # the last calls are those of a clean end, and not always made
    print(f"{kind}: {len(points)} of {made} calls tried, died at {died}: difference 0")


ERRORS = [(errno.EIO, 1), (errno.ENOSPC, 5), (errno.EROFS, 5)]
ERRORS += [(errno.EROFS, 1), (errno.EIO, 5), (errno.ENOSPC, 1)] if FULL else []


@pytest.mark.parametrize(("number", "lasting"), ERRORS, ids=str)
def test_an_error_at_every_write_of_the_ledger_shows_nothing_and_heals(
    number: int, lasting: int, faulty: Path, tmp_path: Path
) -> None:
    made = calls(tmp_path / "whole", faulty)
    points = some(made)
    noticed = noticing(tmp_path, faulty, points, kind=number, **{"for": lasting})
    what = f"{errno.errorcode[number]} for {lasting}"
    print(f"{what}: {len(points)} of {made} calls tried, noticed at {noticed}: difference 0")


@pytest.mark.parametrize("lasting", [1, 3] if FULL else [1])
def test_an_error_at_every_flush_of_the_ledger_shows_nothing_and_heals(
    lasting: int, faulty: Path, tmp_path: Path
) -> None:
    made = calls(tmp_path / "whole", faulty, only="fsync")
    points = range(1, made + 1)
    noticed = noticing(tmp_path, faulty, points, kind=errno.EIO, only="fsync", **{"for": lasting})
    assert noticed >= made - 4, "but for two of folders, which SQLite passes over, and those of the end"
    print(f"EIO of flushes for {lasting}: all {made} tried, noticed at {noticed}: difference 0")


def noticing(folder: Path, faulty: Path, points: Iterable[int], **fault: object) -> int:
    """At how many of these calls a fault is noticed; nothing is lost or shown too early by it at any."""
    noticed = 0
    for point in points:
        state = folder / str(point)
        first = keep_books(state, faulty, at=point, **fault)
        if first.code != 0:  # it could not even be opened: it says so, and nothing has been written
            assert (first.said, "Unusable" in first.errors) == (0, True), f"at {point}: {first.errors}"
            noticed += 1
            assert keep_books(state).code == 0
        noticed += bool(first.degraded)
        assert counted(state) == (3 * BATCHES, 3 * BATCHES), f"at {point}"
    assert noticed
    return noticed
