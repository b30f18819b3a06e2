"""A turn of the loop hears of a few events, and every one is heard in the end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import pytest

from exporter import loop

CROWD = 100


def paired() -> tuple[list[socket.socket], list[socket.socket]]:
    pairs = [socket.socketpair() for _ in range(CROWD)]
    return [near for near, _ in pairs], [far for _, far in pairs]


@pytest.mark.parametrize("make", [loop.new, loop.for_tls()], ids=["plain", "for TLS"])
def test_a_crowd_is_heard_a_few_at_a_time_and_nobody_twice_before_all_were_once(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    made = make()
    near, far = paired()
    heard: list[int] = []
    turns: list[int] = []

    def hear(number: int) -> None:
        heard.append(number)  # and does not read: it stays ready

    async def watch() -> None:
        for number, one in enumerate(near):
            made.add_reader(one, hear, number)
        for one in far:
            one.send(b"x")
        while len(heard) < 2 * CROWD:
            before = len(heard)
            await asyncio.sleep(0)
            turns.append(len(heard) - before)

    try:
        made.run_until_complete(asyncio.wait_for(watch(), 10))
    finally:
        for one in near:
            made.remove_reader(one)
        made.close()
        for one in (*near, *far):
            one.close()
    assert max(turns) <= loop.EVENTS
    assert sorted(heard[:CROWD]) == list(range(CROWD))


def test_time_and_threads_go_on_as_usual() -> None:
    async def both() -> str:
        await asyncio.sleep(0.01)
        return await asyncio.to_thread(lambda: "done")

    with contextlib.closing(loop.new()) as made:
        assert made.run_until_complete(asyncio.wait_for(both(), 10)) == "done"
        made.run_until_complete(made.shutdown_default_executor())
