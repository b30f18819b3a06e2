"""The exporter's end: a connection while one is wanted, found again when it is lost, and quiet about it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.board import Board
from exporter.bus import link, publisher
from exporter.bus.names import Names
from exporter.bus.publisher import Publisher, Wanted, first_of
from exporter.collectors.bus import Figures
from exporter.ledger import Ledger
from exporter.live.hub import Hub
from tests.buses import Bus, bus
from tests.running import eventually

NAMES = Names("b")


class Stage:
    """A publisher and what it is told to want."""

    def __init__(self, ledger: Ledger, server: Bus) -> None:
        self.hub, self.figures, self.server = Hub(), Figures(), server
        self.wanted: Wanted | None = Wanted(server.url, "b")
        self.publisher = Publisher(Board(), ledger, self.hub, self.figures, lambda: self.wanted, self.answer)

    async def answer(self, target: bytes) -> bytes:
        return b"answer to " + target


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(publisher, "LOOK_EVERY", 0.05)
    with bus(tmp_path) as server:
        async with Ledger(tmp_path / "state") as ledger:
            made = Stage(ledger, server)
            task = asyncio.create_task(made.publisher.run())
            yield made
            task.cancel()
            await asyncio.wait((task,))


async def test_events_values_and_answers_go_over_one_connection(stage: Stage) -> None:
    await eventually(lambda: stage.figures.up)
    stage.hub.event("errors", {"n": 1})
    stage.hub.state("gas", (), {"n": 2})
    async with link.connect(stage.server.url) as found:
        assert await found.ask(NAMES.http, b"/api") == b"answer to /api"
        assert json.loads(await found.ask(NAMES.ask))["all"]["gas"] == [{"n": 2}]
        await eventually(lambda: stage.figures.waiting == 0)
        kept = await found.last(NAMES.stream, NAMES.event("errors"))
        assert kept is not None and json.loads(kept.data)["items"] == [{"n": 1}]
    assert stage.figures.connections == 1


async def test_it_comes_back_after_the_bus_was_away(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    await eventually(lambda: stage.figures.up)
    await asyncio.to_thread(stage.server.kill)
    await eventually(lambda: not stage.figures.up)
    stage.hub.event("errors", {"n": 1})
    await asyncio.sleep(0.5)
    await asyncio.to_thread(stage.server.again)
    await eventually(lambda: stage.figures.up and stage.figures.waiting == 0)
    said = [record.getMessage() for record in caplog.records if "the bus" in record.getMessage()]
    assert said.count("the bus fails") == 1


@pytest.mark.parametrize("said", [b"no json", b"[" * 100_000, b"[]", b"{}", b'{"ledger":1,"trade":"x"}'])
async def test_nonsense_that_the_bus_keeps_is_nothing_to_fall_over(stage: Stage, said: bytes) -> None:
    stage.hub.event("errors", {"n": 1})
    await eventually(lambda: stage.figures.messages["published"] and not stage.figures.waiting)
    async with link.connect(stage.server.url) as found:
        right = await found.last(NAMES.stream, NAMES.cursor)
        assert right is not None
        wrong = await found.store(NAMES.stream, NAMES.cursor, said, right.number)
        stage.wanted = None
        await eventually(lambda: not stage.figures.up)
        before, stage.wanted = stage.figures.connections, Wanted(stage.server.url, "b")
        await eventually(lambda: stage.figures.connections > before + 1)  # it fell out, and tries again
        await found.store(NAMES.stream, NAMES.cursor, right.data, wrong)
        stage.hub.event("errors", {"n": 2})
        await eventually(lambda: stage.figures.up and not stage.figures.waiting)


async def test_settings_that_no_longer_want_it_end_it(stage: Stage) -> None:
    await eventually(lambda: stage.figures.up)
    stage.wanted = None
    await eventually(lambda: not stage.figures.up)
    stage.hub.event("errors", {"n": 1})
    await eventually(lambda: not stage.publisher._outbox.wanted)
    stage.wanted = Wanted(stage.server.url, "other")
    await eventually(lambda: stage.figures.up)
    stage.hub.event("errors", {"n": 2})
    await eventually(lambda: not stage.figures.waiting)
    async with link.connect(stage.server.url) as found:
        await eventually(lambda: stage.figures.connections == 2)
        assert (await found.stream(Names("other").stream))["config"]["name"] == Names("other").stream


async def test_the_first_end_ends_all_and_its_error_is_told() -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("waiting")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError

    with pytest.raises(ValueError):
        await first_of(wait(), fail())
    assert ended == ["waiting"]
