"""What the client costs a Python bot: its own speed with and without it, side by side, and the time of one call.

python -m benchmarks.client
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from exporter.client import Client

SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Request(BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
print(server.server_port, flush=True)
server.serve_forever()
"""
TRADE: dict[str, Any] = {
    "pair": "WETH/USDC",
    "dex_buy": "uniswap",
    "dex_sell": "sushiswap",
    "outcome": "success",
    "tx_hash": "0x" + "ab" * 32,
    "net_profit_eth": Decimal("0.019663403232029937"),
    "gas_fee_eth": "0.000001019499909194",
    "dex_fee_eth": 0.005990531406844428,
    "amount_eth": Decimal("1.971188848142692505"),
    "gas_used": 173_267,
    "path_length": 2,
    "discovered_at": 1_750_000_000.5,
    "submitted_at": 1_750_000_000.7,
    "included_at": 1_750_000_002.1,
}

_calling: list[float] = []  # seconds of the processor that each call took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=50.0, help="events a second")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    parser.add_argument("--turns", type=int, default=30, help="pairs of turns, with and without")
    parser.add_argument("--url", help="of an exporter; by default a server that only says 202")
    options = parser.parse_args()
    with _server(options.url) as url:
        _loops(url, options)
        _calls(url)


@contextmanager
def _server(url: str | None) -> Iterator[str]:
    if url:
        yield url
        return
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()


def _loops(url: str, options: argparse.Namespace) -> None:
    print(f"a bot that never rests, {options.rate:g} events a second, {options.turns} pairs of turns")
    for name, turn in (("plain loop", _busy), ("asyncio loop", lambda *given: asyncio.run(_busy_loop(*given)))):
        with Client(url) as client:
            client.trade(**TRADE)
            assert client.flush() and client._thread is not None
            clock = time.pthread_getcpuclockid(client._thread.ident or 0)
            used = time.clock_gettime(clock)
            _calling.clear()
            losses = sorted(_pair(turn, client, options, first=bool(number % 2)) for number in range(options.turns))
            of_sender = (time.clock_gettime(clock) - used) / (options.turns * options.seconds)
            of_calls = sum(_calling) / (options.turns * options.seconds)
        low, middle, high = statistics.quantiles(losses, n=4)
        print(f"{name:12} side by side it loses {middle:.2%} of a core (quartiles {low:.2%} … {high:.2%})")
        print(
            f"{'':12} by the threads' own clocks {of_calls + of_sender:.2%} of a core (promise: < 1 %):"
            f" calls {of_calls:.2%}, the sender {of_sender:.2%}"
        )


def _pair(turn: Callable[..., int], client: Client, options: argparse.Namespace, first: bool) -> float:
    """What a turn that reports costs beyond one that does not, for the same work: a share of a core.

    Per second of the clock, as the events are: a busy machine gives the bot less than a core.
    """
    cost: dict[bool, float] = {}
    work: dict[bool, int] = {}
    for told in (first, not first):
        gc.collect()
        cpu = time.process_time()
        work[told] = turn(client if told else None, options.rate, options.seconds)
        assert client.flush() and not client.stats.failures, client.stats  # all that it costs counts
        cost[told] = time.process_time() - cpu
    return (cost[True] - cost[False] / work[False] * work[True]) / options.seconds


def _work(state: bytes) -> bytes:
    """A piece of what bots do: a little arithmetic, a hash. About 20 µs."""
    total = sum(number * 997 // (1000 + number) for number in range(150))
    return hashlib.sha256(state + total.to_bytes(8)).digest()


def _busy(client: Client | None, rate: float, seconds: float) -> int:
    work, state = 0, b""
    began = now = time.perf_counter()
    due = began
    while now < began + seconds:
        state = _work(state)
        work += 1
        if now >= due:
            due += 1 / rate
            if client is not None:
                _trade(client)
        now = time.perf_counter()
    return work


def _trade(client: Client) -> None:
    began = time.thread_time()
    client.trade(**TRADE)
    _calling.append(time.thread_time() - began)


async def _busy_loop(client: Client | None, rate: float, seconds: float) -> int:
    work, state = 0, b""
    began = now = time.perf_counter()
    due = began
    while now < began + seconds:
        for _ in range(10):
            state = _work(state)
        work += 10
        await asyncio.sleep(0)
        if now >= due:
            due += 1 / rate
            if client is not None:
                _trade(client)
        now = time.perf_counter()
    return work


def _calls(url: str) -> None:
    price: dict[str, Any] = {"pair": "WETH/USDC", "dex": "uniswap", "price": Decimal("2984.770507564306")}
    with Client(url, buffered=1_000_000) as client:
        for name, call, fields in (("price", client.price, price), ("trade", client.trade, TRADE)):
            times = []
            for _ in range(5_000):
                began = time.perf_counter()
                call(**fields)
                times.append(time.perf_counter() - began)
                if not len(times) % 50:
                    time.sleep(0.02)
            cuts = statistics.quantiles(times, n=100)
            print(f"one {name:5}     {cuts[49] * 1e6:5.1f} µs p50, {cuts[98] * 1e6:5.1f} µs p99")


if __name__ == "__main__":
    main()
