"""Processes found by pidfile and by command line; a reused id, a zombie and a denial are told apart."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from exporter.sources import process
from exporter.sources.process import SLACK, Pidfile, Search, sample

MARK = f"arb-test-bot-{os.getpid()}"


def start(*words: str) -> subprocess.Popen[bytes]:
    code = "import time; print(flush=True); time.sleep(60)"
    started = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE)
    assert started.stdout is not None
    started.stdout.readline()
    return started


def end(started: subprocess.Popen[bytes]) -> None:
    started.kill()
    started.wait()
    assert started.stdout is not None
    started.stdout.close()


@pytest.fixture
def bot() -> Iterator[subprocess.Popen[bytes]]:
    started = start(MARK)
    yield started
    end(started)


@pytest.fixture
def pidfile(bot: subprocess.Popen[bytes], tmp_path: Path) -> Path:
    path = tmp_path / "bot.pid"
    path.write_text(f"{bot.pid}\n")
    return path


def test_a_running_process(bot: subprocess.Popen[bytes], pidfile: Path) -> None:
    found = Pidfile(pidfile).process()
    assert found is not None
    taken = sample(found)
    assert taken is not None
    true = psutil.Process(bot.pid)
    assert taken.resident_memory_bytes == pytest.approx(true.memory_info().rss, rel=0.1)
    assert taken.start_timestamp_seconds == pytest.approx(time.time(), abs=30)
    assert (taken.open_fds, taken.threads) == (true.num_fds(), 1)
    assert 0 <= taken.cpu_seconds < 30


def test_ended_and_zombie_processes_are_none(bot: subprocess.Popen[bytes], pidfile: Path) -> None:
    watched = Pidfile(pidfile)
    found = watched.process()
    assert found is not None
    bot.send_signal(signal.SIGKILL)
    while psutil.Process(bot.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert sample(found) is None
    end(bot)
    assert sample(found) is None
    assert watched.process() is None
    with pytest.MonkeyPatch.context() as patch:  # it ends between two questions
        patch.setattr(psutil.Process, "is_running", lambda _: True)
        assert sample(found) is None


@pytest.mark.parametrize("content", [b"", b"x", b"-1", b"0", b"1 2", b"12345678901", "\u0663".encode(), b"\0" * 100])
def test_a_pidfile_without_an_id(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bot.pid").write_bytes(content)
    assert Pidfile(tmp_path / "bot.pid").process() is None


def test_a_pidfile_that_is_missing_or_no_file(tmp_path: Path) -> None:
    assert Pidfile(tmp_path / "missing").process() is None
    os.mkfifo(tmp_path / "fifo")
    assert Pidfile(tmp_path / "fifo").process() is None
    with pytest.raises(OSError, match="Not a directory"):
        Pidfile(Path("/dev/null/x")).process()


def test_an_id_that_went_to_a_younger_process_is_not_the_bot(bot: subprocess.Popen[bytes], pidfile: Path) -> None:
    created = psutil.Process(bot.pid).create_time()
    os.utime(pidfile, (created - SLACK - 1,) * 2)
    assert Pidfile(pidfile).process() is None
    os.utime(pidfile, (created - SLACK + 1,) * 2)
    watched = Pidfile(pidfile)
    accepted = watched.process()
    assert accepted is not None
    os.utime(pidfile, (1, 1))
    assert watched.process() is accepted, "once accepted it stays, whatever the clock does"
    pidfile.unlink()
    assert watched.process() is None


def test_an_id_of_nobody(tmp_path: Path, bot: subprocess.Popen[bytes]) -> None:
    end(bot)
    (tmp_path / "bot.pid").write_text(str(bot.pid))
    assert Pidfile(tmp_path / "bot.pid").process() is None


def test_denied_descriptors_cost_only_themselves(pidfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(_: object) -> int:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "num_fds", deny)
    found = Pidfile(pidfile).process()
    assert found is not None
    taken = sample(found)
    assert taken is not None
    assert (taken.open_fds, taken.threads) == (None, 1)


def searched(search: Search) -> int | None:
    for pids in search.due():
        search.among(pids)
    return None if search.found is None else search.found.pid


def test_the_oldest_match_is_found_and_searched_for_rarely(bot: subprocess.Popen[bytes]) -> None:
    now = [100.0]
    search = Search(MARK, lambda: now[0])
    younger = start(MARK)
    try:
        assert searched(search) == bot.pid
        assert search.due() == [], "while it runs nothing is searched"
        end(bot)
        assert searched(search) is None
        now[0] += process.SCAN_EVERY
        assert searched(search) == younger.pid
    finally:
        end(younger)


def test_slices_are_small_and_leave_out_ourselves() -> None:
    slices = Search(MARK).due()
    assert max(map(len, slices)) <= process.SLICE
    assert os.getpid() not in [pid for pids in slices for pid in pids]


def test_words_are_matched_with_blanks_between_and_ended_processes_skipped(bot: subprocess.Popen[bytes]) -> None:
    search = Search(f"time.sleep(60) {MARK}")
    assert searched(search) == bot.pid
    search.among([2**22 + 1])
    assert search.found is not None


def test_a_match_that_ends_during_the_search(bot: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_command_line", lambda pid: MARK.encode())
    search = Search(MARK)
    search.among([2**22 + 1])
    assert search.found is None
