"""From the board and a real ledger to the topics: at once, once, in order, and nothing that is not new."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.board import Board
from exporter.books import Writer
from exporter.collectors import host, logs, prices, rpc
from exporter.ledger import Ledger
from exporter.live import feeds, shapes
from exporter.live.feeds import Feeds
from exporter.live.hub import Hub
from exporter.sources.memory_bank import Batch
from tests.golden.examples import EXAMPLES
from tests.live.test_shapes import BY_NAME, READ, Clock
from tests.running import eventually
from tests.test_history import opportunity, trade

type Told = list[tuple[str, Any, Any]]


class Recorder:
    """Takes note of everything that the hub would be told."""

    def __init__(self) -> None:
        self.told: Told = []
        self.learned: list[float | None] = []

    def states(self, topic: str, items: Any, learned: float | None = None) -> None:
        self.told += [(topic, key, value) for key, value in items]
        self.learned.append(learned)

    def event(self, topic: str, value: Any, learned: float | None = None) -> None:
        self.told.append((topic, None, value))

    def take(self) -> Told:
        taken, self.told = self.told, []
        return taken

    def of(self, topic: str) -> list[Any]:
        return [value for name, _, value in self.told if name == topic]


class Scene:
    """A board, a ledger and the feeds between them and a recorder."""

    def __init__(self, ledger: Ledger) -> None:
        self.clock, self.hub, self.ledger, self.bot = Clock(), Recorder(), ledger, "b"
        self.board = Board(clock=lambda: READ, monotonic=self.clock)
        self.feeds = Feeds(self.board, ledger, self.hub, lambda: self.bot)

    def show(self, name: str, snapshot: Any = None) -> None:
        if name not in self.board.states:
            self.board.declare(name, BY_NAME[name].max_age)
        self.board.publish(BY_NAME[name], EXAMPLES[name] if snapshot is None else snapshot, 0.0)

    async def put(self, *things: Any, source: str = "memory_bank", bot: str = "b", complete: bool = False) -> None:
        batch = Batch(
            source,
            trades=[t for t in things if hasattr(t, "outcome")],
            opportunities=[t for t in things if not hasattr(t, "outcome")],
            complete=complete,
        )
        await self.ledger.write(lambda db: Writer(db, bot, source, 100, READ).put(batch, ()))
        self.show("host")  # any read of any collector makes the feeds look


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with Ledger(tmp_path) as ledger:
        yield Scene(ledger)


@asynccontextmanager
async def running(scene: Scene) -> AsyncIterator[None]:
    """The feeds' tasks, after their first look at the ledger."""
    task = asyncio.create_task(scene.feeds.run())
    await eventually(lambda: scene.feeds._read >= 0)
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# --- the board -----------------------------------------------------------------------------------------------------


async def test_a_price_goes_out_in_the_turn_in_which_it_is_put_up(scene: Scene) -> None:
    scene.show("prices")
    told = scene.hub.take()
    assert [topic for topic, _, _ in told] == ["prices"] * len(EXAMPLES["prices"].states)
    assert told[0][1] == ("WETH/USDC", "aerodrome", "aerodrome-3000")
    assert told[0][2]["price"] == "3000"
    assert scene.hub.learned == [min(value["ts"] for _, _, value in told)]


def moved(snapshot: prices.Snapshot, place: int) -> prices.Snapshot:
    state = snapshot.states[place]
    assert state.reading.price is not None
    states = list(snapshot.states)
    states[place] = replace(state, reading=replace(state.reading, price=state.reading.price * 2))
    return replace(snapshot, states=tuple(states))


async def test_only_what_changed_is_said_again(scene: Scene) -> None:
    scene.show("prices")
    scene.hub.take()
    scene.show("prices")
    scene.show("prices", replace(EXAMPLES["prices"]))
    assert scene.hub.take() == []
    scene.show("prices", moved(EXAMPLES["prices"], 1))
    assert [(key[2], value["price"]) for _, key, value in scene.hub.take()] == [("baseswap-3000", "6060")]


async def test_a_pool_that_vanished_is_gone_once(scene: Scene) -> None:
    scene.show("prices")
    scene.hub.take()
    first, _, *rest = EXAMPLES["prices"].states
    without = replace(EXAMPLES["prices"], states=(first, *rest))
    scene.show("prices", without)
    scene.show("prices", replace(without))
    assert scene.hub.take() == [("prices", ("WETH/USDC", "baseswap", "baseswap-3000"), None)]


