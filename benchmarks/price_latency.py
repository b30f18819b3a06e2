"""From a transaction mined to its price on the board, beside a poll every second; and what fifty pools cost.

python -m benchmarks.price_latency                             # latency, with a real node on loopback
python -m benchmarks.price_latency --pools 50 --interval 0.2   # the whole exporter: processor and memory
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from exporter.board import Board, follow
from exporter.collector import Collector
from exporter.collectors import prices
from exporter.collectors.prices import Watch
from exporter.sources.contracts import Known
from exporter.sources.heads import Heads
from exporter.sources.rpc import Rpc
from tests.pools_world import CHAIN_ID, FEES, World, world
from tests.running import Running, running, until

SWAP = 10**12  # of the token that goes in: too little to move a price far
NAIVE_EVERY = 1.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=300, help="of the latency's measurement")
    parser.add_argument("--pools", type=int, help="run the exporter with so many")
    parser.add_argument("--interval", type=float, default=0.2, help="seconds between blocks")
    parser.add_argument("--seconds", type=float, default=60.0, help="of measuring the exporter")
    parser.add_argument("--swaps-per-block", type=int, default=4)
    options = parser.parse_args()
    with world("--prune-history", "64") as made:
        made.plant_multicall()
        if options.pools:
            _cost(made, options)
        else:
            asyncio.run(_latency(made, options.swaps))


class Hand:
    """Sends swaps and mines blocks by plain JSON-RPC, so that measuring costs little."""

    def __init__(self, made: World, session: aiohttp.ClientSession) -> None:
        self._made, self._session = made, session

    async def request(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self._session.post(self._made.url, json=body) as response:
            answer = await response.json()
        if "error" in answer:
            raise SystemExit(f"{method}: {answer['error']}")
        return answer["result"]

    async def swap(self, dex: str, forward: bool, times: int = 1) -> None:
        """Put a swap into the pool of transactions, of so many times the usual amount."""
        venue, act = self._made.venues[dex], self._made.trader
        name = "swapSolidly" if venue.facts.kind == "solidly" else "swapConcentrated"
        token = venue.facts.token0 if forward else venue.facts.token1
        amount = (SWAP if token.decimals == 18 else 10**5) * times
        data = act.encode_abi(name, [self._made.w3.to_checksum_address(venue.facts.address), forward, amount])
        fees = {key: hex(value) for key, value in FEES.items()}
        call = {"from": self._made.me, "to": act.address, "data": data, "gas": hex(500_000), **fees}
        await self.request("eth_sendTransaction", call)


@asynccontextmanager
async def hand(made: World) -> AsyncIterator[Hand]:
    async with aiohttp.ClientSession() as session:
        own = Hand(made, session)
        await own.request("evm_setAutomine", False)
        yield own


# --- latency -------------------------------------------------------------------------------------------------------


class Told:
    """What the pools are, without looking it up."""

    def __init__(self, made: World) -> None:
        self._known = Known({v.facts.address: v.facts for v in made.venues.values()}, {}, pending=False)

    async def known(self) -> Known:
        return self._known


class Timed(Board):
    """A board that notes when each change of the first pool was put up."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, float] = {}
        self.came = asyncio.Event()

    def publish(self, collector: Collector, snapshot: Any, duration: float) -> None:
        """As the board does, with the time."""
        super().publish(collector, snapshot, duration)
        if snapshot.states:
            self.seen.setdefault(snapshot.states[0].changes, time.perf_counter())
            self.came.set()


async def _latency(made: World, swaps: int) -> None:
    made.v3("uniswap", "WETH", "USDC", 3000.0, 10**17)
    settings, board = made.chain(), Timed()
    board.declare("prices", prices.COLLECTOR.max_age)
    polled: list[float] = []
    async with hand(made) as own, Rpc(settings) as rpc, Heads(rpc, settings) as heads:
        watch = Watch(rpc, Told(made), settings, heads)  # type: ignore[arg-type]
        tasks = [asyncio.create_task(follow(board, prices.COLLECTOR, watch.stream))]
        await board.came.wait()
        await asyncio.sleep(1)  # until the WebSocket's subscriptions stand
        tasks.append(asyncio.create_task(_naive(made, own, polled)))
        ours, theirs = await _swaps(own, board, polled, swaps)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        by = "WebSocket" if heads.by_websocket else "HTTP only"
    print(f"{len(ours)} swaps, one a block, from the request to mine the block on; heads by {by}")
    print(f"{'':22}{'p50':>10}{'p99':>10}{'max':>10}")
    for name, found in (("on the board", ours), ("a poll every second", theirs)):
        cuts = statistics.quantiles(found, n=100)
        print(f"{name:22}{cuts[49] * 1e3:7.1f} ms{cuts[98] * 1e3:7.1f} ms{max(found) * 1e3:7.1f} ms")
    print("promise: p99 <= 50 ms on the board")


