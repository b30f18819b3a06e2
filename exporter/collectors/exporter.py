"""The exporter itself: version, resources, how late its event loop is, and its ledger."""

from __future__ import annotations

import asyncio
import platform
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from exporter import __version__, ledger
from exporter.collector import Collector, Poll
from exporter.metrics import UNKNOWN, Family, counter, gauge
from exporter.worker import Busy

INFO = gauge(
    "arb_exporter_build_info", "1, with the versions in use.", "version", "python_version", "web3_version", lasting=True
)
START = gauge("arb_exporter_start_timestamp_seconds", "When the exporter was started.")
RESIDENT = gauge("arb_exporter_resident_memory_bytes", "Resident memory of the exporter.")
CPU = counter("arb_exporter_cpu_seconds_total", "Processor time used by the exporter.")
FDS = gauge("arb_exporter_open_fds", "Open file descriptors of the exporter.")
LAG = gauge("arb_exporter_loop_lag_seconds", "How late the event loop woke a sleeper, at worst since the last look.")
DEGRADED = gauge("arb_ledger_degraded", "1 while the ledger cannot be written: figures stand still.", lasting=True)
ROWS = gauge("arb_ledger_rows", "Rows of the ledger's tables.", "table")

ROWS_EVERY: Final = 30.0
LOOKS: Final = 4
"""Times the loop's lateness is measured within one read."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The exporter's own state; times in seconds, sizes in bytes; a gateway has no ledger."""

    python_version: str
    web3_version: str
    start_timestamp_seconds: float
    resident_bytes: int
    cpu_seconds: float
    open_fds: int
    loop_lag_seconds: float
    ledger_degraded: bool | None
    ledger_rows: Mapping[str, int]


class Own:
    """The exporter's process and, looked at rarely, the size of its ledger if it has one."""

    def __init__(self, book: ledger.Ledger | None) -> None:
        self._process = psutil.Process()
        self._ledger = book
        self._rows: Mapping[str, int] = {}
        self._rows_at = -ROWS_EVERY

    async def read(self) -> Snapshot:
        """One look; it takes a moment because it measures how late the loop is."""
        lag = max([await _lateness() for _ in range(LOOKS)])
        if self._ledger is not None:
            await self._ledger.look()
        with self._process.oneshot():
            cpu = self._process.cpu_times()
            resident = self._process.memory_info().rss
            return Snapshot(
                python_version=platform.python_version(),
                web3_version=_WEB3_VERSION,
                start_timestamp_seconds=self._process.create_time(),
                resident_bytes=resident,
                cpu_seconds=cpu.user + cpu.system,
                open_fds=self._process.num_fds(),
                loop_lag_seconds=lag,
                ledger_degraded=self._ledger.degraded if self._ledger else None,
                ledger_rows=await self._row_counts(),
            )

    async def _row_counts(self) -> Mapping[str, int]:
        if self._ledger is not None and time.monotonic() - self._rows_at >= ROWS_EVERY:
            self._rows_at = time.monotonic()
            # A ledger that does not answer must not hide that it is degraded.
            with suppress(sqlite3.Error, Busy, TimeoutError):
                async with asyncio.timeout(2):
                    self._rows = await self._ledger.read(ledger.rows)
        return self._rows


async def _lateness() -> float:
    due = time.perf_counter() + 0.05
    await asyncio.sleep(0.05)
    return max(time.perf_counter() - due, 0.0)


def render(snapshot: Snapshot) -> Iterator[Family]:
    """All of it."""
    yield INFO.each([((__version__, snapshot.python_version, snapshot.web3_version), 1)])
    yield START(snapshot.start_timestamp_seconds)
    yield RESIDENT(snapshot.resident_bytes)
    yield CPU(snapshot.cpu_seconds)
    yield FDS(snapshot.open_fds)
    yield LAG(snapshot.loop_lag_seconds)
    yield DEGRADED.maybe(snapshot.ledger_degraded)
    yield ROWS.each(((table,), count) for table, count in snapshot.ledger_rows.items())


def installed(distribution: str) -> str:
    """The version of an installed distribution, by the name of its metadata's folder.

    `importlib.metadata` would say the same and keep most of a megabyte for it.
    """
    for folder in map(Path, sys.path):
        for found in folder.glob(f"{distribution}-*.dist-info"):
            return found.name.removesuffix(".dist-info").rpartition("-")[2]
    return UNKNOWN


_WEB3_VERSION: Final = installed("web3")


COLLECTOR = Collector(
    name="exporter",
    metrics=(INFO, START, RESIDENT, CPU, FDS, LAG, DEGRADED, ROWS),
    open=lambda sources: Poll(Own(sources.ledger).read, every=2.0),
    render=render,
    timeout=10.0,
    max_age=60.0,
    uses=(),
)
