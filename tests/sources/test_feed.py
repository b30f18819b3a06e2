import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from exporter.sources import feed
from exporter.sources.blocks import Header
from exporter.sources.feed import Feed
from exporter.sources.subscription import Message, Opened
from tests.fake_chain import Place, configured, freeze, place
from tests.fake_rpc import KEY
from tests.running import eventually


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "RETRY_FIRST", 0.05)
    monkeypatch.setattr(feed, "SHORTEST_PATIENCE", 0.5)


class Listener:
    """What a feed hands over; every head that is none of `stale` is as new as it should be."""

    def __init__(self, *places: Place) -> None:
        self.heard: list[Message] = []
        self.stale: set[int] = set()
        self.interval: float | None = None
        self.feed = Feed(configured(*places), self.take, lambda: self.interval)

    def take(self, message: Message) -> bool:
        self.heard.append(message)
        return isinstance(message, Header) and message.number not in self.stale

    def heads(self) -> list[int]:
        return [message.number for message in self.heard if isinstance(message, Header)]

    def opened(self) -> int:
        return sum(isinstance(message, Opened) for message in self.heard)


@asynccontextmanager
async def listening(*places: Place, **changes: Any) -> AsyncIterator[Listener]:
    made = Listener(*places)
    for name, value in changes.items():
        setattr(made, name, value)
    task = asyncio.create_task(made.feed.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def mining(own: Place, every: float = 0.05) -> AsyncIterator[None]:
    """New blocks all the time."""

    async def mine() -> None:
        while True:
            await own.mine()
            await asyncio.sleep(every)

    task = asyncio.create_task(mine())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_heads_are_handed_over_and_the_line_is_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "exporter")
    async with place() as own, listening(own) as found:
        assert found.feed.active is None
        await eventually(found.opened)
        assert found.feed.active is None  # a subscription is no promise
        await own.mine(2)
        await eventually(lambda: found.heads() == [101, 102])
        assert found.feed.active is found.feed.lines[0]
        assert not found.feed.preconfirmations
        assert KEY not in caplog.text + repr([r.__dict__ for r in caplog.records if r.name != "aiohttp.access"])


async def test_a_subscription_without_events_is_replaced() -> None:
    async with place() as own, listening(own) as found:
        await eventually(lambda: own.socket.connections >= 2)
        assert found.feed.lines[0].reason == "delivers no heads"
        assert not found.feed.lines[0].up


async def test_heads_that_are_not_new_are_as_good_as_none() -> None:
    async with place() as own, listening(own) as found, mining(own):
        found.stale = set(range(10**6))
        await eventually(lambda: own.socket.connections >= 2)
        assert found.feed.active is None
        assert found.heads()


async def test_slow_blocks_are_waited_for() -> None:
    async with place() as own, listening(own, interval=100.0) as found:
        await eventually(found.opened)
        await asyncio.sleep(1.0)  # twice the shortest patience
        assert own.socket.connections == 1


async def test_what_was_missed_is_said_after_each_reconnection() -> None:
    async with place() as own, listening(own) as found, mining(own):
        for times in (1, 2, 3):
            await eventually(lambda times=times: found.opened() == times)  # type: ignore[misc]
            await eventually(lambda: found.feed.active is not None)
            await own.socket.close()
            await eventually(lambda: found.feed.active is None)


async def test_an_endpoint_that_fails_is_left_alone_for_longer_each_time() -> None:
    async with place() as own:
        times = []

        async def handshake(_: web.Request) -> web.StreamResponse:
            times.append(asyncio.get_running_loop().time())
            return web.Response(status=503)

        own.socket.handshake = handshake
        async with listening(own):
            await eventually(lambda: len(times) == 5)
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert all(wait >= least for wait, least in zip(waits, (0.05, 0.1, 0.2, 0.4), strict=True))


async def test_an_endpoint_is_left_alone_for_as_long_as_it_asks(caplog: pytest.LogCaptureFixture) -> None:
    async def handshake(_: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "4000"}, text=KEY)

    async with place() as own:
        own.socket.handshake = handshake
        async with listening(own) as found:
            await eventually(lambda: found.feed.lines[0].reason)
            assert 50 < found.feed.lines[0].due - feed.time.monotonic() <= 60
            assert own.socket.connections == 1


async def test_the_next_endpoint_takes_over() -> None:
    async with place() as first, place() as second, listening(first, second) as found, mining(first), mining(second):
        await eventually(lambda: found.feed.active is found.feed.lines[0])
        first.socket.handshake = freeze
        await first.socket.close()
        await eventually(lambda: found.feed.active is found.feed.lines[1])
        assert second.socket.connections == 1


async def test_the_preferred_endpoint_is_tried_and_taken_back_once_it_delivers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "RETURN_EVERY", 0.05)
    async with place() as first, place() as second:
        first.socket.refused["newHeads"] = -32601
        async with listening(first, second) as found, mining(second):
            await eventually(lambda: found.feed.active is found.feed.lines[1])
            before = first.socket.connections
            await eventually(lambda: first.socket.connections > before + 2)
            assert found.feed.active is found.feed.lines[1]
            assert second.socket.connections == 1  # nothing is lost by the trials
            first.socket.refused.clear()
            async with mining(first):
                await eventually(lambda: found.feed.active is found.feed.lines[0])
                await eventually(lambda: not second.socket.open)


async def test_another_chain_at_a_reconnection_is_not_used() -> None:
    async with place() as own, listening(own) as found, mining(own):
        await eventually(lambda: found.feed.active is not None)
        own.socket.answers["eth_chainId"] = "0x1"
        await own.socket.close()
        await eventually(lambda: found.feed.lines[0].reason == "serves another chain")
        heads = len(found.heads())
        await own.mine(3)
        assert len(found.heads()) == heads


async def test_a_connection_that_closes_each_time_is_asked_less_and_less() -> None:
    async with place() as own, listening(own) as found:
        line = found.feed.lines[0]
        for times in range(1, 5):
            await eventually(lambda times=times: found.opened() == times)  # type: ignore[misc]
            await own.mine()
            await eventually(lambda: line.up)
            await own.socket.close()
            await eventually(lambda: not line.up)
        assert line._wait == pytest.approx(0.05 * 2**4)


async def test_a_long_good_time_forgives_old_failures() -> None:
    async with place() as own:
        line = feed.Line(configured(own).endpoints[0])
    for _ in range(20):
        line.failed("x")
    assert line._wait == feed.RETRY_LAST
    line.delivers()
    line._since -= feed.STEADY + 1
    line.failed("x")
    assert line._wait == pytest.approx(2 * feed.RETRY_FIRST)


async def test_a_bug_of_ours_costs_a_connection_and_not_the_feed(caplog: pytest.LogCaptureFixture) -> None:
    async with place() as own, listening(own) as found, mining(own):
        good = found.feed._take

        def broken(_: Message) -> bool:
            found.feed._take = good
            raise KeyError(KEY)

        await eventually(lambda: found.feed.active is not None)
        found.feed._take = broken
        await eventually(lambda: found.opened() == 2)
        await eventually(lambda: found.feed.active is not None)
    ours = [record for record in caplog.records if record.name == "exporter.feed"]
    assert any(record.levelname == "ERROR" for record in ours)
    assert KEY not in repr([record.__dict__ for record in ours])


async def test_endpoints_without_a_websocket_have_no_line() -> None:
    async with place() as own:
        own.ws_url = ""
        assert Listener(own).feed.lines == []
