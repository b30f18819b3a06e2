"""Logs as samples: exact figures, nothing before a first complete read, exact counts over restarts and SIGKILL."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from exporter import ledger as ledger_module
from exporter.collector import Follow, Sources
from exporter.collectors import logs
from exporter.collectors.logs import COLLECTOR, Snapshot
from exporter.config import Bot, LogFile, Settings
from exporter.sources.log_lines import LEVELS
from tests.sources_for_tests import settings, shown, sources

LINE = b"2025-04-06 17:56:36,565 - bot - INFO - hello\n"
RAISED = LINE.replace(b"INFO", b"ERROR") + b"Traceback (most recent call last):\n  File\nValueError: canary\n"


def configured(folder: Path, **paths: Path) -> Settings:
    return settings(folder, bot=Bot(name="b", logs=tuple(LogFile(name, path) for name, path in paths.items())))


@contextlib.asynccontextmanager
async def following(s: Sources) -> AsyncIterator[Callable[[], Any]]:
    opened = COLLECTOR.open(s)
    assert isinstance(opened, Follow)
    async with contextlib.aclosing(opened.stream()) as stream:
        yield stream.__anext__


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "EVERY", 0.005)


def samples(log: str, **values: int) -> dict[str, float]:
    return {
        f'arb_bot_log_messages_total{{bot="b",log="{log}",level="{level}"}}': values.get(level, 0) for level in LEVELS
    }


async def settled(take: Callable[[], Any]) -> Snapshot:
    """The snapshot that does not change any more."""
    before = None
    while (now := await take()) is not before:
        before = now
    return now


async def test_every_figure(tmp_path: Path) -> None:
    path = tmp_path / "bot.log"
    path.write_bytes(LINE * 2 + RAISED + b"cut")
    async with sources(configured(tmp_path, one=path, two=tmp_path / "missing")) as s, following(s) as take:
        snapshot = await settled(take)
        assert shown(COLLECTOR, snapshot) == samples("one", info=2, error=1) | {
            'arb_bot_log_up{bot="b",log="one"}': 1,
            'arb_bot_log_up{bot="b",log="two"}': 0,
            'arb_bot_log_last_write_timestamp_seconds{bot="b",log="one"}': pytest.approx(path.stat().st_mtime),
            'arb_bot_log_exceptions_total{bot="b",log="one",exception="ValueError"}': 1,
            'arb_bot_log_bytes_total{bot="b",log="one"}': len(LINE * 2 + RAISED),
        }
        version = s.ledger.version
        assert await take() is snapshot
        assert s.ledger.version == version
        (tmp_path / "missing").write_bytes(b"")
        assert shown(COLLECTOR, await settled(take)).items() >= samples("two").items()
        path.unlink()
        gone = shown(COLLECTOR, await settled(take))
        assert gone['arb_bot_log_up{bot="b",log="one"}'] == 0
        assert gone['arb_bot_log_messages_total{bot="b",log="one",level="info"}'] == 2


async def test_after_a_restart_the_counts_are_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bot.log"
    path.write_bytes(RAISED)
    for number in range(3):
        async with sources(configured(tmp_path, one=path)) as s, following(s) as take:
            found = shown(COLLECTOR, await settled(take))
            assert found['arb_bot_log_messages_total{bot="b",log="one",level="error"}'] == 1
            assert found['arb_bot_log_messages_total{bot="b",log="one",level="info"}'] == number
        with path.open("ab") as opened:
            opened.write(LINE)
    path.unlink()
    async with sources(configured(tmp_path, one=path)) as s, following(s) as take:
        found = shown(COLLECTOR, await take())
        assert found['arb_bot_log_up{bot="b",log="one"}'] == 0
        assert found['arb_bot_log_messages_total{bot="b",log="one",level="info"}'] == 2


async def test_nothing_is_shown_before_the_first_read_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "EVERY", 0.0001)
    path = tmp_path / "bot.log"
    path.write_bytes(LINE * 300_000)
    progress: dict[str, list[tuple[int, int]]] = {}
    async with sources(configured(tmp_path, one=path), progress=progress) as s:
        async with following(s) as take:
            for _ in range(3):
                assert "messages" not in str(shown(COLLECTOR, await take()))
        async with following(s) as take:  # a stream that failed goes on where it was
            found = shown(COLLECTOR, await settled(take))
    assert found['arb_bot_log_messages_total{bot="b",log="one",level="info"}'] == 300_000
    told = progress["logs"]
    assert told == sorted(told)
    assert all(done < total for done, total in told[:-1])
    assert told[-1] == (len(LINE) * 300_000,) * 2


async def test_one_log_is_shown_while_another_is_still_being_read_for_the_first_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "EVERY", 0.0001)
    (tmp_path / "small").write_bytes(LINE)
    (tmp_path / "large").write_bytes(LINE * 300_000)
    paths = {"small": tmp_path / "small", "large": tmp_path / "large"}
    async with sources(configured(tmp_path, **paths)) as s, following(s) as take:
        for _ in range(4):
            found = str(shown(COLLECTOR, await take()))
        assert 'messages_total{bot="b",log="small"' in found
        assert 'messages_total{bot="b",log="large"' not in found


async def test_classes_of_exceptions_are_bounded(tmp_path: Path) -> None:
    from exporter.sources.log_lines import EXCEPTIONS

    path = tmp_path / "bot.log"
    names = sorted(EXCEPTIONS)
    for name in names:
        with path.open("ab") as opened:
            opened.write(LINE + f"Traceback (most recent call last):\n{name}: x\n".encode())
    async with sources(configured(tmp_path, one=path)) as s, following(s) as take:
        (log,) = (await settled(take)).logs
    assert len(log.exceptions) == logs.MOST_EXCEPTIONS + 1
    assert sum(log.exceptions.values()) == len(names)
    assert log.exceptions["other"] == len(names) - logs.MOST_EXCEPTIONS


async def test_counts_and_places_are_put_down_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bot.log"
    path.write_bytes(LINE)
    async with sources(configured(tmp_path, one=path)) as s:
        async with following(s) as take:
            await settled(take)
            with path.open("ab") as opened:
                opened.write(LINE * 9)
            with monkeypatch.context() as patch:
                patch.setattr(ledger_module.Ledger, "_transact", full)
                with pytest.raises(sqlite3.OperationalError):
                    await settled(take)
        async with following(s) as take:
            found = shown(COLLECTOR, await settled(take))
    assert found['arb_bot_log_messages_total{bot="b",log="one",level="info"}'] == 10
    assert b"canary" not in (s.settings.state / "ledger.sqlite3").read_bytes()


def full(ledger: ledger_module.Ledger, change: Callable[[sqlite3.Connection], None], _shown: bool) -> None:
    change(ledger._connection())  # as a disk that fills up before the commit
    ledger._connection().execute("ROLLBACK") if ledger._connection().in_transaction else None
    raise sqlite3.OperationalError("database or disk is full")


async def test_an_error_of_the_disk_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bot.log"
    path.write_bytes(LINE)
    async with sources(configured(tmp_path, one=path)) as s, following(s) as take:
        monkeypatch.setattr("exporter.sources.log_files.Descriptor.read", broken)
        with pytest.raises(OSError, match="I/O"):
            await settled(take)


def broken(*_: object) -> bytes:
    raise OSError(5, "I/O error")


async def test_no_descriptor_stays_open_after_the_stream(tmp_path: Path) -> None:
    path = tmp_path / "bot.log"
    path.write_bytes(LINE)
    async with sources(configured(tmp_path, one=path)) as s:
        async with following(s) as take:
            await settled(take)
            assert str(path) in open_files()
        assert str(path) not in open_files()


def open_files() -> list[str]:
    return [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.exists()]  # noqa: PTH115


async def test_without_logs_it_is_not_opened(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        assert COLLECTOR.open(s) is None


FOLLOWER = """
import asyncio, sys
from pathlib import Path
from exporter.collectors import logs
from exporter.config import Bot, LogFile
from tests.sources_for_tests import settings, sources

