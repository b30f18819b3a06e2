"""Events on their way: each once and in order, whatever is lost between the ledger and the bus."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from exporter.board import Board
from exporter.bus import link, outbox
from exporter.bus.link import Broken, Conflict, Heard, Link
from exporter.bus.names import Names
from exporter.bus.outbox import Cursor, Outbox
from exporter.collectors.bus import Figures
from exporter.history import Place
from exporter.ledger import Ledger
from exporter.live.hub import Hub
from tests.buses import Bus, bus
from tests.running import eventually

NAMES = Names("b")
TRADE = (
    "INSERT INTO trade (bot, source, key, digest, pair, dex_buy, dex_sell, outcome, net_wei, tx_hash)"
    " VALUES ('b', 'memory_bank', ?, 'd', 'WETH/USDC', 'a', 'c', 'success', '1', ?)"
)
COMPLETE = "INSERT OR REPLACE INTO source (bot, source, first_read) VALUES ('b', 'memory_bank', 1)"


class Stage:
    """A ledger, a hub, and the outbox of one run."""

    def __init__(self, ledger: Ledger, server: Bus) -> None:
        self.ledger, self.server = ledger, server
        self.board, self.hub, self.figures = Board(), Hub(), Figures()
        self.anew()

    def anew(self) -> None:
        """Another run."""
        self.outbox = Outbox(self.board, self.ledger, self.hub, self.figures)
        self.outbox.wanted = True

    async def trade(self, *numbers: int) -> None:
        def put(db: sqlite3.Connection) -> None:
            for number in numbers:
                db.execute(TRADE, (f"k{number}", f"0x{number}"))

        await self.ledger.write(put)
        self.outbox._heard("trades")

    async def complete(self) -> None:
        await self.ledger.write(lambda db: db.execute(COMPLETE))

    @asynccontextmanager
    async def working(
        self, break_link: Callable[[Link], Link] = lambda found: found
    ) -> AsyncIterator[asyncio.Task[None]]:
        async with link.connect(self.server.url) as found:
            task = asyncio.create_task(self.outbox.run(break_link(found), NAMES))
            try:
                yield task
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError, Broken, Conflict):
                    await task

    async def kept(self) -> list[tuple[str, dict[str, Any]]]:
        """Everything that the bus has, but how far the ledger was read."""
        heard: list[Heard] = []
        async with link.connect(self.server.url) as found:
            await found.make_stream(NAMES.stream, NAMES.all_events, 10)
            await found.replay(NAMES.stream, 1, heard.append)
            last = (await found.stream(NAMES.stream))["state"]["last_seq"]
            await eventually(lambda: not last or (heard and heard[-1].number == last))
        return [(h.subject.rpartition(".")[2], json.loads(h.data)) for h in heard if h.subject != NAMES.cursor]

    async def hashes(self) -> list[str]:
        """The trades on the bus, whose numbers have no holes."""
        found = [message for topic, message in await self.kept() if topic == "trades"]
        assert [message["seq"] for message in found] == list(range(1, len(found) + 1))
        return [item["tx_hash"] for message in found for item in message["items"]]

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(20):
            while len(found := await self.hashes()) < count:  # noqa: ASYNC110  another process knows
                await asyncio.sleep(0.02)
        return found


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    with bus(tmp_path) as server:
        async with Ledger(tmp_path / "state") as ledger:
            yield Stage(ledger, server)


async def test_what_was_there_before_the_bus_is_history_and_what_comes_is_news(stage: Stage) -> None:
    await stage.complete()
    await stage.trade(1)
    async with stage.working():
        await eventually(lambda: stage.outbox._started)
        await stage.trade(2)
        await stage.trade(3, 4)
        assert await stage.until(3) == ["0x2", "0x3", "0x4"]


async def test_another_run_goes_on_where_the_bus_says(stage: Stage) -> None:
    await stage.complete()
    async with stage.working():
        await eventually(lambda: stage.outbox._started)
        await stage.trade(1)
        await stage.until(1)
    await stage.trade(2, 3)  # while nobody publishes
    stage.anew()
    async with stage.working():
        assert await stage.until(3) == ["0x1", "0x2", "0x3"]


async def test_a_bus_that_falls_away_takes_everything_later(stage: Stage) -> None:
    await stage.complete()
    async with stage.working() as task:
        await eventually(lambda: stage.outbox._started)
        await stage.trade(1)
        await stage.until(1)
        await asyncio.to_thread(stage.server.kill)
        await stage.trade(2, 3)
        with pytest.raises(Broken):
            await asyncio.wait_for(task, 20)
    await asyncio.to_thread(stage.server.again)
    async with stage.working():
        assert await stage.until(3) == ["0x1", "0x2", "0x3"]


class Deaf(Link):
    """Stores, and never hears that it has."""

    def __init__(self, found: Link) -> None:
        super().__init__(found._client, found._lost)

    async def store(self, stream: str, subject: str, data: bytes, after: int) -> int:
        number = await super().store(stream, subject, data, after)
        if subject == NAMES.event("trades"):
            raise Broken("the answer was lost")
        return number


async def test_an_answer_that_is_lost_doubles_nothing(stage: Stage) -> None:
    await stage.complete()
    async with stage.working():
        await eventually(lambda: stage.outbox._started)
        await stage.trade(1)
        await stage.until(1)
    await stage.trade(2)
    async with stage.working(Deaf) as task:
        with pytest.raises(Broken):
            await asyncio.wait_for(task, 20)
    async with stage.working():
        await stage.trade(3)
        assert await stage.until(3) == ["0x1", "0x2", "0x3"]


async def test_a_first_read_is_no_news(stage: Stage) -> None:
    async with stage.working():
        await eventually(lambda: stage.outbox._started)
        await stage.trade(*range(1, 6))
        await stage.complete()
        stage.outbox._heard("trades")
        async with asyncio.timeout(20):
            while (found := await cursor(stage)).place.complete != {"memory_bank"}:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert found.place.trade == 5
        await stage.trade(6)
        assert await stage.until(1) == ["0x6"]


async def cursor(stage: Stage) -> Cursor:
    async with link.connect(stage.server.url) as found:
        kept = await found.last(NAMES.stream, NAMES.cursor)
    return Cursor.read(kept.data) if kept else Cursor(0, Place())


async def test_a_ledger_that_is_another_begins_at_its_present(stage: Stage, tmp_path: Path) -> None:
    await stage.complete()
    async with stage.working():
        await eventually(lambda: stage.outbox._started)
        await stage.trade(1, 2, 3)
        await stage.until(3)
    async with Ledger(tmp_path / "other") as ledger:
        stage.ledger = ledger
        await stage.complete()
        stage.anew()
        await stage.trade(*range(11, 21))
        async with stage.working():
            await eventually(lambda: stage.outbox._started)
            await stage.trade(21)
            assert await stage.until(4) == ["0x1", "0x2", "0x3", "0x21"]


async def test_errors_and_alerts_wait_for_the_bus_in_bounds(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST_WAITING", 3)
    for number in range(5):
        stage.hub.event("errors", {"n": number})
    assert (stage.figures.waiting, stage.figures.dropped) == (3, 2)
    async with stage.working():
        await eventually(lambda: stage.figures.waiting == 0)
        stage.hub.event("alerts", {"n": 9})
        await eventually(lambda: stage.figures.messages["published"] == 2)
    told = [(topic, [item["n"] for item in message["items"]]) for topic, message in await stage.kept()]
    assert told == [("errors", [2, 3, 4]), ("alerts", [9])]


async def test_two_exporters_for_one_bot_do_not_mix(stage: Stage) -> None:
    await stage.complete()
    async with stage.working() as task:
        await eventually(lambda: stage.outbox._started)
        await stage.trade(1)
        await stage.until(1)
        async with link.connect(stage.server.url) as found:
            last = await found.last(NAMES.stream, NAMES.event("trades"))
            assert last is not None
            await found.store(
                NAMES.stream, NAMES.event("trades"), last.data.replace(b'"seq":1', b'"seq":2'), last.number
            )
        await stage.trade(2)
        with pytest.raises(Conflict):
            await asyncio.wait_for(task, 20)


async def test_nothing_is_gathered_while_no_bus_is_wanted(stage: Stage) -> None:
    stage.outbox.wanted = False
    stage.hub.event("errors", {"n": 1})
    assert stage.figures.waiting == 0
