"""Events at a steady rate: how late the loop is meanwhile, what they cost, and how long each answer takes.

python -m benchmarks.events                      # 5,000 events/s for 30 s, in bodies of 200
python -m benchmarks.events --rate 2000 --batch 10 --seconds 10

The exporter runs on the first core in a process of its own, which also notes the loop's lag; whoever reports, on the
second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil

LOOK = 0.002
"""Seconds between two looks at how late the loop is."""
SENDERS = 4
VENUES, PAIRS = ("aerodrome", "uniswap", "sushiswap", "baseswap"), ("WETH/USDC", "cbETH/WETH", "USDbC/USDC")
STAGES = ("detected", "executed", "rejected", "missed")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5_000, help="events a second")
    parser.add_argument("--batch", type=int, default=200, help="events in a body")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(options.serve, options.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(options, Path(folder)))


def _serve(port: int, folder: Path) -> None:
    """The whole exporter, and beside it a task that notes how late it is woken."""
    os.sched_setaffinity(0, {0})
    from exporter import app, config  # only this process needs it
    from exporter.web.access import WebConfig

    loaded = config.read(f"bot: {{name: bench}}\nstate: {folder / 'state'}\n", folder, {})
    assert loaded.settings is not None
    settings = loaded.settings
    options = app.Options("127.0.0.1", port, WebConfig(), lambda: loaded, lambda: (WebConfig(), []))

    async def both() -> None:
        lags: list[float] = []
        watching = asyncio.create_task(_watch(lags))
        await app.run(settings, options)
        watching.cancel()
        (folder / "lags.json").write_text(json.dumps(lags))

    asyncio.run(both())


async def _watch(lags: list[float]) -> None:
    while True:
        due = time.perf_counter() + LOOK
        await asyncio.sleep(LOOK)
        lags.append(time.perf_counter() - due)


async def _measure(options: argparse.Namespace, folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.events", "--serve", str(port), "--folder", str(folder)]
    server = await asyncio.to_thread(subprocess.Popen, command)
    try:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await _until_up(session)
            await _report(session, server.pid, options, folder)
    finally:
        server.terminate()
        server.wait(30)
    lags = sorted(json.loads((folder / "lags.json").read_text()))
    print(f"loop lag p50          {lags[len(lags) // 2] * 1e3:7.2f} ms")
    print(f"loop lag p99          {lags[len(lags) * 99 // 100] * 1e3:7.2f} ms    (promise: < 20)")
    print(f"loop lag most         {lags[-1] * 1e3:7.2f} ms    of {len(lags)} looks")


async def _until_up(session: aiohttp.ClientSession) -> None:
    for _ in range(600):
        try:
            async with session.get("/healthz"):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
    raise SystemExit("the exporter does not start")


async def _report(session: aiohttp.ClientSession, pid: int, options: argparse.Namespace, folder: Path) -> None:
    process, rng = psutil.Process(pid), random.Random(1)
    bodies = int(options.seconds * options.rate / options.batch)
    print(f"{options.rate} events/s in bodies of {options.batch} for {options.seconds:.0f} s …")
    times: list[float] = []
    cpu, began = _cpu(process), time.monotonic()
    todo = iter(range(bodies))

    async def send() -> None:
        for number in todo:
            await asyncio.sleep(began + number * options.batch / options.rate - time.monotonic())
            events = (_event(rng, number * options.batch + place) for place in range(options.batch))
            times.append(await _post(session, "\n".join(map(json.dumps, events)).encode()))

    await asyncio.gather(*(send() for _ in range(SENDERS)))
    took, used = time.monotonic() - began, _cpu(process) - cpu
    cuts = statistics.quantiles(times, n=100)
    events = bodies * options.batch
    print(f"events taken in       {events:7d}       in {took:.1f} s: {events / took:.0f} a second")
    print(f"processor             {used / took:7.1%}       of a core: {used / events * 1e6:.0f} us an event")
    print(f"answer p50            {cuts[49] * 1e3:7.1f} ms")
    print(f"answer p99            {cuts[98] * 1e3:7.1f} ms")
    print(f"resident memory       {process.memory_info().rss / 2**20:7.1f} MiB")
    size = sum(file.stat().st_size for file in (folder / "state").iterdir())
    print(f"ledger                {size / events:7.0f} bytes an event")


def _event(rng: random.Random, number: int) -> dict[str, Any]:
    """What a bot says most: opportunities, then trades, prices and its own state."""
    common = {"id": f"event-{number:09d}", "time": time.time(), "strategy": "two-hop"}
    route = {"pair": rng.choice(PAIRS), "dex_buy": rng.choice(VENUES), "dex_sell": rng.choice(VENUES)}
    kind = rng.random()
    if kind < 0.6:
        return common | route | {
            "type": "opportunity", "stage": rng.choice(STAGES), "reason": "gas_too_high",
            "expected_profit_eth": "0.0012", "confidence": 0.8,
        }  # fmt: skip
    if kind < 0.9:
        return common | route | {
            "type": "trade", "outcome": "success", "net_profit_eth": "0.0011", "gas_fee_eth": "0.0001",
            "l1_fee_eth": "0.00001", "slippage_ratio": 0.001, "gas_used": 210_000, "path_length": 2,
            "discovered_at": time.time() - 1, "submitted_at": time.time() - 0.5, "included_at": time.time(),
        }  # fmt: skip
    return common | {"type": "price", "pair": "WETH/USDC", "dex": rng.choice(VENUES), "price": "3000.25"}


async def _post(session: aiohttp.ClientSession, body: bytes) -> float:
    began = time.perf_counter()
    async with session.post("/api/v1/events", data=body, headers={"Content-Type": "application/x-ndjson"}) as response:
        assert response.status == 202, response.status
    return time.perf_counter() - began


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