async def test_the_system_is_said_at_every_look_also_when_it_is_the_same(scene: Scene) -> None:
    for _ in range(3):
        scene.show("host")
    assert [topic for topic, _, _ in scene.hub.take()] == ["system"] * 3


async def test_the_head_and_the_fees_are_one_item(scene: Scene) -> None:
    scene.show("gas")
    scene.show("chain")
    first, second = (value for _, _, value in scene.hub.take())
    assert (first["head_block"], second["head_block"]) == (None, 30_000_000)


async def test_what_grows_too_old_is_taken_back_and_comes_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "SWEEP", 0.01)
    scene.show("prices")
    told = scene.hub.take()
    async with running(scene):
        scene.clock.now += BY_NAME["prices"].max_age + 1
        await eventually(lambda: len(scene.hub.told) == len(told))
        assert scene.hub.take() == [(topic, key, None) for topic, key, _ in told]
        scene.show("prices")  # the same snapshot, read anew
        assert scene.hub.take() == told


async def test_a_collector_that_is_retired_takes_its_items_along(scene: Scene) -> None:
    scene.show("storage")
    scene.hub.take()
    scene.board.retire("storage")
    assert sorted(scene.hub.take()) == [("storage", ("analytics",), None), ("storage", ("backups",), None)]


async def test_a_fault_of_ours_is_said_once_and_costs_the_collector_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(board: Board) -> shapes.Items:
        raise ValueError("a secret text")

    monkeypatch.setattr(feeds, "TOPICS", {**feeds.TOPICS, "prices": broken})
    scene.show("prices")
    scene.show("prices", replace(EXAMPLES["prices"]))
    assert scene.board.states["prices"].success is True
    assert [record.getMessage() for record in caplog.records] == ["news cannot be passed on"]
    assert "secret" not in caplog.text


async def test_the_hub_takes_all_that_the_feeds_say(tmp_path: Path) -> None:
    """The real hub: keys that fit, values that JSON can hold."""
    hub, board, said = Hub(), Board(clock=lambda: READ), []
    for topic in feeds.TOPICS:
        hub.tap(topic, lambda items, topic=topic: said.append((topic, items)))  # type: ignore[misc]
    async with Ledger(tmp_path) as ledger:
        feeds_ = Feeds(board, ledger, hub, lambda: "b")
        for name, snapshot in EXAMPLES.items():
            board.declare(name, BY_NAME[name].max_age)
            board.publish(BY_NAME[name], snapshot, 0.0)
        assert {topic for topic, _ in said} == set(feeds.TOPICS)
        assert feeds_._broken == set()
    await hub.close()


# --- troubles ------------------------------------------------------------------------------------------------------


def troubles(scene: Scene) -> list[dict[str, Any]]:
    found = scene.hub.of("errors")
    scene.hub.take()
    assert all(item.pop("time") > 1.7e9 for item in found)
    return found


async def test_a_collector_that_fails_and_works_again_is_said_once_each(scene: Scene) -> None:
    scene.show("host")
    assert troubles(scene) == []
    for _ in range(3):
        scene.board.fail("host", TimeoutError("a secret text"), 1.0)
    scene.show("host")
    scene.show("host")
    assert troubles(scene) == [
        {"kind": "collector", "name": "host", "state": "failing", "message": "timed out"},
        {"kind": "collector", "name": "host", "state": "recovered", "message": None},
    ]


async def test_an_endpoint_that_goes_down_and_comes_back(scene: Scene) -> None:
    scene.show("rpc")  # of its endpoints one is down from the start
    up = [replace(e, up=True) for e in EXAMPLES["rpc"].endpoints]
    scene.show("rpc", rpc.Snapshot(tuple(up)))
    scene.show("rpc", rpc.Snapshot((replace(up[0], up=False), up[1])))
    assert [(item["name"], item["state"]) for item in troubles(scene)] == [
        ("public", "failing"),
        ("public", "recovered"),
        ("primary", "failing"),
    ]


async def test_new_errors_in_a_log_are_counted_and_old_ones_are_not(scene: Scene) -> None:
    (state,) = EXAMPLES["logs"].logs
    scene.show("logs", logs.Snapshot("default", (replace(state, levels=None),)))
    scene.show("logs")
    assert troubles(scene) == []
    scene.show("logs", logs.Snapshot("default", (replace(state, levels={**state.levels, "error": 5, "critical": 1}),)))
    assert troubles(scene) == [
        {"kind": "log", "name": "arbitrage", "level": "error", "count": 2},
        {"kind": "log", "name": "arbitrage", "level": "critical", "count": 1},
    ]


