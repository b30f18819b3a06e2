"""Newest values on the bus: everything at first and to whoever asks, then changes, of each key the newest only."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from exporter.bus import link, states
from exporter.bus.link import Link
from exporter.bus.names import STATES, Names
from exporter.bus.states import States
from exporter.collectors.bus import Figures
from exporter.live.hub import Hub
from tests.buses import bus
from tests.running import eventually

NAMES = Names("b")


def price(hub: Hub, pool: str, value: int | None) -> None:
    item = {"pair": "P", "dex": "d", "pool": pool, "price": str(value)}
    hub.state("prices", ("P", "d", pool), None if value is None else item)


async def test_everything_then_changes_and_signs_of_life(tmp_path: Path) -> None:
    hub, heard = Hub(), list[dict[str, Any]]()
    told = States(hub, Figures())
    told.wanted = True
    with bus(tmp_path) as server:
        async with link.connect(server.url) as mine, link.connect(server.url) as other:
            await other.listen(NAMES.state, lambda said: heard.append(json.loads(said.data)))
            price(hub, "p", 1)
            task = asyncio.create_task(told.run(mine, NAMES))
            await eventually(lambda: heard)
            assert set(heard[0]["all"]) == set(STATES)
            assert [item["price"] for item in heard[0]["all"]["prices"]] == ["1"]
            price(hub, "p", 2)
            price(hub, "q", 3)
            await eventually(lambda: len(prices(heard)) == 2)
            price(hub, "p", None)
            await eventually(lambda: prices(heard)[-1].get("gone"))
            count = len(heard)
            await eventually(lambda: len(heard) > count)  # although nothing is new
            assert [message["n"] for message in heard] == list(range(1, len(heard) + 1))
            assert len({message["run"] for message in heard}) == 1
            every = json.loads(await other.ask(NAMES.ask))
            assert [item["pool"] for item in every["all"]["prices"]] == ["q"]
            assert every["n"] >= count
            task.cancel()
            await asyncio.wait((task,))


def prices(heard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for message in heard for item in message.get("topics", {}).get("prices", [])]


class Slow(Link):
    """Takes one message, and the next when it is told."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.go = asyncio.Event()

    async def serve(self, *_: Any, **__: Any) -> None:
        """Nobody asks."""

    async def publish(self, subject: str, data: bytes) -> None:
        await self.go.wait()
        self.said.append(json.loads(data))


async def test_a_slow_bus_gets_the_newest_of_each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "BEAT", 60)
    hub, slow = Hub(), Slow()
    told = States(hub, Figures())
    told.wanted = True
    task = asyncio.create_task(told.run(slow, NAMES))
    await asyncio.sleep(0)
    for value in range(200):
        price(hub, "p", value)
    await asyncio.sleep(0.1)  # the hub gathers a flood
    slow.go.set()
    await eventually(lambda: prices(slow.said))
    assert [item["price"] for item in prices(slow.said)] == ["199"]
    task.cancel()
    await asyncio.wait((task,))


def test_nothing_is_gathered_while_no_bus_is_wanted() -> None:
    hub = Hub()
    told = States(hub, Figures())
    told._take("prices", [{"pair": "P", "dex": "d", "pool": "p"}])
    assert not told._news()
