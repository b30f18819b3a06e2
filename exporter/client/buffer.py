"""What waits to be sent: bounded, the oldest given up first, and every event's fate counted."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, fields
from threading import RLock
from typing import Final, Literal

type Fate = Literal["sent", "rejected", "written", "dropped"]

FULL_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Stats:
    """What became of the events. `reported` is the sum of the others up to `waiting`."""

    reported: int
    """Calls."""
    invalid: int
    """Refused by the client: an argument was missing or unfit."""
    sent: int
    """Taken by the exporter."""
    rejected: int
    """Refused by the exporter."""
    written: int
    """Left in the fallback file, for the exporter to read."""
    dropped: int
    """Lost: the buffer was full, or the end came first."""
    waiting: int
    """Not yet decided."""
    failures: int
    """Attempts that did not succeed."""


class Buffer:
    """Lines between those who report and the one who sends. The lock is held for microseconds only.

    It can be taken twice by the same thread: a signal handler or a finalizer may report in the middle of a report.
    """

    def __init__(self, most: int, most_bytes: int = FULL_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._lock = RLock()
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._taken: list[bytes] = []
        self._counts: Counter[str] = Counter()
        self._ended = False

    def put(self, line: bytes) -> int:
        """Add a line, for which the oldest may have to be given up; how many are there now."""
        with self._lock:
            self._counts["reported"] += 1
            if self._ended:
                self._counts["dropped"] += 1
                return 0
            self._waiting.append(line)
            self._bytes += len(line)
            while len(self._waiting) > self._most or self._bytes > self._most_bytes:
                self._pop()
                self._counts["dropped"] += 1
            return len(self)

    def refuse(self) -> None:
        """Count a report that cannot be sent."""
        with self._lock:
            self._counts["reported"] += 1
            self._counts["invalid"] += 1

    def failed(self) -> None:
        """Count an attempt that did not succeed."""
        with self._lock:
            self._counts["failures"] += 1

    def take(self, most: int, most_bytes: int) -> list[bytes]:
        """The oldest lines, at least one if there is any: the same again until they are settled."""
        with self._lock:
            size = sum(map(len, self._taken))
            while self._waiting and len(self._taken) < most:
                size += len(self._waiting[0])
                if self._taken and size > most_bytes:
                    break
                self._taken.append(self._pop())
            return self._taken[:most]

    def settle(self, count: int, fate: Fate) -> None:
        """The oldest of the lines that were taken are done with."""
        with self._lock:
            if not self._ended:
                del self._taken[:count]
                self._counts[fate] += count

    def end(self) -> list[bytes]:
        """All lines that are left; from now on nothing gets in, and whoever calls this says what became of them."""
        with self._lock:
            self._ended = True
            left = [*self._taken, *self._waiting]
            self._waiting.clear()
            self._taken, self._bytes = [], 0
            return left

    def decide(self, count: int, fate: Fate) -> None:
        """Count what became of lines that `end` gave."""
        with self._lock:
            self._counts[fate] += count

    def __len__(self) -> int:
        return len(self._taken) + len(self._waiting)

    def stats(self) -> Stats:
        """All counts at one moment."""
        with self._lock:
            counts = {field.name: self._counts[field.name] for field in fields(Stats)}
            return Stats(**counts | {"waiting": len(self)})

    def _pop(self) -> bytes:
        line = self._waiting.popleft()
        self._bytes -= len(line)
        return line
