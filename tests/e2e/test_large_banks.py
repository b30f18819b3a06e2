"""A bank that is far larger than usual: all of it counts once, and neither scrapes nor memory suffer meanwhile."""

import json
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import bank
from tests.running import PATIENCE, Running, running
from tests.tiers import FULL

ROWS, FILES = (100_000, 10_000) if FULL else (1_500, 600)
SLOWEST = 1.0
"""Seconds for any scrape."""
MEMORY = 200
"""MiB that the exporter takes at most; a list of 100,000 rows is 26 MiB of text."""


@dataclass
class Watch:
    """Scrapes without a rest for as long as something lasts."""

    exporter: Running
    source: str
    slowest: float = 0.0
    lag: float = 0.0
    scrapes: int = 0
    counts: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The trades that were shown last."""
        return self.counts[-1] if self.counts else 0

    def until(self, done: Callable[[], bool]) -> float:
        """Scrape until then; how long it took."""
        began = time.monotonic()
        while True:
            self._scrape()
            if done():
                return time.monotonic() - began
            assert time.monotonic() - began < 3 * PATIENCE, f"{self.count} shown"
            time.sleep(0.01)

    def _scrape(self) -> None:
        began = time.monotonic()
        page = self.exporter.get("/metrics").decode()
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.scrapes += 1
        values = [line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#")]
        mark = f'source="{self.source}"'
        shown = [float(v) for name, v in values if name.startswith("arb_bot_trades_by_outcome_total{") and mark in name]
        if shown:
            self.counts.append(int(sum(shown)))
        self.lag = max(self.lag, *(float(v) for name, v in values if name == "arb_exporter_loop_lag_seconds"), 0.0)

    def memory(self) -> dict[str, int]:
        """Resident memory in MiB, by what /proc calls it: now and at its highest."""
        lines = Path(f"/proc/{self.exporter.process.pid}/status").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return {name: int(found[name].split()[0]) >> 10 for name in ("VmRSS", "VmHWM")}

    def has_read(self) -> int:
        """Bytes that the exporter has read from anywhere."""
        return int(Path(f"/proc/{self.exporter.process.pid}/io").read_text().split()[1])

    def tell(self, what: str, took: float) -> None:
        """The figures, which must be as promised."""
        print(
            f"{what}: {took:.1f} s, slowest of {self.scrapes} scrapes {self.slowest:.2f} s, loop lag {self.lag:.3f} s,"
            f" memory {self.memory()} MiB"
        )
        assert self.counts == sorted(self.counts)
        assert self.slowest < SLOWEST
        assert self.memory()["VmHWM"] < MEMORY


@pytest.fixture
def made(tmp_path: Path) -> bank.Bank:
    return bank.Bank(tmp_path / "bank")


def settings(made: bank.Bank) -> dict[str, Any]:
    state = str(made.path.parent / "state")
    return {"bot": {"name": "b", "memory_bank": str(made.path), "timezone": "UTC"}, "state": state}


def test_a_list_of_many_rows(made: bank.Bank, tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [bank.row(rng, block_number=n) for n in range(ROWS)]
    with running(settings(made), tmp_path) as exporter:
        made.put_recent(rows, "renamed")
        watch = Watch(exporter, "recent")
        watch.tell(f"{ROWS} rows", watch.until(lambda: watch.count == ROWS))
        for more in (1, 2):
            rows.insert(0, bank.row(rng, block_number=-more))
            made.put_recent(rows, "renamed")
            watch.tell("one more", watch.until(lambda more=more: watch.count == ROWS + more))  # type: ignore[misc]
    rows.append(bank.row(rng, block_number=-3))  # which is read last
    made.put_recent(rows, "renamed")
    with running(settings(made), tmp_path) as exporter:  # which knows none of the rows any more
        again = Watch(exporter, "recent")
        again.tell("one more after a restart", again.until(lambda: again.count > ROWS + 2))
        assert set(again.counts) <= {ROWS + 2, ROWS + 3}


def test_many_files(made: bank.Bank, tmp_path: Path) -> None:
    rng = random.Random(1)
    trades = [bank.trade(rng) for _ in range(FILES)]
    with running(settings(made), tmp_path) as exporter:
        watch = Watch(exporter, "memory_bank")
        writing = threading.Thread(target=write, args=(made, trades))
        writing.start()
        watch.tell(f"{FILES} files", watch.until(lambda: watch.count == FILES))
        writing.join()
        paths = sorted(made.trades.iterdir())
        before, size = watch.has_read(), sum(path.stat().st_size for path in paths)
        for path in paths:
            os.utime(path)
        watch.tell("all of them touched", watch.until(lambda: watch.has_read() - before > 2 * size))
        made.put(bank.FIRST_EPOCH - 1, bank.trade(rng))
        watch.tell("one more", watch.until(lambda: watch.count > FILES))
        assert watch.count == FILES + 1


def write(made: bank.Bank, trades: list[dict[str, Any]]) -> None:
    for number, record in enumerate(trades):
        bank.write_renamed(made.trades / f"trade_{bank.FIRST_EPOCH + number}.json", json.dumps(record).encode())