async def main(folder):
    logs.EVERY = 0.002
    bot = Bot(name="b", logs=(LogFile("one", folder / "bot.log"),))
    async with sources(settings(folder, bot=bot)) as s:
        async for snapshot in logs.follow(s):
            print(snapshot.logs[0].levels and sum(snapshot.logs[0].levels.values()), flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_counts_are_exact_over_sigkill(tmp_path: Path) -> None:
    path, rng, written = tmp_path / "bot.log", random.Random(7), 0
    path.write_bytes(b"")
    for _ in range(9):
        written = await asyncio.to_thread(write_while_one_follows_and_is_killed, path, rng, written)
    async with sources(configured(tmp_path, one=path)) as s, following(s) as take:
        before = (await take()).logs[0].levels
        (log,) = (await settled(take)).logs
    assert before is not None
    assert log.levels is not None
    assert 0 < before["info"] <= log.levels["info"] == written


def write_while_one_follows_and_is_killed(path: Path, rng: random.Random, written: int) -> int:
    with subprocess.Popen([sys.executable, "-c", FOLLOWER, str(path.parent)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        until = time.monotonic() + 0.1 + rng.random() * 0.3
        while time.monotonic() < until:
            with path.open("ab") as opened:
                for _ in range(rng.randrange(1, 400)):
                    written += 1
                    opened.write(b"2025-04-06 17:56:36,%06d - bot - INFO - x\n" % written)
            if rng.random() < 0.1:
                rotate(path)
            time.sleep(rng.random() * 0.01)
        process.send_signal(signal.SIGKILL)
    return written


def rotate(path: Path) -> None:
    generations = sorted((int(p.suffix[1:]) for p in path.parent.glob("bot.log.*")), reverse=True)
    for number in generations:
        Path(f"{path}.{number}").rename(f"{path}.{number + 1}")
    path.rename(f"{path}.1")
    path.write_bytes(b"")
