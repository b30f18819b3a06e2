"""A connection to a real NATS server: what is stored, replayed and asked, and how its end is noticed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.bus import link
from exporter.bus.link import Broken, Conflict, Heard, Missing, Silent, Stored
from tests.buses import Bus, bus
from tests.running import eventually, free_port

STREAM, SUBJECT = "arb-x", "arb.x.event.trades"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Bus]:
    with bus(tmp_path) as started:
        yield started


async def test_a_message_is_kept_if_it_follows_the_newest(server: Bus) -> None:
    async with link.connect(server.url) as found:
        await found.make_stream(STREAM, "arb.x.event.*", 10)
        assert await found.last(STREAM, SUBJECT) is None
        assert await found.store(STREAM, SUBJECT, b"1", after=0) == 1
        with pytest.raises(Conflict):
            await found.store(STREAM, SUBJECT, b"2", after=0)
        assert await found.last(STREAM, SUBJECT) == Stored(1, b"1")
        assert await found.store(STREAM, "arb.x.event.alerts", b"a", after=0) == 2
        assert await found.store(STREAM, SUBJECT, b"2", after=1) == 3


async def test_a_stream_that_is_there_stays_as_it_is_and_keeps_the_newest_of_each_subject(server: Bus) -> None:
    async with link.connect(server.url) as found:
        await found.make_stream(STREAM, "arb.x.event.*", 2)
        await found.make_stream(STREAM, "arb.x.event.*", 5)
        number = 0
        for text in (b"1", b"2", b"3"):
            number = await found.store(STREAM, SUBJECT, text, after=number)
        state = (await found.stream(STREAM))["state"]
        assert (state["messages"], state["last_seq"]) == (2, 3)


async def test_a_replay_begins_where_it_is_told_and_goes_on(server: Bus) -> None:
    heard: list[Heard] = []
    async with link.connect(server.url) as found:
        await found.make_stream(STREAM, "arb.x.event.*", 10)
        for number in range(3):
            await found.store(STREAM, SUBJECT, b"%d" % number, after=number)
        alive = await found.replay(STREAM, 2, heard.append)
        await eventually(lambda: len(heard) == 2)
        await found.store(STREAM, SUBJECT, b"3", after=3)
        await eventually(lambda: len(heard) == 3)
        assert heard == [Heard(SUBJECT, b"%d" % n, n + 1) for n in (1, 2, 3)]
        alive.clear()
        await asyncio.wait_for(alive.wait(), 20)  # although nothing is new
        assert len(heard) == 3


async def test_whoever_listens_hears_and_whoever_asks_is_answered(server: Bus) -> None:
    heard: list[Heard] = []

    async def answer(question: bytes) -> bytes:
        return question[::-1]

    async with link.connect(server.url) as one, link.connect(server.url) as other:
        await one.listen("arb.x.state", heard.append)
        await one.serve("arb.x.ask", answer, at_once=2)
        assert await one.ask("arb.x.ask", b"ab") == b"ba"
        assert [await other.ask("arb.x.ask", b"%d1" % n) for n in range(3)] == [b"10", b"11", b"12"]
        await other.publish("arb.x.state", b"news")
        await eventually(lambda: heard == [Heard("arb.x.state", b"news")])
        with pytest.raises(Silent):
            await other.ask("arb.x.nobody")


async def test_what_is_not_there_is_said(server: Bus) -> None:
    async with link.connect(server.url) as found:
        with pytest.raises(Missing):
            await found.stream("none")
        with pytest.raises(Missing):
            await found.replay("none", 1, lambda _: None)


async def test_the_end_of_a_connection_is_noticed(server: Bus) -> None:
    async with link.connect(server.url) as found:
        server.kill()
        with pytest.raises(Broken, match="lost"):
            await asyncio.wait_for(found.lost(), 20)
        with pytest.raises(Broken):
            await found.ask("arb.x.ask")
    server.again()


@pytest.mark.parametrize("password", ["wrong", "right"])
async def test_credentials_are_sent_and_never_said(tmp_path: Path, password: str) -> None:
    with bus(tmp_path, password="right") as guarded:
        url = guarded.url.replace("right", password)
        try:
            async with link.connect(url) as found:
                await found.make_stream(STREAM, "arb.x.event.*", 1)
        except Broken as broken:
            assert password == "wrong"
            assert "wrong" not in str(broken)
        else:
            assert password == "right"


async def test_nobody_there_is_an_error_of_ours() -> None:
    with pytest.raises(Broken):
        async with link.connect(f"nats://127.0.0.1:{free_port()}"):
            pass