# --- the ledger ----------------------------------------------------------------------------------------------------


async def test_history_is_no_news_and_what_follows_is_told_once_in_order(scene: Scene) -> None:
    await scene.put(*(trade(n) for n in range(5)))
    async with running(scene):
        await scene.put(*(trade(n) for n in range(5, 900)), opportunity("o"))
        await scene.put(trade(900), complete=True)
        await eventually(lambda: scene.feeds._place.complete)
        await scene.put(trade(901), opportunity("p"), trade(902))
        await scene.put(trade(901), trade(903))
        await eventually(lambda: len(scene.hub.of("trades")) >= 3)
        await scene.put(trade(0), source="recent", complete=True)
        await scene.put(trade(904))
        await eventually(lambda: len(scene.hub.of("trades")) >= 4)
    assert [item["id"] for item in scene.hub.of("trades")] == [902, 903, 904, 906]
    assert [item["id"] for item in scene.hub.of("opportunities")] == [2]


async def test_every_trade_is_told_once_however_writes_and_looks_fall(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "AT_ONCE", 7)
    await scene.put(complete=True)
    rng = random.Random(8)
    async with running(scene):
        for start in range(0, 400, 20):
            await scene.put(*(trade(n) for n in range(start, start + 20)))
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
        await eventually(lambda: len(scene.hub.of("trades")) >= 400)
        await eventually(lambda: scene.feeds._read == scene.ledger.version)
    assert [item["id"] for item in scene.hub.of("trades")] == list(range(1, 401))


async def test_trades_are_told_only_after_they_are_durable(scene: Scene, tmp_path: Path) -> None:
    await scene.put(complete=True)
    async with running(scene):
        with pytest.raises(RuntimeError):
            await scene.ledger.write(_put_and_fail)
        await scene.put(trade(2))
        await eventually(lambda: scene.hub.of("trades"))
    assert [item["net_profit_eth"] for item in scene.hub.of("trades")] == ["1.000000000000000002"]


def _put_and_fail(db: Any) -> None:
    Writer(db, "b", "memory_bank", 100, READ).put(Batch("memory_bank", trades=[trade(1)]), ())
    raise RuntimeError


async def test_another_bot_begins_where_its_history_ends(scene: Scene) -> None:
    await scene.put(complete=True)
    await scene.put(trade(1), bot="c", complete=True)
    async with running(scene):
        scene.bot = "c"
        await scene.put(trade(1))
        await eventually(lambda: scene.feeds._read == scene.ledger.version)
        await scene.put(trade(2), bot="c")
        await eventually(lambda: scene.hub.of("trades"))
    assert [item["id"] for item in scene.hub.of("trades")] == [3]


async def test_a_ledger_that_cannot_be_read_for_a_while_costs_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feeds, "RETRY", 0.01)
    await scene.put(complete=True)
    async with running(scene):
        failed, real = asyncio.Event(), scene.ledger.read

        async def read(query: Any) -> Any:
            failed.set()
            raise OSError(5, "a secret text")

        monkeypatch.setattr(scene.ledger, "read", read)
        await scene.put(trade(1))
        await failed.wait()
        monkeypatch.setattr(scene.ledger, "read", real)
        await eventually(lambda: scene.hub.of("trades"))
    assert [item["id"] for item in scene.hub.of("trades")] == [1]
    assert [record.getMessage() for record in caplog.records] == ["news cannot be passed on"]
    assert "secret" not in caplog.text


async def test_what_was_told_before_the_ledger_failed_is_not_told_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "RETRY", 0.01)
    monkeypatch.setattr(feeds, "AT_ONCE", 3)
    await scene.put(complete=True)
    async with running(scene):
        reads, real = 0, scene.ledger.read

        async def read(query: Any) -> Any:
            nonlocal reads
            reads += 1
            if reads % 2 == 0:
                raise OSError(5, "x")
            return await real(query)

        monkeypatch.setattr(scene.ledger, "read", read)
        await scene.put(*(trade(n) for n in range(20)))
        await eventually(lambda: len(scene.hub.of("trades")) >= 20)
    assert [item["id"] for item in scene.hub.of("trades")] == list(range(1, 21))


async def test_the_host_is_looked_at_every_second() -> None:
    """Which is how `system` comes every second."""
    opened = host.COLLECTOR.open(type("Sources", (), {"worker": lambda self, name: None})())  # type: ignore[arg-type]
    assert getattr(opened, "every", None) == 1.0
    assert feeds.FEEDS["host"] == ("system",)
