"""Who makes room for whom, who is sent away for slowness, and how descriptors are shared."""

import asyncio
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from exporter.board import Board
from exporter.web import crowd, server
from exporter.web.access import Access
from exporter.web.crowd import Crowd
from exporter.web.server import Runner, application, open_door
from exporter.web.site import Site
from tests.running import PATIENCE, eventually
from tests.tiers import FULL


class Guest:
    """Somebody who may have an answer waiting."""

    def __init__(self, name: str, unsent: int = 0) -> None:
        self.name, self.waits, self.gone = name, unsent, False

    def unsent(self) -> int:
        return self.waits

    def abort(self) -> None:
        self.gone = True


async def test_whoever_was_silent_for_longest_makes_room() -> None:
    made = Crowd(most=3)
    resting, working, silent = map(Guest, ("resting", "working", "silent"))
    for guest in (working, resting):
        made.wait(guest)
        made.work(guest)
    made.rest(resting)
    await asyncio.sleep(0.01)
    made.wait(silent)
    assert made.full
    assert made.make_room()
    assert (resting.gone, silent.gone, working.gone) == (True, False, False)
    assert made.make_room()
    assert (silent.gone, working.gone) == (True, False)
    assert not made.make_room(), "who is being answered stays"
    made.leave(working)
    assert len(made) == 0


async def test_an_answer_on_its_way_is_the_last_thing_to_be_cut_off() -> None:
    made = Crowd(most=2)
    reading, silent = Guest("reading", 100), Guest("silent")
    made.wait(reading)
    made.work(reading)
    made.rest(reading)
    made.wait(silent)
    assert made.make_room()
    assert (reading.gone, silent.gone) == (False, True)
    assert made.make_room()
    assert reading.gone


async def test_asking_again_counts_from_its_first_byte_and_only_after_a_rest() -> None:
    made = Crowd()
    guest = Guest("a")
    made.wait(guest)
    since = made._waiting[guest]
    await asyncio.sleep(0.01)
    made.wait(guest)
    assert made._waiting[guest] == since, "more bytes of the same head win no time"
    made.rest(guest)
    assert not made.rests(guest), "who was not answered does not rest"
    made.work(guest)
    made.rest(guest)
    assert made.rests(guest)
    made.leave(guest)


async def test_the_last_places_are_for_scrapes() -> None:
    made = Crowd(most=24)
    guests = [Guest(str(number)) for number in range(24)]
    for guest in guests[:12]:
        made.work(guest)
    assert not made.crowded
    made.work(guests[12])
    assert made.crowded
    assert made.exchanges == 0


def test_a_client_that_takes_nothing_is_stuck_and_one_that_takes_a_little_is_not() -> None:
    made, guest = Crowd(), Guest("a", 100 << 10)
    assert [made._stuck(guest, 0.0) for _ in range(crowd.DEAF + 1)] == [False] * crowd.DEAF + [True]
    for second in range(int(crowd.STALLED) + 1):
        guest.waits -= 10
        assert not made._stuck(guest, second)
    guest.waits -= 10
    assert made._stuck(guest, crowd.STALLED + 0.1), "some bytes are not enough"
    guest.waits -= crowd.STEP
    assert not made._stuck(guest, crowd.STALLED + 0.2)
    guest.waits += 10_000  # more is written to it only because it took something
    assert not made._stuck(guest, 2 * crowd.STALLED)
    guest.waits = 0
    assert not made._stuck(guest, 3 * crowd.STALLED)
    assert made._slow == {}


async def test_who_says_more_and_takes_nothing_is_sent_away_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "LOOK", 0.01)
    made, guest = Crowd(), Guest("a", 10_000)
    made.work(guest)
    made.rest(guest)
    made.wait(guest)
    await eventually(lambda: guest.gone)
    assert len(made) == 0


async def test_they_go_some_in_a_turn_and_who_asks_meanwhile_stays() -> None:
    made, guests = Crowd(most=100), [Guest(str(number)) for number in range(crowd.TOGETHER + 2)]
    for guest in guests:
        made.wait(guest)
    made._part(guests)
    assert [guest.gone for guest in guests] == [True] * crowd.TOGETHER + [False] * 2
    made.work(guests[-1])
    await eventually(lambda: guests[-2].gone)
    assert not guests[-1].gone
    assert len(made) == 1


async def test_while_too_much_waits_who_takes_nothing_goes_at_once_the_longest_deaf_first() -> None:
    made, third = Crowd(), crowd.HELD // 3 + 1
    early, late, reading, alone = (Guest(name, third) for name in ("early", "late", "reading", "alone"))
    for guest in (early, late, reading):
        made.work(guest)
    made.work(early)
    made._stuck(early, 0.0)
    for guest in (early, late, reading):
        made._stuck(guest, 0.1)
    made._part([*made._heavy(set())])
    reading.waits -= 1
    for guest in (late, reading):
        made._stuck(guest, 0.2)
    made._part([*made._heavy(set())])
    assert (early.gone, late.gone, reading.gone) == (True, False, False)
    made._part([*made._heavy(set())])
    assert not late.gone, "there is room now"
    made.leave(reading)
    alone.waits = crowd.HELD * 3
    made.work(alone)
    made.leave(late)
    for second in (0.3, 0.4):
        made._stuck(alone, second)
        made._part([*made._heavy(set())])
    assert not alone.gone, "one alone has its time"


