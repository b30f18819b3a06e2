"""What waits to be sent: bounded, the oldest given up first, and every event's fate counted."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from threading import RLock
from time import sleep
from typing import Any, Final, Literal

type Fate = Literal["sent", "rejected", "written", "dropped"]
type Said = tuple[str, dict[str, Any]]
"""The type of an event and its fields, as the bot gave them."""

AT_A_TIME: Final = 20
"""Lines that are made before the bot's threads get a turn."""


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
    """Events between those who report and the one who sends. `write` makes a line of one, or None if it cannot be sent.

    Lines are made by the sender: what a report costs the bot is to put two references in here. The lock is held for
    microseconds, and the same thread may take it twice: a signal handler or a finalizer may report within a report.
    """

    def __init__(self, most: int, write: Callable[[Said], bytes | None]) -> None:
        self._most, self._write = most, write
        self._lock = RLock()
        self._waiting: deque[Said] = deque()
        self._chosen: deque[Said] = deque()
        self._lines: list[bytes] = []
        self._reported = 0
        self._counts: Counter[str] = Counter()
        self._ended = False

    def put(self, said: Said) -> int:
        """Add an event, for which the oldest may have to be given up; how many are there now."""
        with self._lock:
            self._reported += 1
            if self._ended:
                self._counts["dropped"] += 1
                return 0
            self._waiting.append(said)
            if len(self._waiting) > self._most:
                self._waiting.popleft()
                self._counts["dropped"] += 1
            return len(self)

    def failed(self) -> None:
        """Count an attempt that did not succeed."""
        with self._lock:
            self._counts["failures"] += 1

    def take(self, most: int, most_bytes: int) -> list[bytes]:
        """Lines of the oldest events, at least one if any can be sent: the same again until they are settled."""
        self._choose(most)
        self._write_chosen()
        size, lines = 0, self._lines[:most]
        for number, line in enumerate(lines):
            size += len(line)
            if number and size > most_bytes:
                return lines[:number]
        return lines

    def settle(self, count: int, fate: Fate) -> None:
        """The oldest of the lines that were taken are done with."""
        with self._lock:
            if not self._ended:
                del self._lines[:count]
                self._counts[fate] += count

    def end(self) -> list[bytes]:
        """All lines that are left; from now on nothing gets in, and whoever calls this says what became of them."""
        with self._lock:
            self._ended = True
            left, said = self._lines, [*self._chosen, *self._waiting]
            self._lines, self._chosen, self._waiting = [], deque(), deque()
        written = [line for each in said if (line := self._write(each)) is not None]
        with self._lock:
            self._counts["invalid"] += len(said) - len(written)
        return left + written

    def decide(self, count: int, fate: Fate) -> None:
        """Count what became of lines that `end` gave."""
        with self._lock:
            self._counts[fate] += count

    def __len__(self) -> int:
        return len(self._lines) + len(self._chosen) + len(self._waiting)

    def stats(self) -> Stats:
        """All counts at one moment."""
        with self._lock:
            counts = {field.name: self._counts[field.name] for field in fields(Stats)}
            return Stats(**counts | {"waiting": len(self), "reported": self._reported})

    def _choose(self, most: int) -> None:
        """Events that are not given up any more."""
        with self._lock:
            while self._waiting and len(self._lines) + len(self._chosen) < most:
                self._chosen.append(self._waiting.popleft())

    def _write_chosen(self) -> None:
        """Make their lines, outside of the lock and without holding the interpreter for long."""
        while self._chosen:
            line = self._write(self._chosen[0])
            with self._lock:
                if self._ended:
                    return
                self._chosen.popleft()
                if line is None:
                    self._counts["invalid"] += 1
                else:
                    self._lines.append(line)
            if not len(self._chosen) % AT_A_TIME:
                sleep(0)
