"""One daemon thread for blocking calls: a hung call costs its own caller and never holds up the end of the process."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

PATIENCE: Final = 1.0
"""Seconds to wait for a thread that has nothing to do any more."""


class Busy(Exception):
    """The thread is still at an earlier call: the disk or mount behind it does not answer."""


class Worker:
    """Runs blocking calls one at a time, off the event loop.

    `concurrent.futures` is not used: it joins its threads at exit, so that one hung mount would keep the
    process from ending, and it queues without bound behind a call that never returns.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._running = False
        self._thread: threading.Thread | None = None

    async def run[T](self, call: Callable[..., T], *args: Any) -> T:
        """The result of `call(*args)`, made in the thread.

        Raises:
            Busy: an earlier call, given up by its caller, still runs.
            Exception: whatever the call raises.
        """
        if self._running:
            raise Busy(f"{self._name} still waits for an earlier read")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._running = True
        self._jobs.put((future, lambda: call(*args)))
        return await future

    def close(self) -> None:
        """Let the thread end after its current call, which is not waited for.

        An idle thread is: it ends at once, and had better not do so while the interpreter is being taken down.
        """
        if self._thread is not None:
            self._jobs.put(None)
            if not self._running:
                self._thread.join(PATIENCE)
            self._thread = None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            result, error = _outcome(call)
            try:
                future.get_loop().call_soon_threadsafe(self._settle, future, result, error)
            except RuntimeError:
                return  # the loop has ended meanwhile

    def _settle(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._running = False
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)


def _outcome(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return call(), None
    except StopIteration:
        return None, RuntimeError("StopIteration")  # which no future takes
    except BaseException as error:
        return None, error


class Workers:
    """One thread for each name, made when first asked for."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}

    def __call__(self, name: str) -> Worker:
        return self._workers.setdefault(name, Worker(name))

    def close(self) -> None:
        """Let all threads end."""
        for worker in self._workers.values():
            worker.close()
