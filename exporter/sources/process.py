"""The bot's process: found by its pidfile or by a part of its command line, and looked at."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

SLACK: Final = 5.0
"""Seconds by which a process may be younger than the pidfile that names it: its clock is coarse."""
SCAN_EVERY: Final = 10.0
SLICE: Final = 64
"""Processes whose command lines are read in one call, so that nobody waits long for the interpreter."""
LONGEST_COMMAND: Final = 64 << 10
_PROC: Final = Path("/proc")
_PID: Final = re.compile(rb"\s*([1-9][0-9]{0,9})\s*")


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """A running process; `open_fds` is None where that may not be asked."""

    resident_memory_bytes: int
    cpu_seconds: float
    open_fds: int | None
    threads: int
    start_timestamp_seconds: float


def sample(process: psutil.Process) -> ProcessSample | None:
    """The process now; None if it has ended, or has and nobody has taken note yet (a zombie).

    Raises:
        OSError, psutil.AccessDenied: the system does not tell.
    """
    try:
        with process.oneshot():
            if not process.is_running() or process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                return None
            cpu = process.cpu_times()
            return ProcessSample(
                resident_memory_bytes=process.memory_info().rss,
                cpu_seconds=cpu.user + cpu.system,
                open_fds=_open_fds(process),
                threads=process.num_threads(),
                start_timestamp_seconds=process.create_time(),
            )
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return None


def _open_fds(process: psutil.Process) -> int | None:
    try:
        return int(process.num_fds())
    except psutil.AccessDenied:
        return None


class Pidfile:
    """The process that a pidfile names; every call blocks and belongs in a thread.

    A process that was accepted once stays the bot while it runs and is named, whatever happens to the clock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._accepted: psutil.Process | None = None

    def process(self) -> psutil.Process | None:
        """The bot's process; None without a pidfile, or if the id in it has gone to another process.

        Raises:
            OSError: the pidfile cannot be read, other than because it is not there.
        """
        named = _read_pidfile(self._path)
        if named is None:
            self._accepted = None
        elif self._accepted is None or self._accepted.pid != named[0] or not self._accepted.is_running():
            self._accepted = _process_of(*named)
        return self._accepted


def _read_pidfile(path: Path) -> tuple[int, float] | None:
    """The process id, and when it was written."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(descriptor)
        found = _PID.fullmatch(os.read(descriptor, 64)) if stat.S_ISREG(status.st_mode) else None
    finally:
        os.close(descriptor)
    return None if found is None else (int(found[1]), status.st_mtime)


def _process_of(pid: int, written: float) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.create_time() <= written + SLACK:
            return process
    return None


class Search:
    """The oldest process with a text in its command line; every call blocks and belongs in a thread."""

    def __init__(self, text: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._text = text.encode()
        self._monotonic = monotonic
        self._scanned_at = -SCAN_EVERY
        self.found: psutil.Process | None = None

    def due(self) -> list[list[int]]:
        """The processes to search, in slices; none while the known one runs or the last scan was just now."""
        if self.found is not None and sample(self.found) is not None:
            return []
        self.found = None
        if self._monotonic() - self._scanned_at < SCAN_EVERY:
            return []
        self._scanned_at = self._monotonic()
        pids = [pid for pid in psutil.pids() if pid != os.getpid()]
        return [pids[start : start + SLICE] for start in range(0, len(pids), SLICE)]

    def among(self, pids: list[int]) -> None:
        """Look for the text in these processes' command lines."""
        for pid in pids:
            if self._text in _command_line(pid):
                with suppress(psutil.NoSuchProcess):
                    self._consider(psutil.Process(pid))

    def _consider(self, process: psutil.Process) -> None:
        if self.found is None or process.create_time() < self.found.create_time():
            self.found = process


def _command_line(pid: int) -> bytes:
    """The words of a command line with blanks between; empty if it may not be read or the process has ended."""
    try:
        with (_PROC / str(pid) / "cmdline").open("rb") as opened:
            return opened.read(LONGEST_COMMAND).replace(b"\0", b" ")
    except OSError:
        return b""
