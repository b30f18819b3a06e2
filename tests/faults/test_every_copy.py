"""Death or an error at every step of a backup or a restore: a copy is whole or absent, the ledger is old or new."""

from __future__ import annotations

import asyncio
import errno
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter import books
from exporter.ledger import FILE, Ledger
from exporter.safekeeping import backup
from exporter.sources.memory_bank import Batch
from exporter.sources.records import Trade
from tests.faults.disturbed import library
from tests.running import unwatched
from tests.tiers import FULL

ROOT = Path(__file__).parents[2]
TRIED = 1_000 if FULL else 4
"""Calls that are tried of each kind."""
OLD, NEW = 5, 3
"""Trades in the ledger, and in the copy that takes its place."""
FAULTS = {
    "kill": ("kill", 1),
    "EIO": (errno.EIO, 1),
    **({"ENOSPC": (errno.ENOSPC, 1), "EROFS from then on": (errno.EROFS, 10_000)} if FULL else {}),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that is preloaded."""
    return library(tmp_path_factory.mktemp("faulty"), "faulty")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger as it is after a SIGKILL, with what only its log holds, and a copy of an older one."""
    folder = tmp_path_factory.mktemp("before")
    asyncio.run(_keep(folder / "older", NEW))
    backup(folder / "older", folder / "copy")
    asyncio.run(_keep(folder / "living", OLD, folder / "state"))
    assert (folder / "state" / f"{FILE}-wal").stat().st_size
    return folder


async def _keep(state: Path, trades: int, living: Path | None = None) -> None:
    rows = [
        Trade(b"%d" % number, b"digest", 1.0, "WETH/USDC", "a", "b", "success", None, 10**18, 1, None, None)
        for number in range(trades)
    ]
    batch = Batch("memory_bank", complete=True, trades=rows)
    async with Ledger(state) as ledger:
        await ledger.write(lambda db: books.Writer(db, "b", "memory_bank", 10, 9.0).put(batch, []))
        if living is not None:
            shutil.copytree(state, living, ignore=shutil.ignore_patterns("*-shm"))


@dataclass
class Command:
    """`backup` or `restore` over files of its own."""

    folder: Path
    deed: str

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def copy(self) -> Path:
        """What is made, or put back."""
        return self.folder / ("made" if self.deed == "backup" else "copy")

    def run(self, faulty: Path | None = None, **fault: object) -> subprocess.CompletedProcess[str]:
        """As a user runs it; what it says when it fails is one line."""
        environment = unwatched() | {"STATE_DIRECTORY": str(self.state)}
        if faulty is not None:
            given = {f"FAULT_{name.upper()}": str(value) for name, value in fault.items()}
            environment |= {"LD_PRELOAD": str(faulty), "FAULT_DIR": str(self.folder)} | given
        loss = ["--accept-loss"] if self.deed == "restore" else []
        done = subprocess.run(
            [sys.executable, "-m", "exporter", self.deed, *loss, self.copy], cwd=ROOT, env=environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 2, -9), done.stderr
        assert done.returncode != 2 or len(done.stderr.splitlines()) == 1, done.stderr
        return done

    def trades(self, file: Path) -> int:
        """How many a file holds, in rows and in its totals, looked at as the exporter would: with its log."""
        look = self.folder / "look"
        look.mkdir()
        for end in ("", "-wal", "-journal"):
            if (part := file.with_name(file.name + end)).exists():
                shutil.copy(part, look / f"{FILE}{end}")
        with closing(sqlite3.connect(look / FILE)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            (trades,) = db.execute("SELECT count(*) FROM trade").fetchone()
            assert db.execute("SELECT sum(success) FROM total").fetchone() == (trades,)
        shutil.rmtree(look)
        return int(trades)


def commands(deed: str, before: Path, folder: Path, faulty: Path) -> tuple[list[int], int]:
    """Calls to try, spread over all that are made when nothing is wrong, and how many those are."""
    command = laid_out(deed, before, folder / "whole")
    count = folder / "count"
    assert command.run(faulty, count=count).returncode == 0
    calls = int(count.read_text())
    assert calls > 10, "the library sees what is done"
    return list(range(1, calls + 1, max(1, calls // TRIED))), calls


def laid_out(deed: str, before: Path, folder: Path) -> Command:
    shutil.copytree(before, folder)
    return Command(folder, deed)


def backup_is_whole_or_absent(command: Command, done: subprocess.CompletedProcess[str]) -> None:
    assert command.trades(command.state / FILE) == OLD
    if command.copy.exists():
        assert command.trades(command.copy) == OLD
        return
    assert done.returncode != 0
    assert command.run().returncode == 0
    assert command.trades(command.copy) == OLD


def ledger_is_old_or_new(command: Command, done: subprocess.CompletedProcess[str]) -> None:
    now = command.trades(command.state / FILE)
    assert now in (OLD, NEW)
    assert done.returncode != 0 or now == NEW
    if done.returncode == 2:
        assert now == (NEW if "in its place" in done.stderr else OLD), done.stderr
    if now == NEW:
        assert command.trades(command.state / f"{FILE}.before-1") == OLD
    else:
        assert command.run().returncode == 0
        assert command.trades(command.state / FILE) == NEW
        assert command.trades(command.state / f"{FILE}.before-1") == OLD
    assert not list(command.state.glob("*.part*"))


PROMISES = {"backup": backup_is_whole_or_absent, "restore": ledger_is_old_or_new}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("deed", PROMISES)
def test_at_every_call(deed: str, fault: str, before: Path, faulty: Path, tmp_path: Path) -> None:
    points, calls = commands(deed, before, tmp_path, faulty)
    kind, lasting = FAULTS[fault]
    told = 0
    for point in points:
        command = laid_out(deed, before, tmp_path / str(point))
        done = command.run(faulty, at=point, kind=kind, **{"for": lasting})
        told += done.returncode != 0
        PROMISES[deed](command, done)
    assert told
    print(f"{deed}, {fault}: {len(points)} of {calls} calls tried, told at {told}")
