"""The thread for blocking calls: one at a time, refused while hung, waited for at its end only if it is idle."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from exporter.worker import Busy, Worker, Workers
from tests.running import eventually


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker("disk")
    yield made
    made.close()


async def test_a_call_runs_in_the_named_daemon_thread(worker: Worker) -> None:
    thread = await worker.run(threading.current_thread)
    assert (thread.name, thread.daemon) == ("disk", True)
    assert await worker.run(threading.current_thread) is thread
    assert await worker.run(divmod, 7, 2) == (3, 1)


@pytest.mark.parametrize("error", [OSError(5, "x"), KeyError("k"), GeneratorExit()], ids=repr)
async def test_an_exception_reaches_the_caller(worker: Worker, error: BaseException) -> None:
    def call() -> None:
        raise error

    with pytest.raises(type(error)):
        await worker.run(call)
    assert await worker.run(int) == 0


async def test_a_stop_iteration_does_not_leave_its_caller_waiting(worker: Worker) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(worker.run(next, iter([])), 20)
    assert await worker.run(int) == 0


async def test_while_a_call_hangs_others_are_refused(worker: Worker) -> None:
    release = threading.Event()
    hung = asyncio.create_task(worker.run(release.wait))
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="disk"):
        await worker.run(int)
    hung.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hung
    with pytest.raises(Busy):
        await worker.run(int)
    release.set()
    await eventually(lambda: not worker._running)
    assert await worker.run(int) == 0


async def test_an_idle_thread_has_ended_once_it_is_closed_and_a_hung_one_is_not_waited_for(worker: Worker) -> None:
    idle = await worker.run(threading.current_thread)
    worker.close()
    assert not idle.is_alive()
    release = threading.Event()
    hung = asyncio.create_task(worker.run(release.wait, 60))
    await asyncio.sleep(0)
    thread = worker._thread
    assert thread is not None
    worker.close()
    assert thread.is_alive()
    release.set()
    await hung
    thread.join(20)
    assert not thread.is_alive()


async def test_a_closed_worker_ends_its_thread_and_can_start_another(worker: Worker) -> None:
    thread = await worker.run(threading.current_thread)
    worker.close()
    worker.close()
    await eventually(lambda: not thread.is_alive())
    assert await worker.run(threading.current_thread) is not thread


def test_a_call_that_outlives_its_loop_ends_the_thread_quietly() -> None:
    worker, release = Worker("disk"), threading.Event()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await worker.run(release.wait)

    asyncio.run(give_up())
    thread = worker._thread
    assert thread is not None
    release.set()
    thread.join(20)
    assert not thread.is_alive()


async def test_workers_are_one_for_each_name() -> None:
    workers = Workers()
    assert workers("a") is workers("a")
    assert workers("a") is not workers("b")
    thread = await workers("a").run(threading.current_thread)
    workers.close()
    await eventually(lambda: not thread.is_alive())


HUNG = """
import asyncio, time
from exporter.worker import Worker

async def main():
    asyncio.create_task(Worker("disk").run(time.sleep, 600))
    await asyncio.sleep(0.1)

asyncio.run(main())
"""


def test_a_hung_call_does_not_keep_the_process_from_ending() -> None:
    started = time.monotonic()
    assert subprocess.run([sys.executable, "-c", HUNG], timeout=30, check=False).returncode == 0
    assert time.monotonic() - started < 20
