"""Every line is counted exactly once, whatever is done to the files; compared with what was written."""

import gzip
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter.sources import log_files, logs
from exporter.sources.log_files import Cursor, age, listing, open_log
from exporter.sources.logs import Tail


class Reader:
    """A tail with a ledger that keeps only what is put down."""

    def __init__(self, pattern: Path) -> None:
        self.pattern = pattern
        self.stored: dict[int, str] = {}
        self.levels: Counter[str] = Counter()
        self.exceptions: Counter[str] = Counter()
        self.bytes = 0
        self.now = 0.0
        self.restart()

    def restart(self) -> None:
        cursors = [Cursor.load(text) for _, text in sorted(self.stored.items())]
        self.tail = Tail(self.pattern, cursors, lambda: self.now)

    def poll(self) -> int:
        """Read all there is; the number of records so far."""
        self.tail.look()
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

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.log = Log(self.folder / "bot.log")
        self.reader = Reader(self.folder / self.pattern)
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
    def look_and_stop_before_anything_is_put_down(self) -> None:
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
    machine.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=25, deadline=None)
TestRotations = Rotations.TestCase
TestGlobbedRotations = GlobbedRotations.TestCase
