"""A disk that is really full below a running exporter, which goes on and catches up; one that cannot be written."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import bank
from tests.e2e.test_kill import total
from tests.running import PATIENCE, Running, running, until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def remounted(disk: Path, how: str) -> bool:
    """Whether it let itself be mounted anew, `ro` or `rw`."""
    words = ["mount", "-o", f"remount,{how}", str(disk)]
    return not subprocess.run(words, capture_output=True, check=False).returncode


def fill(disk: Path) -> Path:
    """Take all that is left."""
    made = disk / "ballast"
    descriptor = os.open(made, os.O_CREAT | os.O_WRONLY)
    try:
        for size in (1 << 16, 1 << 12, 1):
            while True:
                try:
                    os.write(descriptor, b"x" * size)
                except OSError:
                    break
    finally:
        os.close(descriptor)
    return made


def trades(exporter: Running) -> int:
    return total(exporter.samples(), "memory_bank")


def test_a_full_disk_shows_what_is_durable_and_all_once_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    own, rng = bank.Bank(tmp_path / "bank"), random.Random(1)
    settings = {"bot": {"name": "b", "memory_bank": str(tmp_path / "bank")}, "state": str(small_disk / "state")}
    for number in range(50):
        own.put(bank.FIRST_EPOCH + number, bank.trade(rng))
    with running(settings, tmp_path) as exporter:
        until(lambda: trades(exporter) == 50, 30, exporter)
        ballast = fill(small_disk)
        before = trades(exporter)
        for number in range(50, 300):
            own.put(bank.FIRST_EPOCH + number, bank.trade(rng))
        until(lambda: exporter.value("arb_ledger_degraded") == 1, 30, exporter)
        for _ in range(5):
            assert before <= trades(exporter) < 300, "nothing is shown that is not durable"
        assert exporter.get("/healthz") == b"ok\n"
        ballast.unlink()
        until(lambda: trades(exporter) == 300, 30, exporter)
        until(lambda: exporter.value("arb_ledger_degraded") == 0, 30, exporter)
        assert exporter.stop() == 0
        assert "Traceback" not in exporter.stderr.read_text()
    with running(settings, tmp_path) as exporter:
        until(lambda: trades(exporter) == 300, 30, exporter)


def test_a_disk_that_is_full_from_the_start_is_said_in_one_line(small_disk: Path, tmp_path: Path) -> None:
    fill(small_disk)
    refuses(small_disk / "state", tmp_path)


def refuses(state: Path, folder: Path) -> None:
    """It does not start, and says in one line what cannot be used."""
    (folder / "refused").mkdir(exist_ok=True)
    exporter = Running({"state": str(state)}, folder / "refused")
    try:
        assert exporter.process.wait(PATIENCE) == 2
    finally:
        exporter.process.kill()
    assert re.fullmatch(r"state: [^\n]+\n", exporter.stderr.read_text())
    exporter.stderr.unlink()


def test_a_read_only_disk_is_said_in_one_line_and_nothing_is_lost_by_it(small_disk: Path, tmp_path: Path) -> None:
    own, rng = bank.Bank(tmp_path / "bank"), random.Random(2)
    settings = {"bot": {"name": "b", "memory_bank": str(tmp_path / "bank")}, "state": str(small_disk / "state")}
    own.put(bank.FIRST_EPOCH, bank.trade(rng))
    assert remounted(small_disk, "ro")
    refuses(small_disk / "state", tmp_path)
    assert remounted(small_disk, "rw")
    with running(settings, tmp_path) as exporter:
        until(lambda: trades(exporter) == 1, 30, exporter)
        if remounted(small_disk, "ro"):  # Linux says that it is busy: then this is for test_failing_disk alone
            own.put(bank.FIRST_EPOCH + 1, bank.trade(rng))
            until(lambda: exporter.value("arb_ledger_degraded") == 1, 30, exporter)
            assert trades(exporter) == 1
        exporter.process.kill()
        exporter.process.wait()
    assert remounted(small_disk, "ro")
    own.put(bank.FIRST_EPOCH + 1, bank.trade(rng))
    refuses(small_disk / "state", tmp_path)
    assert remounted(small_disk, "rw")
    with running(settings, tmp_path) as exporter:
        until(lambda: trades(exporter) == 2, 30, exporter)
        assert exporter.stop() == 0
