"""A bad network: between the exporter and its node, and between the exporter and a listener of the live feed."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests import bank
from tests.e2e.test_kill import total
from tests.faults.proxy import Weather, between
from tests.faults.stage import Stage, playing
from tests.faults.test_clock import Watched
from tests.live.listening import Listener
from tests.running import eventually, running, until
from tests.tiers import FULL

SECONDS = 6.0 if FULL else 2.0
ROUNDS = 5 if FULL else 1
PROMISE = 2.0
SLACK = 20.0
"""Seconds that a busy machine may take for one of them; the promise is for the middle one."""

WEATHERS: dict[str, Callable[[Weather], None]] = {
    "200 ms": lambda weather: setattr(weather, "latency", 0.2),
    "reset after 700 bytes": lambda weather: setattr(weather, "reset_after", 700),
    "bytes one by one": lambda weather: setattr(weather, "slices", 1),
    "silence": lambda weather: setattr(weather, "silent", True),
}
BEARABLE = ("200 ms", "bytes one by one")
"""In these everything goes on, only later."""


def test_a_bad_network_before_the_node_costs_time_and_no_count(tmp_path: Path) -> None:
    with playing(tmp_path, weather=True) as stage:
        watched, healed = Watched(stage), dict[str, list[float]]()
        stage.act()
        until(watched.fresh, 60, stage.exporter)
        for name in list(WEATHERS) * ROUNDS:
            WEATHERS[name](stage.proxy.weather)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                stage.act()
                watched.scrape()
                time.sleep(0.1)
            if name in BEARABLE:
                print(f"{name}: {fresh(stage):.2f} s to a fresh price")
            stage.proxy.weather.clear()
            healed.setdefault(name, []).append(fresh(stage))
            until(watched.fresh, 60, stage.exporter)
        print({name: [round(seconds, 2) for seconds in times] for name, times in healed.items()})
        assert statistics.median(time for times in healed.values() for time in times) <= PROMISE
        for _ in range(stage.own.world.depth + 3):
            stage.own.mine(1, empty=True)
        until(lambda: watched.all_counted() and len(set(stage.transactions())) == 1, 60, stage.exporter)
        print(f"{stage.proxy.connections} connections, {stage.proxy.resets} resets, {watched.scrapes} scrapes, "
              f"{stage.transactions()[1]} transactions: difference 0")  # fmt: skip
        assert stage.transactions()[1] > 10
        assert stage.proxy.resets > 0
        assert stage.exporter.stop() == 0
        assert "Traceback" not in stage.exporter.stderr.read_text()


def fresh(stage: Stage) -> float:
    """Seconds from a new price of the pool until it is shown."""
    stage.move()
    began = time.monotonic()
    while not stage.shows_price():
        assert time.monotonic() - began < SLACK, "it is not shown"
        time.sleep(0.01)
    return time.monotonic() - began


async def listen(url: str, listener: Listener) -> None:
    """Hear the trades; whenever the connection is lost go on after what was heard last."""
    wish: dict[str, object] = {"op": "subscribe", "topics": ["trades"]}
    while True:
        with suppress(OSError, WebSocketException, TimeoutError):
            async with connect(url, open_timeout=5, ping_interval=None) as client:
                hello = json.loads(await client.recv())
                if "trades" in listener.last:
                    wish |= {"since": dict(listener.last), "session": hello["session"]}
                await client.send(json.dumps(wish))
                while True:
                    listener.hear(json.loads(await client.recv()))
        await asyncio.sleep(0.1)


async def test_a_listener_behind_a_bad_network_hears_every_trade_once(tmp_path: Path) -> None:
    own, rng, listener = bank.Bank(tmp_path / "bank"), random.Random(3), Listener()
    settings = {"bot": {"name": "b", "memory_bank": str(tmp_path / "bank")}, "state": str(tmp_path / "state")}
    made = 0

    def put(count: int) -> None:
        nonlocal made
        for _ in range(count):
            made += 1
            own.put(bank.FIRST_EPOCH + made, bank.trade(rng))

    put(1)
    with running(settings, tmp_path) as exporter, between(exporter.port) as proxy:
        until(lambda: total(exporter.samples(), "memory_bank") == 1, 30, exporter)
        listening = asyncio.create_task(listen(f"ws://127.0.0.1:{proxy.port}/ws", listener))
        await eventually(lambda: "trades" in listener.shown)
        for name in list(WEATHERS) * ROUNDS:
            WEATHERS[name](proxy.weather)
            for _ in range(int(SECONDS)):
                put(3)
                await asyncio.sleep(1)
            proxy.weather.clear()
            put(1)
            began = time.monotonic()
            await eventually(lambda: len(heard(listener)) >= made - 1)  # what was there before it came is no news
            print(f"{name}: all heard {time.monotonic() - began:.2f} s after it was over")
        listening.cancel()
        assert proxy.resets > 0
        assert exporter.stop() == 0
    assert len(heard(listener)) == len(set(heard(listener))) == made - 1
    print(f"{proxy.connections} connections, {proxy.resets} resets, {made} trades: difference 0")


def heard(listener: Listener) -> list[str]:
    """The trades it was told, in all its connections; nothing was lost between them."""
    assert not any(message["data"] for message in listener.messages if message["type"] == "snapshot")
    assert "gap" not in {message["type"] for message in listener.messages}
    return [trade["tx_hash"] for message in listener.messages if message["type"] == "update"
            for trade in message["data"]]  # fmt: skip
