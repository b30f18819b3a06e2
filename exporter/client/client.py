"""The client: typed calls that take microseconds, never wait and never raise."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import sys
import threading
import time
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Never, Self

from exporter.client import events, options
from exporter.client.buffer import Buffer, Said, Stats
from exporter.client.connection import Connection
from exporter.client.fallback import Fallback
from exporter.client.options import Route, Wrong
from exporter.client.sender import BATCH, Sender, log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

BUFFERED: Final = 10_000
LINGER: Final = 0.5
EXIT_SECONDS: Final = 2.0
MOST: Final = 10_000_000
"""Of any number that is given to a client."""
_MOST_KINDS: Final = 100  # kinds of mistakes that are logged
_POLL: Final = 0.005


class Client:
    """Reports a bot's events to the exporter. One object for threads, asyncio and forked processes alike.

    A call puts the event into a buffer and returns its id; a daemon thread, started by the first event, sends them.
    What cannot be sent goes to the fallback file, which the exporter reads as `bot.events`; without one it waits in the
    buffer, and of what is too much there the oldest is dropped. Everything is counted in `stats`.

    Nothing here raises, the constructor included: what is wrong is logged once to the logger `exporter.client`.

    Args:
        url: of the exporter; an empty one if there is only the file.
        user, password, password_file: of its web configuration; the user needs the role `write`.
        ca_file: authorities of its certificate in PEM, if the system's do not know it.
        file: the fallback; a path that the exporter's setting `bot.events` names.
        strategy, simulated: of every event that does not say otherwise.
        buffered: events that may wait.
        linger: seconds that an event may wait for others.
        exit_seconds: how long the end of the bot may be delayed to send what is left.

    The first six default to the environment's `ARB_EXPORTER_URL`, `ARB_EXPORTER_USER` and so on.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        password_file: str | os.PathLike[str] | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        file: str | os.PathLike[str] | None = None,
        strategy: str | None = None,
        simulated: bool | None = None,
        buffered: int = BUFFERED,
        linger: float = LINGER,
        exit_seconds: float = EXIT_SECONDS,
    ) -> None:
        self._common = {"strategy": strategy, "simulated": simulated}
        self._mistakes: set[str] = set()
        chosen = options.completed(
            os.environ,
            url=url,
            user=user,
            password=password,
            password_file=password_file,
            ca_file=ca_file,
            file=file,
        )
        self._route, self._fallback = self._resolved(chosen), self._file(chosen["file"])
        self._buffered = int(self._positive("buffered", buffered, BUFFERED))
        self._linger = self._positive("linger", linger, LINGER)
        self.exit_seconds = self._positive("exit_seconds", exit_seconds, EXIT_SECONDS)
        self._begin()
        _OPEN.add(self)

    def opportunity(self, /, *unnamed: Never, **fields: Unpack[events.Opportunity]) -> str:
        """One step of one opportunity; the event's id."""
        return self._report("opportunity", unnamed, fields)

    def trade(self, /, *unnamed: Never, **fields: Unpack[events.Trade]) -> str:
        """One trade, as it ended; the event's id."""
        return self._report("trade", unnamed, fields)

    def flash_loan(self, /, *unnamed: Never, **fields: Unpack[events.FlashLoan]) -> str:
        """One flash loan; the event's id."""
        return self._report("flash_loan", unnamed, fields)

    def bundle(self, /, *unnamed: Never, **fields: Unpack[events.Bundle]) -> str:
        """What became of a bundle; the event's id."""
        return self._report("bundle", unnamed, fields)

    def allocation(self, /, *unnamed: Never, **fields: Unpack[events.Allocation]) -> str:
        """The capital meant for a venue or a pair; the event's id."""
        return self._report("allocation", unnamed, fields)

    def component(self, /, *unnamed: Never, **fields: Unpack[events.Component]) -> str:
        """How a part of the bot is; the event's id."""
        return self._report("component", unnamed, fields)

    def cache(self, /, *unnamed: Never, **fields: Unpack[events.Cache]) -> str:
        """A cache's totals and size; the event's id."""
        return self._report("cache", unnamed, fields)

    def pool(self, /, *unnamed: Never, **fields: Unpack[events.Pool]) -> str:
        """A pool of connections, workers or tasks; the event's id."""
        return self._report("pool", unnamed, fields)

    def price(self, /, *unnamed: Never, **fields: Unpack[events.Price]) -> str:
        """A price that the bot sees; the event's id."""
        return self._report("price", unnamed, fields)

    @property
    def stats(self) -> Stats:
        """What became of the events so far."""
        return self._buffer.stats()

    @property
    def trouble(self) -> str:
        """Why events do not reach the exporter at the moment, in plain words; empty if they do."""
        return self._sender.trouble

    def flush(self, seconds: float = 10.0) -> bool:
        """Wait until nothing waits; whether that came to be in time. For asyncio: `await client.flushed()`."""
        until = monotonic() + seconds
        while len(self._buffer) and monotonic() < until:
            time.sleep(_POLL)
        return not len(self._buffer)

    async def flushed(self, seconds: float = 10.0) -> bool:
        """The same, while the loop goes on."""
        import asyncio  # a bot without it need not load it

        return await asyncio.to_thread(self.flush, seconds)

    def close(self, seconds: float | None = None) -> None:
        """Send what is left, for `exit_seconds` at most; the rest goes to the file, or is dropped and counted."""
        deadline = monotonic() + (self.exit_seconds if seconds is None else seconds)
        self._end(deadline)
        self._finish(deadline)
        _OPEN.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import asyncio

        await asyncio.shield(asyncio.to_thread(self.close))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.stats}>"

    def _begin(self) -> None:
        """An empty buffer, and nobody yet who sends it: at first, and in a forked process."""
        self._turn = threading.RLock()  # lest two threads start two senders
        self._run, self._number = os.urandom(12).hex(), itertools.count()
        self._buffer = Buffer(self._buffered, self._line)
        connection = Connection(self._route) if self._route else None
        self._sender = Sender(self._buffer, connection, self._fallback, self._linger)
        self._thread: threading.Thread | None = None

    def _positive(self, name: str, value: object, default: float) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < MOST:
            return value
        self._mistake(f"{name} must be a number above 0; it is {default:g} now")
        return default

    def _resolved(self, chosen: Mapping[str, Any]) -> Route | None:
        try:
            return None if chosen["url"] == "" else options.route(chosen)
        except Wrong as wrong:
            self._mistake(str(wrong))
        return None

    def _file(self, path: Any) -> Fallback | None:
        try:
            return Fallback(Path(path)) if path else None
        except TypeError:
            self._mistake("the fallback file must be a path")
        return None

    def _report(self, event: str, unnamed: tuple[Never, ...], fields: Any) -> str:
        """All that a call does: what it costs is the bot's time."""
        if fields.get("id") is None:
            fields["id"] = f"{self._run}-{next(self._number)}"
        if fields.get("time") is None:
            fields["time"] = time.time()
        if unnamed:
            fields[""] = unnamed
        there = self._buffer.put((event, fields))
        if self._thread is None and there:
            self._start()
        if there in (1, BATCH):
            self._sender.wake()
        name = fields["id"]
        return name if isinstance(name, str) else ""

    def _line(self, said: Said) -> bytes | None:
        """What the exporter reads of an event; a mistake in it is logged when it is made for the first time."""
        event, fields = said
        try:
            return events.line(event, {**self._common, **fields})
        except events.Invalid as invalid:
            self._mistake(f"an event cannot be sent: {invalid.kind}")
        except Exception as error:  # an argument may be an object with surprises
            self._mistake(f"an event cannot be sent: {event}, {type(error).__name__}")
        return None

    def _mistake(self, words: str) -> None:
        """Log a mistake when it is made for the first time."""
        if words not in self._mistakes and len(self._mistakes) < _MOST_KINDS:
            self._mistakes.add(words)
            with contextlib.suppress(Exception):
                log.warning("%s", words)

    def _start(self) -> None:
        with self._turn, contextlib.suppress(RuntimeError):  # no more threads, for now or for ever
            if self._thread is None:
                thread = threading.Thread(target=self._sender.run, name="arb-exporter-client", daemon=True)
                thread.start()
                self._thread = thread
                _close_with_process()

    def _end(self, deadline: float) -> None:
        self._sender.end(deadline)

    def _finish(self, deadline: float) -> None:
        """Give the sender its time; then what is left is written or dropped here."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, deadline - monotonic()))
        left, written = self._buffer.end(), 0
        if left and self._sender.fallback is not None:
            with contextlib.suppress(OSError):
                written = self._sender.fallback.append(left)
        self._buffer.decide(written, "written")
        self._buffer.decide(len(left) - written, "dropped")

    def _leave_parent(self) -> None:
        """In a forked process: what the parent has, it will send; of its connection only our copy is closed."""
        with contextlib.suppress(Exception):
            if self._sender.connection is not None:
                self._sender.connection.close()
        self._begin()


_OPEN: Final[set[Client]] = set()


def _close_all() -> None:
    """At the end of the process; all clients use the same seconds."""
    clients, now = list(_OPEN), monotonic()
    for client in clients:
        client._end(now + client.exit_seconds)
    for client in clients:
        client.close(max(0.0, now + client.exit_seconds - monotonic()))


def _leave_parent() -> None:
    for client in list(_OPEN):
        client._leave_parent()


def _close_with_process() -> None:
    """A forked process of `multiprocessing` ends without `atexit`: it has a way of its own."""
    multiprocessing: Any = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        multiprocessing.util.Finalize(None, _close_all, exitpriority=0)


atexit.register(_close_all)
os.register_at_fork(after_in_child=_leave_parent)
