"""A gateway's end: it knows what the bus keeps before anybody may listen, and shows nothing that nobody vouches for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter.bus import link, relay
from exporter.bus.link import Link
from exporter.bus.names import STATES, Names
from exporter.bus.relay import Relay, Values
from exporter.collectors.bus import Figures
from exporter.live.echo import Echo
from tests.buses import Bus, bus
from tests.running import eventually

NAMES = Names("b")


class Stage:
    """A gateway's hub, and somebody who publishes."""

    def __init__(self, server: Bus) -> None:
        self.server, self.hub, self.figures, self.ready = server, Echo(), Figures(), [False]
        self.relay = Relay(self.hub, NAMES, self.figures, lambda ready: self.ready.append(ready))

    @property
    def trades(self) -> int:
        return self.hub._channels["trades"].stream.seq

    @property
    def prices(self) -> list[str]:
        return [item["price"] for item in self.hub.present("prices").items()]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.relay.run(self.server.url))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def store(self, found: Link, first: int, last: int) -> None:
        await found.make_stream(NAMES.stream, NAMES.all_events, 5)
        kept = await found.last(NAMES.stream, NAMES.event("trades"))
        number = kept.number if kept else 0
        for seq in range(first, last + 1):
            body = {"seq": seq, "ts": 1.0, "place": seq, "run": "r", "items": [{"pair": "P", "n": seq}]}
            number = await found.store(NAMES.stream, NAMES.event("trades"), json.dumps(body).encode(), number)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    with bus(tmp_path) as server:
        yield Stage(server)


def body(run: str, count: int, **more: Any) -> bytes:
    return json.dumps({"run": run, "n": count, **more}).encode()


def every(*values: int) -> dict[str, list[dict[str, Any]]]:
    return {topic: [] for topic in STATES} | {"prices": [item(v) for v in values]}


def item(value: int, **more: Any) -> dict[str, Any]:
    return {"pair": "P", "dex": "d", "pool": f"p{value % 10}", "price": str(value), "ts": 1.0} | more


async def test_it_is_ready_once_it_knows_what_the_bus_keeps(stage: Stage) -> None:
    async with stage.listening(), link.connect(stage.server.url) as found:
        await asyncio.sleep(0.1)
        assert stage.ready[-1] is False  # no exporter has been here yet
        await stage.store(found, 1, 8)
        await eventually(lambda: stage.ready[-1])
        await stage.store(found, 9, 9)
        await eventually(lambda: stage.trades == 9)
        assert stage.figures.up
        session = stage.hub.session
    again = Stage(stage.server)
    async with again.listening():
        await eventually(lambda: again.ready[-1])
        assert (again.trades, again.hub.session) == (9, session)  # any gateway counts alike
        assert len(again.hub._channels["trades"].stream._ring) == 5


async def test_after_a_break_it_goes_on_where_it_was(stage: Stage) -> None:
    async with stage.listening():
        async with link.connect(stage.server.url) as found:
            await stage.store(found, 1, 3)
            await eventually(lambda: stage.trades == 3)
        session = stage.hub.session
        await asyncio.to_thread(stage.server.kill)
        await eventually(lambda: not stage.ready[-1])
        await asyncio.to_thread(stage.server.again)
        async with link.connect(stage.server.url) as found:
            await stage.store(found, 4, 6)
        await eventually(lambda: stage.ready[-1] and stage.trades == 6)
        assert stage.hub.session == session
        assert len(stage.hub._channels["trades"].stream._ring) == 6
        assert stage.figures.connections == 2


async def test_a_bus_that_has_lost_everything_is_another_session(stage: Stage) -> None:
    async with stage.listening():
        async with link.connect(stage.server.url) as found:
            await stage.store(found, 1, 3)
            await eventually(lambda: stage.trades == 3)
            session = stage.hub.session
            await found._api(f"STREAM.DELETE.{NAMES.stream}")
            await stage.store(found, 1, 1)
        await asyncio.to_thread(stage.server.kill)
        await asyncio.to_thread(stage.server.again)
        await eventually(lambda: stage.hub.session != session and stage.trades == 1)


async def test_values_are_those_of_the_exporter_whatever_is_missed(stage: Stage) -> None:
    values = {"run": "a", "n": 1, "all": every(11, 22)}

    async def answer(_: bytes) -> bytes:
        return json.dumps(values).encode()

    async with link.connect(stage.server.url) as found:
        await stage.store(found, 1, 1)
        await found.serve(NAMES.ask, answer, 1)
        async with stage.listening():
            await eventually(lambda: stage.prices == ["11", "22"])
            await found.publish(NAMES.state, body("a", 2, topics={"prices": [item(31), item(22, gone=True)]}))
            await eventually(lambda: stage.prices == ["31"])
            values |= {"n": 4, "all": every(41)}
            await found.publish(NAMES.state, body("a", 4, topics={"prices": [item(41)]}))  # the third was lost
            await eventually(lambda: stage.prices == ["41"])
            await found.publish(NAMES.state, body("a", 3, topics={"prices": [item(99)]}))  # late, and no news
            await found.publish(NAMES.state, body("b", 1, all=every(52)))  # the exporter was started anew
            await eventually(lambda: stage.prices == ["52"])
            assert stage.figures.heard is not None


async def test_nothing_is_shown_that_the_exporter_no_longer_says(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "SILENT", 1.0)
    async with link.connect(stage.server.url) as found:
        await stage.store(found, 1, 1)
        async with stage.listening():
            await eventually(lambda: stage.ready[-1])
            await found.publish(NAMES.state, body("a", 1, all=every(11)))
            await eventually(lambda: stage.prices == ["11"])
            await eventually(lambda: stage.prices == [])
            await found.publish(NAMES.state, body("a", 9, all=every(12)))
            await eventually(lambda: stage.prices == ["12"])


@pytest.mark.parametrize("said", [b"no json", b"[" * 100_000, b"[]", b"{}", b'{"run":"a","n":1,"all":{"prices":[{}]}}'])
async def test_nonsense_on_the_bus_ends_the_connection_and_nothing_else(stage: Stage, said: bytes) -> None:
    async with link.connect(stage.server.url) as found:
        await stage.store(found, 1, 1)
        async with stage.listening():
            await eventually(lambda: stage.ready[-1])
            await found.publish(NAMES.state, said)
            await eventually(lambda: stage.figures.connections == 2)
            await eventually(lambda: stage.ready[-1])


def test_an_answer_that_is_older_than_what_is_known_changes_nothing() -> None:
    hub = Echo()
    values = Values(hub, Figures())
    asyncio.run(_older(values))
    assert [item["price"] for item in hub.present("prices").items()] == ["12"]


async def _older(values: Values) -> None:
    values._take({"run": "a", "n": 2, "all": every(12)})
    values._take({"run": "a", "n": 1, "all": every(11)})
    values._hub._channels["prices"].stream.commit(1.0)