async def test_who_is_stuck_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "LOOK", 0.01)
    made, guest = Crowd(), Guest("a", 10_000)
    made.wait(guest)
    made.work(guest)
    async with asyncio.timeout(20):
        while not guest.gone:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(made) == 0
    while made._timer is not None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


BIG = bytes(24 << 20)
"""What no kernel holds."""
MUCH = bytes(60 << 10)
"""What is kept twice if nobody waits for the first to be taken."""


@asynccontextmanager
async def serving_much(body: bytes = BIG) -> AsyncIterator[Runner]:
    """A site with one large page."""

    async def big(request: web.Request) -> web.Response:
        return web.Response(body=body)

    app = application(Site(Board(), Access({}, {}), True))
    app.router.add_get("/big", big)
    runner = Runner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await open_door(runner, "127.0.0.1", 0)
        yield runner
    finally:
        await runner.cleanup()


def asking(runner: Runner, times: int = 1) -> socket.socket:
    """A client that has asked for it so many times at once, with a small buffer of its own."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
    made.connect(runner.addresses[0])
    request = b"GET /big HTTP/1.1\r\nHost: localhost\r\n"
    made.sendall((request + b"\r\n") * (times - 1) + request + b"Connection: close\r\n\r\n")
    made.setblocking(False)
    return made


async def test_a_client_that_never_reads_is_gone_in_two_seconds() -> None:
    async with serving_much() as runner:
        with asking(runner) as client:
            await eventually(lambda: len(runner.crowd) == 1)
            began = time.monotonic()
            await eventually(lambda: len(runner.crowd) == 0)
            took = time.monotonic() - began
            print(f"gone after {took:.2f} s")
            assert crowd.DEAF * crowd.LOOK <= took < (2.5 if FULL else 5)  # what is more than two is the machine's
            assert client.fileno() >= 0


async def test_of_many_answers_that_nobody_takes_one_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PIPELINED", 0.005)
    kept: list[int] = []
    async with serving_much(MUCH) as runner:
        with asking(runner, 500) as client:
            await eventually(lambda: len(runner.crowd) == 1)
            (guest,) = [*runner.crowd._waiting, *runner.crowd._resting, *runner.crowd._working]
            while len(runner.crowd):
                kept.append(guest.transport.get_write_buffer_size() if guest.transport else 0)
                await asyncio.sleep(0.005)
            assert client.fileno() >= 0
    assert 0 < max(kept) < len(MUCH) + (1 << 10)


async def test_who_leaves_while_he_is_waited_for_is_no_longer_there(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = asyncio.Event()

    async def taken(guest: server._Connection) -> None:
        waited.set()
        while guest.transport is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    monkeypatch.setattr(server, "_taken", taken)
    async with serving_much(MUCH) as runner:
        with asking(runner, 3):
            await asyncio.wait_for(waited.wait(), PATIENCE)
        await eventually(lambda: len(runner.crowd) == 0)
        await asyncio.sleep(0.05)
        assert len(runner.crowd) == 0


async def test_a_slow_line_is_no_deaf_client() -> None:
    """It takes about 40 kB/s, for longer than a deaf one is borne."""
    async with serving_much() as runner:
        with asking(runner) as client:
            loop, got = asyncio.get_running_loop(), 0
            end = time.monotonic() + 3 * crowd.DEAF * crowd.LOOK
            while time.monotonic() < end:
                got += len(await loop.sock_recv(client, 4 << 10))
                await asyncio.sleep(0.1)
            assert len(runner.crowd) == 1
            assert got < 1 << 20


SHARES = """
import resource, sys
from exporter.web.crowd import shares
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
print(*shares(int(sys.argv[3]), int(sys.argv[4])), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
SHARED = {
    (1024, 4096, 256, 100): (256, 100, 1024),
    (128, 128, 256, 100): (32, 32, 128),
    (64, 64, 256, 100): (24, 0, 64),
    (128, 4096, 256, 100): (256, 100, 420),  # as many descriptors as are needed, if they may be had
    (1024, 2048, 256, 5_000): (256, 1728, 2048),
}


@pytest.mark.parametrize("given", SHARED)
def test_descriptors_are_asked_for_and_shared(given: tuple[int, ...]) -> None:
    if given[1] > resource.getrlimit(resource.RLIMIT_NOFILE)[1] != resource.RLIM_INFINITY:
        pytest.skip("fewer descriptors may be had here")
    done = subprocess.run(
        [sys.executable, "-c", SHARES, *map(str, given)], capture_output=True, text=True, timeout=60, check=True
    )
    assert tuple(map(int, done.stdout.split())) == SHARED[given]