async def _swaps(own: Hand, board: Timed, polled: list[float], swaps: int) -> tuple[list[float], list[float]]:
    ours, mined = [], []
    for number in range(1, swaps + 1):
        await own.swap("uniswap", forward=number % 2 == 0)
        began = time.perf_counter()
        await own.request("evm_mine")
        while number not in board.seen:
            board.came.clear()
            await asyncio.wait_for(board.came.wait(), 10)
        ours.append(board.seen[number] - began)
        mined.append(began)
        await asyncio.sleep(random.uniform(0.05, 0.35))
    await asyncio.sleep(NAIVE_EVERY + 0.1)
    return ours, [min(at for at in polled if at > began) - began for began in mined]


async def _naive(made: World, own: Hand, polled: list[float]) -> None:
    """Ask for the price every second: what a swap costs here is the time until the next answer."""
    slot0 = {"to": made.venues["uniswap"].facts.address, "data": "0x3850c7bd"}
    while True:
        await own.request("eth_call", slot0, "latest")
        polled.append(time.perf_counter())
        await asyncio.sleep(NAIVE_EVERY)


# --- what it costs -------------------------------------------------------------------------------------------------


def _cost(made: World, options: argparse.Namespace) -> None:
    for number in range(options.pools):
        price = 3000.0 * random.uniform(0.995, 1.005)
        if number % 2:
            made.v3(f"v3x{number}", "WETH", "USDC", price, 10**17)
        else:
            made.solidly(f"sol{number}", "WETH", "USDC", price, 100, stable=False)
    pools = [
        {"dex": dex, "kind": venue.facts.kind, "address": venue.facts.address} for dex, venue in made.venues.items()
    ]
    endpoint = {"name": "anvil", "http": made.url, "ws": made.ws}
    settings = {"chain": {"chain_id": CHAIN_ID, "endpoints": [endpoint], "pools": pools}}
    with tempfile.TemporaryDirectory() as folder, running(settings, Path(folder), "--log.level=warn") as exporter:
        until(lambda: _up(exporter) == options.pools, 90, exporter)
        asyncio.run(_measure(made, exporter, options))


def _up(exporter: Running) -> int:
    return sum(value == 1 for (name, _), value in exporter.samples().items() if name == "arb_pool_up")


async def _measure(made: World, exporter: Running, options: argparse.Namespace) -> None:
    process = psutil.Process(exporter.process.pid)
    async with hand(made) as own:
        busy = asyncio.create_task(_trade(made, own, options))
        await asyncio.sleep(10)
        cpu, began, height = _cpu(process), time.monotonic(), await own.request("eth_blockNumber")
        updates = _updates(exporter)
        await asyncio.sleep(options.seconds)
        took = time.monotonic() - began
        share = (_cpu(process) - cpu) / took
        blocks = int(await own.request("eth_blockNumber"), 16) - int(height, 16)
        updates = _updates(exporter) - updates
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)
    print(f"{options.pools} pools, {blocks / took:.1f} blocks/s, {updates / took:.1f} price updates/s, {took:.0f} s")
    print(f"processor        {share:7.2%}      (promise: < 5 % of a core)")
    print(f"resident memory  {process.memory_info().rss / 2**20:7.1f} MiB  (promise: < 50)")
    print(f"series           {len(exporter.samples()):7d}      (promise: <= 2000)")


async def _trade(made: World, own: Hand, options: argparse.Namespace) -> None:
    due = time.monotonic()
    for number in itertools.count():
        for dex in random.sample(sorted(made.venues), min(options.swaps_per_block, len(made.venues))):
            await own.swap(dex, forward=number % 2 == 0)
        await own.request("evm_mine")
        due = max(due + options.interval, time.monotonic())
        await asyncio.sleep(due - time.monotonic())


def _updates(exporter: Running) -> float:
    return sum(value for (name, _), value in exporter.samples().items() if name == "arb_price_updates_total")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
