"""Gateways, the exporter behind them and the bus between are killed at any moment: no trade is lost or doubled."""

import asyncio
import json
import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect

from tests import bank
from tests.buses import Bus, bus
from tests.running import Gateway, Running, until

FULL = os.environ.get("ARB_PROOFS") == "full"
KILLS = 100 if FULL else 8
PAIR = "WETH/USDC"


class Bot:
    """Writes trades without pause."""

    def __init__(self, path: Path) -> None:
        self.bank, self.rng = bank.Bank(path), random.Random(9)
        self.written: dict[str, str] = {}
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        epoch = bank.FIRST_EPOCH
        while not self.stop.is_set():
            record, epoch = bank.trade(self.rng), epoch + 1
            bank.write_renamed(self.bank.trades / f"trade_{epoch}.json", json.dumps(record).encode())
            self.written[record["tx_hash"]] = bank.PAIRS[record["opportunity"]["token_pair"]]
            time.sleep(0.03)


class Fleet:
    """An exporter and two gateways, each of which may be another process a moment later."""

    def __init__(self, folder: Path, server: Bus) -> None:
        self.folder, self.server = folder, server
        self.settings = {
            "bot": {"name": "a.b_c", "memory_bank": str(folder / "bank")},
            "state": str(folder / "ledger"),
            "live": {"bus": server.url},
        }
        self.exporter = self._start(Running, "exporter")
        self.gateways = [self._start(Gateway, f"gateway{n}") for n in range(2)]

    def _start(self, kind: type[Running], name: str) -> Running:
        (self.folder / name).mkdir(exist_ok=True)
        return kind(self.settings, self.folder / name)

    def kill(self, which: int) -> None:
        """End one of them, start its successor, and wait until that serves."""
        old = self.exporter if which == 2 else self.gateways[which]
        old.process.kill()
        old.process.wait()
        if which == 2:
            self.exporter = new = self._start(Running, "exporter")
        else:
            self.gateways[which] = new = self._start(Gateway, f"gateway{which}")
        new.until_up(60)

    def end(self) -> None:
        """End all of them."""
        for member in (self.exporter, *self.gateways):
            member.process.kill()
            member.process.wait()

    def logs(self) -> str:
        """What they said."""
        return "".join(file.read_text() for file in self.folder.glob("*/stderr.log"))


class Client:
    """A program that always comes back, to whichever gateway, and says what it knows."""

    def __init__(self, fleet: Fleet, seed: int, pair: str | None = None) -> None:
        self.fleet, self.rng, self.pair = fleet, random.Random(seed), pair
        self.session: str | None = None
        self.last: int | None = None
        self.seen: Counter[str] = Counter()
        self.gaps: list[Any] = []
        self.connections = 0

    async def run(self) -> None:
        while True:
            gateway = self.rng.choice(self.fleet.gateways)
            with suppress(OSError, websockets.WebSocketException, TimeoutError):
                async with connect(f"ws://127.0.0.1:{gateway.port}/ws", open_timeout=5, close_timeout=0.1) as socket:
                    await self._listen(socket)
            await asyncio.sleep(0.02)

    async def _listen(self, socket: Any) -> None:
        hello = json.loads(await socket.recv())
        wish: dict[str, Any] = {"op": "subscribe", "topics": ["trades"]}
        if self.last is not None:
            wish |= {"session": self.session, "since": {"trades": self.last}}
        if self.pair is not None:
            wish["pairs"] = [self.pair]
        self.session = hello["session"]
        await socket.send(json.dumps(wish))
        self.connections += 1
        until = asyncio.get_running_loop().time() + self.rng.uniform(0.5, 6)  # leaves by itself, too
        while (left := until - asyncio.get_running_loop().time()) > 0:
            async with asyncio.timeout(left):
                self._take(json.loads(await socket.recv()))

    def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "gap":
                self.gaps.append(message)
            case "snapshot":
                assert self.last is None or (message["seq"] == self.last and not message["data"]), message["seq"]
                self.last = message["seq"]
                self.seen.update(item["tx_hash"] for item in message["data"])
            case "update":
                assert message["prev"] == self.last, (message["prev"], self.last)
                self.last = message["seq"]
                self.seen.update(item["tx_hash"] for item in message["data"])


async def kills(fleet: Fleet, count: int, rng: random.Random) -> None:
    for _ in range(count):
        await asyncio.sleep(rng.uniform(0.05, 1.0))
        await asyncio.to_thread(fleet.kill, rng.randrange(3))


async def bus_kills(fleet: Fleet, count: int, rng: random.Random) -> None:
    for _ in range(count):
        await asyncio.sleep(rng.uniform(0.5, 1.5))
        await asyncio.to_thread(fleet.server.kill)
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        await asyncio.to_thread(fleet.server.again)


@pytest.mark.parametrize(("harm", "count"), [(kills, KILLS), (bus_kills, KILLS // 4)], ids=["members", "bus"])
async def test_nothing_is_lost_or_doubled(tmp_path: Path, harm: Any, count: int) -> None:
    bot = Bot(tmp_path / "bank")
    with bus(tmp_path) as server:
        fleet = Fleet(tmp_path, server)
        clients = [Client(fleet, 1), Client(fleet, 2), Client(fleet, 3, PAIR)]
        tasks: list[asyncio.Task[None]] = []
        try:
            await asyncio.to_thread(until, lambda: all(map(ready, members(fleet))), 60)
            tasks = [asyncio.create_task(client.run()) for client in clients]
            await soon(lambda: all(client.connections for client in clients), tasks, 30)
            bot.thread.start()
            await harm(fleet, count, random.Random(4))
            bot.stop.set()
            await asyncio.to_thread(bot.thread.join)
            await soon(lambda: all(missing(bot, client) == 0 for client in clients), tasks, 60)
        except BaseException:
            print(fleet.logs()[-6000:])
            print([(missing(bot, client), len(client.seen), client.last, client.gaps) for client in clients])
            raise
        finally:
            bot.stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            fleet.end()
    for client in clients:
        assert client.gaps == []
        assert client.seen == Counter(hashes(bot, client))
    assert "Traceback" not in fleet.logs()
    print(
        f"{count} kills, {len(bot.written)} trades, {sum(c.connections for c in clients)} connections: 0 lost, 0 twice"
    )


def members(fleet: Fleet) -> list[Running]:
    return [fleet.exporter, *fleet.gateways]


def ready(member: Running) -> bool:
    try:
        return b'"ready": true' in member.get("/readyz")
    except OSError:
        return False


def hashes(bot: Bot, client: Client) -> list[str]:
    return [tx_hash for tx_hash, pair in bot.written.items() if client.pair in (None, pair)]


def missing(bot: Bot, client: Client) -> int:
    return sum(tx_hash not in client.seen for tx_hash in hashes(bot, client))


async def soon(done: Any, tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Wait for something, unless a client has found a fault."""
    deadline = time.monotonic() + seconds
    while not done():
        for task in tasks:
            if task.done():
                task.result()
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.05)
