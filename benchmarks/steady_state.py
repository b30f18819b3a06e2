"""What the exporter costs while it runs: memory, processor, scrape latency and the processor time of one scrape.

python -m benchmarks.steady_state --url http://127.0.0.1:10453 --pid PID     # of a running demo, or any other
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import aiohttp
import psutil


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:10453")
    parser.add_argument("--pid", type=int, help="of the exporter; by default whoever listens at the URL's port")
    parser.add_argument("--seconds", type=float, default=60.0, help="of quiet measuring")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=100, help="scrapes of each client")
    options = parser.parse_args()
    process = psutil.Process(options.pid or _listener(int(options.url.rpartition(":")[2].strip("/"))))
    asyncio.run(_measure(process, options))


def _listener(port: int) -> int:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return connection.pid
    raise SystemExit(f"nobody listens at port {port}")


async def _measure(process: psutil.Process, options: argparse.Namespace) -> None:
    print(f"quiet, with one scrape every 5 s, for {options.seconds:.0f} s …")
    async with aiohttp.ClientSession() as session:
        body = await _scrape(session, options.url)
        cpu, began = _cpu(process), time.monotonic()
        while time.monotonic() - began < options.seconds:
            await asyncio.sleep(5)
            await _scrape(session, options.url)
        share = (_cpu(process) - cpu) / (time.monotonic() - began)
        memory = process.memory_info().rss / 2**20
        series = sum(1 for line in body.decode().splitlines() if not line.startswith("#"))
        print(f"resident memory       {memory:7.1f} MiB   (promise: < 50)")
        print(f"processor             {share:7.2%}       (promise: < 3 % of a core)")
        print(f"series                {series:7d}       ({len(body) / 1024:.0f} KiB of text)")
        await _storm(session, process, options)


async def _storm(session: aiohttp.ClientSession, process: psutil.Process, options: argparse.Namespace) -> None:
    cpu, began = _cpu(process), time.monotonic()
    times = [
        t for part in await asyncio.gather(*(_client(session, options) for _ in range(options.clients))) for t in part
    ]
    used, took = _cpu(process) - cpu, time.monotonic() - began
    cuts = statistics.quantiles(times, n=100)
    print(f"{options.clients} clients at once, {len(times)} scrapes in {took:.1f} s:")
    print(f"scrape p50            {cuts[49] * 1e3:7.2f} ms")
    print(f"scrape p99            {cuts[98] * 1e3:7.2f} ms    (promise: < 100)")
    print(f"processor per scrape  {used / len(times) * 1e3:7.2f} ms    (promise: <= 0.5)")


async def _client(session: aiohttp.ClientSession, options: argparse.Namespace) -> list[float]:
    times = []
    for _ in range(options.rounds):
        began = time.perf_counter()
        await _scrape(session, options.url)
        times.append(time.perf_counter() - began)
    return times


async def _scrape(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(f"{url}/metrics") as response:
        response.raise_for_status()
        return await response.read()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
