import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from exporter import ledger
from exporter.collector import Poll
from exporter.collectors import exporter
from tests.sources_for_tests import settings, shown, sources


async def test_the_exporter_shows_itself(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        opened = exporter.COLLECTOR.open(s)
        assert isinstance(opened, Poll)
        snapshot = await opened.read()
        found = shown(exporter.COLLECTOR, snapshot)
    assert snapshot.open_fds > 3
    assert snapshot.resident_bytes > 1 << 20
    assert 0 <= snapshot.loop_lag_seconds < 5
    assert {k for k in found if k.startswith("arb_ledger_rows")} == {
        f'arb_ledger_rows{{table="{t}"}}' for t in ledger.TABLES
    }
    assert found["arb_ledger_degraded"] == 0
    info = next(k for k in found if k.startswith("arb_exporter_build_info"))
    assert exporter.installed("web3") in info


async def test_rows_are_counted_rarely_and_a_silent_ledger_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sources(settings(tmp_path)) as s:
        own = exporter.Own(s.ledger)
        first = await own.read()

        async def fail(_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(s.ledger, "read", fail)
        assert (await own.read()).ledger_rows is first.ledger_rows
        own._rows_at -= exporter.ROWS_EVERY
        s.ledger.degraded = True
        snapshot = await own.read()
    assert (snapshot.ledger_degraded, snapshot.ledger_rows) == (True, first.ledger_rows)


async def test_a_blocked_loop_is_late(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        reading = asyncio.create_task(exporter.Own(s.ledger).read())
        await asyncio.sleep(0.01)
        os.waitpid(os.posix_spawn("/bin/sleep", ["sleep", "0.3"], os.environ), 0)
        assert (await reading).loop_lag_seconds > 0.1


def test_a_distribution_that_is_not_there_is_unknown() -> None:
    assert exporter.installed("no-such-distribution") == "unknown"
