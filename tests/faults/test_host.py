"""What the host does to a running exporter: no descriptors left, stopped and continued, a second one on its state."""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import time
from pathlib import Path

from tests import bank
from tests.e2e.test_kill import total
from tests.running import PATIENCE, Running, running, until
from tests.tiers import FULL

STOPPED = 60.0 if FULL else 2.0
WANTING = 4.0


def settings(folder: Path) -> dict[str, object]:
    return {"bot": {"name": "b", "memory_bank": str(folder / "bank")}, "state": str(folder / "state")}


def test_no_descriptors_left_is_said_once_and_outlived(tmp_path: Path) -> None:
    own, rng = bank.Bank(tmp_path / "bank"), random.Random(1)
    own.put(bank.FIRST_EPOCH, bank.trade(rng))
    with running(settings(tmp_path), tmp_path) as exporter:
        until(lambda: total(exporter.samples(), "memory_bank") == 1, 30, exporter)
        lines = len(exporter.stderr.read_text().splitlines())
        limits = resource.prlimit(exporter.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(exporter.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        own.put(bank.FIRST_EPOCH + 1, bank.trade(rng))
        until(lambda: "cannot be accepted" in knocked(exporter), 20, exporter)
        time.sleep(WANTING)
        said = exporter.stderr.read_text().splitlines()[lines:]
        assert sum("a connection cannot be accepted now" in line for line in said) == 1
        assert len(said) <= 10 * WANTING, said
        resource.prlimit(exporter.process.pid, resource.RLIMIT_NOFILE, limits)
        until(lambda: total(exporter.samples(), "memory_bank") == 2, 30, exporter)
        assert exporter.stop() == 0
        assert "Traceback" not in exporter.stderr.read_text()


def knocked(exporter: Running) -> str:
    """The log, after an attempt to come in."""
    with socket.create_connection(("127.0.0.1", exporter.port), 5):
        time.sleep(0.1)
    return exporter.stderr.read_text()


def test_stopped_and_continued_it_is_there_at_once_with_all_that_happened(tmp_path: Path) -> None:
    own, rng = bank.Bank(tmp_path / "bank"), random.Random(2)
    own.put(bank.FIRST_EPOCH, bank.trade(rng))
    with running(settings(tmp_path), tmp_path) as exporter:
        until(lambda: total(exporter.samples(), "memory_bank") == 1, 30, exporter)
        exporter.process.send_signal(signal.SIGSTOP)
        for number in range(1, 40):
            own.put(bank.FIRST_EPOCH + number, bank.trade(rng))
        time.sleep(STOPPED)
        exporter.process.send_signal(signal.SIGCONT)
        assert exporter.get("/healthz") == b"ok\n"
        until(lambda: total(exporter.samples(), "memory_bank") == 40, 30, exporter)
        assert exporter.stop() == 0


def test_a_second_one_on_the_same_state_refuses_and_the_first_goes_on(tmp_path: Path) -> None:
    with running(settings(tmp_path), tmp_path) as exporter:
        (tmp_path / "second").mkdir()
        second = Running(settings(tmp_path), tmp_path / "second")
        assert second.process.wait(PATIENCE) == 2
        assert "used by another" in second.stderr.read_text()
        assert exporter.get("/healthz") == b"ok\n"
        assert exporter.stop() == 0
    third = Running(settings(tmp_path), tmp_path)  # what held the state is gone with its process
    try:
        third.until_up()
        os.kill(third.process.pid, signal.SIGKILL)
        third.process.wait()
    finally:
        if third.process.poll() is None:
            third.process.kill()
    with running(settings(tmp_path), tmp_path) as exporter:
        assert exporter.get("/healthz") == b"ok\n"
