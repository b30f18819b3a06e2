"""The thread that empties the buffer: over HTTP, into the fallback file while that fails, never in the bot's way."""

from __future__ import annotations

import contextlib
import logging
import queue
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, Protocol

from exporter.client.buffer import Buffer
from exporter.client.connection import PATIENCE, Answer
from exporter.client.fallback import Fallback
from exporter.log import describe

BATCH: Final = 2_000
BATCH_BYTES: Final = 512 << 10
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds between attempts that fail, the first and the longest."""
LONGEST_RETRY_AFTER: Final = 60.0
SPREAD: Final = 0.2
"""Waits vary by so much, lest many bots come back at the same moment."""

log = logging.getLogger("exporter.client")


class Post(Protocol):
    """How lines get to the exporter."""

    def post(self, body: bytes, patience: float = PATIENCE) -> Answer:
        """Send a body, or raise."""

    def close(self) -> None:
        """Close what is open."""


@dataclass(slots=True)
class Pace:
    """When to try again: at once after a success, later and later while attempts fail. Seconds."""

    clock: Callable[[], float] = monotonic
    wait: float = FIRST_WAIT
    until: float = 0.0

    def left(self) -> float:
        """Seconds until the next attempt may begin; zero or less when it may."""
        return self.until - self.clock()

    def failed(self, retry_after: float | None = None) -> None:
        """Wait at least as long as was asked for, within reason."""
        asked = min(retry_after or 0.0, LONGEST_RETRY_AFTER)
        self.until = self.clock() + max(asked, self.wait * random.uniform(1 - SPREAD, 1 + SPREAD))  # noqa: S311
        self.wait = min(2 * self.wait, LONGEST_WAIT)

    def succeeded(self) -> None:
        """The next failure is a first one."""
        self.wait, self.until = FIRST_WAIT, 0.0


@dataclass(slots=True)
class Sender:
    """Sends what is in the buffer; `linger` is how many seconds an event may wait for company."""

    buffer: Buffer
    connection: Post | None
    fallback: Fallback | None
    linger: float
    pace: Pace = field(default_factory=Pace)
    trouble: str = ""
    """Why events do not reach the exporter; empty while they do."""
    _calls: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)  # put by those in any state
    _most: int = BATCH
    _file_trouble: bool = False
    _end: float | None = None

    def wake(self) -> None:
        """There is something to do. Safe in signal handlers."""
        self._calls.put(None)

    def end(self, deadline: float) -> None:
        """Send what is left, without waiting for company, and come to an end; `deadline` is on the monotonic clock."""
        self._end = deadline
        self.wake()

    def run(self) -> None:
        """Until `end`; whatever happens, it goes on."""
        while self._end is None or len(self.buffer):
            try:
                if not self._work():
                    break
            except Exception as error:  # the bot must not lose its voice over a mistake of ours
                self._tell(describe(error))
                self._rest(LONGEST_WAIT)
        if self.connection is not None:
            self.connection.close()

    def _work(self) -> bool:
        """One batch; whether to go on."""
        if not len(self.buffer):
            self._calls.get()
            return True
        self._gather()
        if self._try_http() or self._try_file():
            return True
        if self._end is not None:
            return False
        self._rest(max(self.pace.left(), self.linger))
        return True

    def _gather(self) -> None:
        """Let a batch come together."""
        self._rest(self.linger, lambda: len(self.buffer) >= BATCH)

    def _rest(self, seconds: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Wait, but not beyond the beginning of the end; calls alone do not shorten it."""
        until = monotonic() + seconds
        while self._end is None and not enough() and (left := until - monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                self._calls.get(timeout=left)

    def _try_http(self) -> bool:
        """Whether the next batch is settled, or the next attempt should be another one at once."""
        if self.connection is None or (self.pace.left() > 0 and not self._last_hope()):
            return False
        lines = self.buffer.take(self._most, BATCH_BYTES)
        if not lines:  # none of them can be sent
            return True
        try:
            answer = self.connection.post(b"".join(lines), self._patience())
        except Exception as error:  # whatever it is, the events stay here
            return self._failed(describe(error))
        return self._judge(answer, len(lines))

    def _last_hope(self) -> bool:
        """Without a file, the end is worth one more attempt, however recent the last failure is."""
        return self._end is not None and self.fallback is None

    def _patience(self) -> float:
        return PATIENCE if self._end is None else max(0.05, min(PATIENCE, self._end - monotonic()))

    def _judge(self, answer: Answer, count: int) -> bool:
        if answer.status == 202:  # not any other success: that would be somebody else
            self._settle(count, 0)
        elif answer.status == 422:  # the good ones are stored by now
            self._settle(count, min(answer.rejected or 1, count))
        elif answer.status == 413 and count > 1:
            self._most = count // 2
        elif answer.status == 413:
            self._settle(1, 1)
        else:
            return self._failed(f"the exporter answers {answer.status}", answer.retry_after)
        return True

    def _settle(self, count: int, rejected: int) -> None:
        if rejected:
            log.warning("the exporter refused %d of %d events", rejected, count)
        self.buffer.settle(rejected, "rejected")
        self.buffer.settle(count - rejected, "sent")
        self.pace.succeeded()
        self._most = min(2 * self._most, BATCH)
        if self.trouble:
            log.warning("events reach the exporter again")
            self.trouble = ""

    def _failed(self, words: str, retry_after: float | None = None) -> bool:
        self.buffer.failed()
        self.pace.failed(retry_after)
        self._tell(words)
        return False

    def _try_file(self) -> bool:
        if self.fallback is None:
            return False
        lines = self.buffer.take(BATCH, BATCH_BYTES)
        try:
            self.buffer.settle(self.fallback.append(lines) if lines else 0, "written")
        except OSError as error:
            self.buffer.failed()
            self._tell_of_file(describe(error))
            return False
        self._file_trouble = False
        return True

    def _tell_of_file(self, words: str) -> None:
        if not self._file_trouble:
            log.warning("events cannot be written to the fallback file: %s", words)
        self._file_trouble = True

    def _tell(self, words: str) -> None:
        """Log that a trouble begins; not each of its failures."""
        if not self.trouble:
            log.warning("events do not reach the exporter: %s", words)
        self.trouble = words
