"""A disk that refuses writes, or only flushes, below a whole exporter: it shows on, and never more than is durable."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.faults.disturbed import Disk
from tests.faults.stage import Stage, playing, strictly
from tests.running import Running, running, until
from tests.tiers import FULL

FAULTS = ((errno.EROFS, False), (errno.EIO, True), *([(errno.ENOSPC, False), (errno.EIO, False)] if FULL else []))
"""Errors, and whether only flushes have them."""
SECONDS = 20.0 if FULL else 0.5
"""How long the disk fails at least, once the exporter has said so."""
SHOWN = {
    "trades": ("arb_bot_trades_by_outcome_total", ("source", "memory_bank")),
    "lines": ("arb_bot_log_messages_total", ("log", "bot")),
    "events": ("arb_events_total", ("bot", "b")),
    "transactions": ("arb_wallet_transactions_total", ("wallet", "trader")),
}
DURABLE = {
    "trades": "SELECT sum(success + failed) FROM total WHERE source='memory_bank'",
    "lines": "SELECT sum(count) FROM log_total WHERE kind='level'",
    "events": "SELECT sum(count) FROM event_count WHERE fact='accepted'",
    "transactions": "SELECT sum(count) FROM wallet_total",
}


class Watched:
    """Scrapes of a stage, each held against what its ledger holds, and against those before."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.scrapes = stage, 0
        self.rising, self.rest = dict[Any, float](), dict[Any, float]()

    def scrape(self) -> dict[str, float]:
        """What is shown by a scrape that is good: nothing has fallen, and all of it is durable."""
        rising, self.rest = strictly(self.stage.exporter)
        fell = [key for key, value in self.rising.items() if rising.get(key, -1) < value]
        assert not fell, fell
        self.rising, self.scrapes = rising, self.scrapes + 1
        shown = {what: sum(v for (n, labels), v in rising.items() if n == name and label in labels)
                 for what, (name, label) in SHOWN.items()}  # fmt: skip
        durable = self.durable()
        assert all(shown[what] <= durable[what] for what in SHOWN), (shown, durable)
        return shown

    def durable(self) -> dict[str, float]:
        """What the ledger's file holds, as another program reads it."""
        file = self.stage.folder / "state" / "ledger.sqlite3"
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
            return {what: db.execute(query).fetchone()[0] or 0 for what, query in DURABLE.items()}

    def exact(self) -> bool:
        """Whether all that was done is shown and durable, and nothing more, and the ledger is said to be well."""
        shown, acts = self.scrape(), self.stage.acts
        assert all(count <= acts for what, count in self.durable().items() if what != "transactions")
        done = {"trades": acts, "lines": acts, "events": acts, "transactions": self.stage.final()}
        return shown == done == self.durable() and not self.degraded

    @property
    def degraded(self) -> bool:
        """Whether the last scrape said that the ledger cannot be written."""
        return self.rest["arb_ledger_degraded", frozenset()] == 1

    def degrades(self) -> bool:
        """Whether it is said while the bot goes on."""
        self.stage.act()
        self.scrape()
        return self.degraded


@contextmanager
def killed_and_started_again(stage: Stage) -> Iterator[Running]:
    """Another exporter on the same state, with a disk that is well."""
    stage.exporter.process.kill()
    stage.exporter.process.wait()
    with running(stage.settings(stage.endpoint.door.port), stage.folder) as stage.exporter:
        yield stage.exporter


def fails_and_heals(disk: Disk, watched: Watched, number: int, only_flushes: bool) -> None:
    """The disk fails for a while, in which the bot goes on and the exporter is scraped all the while."""
    failed, scrapes, began = disk.failed, watched.scrapes, time.monotonic()
    disk.fail(number, only_flushes)
    until(watched.degrades, 60, watched.stage.exporter)
    said = time.monotonic()
    while time.monotonic() < said + SECONDS:
        assert watched.degrades()
    assert disk.failed > failed, "the disk did not fail"
    calls, good = disk.failed - failed, watched.scrapes - scrapes
    disk.fail(0)
    healed = time.monotonic()
    until(watched.exact, 60, watched.stage.exporter)
    took, what = time.monotonic() - healed, f"{errno.errorcode[number]}{' of flushes' if only_flushes else ''}"
    print(f"{what}: said after {said - began:.1f} s, {calls} calls failed, {good} of {good} scrapes good, "
          f"exact {took:.1f} s after it")  # fmt: skip


def test_a_failing_disk_shows_what_is_durable_and_all_once_it_is_well(tmp_path: Path) -> None:
    disk = Disk(tmp_path, tmp_path / "state")
    with playing(tmp_path, **disk.environment) as stage:
        watched = Watched(stage)
        stage.act()
        until(watched.exact, 60, stage.exporter)
        for number, only_flushes in FAULTS:
            fails_and_heals(disk, watched, number, only_flushes)
        disk.fail(errno.EIO)
        until(watched.degrades, 60, stage.exporter)
        with killed_and_started_again(stage) as exporter:
            until(Watched(stage).exact, 60, exporter)
            assert exporter.stop() == 0
        assert "Traceback" not in exporter.stderr.read_text()
        print(f"killed meanwhile and started again: {stage.acts} of each, difference 0")
