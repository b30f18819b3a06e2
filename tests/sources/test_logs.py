"""Every line is counted exactly once, whatever is done to the files; compared with what was written."""

import gzip
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter.sources import log_files, log_lines, log_tracks, logs
from exporter.sources.log_files import Cursor, age, listing, open_log
from exporter.sources.log_lines import Counts
from exporter.sources.logs import Tail
from tests.tiers import FULL, lives


class Reader:
    """A tail with a ledger that keeps only what is put down."""

    def __init__(self, pattern: Path) -> None:
        self.pattern = pattern
        self.stored: dict[int, str] = {}
        self.levels: Counter[str] = Counter()
        self.exceptions: Counter[str] = Counter()
        self.bytes = 0
        self.now = 0.0
        self.before: Callable[[], object] = lambda: None
        """What is done before each look."""
        self.restart()

    def restart(self) -> None:
        cursors = [Cursor.load(text) for _, text in sorted(self.stored.items())]
        self.tail = Tail(self.pattern, cursors, lambda: self.now)

    def poll(self) -> int:
        """Look, and read all there is; the number of records so far."""
        self.before()
        self.tail.look()
        return self.read()

    def read(self) -> int:
        """Read all that was seen."""
        while self.tail.behind:
            taken = self.tail.take()
            self.stored |= {cursor.file: cursor.dump() for cursor in taken.cursors}
            for file in taken.forgotten:
                del self.stored[file]
            self.levels.update(taken.counts.levels)
            self.exceptions.update(taken.counts.exceptions)
            self.bytes += taken.bytes
        return self.levels.total()


