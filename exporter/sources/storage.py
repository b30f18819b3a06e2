"""Directories by number and size of their files, and backups by age: looked at, never followed out of."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

DEEPEST: Final = 32
"""Levels of directories that are gone down; a descriptor is held for each."""
DAY: Final = 86_400.0
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NAMED: Final = re.compile(r"(\d{8}_\d{6})(?!\d)")


@dataclass(frozen=True, slots=True)
class Survey:
    """What is in a directory; `truncated` if there is more that was not looked at. Times are epoch seconds."""

    files: int
    bytes: int
    last_write: float | None
    truncated: bool


@dataclass(slots=True)
class _Count:
    limit: int
    entries: int = 0
    files: int = 0
    bytes: int = 0
    newest_ns: int | None = None
    truncated: bool = False

    def room(self) -> bool:
        """Whether one more entry may be looked at."""
        self.truncated = self.truncated or self.entries >= self.limit
        self.entries += 1
        return not self.truncated

    def add(self, status: os.stat_result) -> None:
        self.files += 1
        self.bytes += status.st_size
        self.newest_ns = max(self.newest_ns or 0, status.st_mtime_ns)

    def survey(self) -> Survey:
        newest = None if self.newest_ns is None else self.newest_ns / 1e9
        return Survey(self.files, self.bytes, newest, self.truncated)


def survey(path: Path, limit: int) -> Survey:
    """The regular files at and below `path`, of at most `limit` entries; symbolic links are not followed.

    It blocks, as long as the disk takes; what vanishes meanwhile, or may not be read, is left out.

    Raises:
        OSError: there is nothing at `path`, or it may not be looked at.
    """
    count = _Count(limit)
    status = path.lstat()
    if stat.S_ISREG(status.st_mode):
        count.add(status)
    elif stat.S_ISDIR(status.st_mode):
        _walk(os.open(path, _DIRECTORY), count, DEEPEST)
    return count.survey()


def _walk(directory: int, count: _Count, levels: int) -> None:
    """Count below a descriptor, which is closed; names alone could be swapped for links between two calls."""
    try:
        below = list(_take(directory, count))
        if below and levels == 0:
            count.truncated = True
            return
        for name in below:
            if count.truncated:
                return
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _walk(os.open(name, _DIRECTORY, dir_fd=directory), count, levels - 1)
    finally:
        os.close(directory)


def _take(directory: int, count: _Count) -> Iterator[str]:
    """Count the files of one directory; the names of those below it."""
    with os.scandir(directory) as listing:
        for entry in listing:
            if not count.room():
                return
            with suppress(FileNotFoundError, PermissionError):
                if entry.is_dir(follow_symlinks=False):
                    yield entry.name
                elif entry.is_file(follow_symlinks=False):
                    count.add(entry.stat(follow_symlinks=False))


@dataclass(frozen=True, slots=True)
class Backups:
    """The backups in a store; `newest` is epoch seconds."""

    count: int
    newest: float | None


def backups(path: Path, zone: ZoneInfo, limit: int) -> Backups:
    """The entries at the top of a store of backups; neither hidden ones nor links are any.

    Raises:
        OSError: there is no such directory.
    """
    times = []
    with os.scandir(path) as listing:
        for _, entry in zip(range(limit), listing, strict=False):
            with suppress(FileNotFoundError):
                if not entry.name.startswith(".") and not entry.is_symlink():
                    times.append(_made(entry.name, entry.stat(follow_symlinks=False).st_mtime, zone))
    return Backups(len(times), max(times, default=None))


def _made(name: str, written: float, zone: ZoneInfo) -> float:
    """When a backup was made: what its name says, unless that makes no sense; else when it was written."""
    with suppress(ValueError, OverflowError):
        if named := _NAMED.match(name):
            said = datetime.strptime(named[1], "%Y%m%d_%H%M%S").replace(tzinfo=zone).timestamp()
            return said if said <= time.time() + DAY else written
    return written


@dataclass(slots=True)
class Growth:
    """The size of a store over the last hour, at most one look a minute kept."""

    hour: float = 3_600.0
    minute: float = 60.0
    _looks: list[tuple[float, int]] = field(default_factory=list)

    def add(self, now: float, size: int) -> float | None:
        """Bytes per second since the oldest look of the last hour; None for the first look."""
        self._looks = [look for look in self._looks if now - look[0] <= self.hour]
        oldest = self._looks[0] if self._looks else None
        if oldest is None or now - self._looks[-1][0] >= self.minute:
            self._looks.append((now, size))
        return None if oldest is None or now <= oldest[0] else (size - oldest[1]) / (now - oldest[0])
