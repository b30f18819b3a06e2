"""SIGTERM while everything goes on: everybody is told, nothing is lost, and it takes no three seconds."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.e2e.test_kill import Bot, total
from tests.running import PATIENCE, Running, running, until
from tests.tiers import FULL

ENDS = 20 if FULL else 2
LISTENERS = 10
SOONEST = 3.0 if FULL else PATIENCE
"""Seconds that an end may take: others may keep the machine busy otherwise."""


class Listener:
    """Somebody who listens until he is told that it is over."""

    def __init__(self, port: int) -> None:
        self._url = f"ws://127.0.0.1:{port}/ws"
        self._thread = threading.Thread(target=self._listen)
        self.code: int | None = None
        self.heard = threading.Event()
        self._thread.start()

    def _listen(self) -> None:
        with connect(self._url, open_timeout=PATIENCE) as client:
            client.send(json.dumps({"op": "subscribe", "topics": ["system", "trades", "memory_bank"]}))
            try:
                while True:
                    client.recv(timeout=PATIENCE)
                    self.heard.set()
            except ConnectionClosed as ended:
                self.code = ended.rcvd.code if ended.rcvd is not None else 1006

    def told(self) -> int | None:
        """The code that it was closed with."""
        self._thread.join(PATIENCE)
        return self.code


def scraping(exporter: Running, stack: ExitStack) -> list[bytes]:
    """The pages that were got, one after the other, until there is nobody to ask."""
    got: list[bytes] = []

    def scrape() -> None:
        with suppress(OSError):
            while exporter.process.poll() is None:
                got.append(exporter.get("/metrics"))

    thread = threading.Thread(target=scrape)
    thread.start()
    stack.callback(thread.join, PATIENCE)
    return got


def ended(exporter: Running, ledger: Path) -> float:
    """How long the end took, in seconds, of an exporter that is listened to, scraped and written for."""
    with ExitStack() as stack:
        listeners = [Listener(exporter.port) for _ in range(LISTENERS)]
        pages = scraping(exporter, stack)
        until(lambda: len(pages) > 2 and all(one.heard.is_set() for one in listeners), 20, exporter)
        began = time.monotonic()
        exporter.process.send_signal(signal.SIGTERM)
        assert exporter.process.wait(PATIENCE) == 0
        took = time.monotonic() - began
        assert [one.told() for one in listeners] == [1001] * LISTENERS
    with closing(sqlite3.connect(ledger)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert "Traceback" not in exporter.stderr.read_text()
    return took


def test_sigterm_in_the_midst_of_everything_ends_well_each_time(tmp_path: Path) -> None:
    bank, ledger = tmp_path / "bank", tmp_path / "state" / "ledger.sqlite3"
    settings = {"bot": {"name": "b", "memory_bank": str(bank)}, "state": str(ledger.parent)}
    bot, took = Bot(bank, ledger), list[float]()
    bot.thread.start()
    try:
        for _ in range(ENDS):
            with running(settings, tmp_path) as exporter:
                took.append(ended(exporter, ledger))
    finally:
        bot.stop.set()
        bot.thread.join()
    written = {"memory_bank": len(bot.trades.keys), "recent": len(bot.rows.keys)}
    bot.bank.put_recent(bot.recent, "plain")
    with running(settings, tmp_path) as exporter:
        until(lambda: {name: total(exporter.samples(), name) for name in written} == written, 60, exporter)
        assert exporter.stop() == 0
    print(f"{ENDS} ends beside {written}: p50 {sorted(took)[ENDS // 2]:.2f} s, slowest {max(took):.2f} s")
    assert max(took) < SOONEST
