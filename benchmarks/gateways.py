"""The live feed over a bus: the same listeners spread over one, two and three gateways.

python -m benchmarks.gateways                      # 3,000 listeners, 20 messages a second to each
python -m benchmarks.gateways --clients 900 --seconds 5

Needs a C compiler and nats-server. The exporter's end, NATS, the gateways and the load share this machine, so only
processor time means anything: `gateway` is the core that each gateway takes, `us` its time per delivered message. The
age of a price is from when the exporter learned it until a program behind a gateway has it; on a full machine it says
how full that is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil
from websockets.asyncio.client import connect

from benchmarks.live_fanout import PEERS, SUBSCRIBE, _compiled
from tests.buses import bus
from tests.running import Gateway

PRICES = 5
COLUMNS = ("gateways", "delivered", "gateway", "us", "exporter", "nats", "gateway_mib", "age_p50_ms", "age_p99_ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--gateways", type=int, nargs="*", default=[1, 2, 3])
    options = parser.parse_args()
    print("".join(f"{column:>14}" for column in COLUMNS), flush=True)
    for count in options.gateways:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            found = measure(Path(folder), stack, count, options)
            print("".join(f"{found[column]:14.2f}" for column in COLUMNS), flush=True)


def measure(folder: Path, stack: ExitStack, count: int, options: argparse.Namespace) -> dict[str, float]:
    """One run with so many gateways."""
    server = stack.enter_context(bus(folder))
    publisher = started(stack, [sys.executable, "-m", "benchmarks.peers.publisher", server.url, str(PRICES),
        str(options.rate)])  # fmt: skip
    gateways = [gateway(stack, folder / str(n), server.url) for n in range(count)]
    load = _compiled(PEERS / "load.c", folder)
    each = options.clients // count
    wishes = [str(load), *["PORT", "/ws"], str(each), "3", str(options.seconds), SUBSCRIBE, "0", "0", "0", "2048"]
    clients = [
        subprocess.Popen(
            [*wishes[:1], str(g.port), *wishes[2:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for g in gateways
    ]
    for client in clients:
        until_begun(client)
    processes = [psutil.Process(p) for p in (publisher.pid, server.process.pid, *(g.process.pid for g in gateways))]
    before, began = [cpu(p) for p in processes], time.monotonic()
    ages = asyncio.run(listen([g.port for g in gateways], options.seconds * 0.6))
    used, lasted = [cpu(p) - b for p, b in zip(processes, before, strict=True)], time.monotonic() - began
    answers = [json.loads(client.communicate()[0]) for client in clients]
    frames = sum(answer["frames"] for answer in answers) / options.seconds
    return {
        "gateways": count,
        "delivered": frames / (options.rate * each * count),
        "exporter": used[0] / lasted,
        "nats": used[1] / lasted,
        "gateway": median(used[2:]) / lasted,
        "us": sum(used[2:]) / lasted / frames * 1e6,
        "gateway_mib": max(p.memory_info().rss for p in processes[2:]) / 2**20,
        "age_p50_ms": median(ages) * 1e3,
        "age_p99_ms": quantiles(ages, n=100)[98] * 1e3,
    }


def started(stack: ExitStack, command: list[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    return process


def gateway(stack: ExitStack, folder: Path, url: str) -> Gateway:
    folder.mkdir()
    most = {"max_clients": 20_000, "handshakes_per_second": 20_000}
    limits = {"connections": 20_000, "requests_per_second": 100_000}
    made = Gateway({"bot": {"name": "bench"}, "live": {"bus": url, **most}, "limits": limits}, folder)
    stack.callback(made.process.wait)
    stack.callback(made.process.kill)
    deadline = time.monotonic() + 60
    while not ready(made):
        assert time.monotonic() < deadline, made.stderr.read_text()
        time.sleep(0.05)
    return made


def ready(made: Gateway) -> bool:
    try:
        return b'"ready": true' in made.get("/readyz")
    except OSError:
        return False


def until_begun(client: subprocess.Popen[str]) -> None:
    """Until all of its connections are open, and it has begun to count."""
    assert client.stderr is not None
    for line in client.stderr:
        if line.strip() == "begin":
            return
    raise SystemExit("the load client ended early")


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def listen(ports: list[int], seconds: float) -> list[float]:
    """How old prices are when they come, at every gateway."""
    found = await asyncio.gather(*(ages(port, seconds) for port in ports))
    return [age for several in found for age in several]


async def ages(port: int, seconds: float) -> list[float]:
    found: list[float] = []
    end = time.monotonic() + seconds
    async with connect(f"ws://127.0.0.1:{port}/ws", open_timeout=60) as client:
        await client.send(SUBSCRIBE)
        while time.monotonic() < end:
            message: Any = json.loads(await client.recv())
            if message["type"] == "update":
                found.append(time.time() - message["data"][0]["ts"])
    return found


if __name__ == "__main__":
    main()
