"""The live feed beside other servers: each sends the same to many WebSocket clients, in turns, in one run.

python -m benchmarks.live_fanout                 # everything: about 15 minutes
python -m benchmarks.live_fanout --only fan-out --clients 1000 --rounds 1

Needs a C compiler. Peers that are not installed are left out: `pip install picows uvloop aiofastnet`, and Node with
`npm ci --prefix benchmarks/peers`. Servers run on the first core, the load client on the second; the figures are
medians over rounds in which the servers take turns. µs/frame is the server's processor time per delivered message.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

PEERS = Path(__file__).parent / "peers"
SUBSCRIBE = '{"op":"subscribe","topics":["prices"]}'


@dataclass(frozen=True)
class Peer:
    """A server to start: its command, and what a client says to it first."""

    name: str
    command: list[str]
    greeting: str = ""


@dataclass(frozen=True)
class Load:
    """What is asked of a server; `more` bytes make its messages longer."""

    clients: int
    rate: float = 20.0
    more: int = 0
    seconds: float = 6.0
    stuck: int = 0
    drip: int = 0
    sip: int = 2048
    storm: bool = False
    scrape: bool = False


@dataclass
class Found:
    """The figures of one round."""

    client: dict[str, float]
    cpu_seconds: float
    seconds: float
    rss_before: int
    rss_open: int
    rss_end: int
    load: Load
    samples: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """As they are shown."""
        frames = self.client["frames"]
        due = (self.load.clients - self.load.stuck - self.load.drip) * self.load.rate * self.seconds
        return self.client | {
            "us_per_frame": self.cpu_seconds / max(frames, 1) * 1e6,
            "core": self.cpu_seconds / self.seconds,
            "per_second": frames / self.seconds,
            "delivered": frames / due,
            "kb_per_client": (self.rss_open - self.rss_before) / self.load.clients / 1000,
            "grown_mb": (self.rss_end - self.rss_open) / 1e6,
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="*", default=[1000, 5000])
    parser.add_argument("--only", choices=list(SCENES), nargs="*", default=list(SCENES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.rounds, options.clients)
        for name in options.only:
            SCENES[name](bench)


class Bench:
    """The compiled client and the servers that can be started here."""

    def __init__(self, folder: Path, rounds: int, clients: list[int]) -> None:
        self.rounds, self.clients = rounds, clients
        self.load = _compiled(PEERS / "load.c", folder)
        self.peers = {peer.name: peer for peer in _peers(_compiled(PEERS / "floor.c", folder))}

    def table(self, title: str, load: Load, columns: list[str], names: list[str] | None = None) -> None:
        """Let the servers take turns and print a line for each."""
        print(f"\n{title}\n{'server':28}" + "".join(f"{column:>15}" for column in columns), flush=True)
        peers = [peer for name, peer in self.peers.items() if names is None or name in names]
        rounds = [{peer.name: self.run(peer, load).figures() for peer in peers} for _ in range(self.rounds)]
        found = {p.name: {c: median(r[p.name][c] for r in rounds) for c in rounds[0][p.name]} for p in peers}
        for name, figures in found.items():
            for other in ("floor", "node"):
                reference = found.get("floor: C epoll + send()" if other == "floor" else "Node ws")
                base = reference["us_per_frame"] if reference else float("nan")
                figures[f"x_{other}"] = figures["us_per_frame"] / base
            print(f"{name:28}" + "".join(f"{figures[column]:15.2f}" for column in columns), flush=True)

    def run(self, peer: Peer, load: Load) -> Found:
        """One server, one load."""
        port = _free_port()
        more = ["1900" if load.scrape else "0"] if peer.greeting else []
        command = [*_on_core(0), *peer.command[:-1], *_arguments(peer, port, load), *more]
        with _started(command) as server:
            return self._measure(server, peer, load, port)

    def _measure(self, server: subprocess.Popen[str], peer: Peer, load: Load, port: int) -> Found:
        process = psutil.Process(server.pid)
        before = process.memory_info().rss
        numbers = [load.clients, 2, load.seconds, peer.greeting, load.stuck, load.drip, int(load.storm), load.sip]
        command = [*_on_core(1), str(self.load), str(port), "/ws", *map(str, numbers)]
        marks: dict[str, tuple[float, float, int]] = {}
        with _scraping(port if load.scrape else None):
            client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            assert client.stdout is not None
            assert client.stderr is not None
            for line in client.stderr:
                times = process.cpu_times()
                marks[line.strip()] = times.user + times.system, time.monotonic(), process.memory_info().rss
            answer = json.loads(client.stdout.read())
            client.wait()
            client.stdout.close()
            client.stderr.close()
        opened, begin, end = marks["open"], marks["begin"], marks["end"]
        return Found(answer, end[0] - begin[0], end[1] - begin[1], before, opened[2], end[2], load)


def _peers(floor: Path) -> Iterator[Peer]:
    python = [sys.executable, "-m"]
    yield Peer("floor: C epoll + send()", [str(floor), ""])
    for loop in ("asyncio", "uvloop", "aiofastnet"):
        if importlib.util.find_spec(loop):
            yield Peer(f"arb-exporter, {loop}", [*python, "benchmarks.peers.ours", loop], SUBSCRIBE)
    if importlib.util.find_spec("picows"):
        yield Peer("picows (Cython)", [*python, "benchmarks.peers.cython", ""])
    if shutil.which("node") and (PEERS / "node_modules" / "ws").exists():
        yield Peer("Node ws", ["node", str(PEERS / "node_ws.js"), ""])
        if _runs(["node", "-e", f"require('{PEERS}/node_modules/@btc-vision/uwebsockets.js')"]):
            yield Peer("uWebSockets (C++)", ["node", str(PEERS / "node_uws.js"), ""])
    if importlib.util.find_spec("websockets"):
        yield Peer("websockets.broadcast", [*python, "benchmarks.peers.broadcast", ""])
    yield Peer("lock and await each", [*python, "benchmarks.peers.naive", ""])


def _arguments(peer: Peer, port: int, load: Load) -> list[str]:
    last = [peer.command[-1]] if peer.command[-1] else []
    return [str(port), str(load.rate), str(load.more), *last]


def _compiled(source: Path, folder: Path) -> Path:
    program = folder / source.stem
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-o", str(program), str(source)], check=True)
    return program


def _runs(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _on_core(number: int) -> list[str]:
    return ["taskset", "-c", str(number)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PEERS.parent.parent)
    try:
        assert server.stdout is not None
        if server.stdout.readline().strip() != "ready":
            raise SystemExit(f"does not start: {' '.join(command)}")
        yield server
    finally:
        server.kill()
        server.communicate()


@contextmanager
def _scraping(port: int | None) -> Iterator[None]:
    """Scrape once a second meanwhile."""
    stop = threading.Event()

    def scrape() -> None:
        while port is not None and not stop.wait(1):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                answer.read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


AGES = ["p50_ms", "p99_ms", "max_ms"]


def fan_out(bench: Bench) -> None:
    """20 messages of 150 bytes a second to each."""
    for clients in bench.clients:
        columns = ["us_per_frame", "x_floor", "x_node", "core", "delivered", *AGES, "kb_per_client"]
        bench.table(f"{clients} clients x 20/s x 150 bytes", Load(clients), columns)


def most(bench: Bench) -> None:
    """As many as a core can."""
    columns = ["per_second", "core", "us_per_frame", "x_floor", "x_node"]
    bench.table("1000 clients, as much as one core delivers", Load(1000, rate=1000), columns)


def stuck(bench: Bench) -> None:
    """A tenth does not read; the same load with everybody reading comes first."""
    columns = ["delivered", *AGES, "grown_mb", "stuck_gone", "stuck_s"]
    bench.table("200 clients x 20/s x 4 kB, all read", Load(200, more=4000), columns)
    bench.table("200 clients x 20/s x 4 kB, 20 never read", Load(200, more=4000, stuck=20), columns)


def drip(bench: Bench) -> None:
    """Slow but alive: a quarter and a half of 80 kB/s; 8 kB of what is on its way lie in the reader's own buffer."""
    columns = ["drip_p99_ms", "drip_max_ms", "delivered", *AGES, "grown_mb", "open"]
    for sip in (2048, 4096):
        title = f"100 clients x 20/s x 4 kB, 10 read {sip // 100} kB/s"
        bench.table(title, Load(100, more=4000, drip=10, sip=sip, seconds=10), columns)


def storm(bench: Bench) -> None:
    """All are cut off and come back while messages go on."""
    clients = max(bench.clients)
    columns = ["storm_s", "delivered", *AGES]
    bench.table(f"{clients} clients reconnect at once, until each has an update", Load(clients, storm=True), columns)


def scrape(bench: Bench) -> None:
    """Ours while 1,900 series that all change are scraped every second."""
    ours = [name for name in bench.peers if name.startswith("arb-exporter")]
    columns = ["us_per_frame", "core", "delivered", *AGES]
    bench.table("1000 clients x 20/s, not scraped", Load(1000), columns, ours)
    bench.table("1000 clients x 20/s, 1,900 series scraped every second", Load(1000, scrape=True), columns, ours)


SCENES: dict[str, Callable[[Bench], Any]] = {
    "fan-out": fan_out, "most": most, "stuck": stuck, "drip": drip, "storm": storm, "scrape": scrape,
}  # fmt: skip


if __name__ == "__main__":
    main()