class Log:
    """A log and its rotations as bots and their keepers make them; knows how many records it ever held."""

    def __init__(self, path: Path) -> None:
        self.path, self.number, self.whole, self.partial = path, 0, 0, False
        self.path.write_bytes(b"")

    def append(self, count: int = 1) -> None:
        with self.path.open("ab") as opened:
            for _ in range(count):
                self.number += 1
                end = b"" if self.partial else f"2025-04-06 17:56:36,{self.number:06d} - bot - INFO - hello".encode()
                opened.write(end + b" world" * (self.number % 50) + b"\n")
                self.whole += 1
                self.partial = False

    def begin_line(self) -> None:
        if not self.partial:
            self.number += 1
            with self.path.open("ab") as opened:
                opened.write(f"2025-04-06 17:56:36,{self.number:06d} - bot - INFO - begun".encode())
            self.partial = True

    def shift(self) -> None:
        kept = [p for p in self.path.parent.iterdir() if p.name.startswith(self.path.name + ".")]
        for old in sorted(kept, key=lambda p: -int(p.suffix[1:])):
            old.rename(f"{self.path}.{int(old.suffix[1:]) + 1}")

    def rename(self, create: bool = True) -> None:
        self.shift()
        self.path.rename(f"{self.path}.1")
        self.partial = False
        if create:
            self.path.write_bytes(b"")

    def copytruncate(self) -> None:
        self.shift()
        shutil.copy(self.path, f"{self.path}.1")
        os.truncate(self.path, 0)
        self.partial = False

    def coarse(self) -> None:
        """Leave the times that a file system of whole seconds would."""
        for file in self.path.parent.iterdir():
            os.utime(file, ns=(file.stat().st_mtime_ns // 10**9 * 10**9,) * 2)

    def put_back(self, name: str) -> None:
        """Rename it, and go on with a copy of it."""
        away = self.path.with_name(name)
        self.path.replace(away)
        shutil.copy2(away, self.path)

    def recreate(self) -> None:
        self.path.unlink()
        self.path.write_bytes(b"")
        self.partial = False

    def truncate(self) -> None:
        os.truncate(self.path, 0)
        self.partial = False


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "bot.log")


@pytest.fixture
def reader(log: Log) -> Reader:
    return Reader(log.path)


class Rotations(RuleBasedStateMachine):
    """Appends, rotations of every kind, polls and restarts in any order."""

    pattern = "bot.log"
    was_put_back = False

    @initialize(coarse=st.booleans())
    def start(self, coarse: bool) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.log = Log(self.folder / "bot.log")
        self.reader = Reader(self.folder / self.pattern)
        if coarse:
            self.reader.before = self.log.coarse
        assert self.reader.poll() == 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.reader.restart()
            assert self.reader.poll() == self.log.whole
            shutil.rmtree(self.folder)

    @rule(count=st.integers(1, 30))
    def append(self, count: int) -> None:
        self.log.append(count)

    @rule()
    def begin_line(self) -> None:
        self.log.begin_line()

    @rule(create=st.booleans())
    def rename(self, create: bool) -> None:
        if self.log.path.exists():
            self.log.rename(create)

    @rule(count=st.integers(0, 30))
    def copytruncate(self, count: int) -> None:
        self._make_known()
        self.log.append(count)
        self.log.copytruncate()

    @rule(create=st.booleans())
    def recreate(self, create: bool) -> None:
        self._make_known()
        self.log.recreate() if create else self.log.truncate()

    @precondition(lambda self: not self.was_put_back)
    @rule(look=st.booleans())
    def put_back(self, look: bool) -> None:
        """Once: copies of copies, made by hand while it is stopped again and again, are not promised."""
        self.was_put_back = True
        self.log.append(30)
        self.poll()
        self.log.put_back("bot.log~")
        if look:
            self.poll()

    def _make_known(self) -> None:
        """What vanishes without a copy, or is truncated before its first look, is not promised."""
        self.log.append()
        self.poll()

    @rule()
    def restart(self) -> None:
        self.reader.restart()

    @rule()
    def poll(self) -> None:
        assert self.reader.poll() == self.log.whole

    @rule()
    def wait(self) -> None:
        self.reader.now += logs.LINGER

    @rule()
    def look_and_stop_before_anything_is_put_down(self) -> None:
        self.reader.before()
        self.reader.tail.look()
        if self.reader.tail.behind:
            self.reader.tail.take()
        self.reader.restart()

    @invariant()
    def nothing_counts_twice(self) -> None:
        if hasattr(self, "reader"):
            assert self.reader.levels.total() <= self.log.whole


class GlobbedRotations(Rotations):
    """The same with a glob that names the rotated files too."""

    pattern = "bot.log*"


for machine in (Rotations, GlobbedRotations):
    machine.TestCase.settings = hypothesis_settings(max_examples=lives(60), stateful_step_count=25, deadline=None)
TestRotations = Rotations.TestCase
TestGlobbedRotations = GlobbedRotations.TestCase


def test_a_file_rotated_and_packed_at_once_is_read_to_its_end(log: Log, reader: Reader) -> None:
    log.append(3)
    assert reader.poll() == 3
    log.append(4)
    log.rename()
    packed = Path(f"{log.path}.1")
    Path(f"{packed}.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    log.append(2)
    assert reader.poll() == 9


def test_two_rotations_between_looks_and_more_while_stopped(log: Log, reader: Reader) -> None:
    log.append(3)
    reader.poll()
    for _ in range(2):
        log.append(5)
        log.rename()
    log.append(1)
    assert reader.poll() == log.whole == 14
    for _ in range(4):
        log.append(5)
        log.rename()
    reader.restart()
    assert reader.poll() == log.whole == 34


@pytest.mark.parametrize("form", [".2025-04-{:02d}", "-202504{:02d}", ".2025-04-{:02d}_00-00"])
def test_generations_named_by_date(log: Log, reader: Reader, form: str) -> None:
    log.append(1)
    log.path.rename(f"{log.path}{form.format(1)}")  # history from before the first look stays uncounted
    log.path.write_bytes(b"")
    log.append(2)
    assert reader.poll() == 2
    for day in (2, 3, 4):
        log.append(3)
        log.path.rename(f"{log.path}{form.format(day)}")
    log.append(1)
    reader.restart()
    assert reader.poll() == log.whole - 1


def test_generations_that_come_and_go_while_nothing_is_at_the_path(log: Log, reader: Reader) -> None:
    log.append(1)
    reader.poll()
    log.rename(create=False)
    assert reader.poll() == 1
    for _ in range(3):
        log.append(2)
        log.rename(create=False)
        assert reader.poll() == log.whole


def test_a_file_truncated_without_a_copy_and_rotated_between_looks(log: Log, reader: Reader) -> None:
    for create in (False, True):
        log.append(2)
        reader.poll()
        written = log.path.stat().st_mtime_ns
        log.truncate()
        log.append(3)
        os.utime(log.path, ns=(written, written))  # as if within the clock's grain
        log.rename(create)
        assert reader.poll() == log.whole


def test_the_inode_of_a_file_that_is_gone_comes_back_as_a_later_generation(log: Log, reader: Reader) -> None:
    log.append(1)
    reader.poll()
    log.recreate()
    reader.tail.look()
    reader.restart()  # before anything was put down: only the deleted file's cursor is left
    log.append(1)
    log.rename()  # what is made here gets the deleted file's number, where a file system gives them again
    log.rename(create=False)
    assert reader.poll() == log.whole == 2


COPIES = {
    "edited": "sed -i.bak s/zzz/y/ bot.log",
    "edited, kept as a generation": "sed -i.1 s/zzz/y/ bot.log",
    "renamed and put back": "mv bot.log bot.log.1 && cp -p bot.log.1 bot.log",
    "copied beside": "cp -p bot.log bot.log.bak",
    "replaced by a copy": "cp bot.log x && mv x bot.log",
}


@pytest.mark.parametrize("stopped", [True, False])
@pytest.mark.parametrize("pattern", ["bot.log", "bot.log*"])
@pytest.mark.parametrize("how", COPIES)
def test_a_log_that_is_copied_by_hand_is_counted_once_and_on(log: Log, how: str, pattern: str, stopped: bool) -> None:
    reader = Reader(log.path.with_name(pattern))
    log.append(300)
    assert reader.poll() == 300
    if stopped:
        reader.restart()
    subprocess.run(["sh", "-c", COPIES[how]], cwd=log.path.parent, check=True)
    log.append(3)
    assert reader.poll() == 303
    log.append(3)
    reader.restart()
    assert reader.poll() == log.whole == 306


@pytest.mark.parametrize("stopped", [True, False])
@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("pattern", ["bot.log", "bot.log*"])
@pytest.mark.parametrize("generations", [1, 3, 8])
def test_generations_as_old_as_each_other(
    log: Log, pattern: str, generations: int, create: bool, stopped: bool
) -> None:
    reader = Reader(log.path.with_name(pattern))
    for _ in range(generations):
        log.append(3)
        log.coarse()
        reader.poll()
        log.rename()
        reader.poll()
    log.append(4)
    log.coarse()
    assert reader.poll() == log.whole
    if stopped:
        reader.restart()
    log.recreate() if create else log.truncate()
    log.append(2)
    log.rename()
    log.coarse()
    assert reader.poll() == log.whole


def test_a_copy_that_was_made_before_the_last_read_is_one_still(log: Log) -> None:
    reader = Reader(log.path.with_name("bot.log*"))
    log.append(300)
    reader.tail.look()
    shutil.copy(log.path, f"{log.path}.bak")
    log.append(3)
    assert reader.read() == 303  # which is more than the copy holds
    assert reader.poll() == reader.poll() == 303
    with Path(f"{log.path}.bak").open("ab") as opened:
        opened.write(b"2025-04-06 17:56:36 [INFO] on its own\n")
    assert reader.poll() == 304


def test_copies_begin_as_what_they_are_copies_of_to_the_last_byte(log: Log) -> None:
    """Where the beginning and the last bytes that were read are alike, all that lies between is compared."""
    reader = Reader(log.path.with_name("bot.log*"))
    same, other = (f"2025-04-06 17:56:36 [INFO] {word}\n".encode() for word in ("hello", "world"))
    log.path.write_bytes(same * 200)
    assert reader.poll() == 200
    Path(f"{log.path}.bak").write_bytes(same * 100 + other + same * 99)
    assert reader.poll() == 400
    Path(f"{log.path}.old").write_bytes(same * 210)
    assert reader.poll() == 410


def test_a_file_put_beside_a_live_one_is_no_copy_unless_it_is_the_same(log: Log) -> None:
    reader = Reader(log.path.with_name("bot.log*"))
    assert reader.poll() == 0
    Path(f"{log.path}.1").write_bytes(b"2025-04-06 17:56:36 [INFO] x\n" * 3)
    assert reader.poll() == 3


def test_the_last_known_generation_is_gone_and_newer_ones_are_there(log: Log, reader: Reader) -> None:
    log.append(1)
    Path(f"{log.path}.9").write_bytes(b"2025-04-06 17:56:36 [INFO] older\n")
    os.utime(f"{log.path}.9", (1, 1))
    reader.poll()
    log.rename()
    reader.restart()
    Path(f"{log.path}.1").unlink()
    log.append(5)
    os.utime(log.path, (4e9, 4e9))
    log.rename()
    log.append(2)
    assert reader.poll() == 8


def test_the_old_file_is_read_while_its_writer_keeps_it_and_let_go_afterwards(log: Log, reader: Reader) -> None:
    log.append(1)
    reader.poll()
    with log.path.open("ab") as writer:
        log.path.rename(log.path.with_name("elsewhere"))
        for expected in (2, 3):
            for _ in range(2):
                reader.now += 1000
                reader.poll()
            writer.write(b"2025-04-06 17:56:36 [INFO] late\n")
            writer.flush()
            assert reader.poll() == expected
        log.path.write_bytes(b"2025-04-06 17:56:36 [INFO] new\n")
        assert reader.poll() == 4
        assert len(descriptors(log.path.parent)) == 3
        reader.now += logs.LINGER
        reader.poll()
        assert len(descriptors(log.path.parent)) == 2


def descriptors(folder: Path) -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except FileNotFoundError:
            continue
    return [path for path in found if path.startswith(str(folder))]


def test_a_deleted_file_does_not_keep_its_space_for_ever(log: Log, reader: Reader) -> None:
    log.append(1)
    reader.poll()
    log.path.unlink()
    reader.poll()
    assert len(descriptors(log.path.parent)) == 1
    assert not reader.tail.present
    assert reader.tail.last_write is not None
    reader.now += logs.LINGER
    reader.poll()
    assert descriptors(log.path.parent) == []
    log.path.write_bytes(b"2025-04-06 17:56:36 [INFO] new\n")
    assert reader.poll() == 2


def test_recreated_with_the_same_inode_while_stopped(log: Log, reader: Reader) -> None:
    for size in (1, 3, 40):  # smaller, and larger, than what was read
        log.append(10)
        wanted = reader.poll() + size
        inode = log.path.stat().st_ino
        reader.restart()
        log.truncate()
        log.append(size)
        assert log.path.stat().st_ino == inode
        assert reader.poll() == wanted
        assert reader.poll() == wanted
        assert len(reader.stored) == 1


def test_rewritten_in_place_with_the_same_size_and_within_the_clocks_grain(log: Log, reader: Reader) -> None:
    for number in range(20):
        log.path.write_bytes(f"2025-04-06 17:56:{number:02d} [INFO] x\n".encode())
        assert reader.poll() == number + 1


def test_a_directory_that_goes_away_and_comes_back_is_not_read_again(log: Log, reader: Reader) -> None:
    log.append(5)
    assert reader.poll() == 5
    folder = log.path.parent
    away = folder.with_name("away")
    for between in (lambda: None, reader.restart):
        folder.rename(away)
        between()
        assert (reader.poll(), reader.tail.present) == (5, False)
        away.rename(folder)
        between()
        assert (reader.poll(), reader.tail.present) == (5, True)


def test_a_restored_copy_is_not_read_again(log: Log, reader: Reader) -> None:
    log.append(100)
    assert reader.poll() == 100
    shutil.copy(log.path, log.path.with_name("copy"))
    log.path.with_name("copy").replace(log.path)
    reader.restart()
    log.append(1)
    assert reader.poll() == 101


def test_daily_files_of_a_glob(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "bot_*.log")
    total = 0
    for day in range(5):
        other = Log(tmp_path / f"bot_2025040{day}.log")
        other.append(day + 1)
        total += day + 1
        if day == 3:
            reader.restart()
        assert reader.poll() == total
    (tmp_path / "bot_20250400.log").unlink()
    assert reader.poll() == total


def test_only_the_newest_files_of_a_glob_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MOST_FILES", 3)
    for number in range(5):
        Log(tmp_path / f"{number}.log").append(10**number)
        os.utime(tmp_path / f"{number}.log", (number, number))
    reader = Reader(tmp_path / "*.log")
    assert reader.poll() == 11_100


def test_a_file_with_two_names_is_one_file(log: Log) -> None:
    log.append(3)
    log.path.with_name("current.log").symlink_to(log.path)
    log.path.with_name("hard.log").hardlink_to(log.path)
    assert Reader(log.path.with_name("*.log")).poll() == 3
    assert Reader(log.path.with_name("current.log")).poll() == 3


def test_a_name_that_looks_like_a_glob(tmp_path: Path) -> None:
    Log(tmp_path / "bot[1].log").append(2)
    Log(tmp_path / "bot1.log").append(5)
    assert Reader(tmp_path / "bot[1].log").poll() == 2


@pytest.mark.parametrize("make", [
    lambda path: os.mkfifo(path), lambda path: path.mkdir(), lambda path: path.symlink_to("/dev/zero"),
    lambda path: path.symlink_to(path), lambda path: path.symlink_to("nowhere"), lambda path: None,
])  # fmt: skip
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x.log")
    reader = Reader(tmp_path / "x.log")
    assert (reader.poll(), reader.tail.present, reader.tail.last_write) == (0, False, None)


@pytest.mark.parametrize("make", [lambda path: os.mkfifo(path), lambda path: path.mkdir(), lambda path: None])
def test_what_becomes_no_file_after_the_listing_is_not_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x.log")
    assert open_log(str(tmp_path / "x.log")) is None


def test_a_file_that_may_not_be_read_is_read_once_it_may(
    log: Log, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(2)
    with monkeypatch.context() as patch:
        patch.setattr(log_files, "_OPEN", os.O_RDONLY)
        patch.setattr(os, "open", refuse)
        assert (reader.poll(), reader.tail.present) == (0, False)
    log.path.chmod(0o600)  # changes the file's ctime, nothing else
    assert (reader.poll(), reader.tail.present) == (2, True)


def refuse(*_: object, **__: object) -> int:
    raise PermissionError(13, "Permission denied")


def test_nothing_is_opened_or_put_down_while_nothing_changes(
    log: Log, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(2)
    log.begin_line()
    os.utime(log.path, (1, 1))
    assert reader.poll() == 2
    reader.poll()
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "pread", refuse)
    for _ in range(3):
        reader.tail.look()
        assert not reader.tail.behind
    assert reader.tail.progress == (log.path.stat().st_size,) * 2


def test_much_is_read_in_slices(log: Log, reader: Reader) -> None:
    line = b"2025-04-06 17:56:36,565 - bot - INFO - " + b"x" * 300_000 + b"\n"
    log.path.write_bytes(line * 20 + b"2025-04-06 17:56:36 [ERROR] " + b"y" * 5_000_000)
    reader.tail.look()
    sizes = []
    while reader.tail.behind:
        sizes.append(reader.tail.take().bytes)
    assert max(sizes) <= logs.SLICE + logs.LEAST
    assert sum(sizes) == log.path.stat().st_size
    reader.restart()
    assert reader.poll() == 20
    reader.restart()
    with log.path.open("ab") as opened:
        opened.write(b"\n")
    assert reader.poll() == 21
    assert reader.levels["error"] == 1
    assert reader.bytes == log.path.stat().st_size


def test_a_traceback_in_progress_survives_a_restart(log: Log, reader: Reader) -> None:
    lines = [
        b"2025-04-06 17:56:36 [ERROR] failed\n",
        b"Traceback (most recent call last):\n",
        b"  File\n",
        b"KeyError: 1\n",
    ]
    for line in lines:
        with log.path.open("ab") as opened:
            opened.write(line)
        reader.restart()
        reader.poll()
    assert (reader.levels, reader.exceptions) == (Counter(error=1), Counter(KeyError=1))


def test_a_sparse_beginning_left_by_a_writer_that_does_not_append(log: Log, reader: Reader) -> None:
    with log.path.open("wb", buffering=0) as writer:
        writer.write(b"2025-04-06 17:56:36 [INFO] x\n" * 40_000)
        assert reader.poll() == 40_000
        log.copytruncate()
        writer.write(b"2025-04-06 17:56:36 [INFO] y\n")
        assert reader.poll() == 40_001


def test_a_copy_in_progress_is_not_read_as_a_new_file(log: Log) -> None:
    reader = Reader(log.path.with_name("bot.log*"))
    log.append(50)
    reader.poll()
    copy = Path(f"{log.path}.1")
    for size in (0, 100, log.path.stat().st_size):
        copy.write_bytes(log.path.read_bytes()[:size])
        assert reader.poll() == 50
    log.append(3)
    copy.write_bytes(log.path.read_bytes())
    log.truncate()
    log.append(2)
    assert reader.poll() == 55


def test_a_copy_whose_live_file_is_truncated_after_the_look(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(log.path.with_name("bot.log*"))
    log.append(50)
    os.utime(log.path, (1, 1))
    reader.poll()
    shutil.copy(log.path, f"{log.path}.1")
    seen = log_files.view(reader.pattern, [])
    log.truncate()
    with monkeypatch.context() as patch:
        patch.setattr(log_tracks, "view", lambda *_: seen)
        assert reader.poll() == 50
    log.append(2)
    assert reader.poll() == 52


@pytest.mark.parametrize("pattern", ["bot.log", "bot.log*"])
def test_a_copy_that_was_not_there_when_its_truncated_file_was_seen(
    log: Log, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(log.path.with_name(pattern))
    log.append(50)
    reader.poll()
    seen = log_files.view(reader.pattern, [str(log.path)])
    log.append(3)
    log.copytruncate()
    with monkeypatch.context() as patch:
        patch.setattr(log_tracks, "view", lambda *_: seen)
        assert reader.poll() == 50
    log.append(2)
    assert reader.poll() == 55
    assert reader.poll() == 55


@pytest.mark.parametrize("pattern", ["bot.log", "bot.log*"])
def test_a_copy_of_what_was_not_read_yet(log: Log, pattern: str) -> None:
    reader = Reader(log.path.with_name(pattern))
    log.append(50)
    reader.poll()
    log.copytruncate()
    log.append(20)
    log.shift()
    shutil.copy(log.path, f"{log.path}.1")
    assert reader.poll() == 70
    log.truncate()
    log.append(2)
    assert reader.poll() == 72
    assert reader.poll() == 72


def test_files_that_move_all_the_time_are_told_apart_later(
    log: Log, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(2)
    seen = log_files.view(log.path, [])
    log.rename()
    log.append(3)
    for moving in (seen, None):
        with monkeypatch.context() as patch:
            patch.setattr(log_tracks, "view", lambda *_, moving=moving: moving)
            assert reader.poll() == 0
    with monkeypatch.context() as patch:
        places = iter(range(100))
        patch.setattr(log_files.View, "places", lambda _: next(places))
        assert log_files.view(log.path, []) is None
    assert reader.poll() == 3


class Changing(log_files.Descriptor):
    """A file that is overwritten between two reads."""

    def read(self, size: int, offset: int) -> bytes:
        self.reads = getattr(self, "reads", 0) + 1
        return super().read(size, offset) if self.reads == 1 else b"another content"[offset : offset + size]


def test_a_file_overwritten_between_two_reads_of_its_beginning_counts_nothing(log: Log) -> None:
    log.append(5)
    file = Changing(os.open(log.path, os.O_RDONLY))
    cursor, counts = log_files.begin(1, str(log.path), file.stat()), Counts()
    assert log_files.advance(file, cursor, 1 << 20, log_lines.parse, counts) is None
    assert counts == Counts()


def watch(
    reader: Reader, log: Log, seed: int, work: Callable[..., None], *given: object, looked: Callable[[], object] = int
) -> None:
    """Look, and start anew now and then, for as long as another thread does its work; never too much is counted."""
    rng = random.Random(seed)
    reader.poll()
    writer = threading.Thread(target=work, args=given)
    writer.start()
    while writer.is_alive():
        assert reader.poll() <= log.number
        if rng.random() < 0.1:
            reader.restart()
        looked()
    writer.join()


@pytest.mark.parametrize("seed", range(12))
def test_rotations_in_the_middle_of_looks(log: Log, seed: int) -> None:
    reader = Reader(log.path if seed % 2 else log.path.with_name("bot.log*"))
    watch(reader, log, seed, write_and_rotate, log, random.Random(seed))
    reader.poll()
    assert reader.poll() == log.whole


def write_and_rotate(log: Log, rng: random.Random) -> None:
    for _ in range(80):
        log.append(rng.randrange(1, 20))
        if rng.random() < 0.3:
            log.rename()
        time.sleep(rng.random() * 0.001)


@pytest.mark.parametrize("seed", range(200 if FULL else 12))
@pytest.mark.parametrize("pattern", ["bot.log", "bot.log*"])
def test_a_burst_of_copies_and_truncations_in_the_middle_of_looks(log: Log, pattern: str, seed: int) -> None:
    """Written and truncated by one thread, so that nothing is written in between; never is a line counted twice.

    What is written and truncated between two looks at an empty file is not promised, so that less may be counted.
    """
    reader = Reader(log.path.with_name(pattern))
    watch(reader, log, seed, write_and_truncate, log, random.Random(seed))
    least = reader.poll()
    assert 0 < least <= reader.poll() <= log.whole


class Alike(Log):
    """Every line of it is the same, so that each generation begins as the others do."""

    def append(self, count: int = 1) -> None:
        with self.path.open("ab") as opened:
            opened.write(b"2025-04-06 17:56:36,000 - bot - INFO - hello\n" * count)
        self.number += count
        self.whole += count


@pytest.mark.parametrize("pattern", ["bot.log", "bot.log*"])
def test_generations_that_begin_alike_are_no_copies_of_each_other(tmp_path: Path, pattern: str) -> None:
    log, reader = Alike(tmp_path / "bot.log"), Reader(tmp_path / pattern)
    reader.poll()
    for count in (2, 3, 5, 1):
        for _ in range(2):
            log.append(count)
            log.rename()
        log.append(2)
        reader.poll()
    for _ in range(3):
        reader.now += 10
        found = reader.poll()
    assert found == log.whole


def write_and_truncate(log: Log, rng: random.Random) -> None:
    for _ in range(60):
        log.append(rng.randrange(1, 20))
        if rng.random() < 0.3:
            log.copytruncate()
        time.sleep(rng.random() * 0.001)


@pytest.mark.parametrize("seed", range(100 if FULL else 6))
@pytest.mark.parametrize("pattern", ["bot.log", "bot.log*"])
def test_copies_and_truncations_of_files_that_were_looked_at_lose_nothing(log: Log, pattern: str, seed: int) -> None:
    """Of each generation at least the first lines are read before it is truncated, whenever that is."""
    reader, seen = Reader(log.path.with_name(pattern)), threading.Semaphore(0)
    work = (write_be_seen_and_truncate, log, random.Random(seed), seen, reader)
    watch(reader, log, seed, *work, looked=seen.release)
    reader.poll()
    assert reader.poll() == log.whole


def write_be_seen_and_truncate(log: Log, rng: random.Random, seen: threading.Semaphore, reader: Reader) -> None:
    for _ in range(15):
        log.append(rng.randrange(1, 20))
        while reader.levels.total() < log.whole:
            seen.acquire(timeout=60)
        for _ in range(rng.randrange(4)):
            log.append(rng.randrange(20))
            time.sleep(rng.random() * 0.001)
        log.copytruncate()


@pytest.mark.parametrize("size", [0, 1, 200])
def test_a_file_replaced_between_the_look_and_the_read(log: Log, reader: Reader, size: int) -> None:
    log.append(60)
    reader.poll()
    log.append(1)
    reader.tail.look()
    log.copytruncate()
    log.append(size)
    assert reader.read() == 60
    assert reader.poll() == 61 + size


def test_a_held_file_overwritten_between_the_look_and_the_read(log: Log, reader: Reader) -> None:
    log.append(60)
    reader.poll()
    log.append(1)
    log.rename(create=False)
    reader.tail.look()
    os.truncate(f"{log.path}.1", 100)
    with Path(f"{log.path}.1").open("ab") as opened:
        opened.write(b"x" * 20_000)
    assert reader.read() == 60
    reader.poll()


def test_a_file_that_shrinks_to_what_was_read(log: Log, reader: Reader) -> None:
    log.append(60)
    size = log.path.stat().st_size
    reader.poll()
    log.begin_line()
    reader.tail.look()
    os.truncate(log.path, size)
    assert reader.read() == 60
    log.partial = False
    log.append(1)
    assert reader.poll() == 61


def test_files_over_the_number_held_open_are_followed_by_name(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "*.log")
    files = [Log(tmp_path / f"{name}.log") for name in "abcdef"]
    for number, file in enumerate(files):
        file.append(2)
        os.utime(file.path, (number, number))
    assert reader.poll() == 12
    assert len(descriptors(tmp_path)) == logs.HELD
    for number, file in enumerate(files):
        file.append(1)
        os.utime(file.path, (number + 10, number + 10))
    reader.tail.look()
    files[0].path.rename(tmp_path / "g.log")
    assert reader.read() == 17
    assert reader.poll() == 18
    for number, file in enumerate(files[1:]):
        file.append(1)
        os.utime(file.path, (number + 20, number + 20))
        assert reader.poll() == 19 + number
        assert len(descriptors(tmp_path)) == logs.HELD


def test_cursors_of_files_long_gone_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_CURSORS", 4)
    reader = Reader(tmp_path / "*.log")
    for number in range(12):
        other = Log(tmp_path / f"{number}.log")
        other.number = number
        other.append(1)
        reader.poll()
        other.path.unlink()
        reader.now += logs.LINGER
        reader.poll()
    assert reader.poll() == 12
    assert len(reader.stored) <= 5


def test_a_cursor_is_text_without_any_of_the_log(log: Log, reader: Reader) -> None:
    log.path.write_bytes(
        b"2025-04-06 17:56:36 [INFO] canary-secret\n" * 3 + b"2025-04-06 17:56:36 [INFO] canary-secret"
    )
    reader.poll()
    assert "canary" not in str(reader.stored)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.log.1", ("number", -1, "")), ("a.log-3", ("number", -3, "")), ("a.log.2025-04-06", ("date", 0, "2025-04-06")),
     ("a.log", None), ("a.log.bak", None), ("b.log.1", None), ("a.log.1.gz", None)],
)  # fmt: skip
def test_rotated_names(name: str, expected: object) -> None:
    assert age(name, "a.log") == expected


def test_a_missing_directory() -> None:
    assert log_files.view(Path("/nowhere/a.log"), ["/nowhere/a.log"]) == log_files.View({}, {})
    assert listing(Path("/nowhere/*.log")) == {}


def test_random_content_is_read_to_its_last_line(log: Log, reader: Reader) -> None:
    content = random.Random(1).randbytes(3 << 20)
    log.path.write_bytes(content)
    reader.poll()
    assert content.rfind(b"\n") + 1 <= reader.bytes <= len(content)
