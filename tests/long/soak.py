"""A soak: a bot, a chain, logs, listeners and a scraper each second, and every 30 s another fault; then the figures.

Before it begins every fault comes twice, briefly: what a process takes the first times is no leak. The heap goes on to
settle for some time, so the slope of memory is that of the second half; that of all is told, too.

python -m tests.long.soak --minutes 60 [--every 30] [--json figures.json]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import batched
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.e2e.test_kill import Bot, total
from tests.e2e.test_recovery import FAULTS, heal
from tests.faults.test_hostile_clients import ATTACKS, Attack
from tests.model import story
from tests.model.server import Endpoint, serving
from tests.model.story import POOLS, Story
from tests.running import Running, Samples, running

BLOCK = 0.5
"""Seconds between blocks."""
PAUSE = 0.1
"""Seconds between trades."""
ROUNDS, BRIEF = 2, 3.0
"""How often every fault comes before the figures begin, and seconds that each then takes, and as many after it."""
REST = 90.0
"""Seconds without a fault after that: what the last ones took is given back, so that memory does not begin high."""


class Steady(Bot):
    """The bot of the kill test, at a pace that a day can be spent with."""

    def __init__(self, path: Path, ledger: Path) -> None:
        super().__init__(path, ledger)
        self.pen = threading.Lock()
        """Held while it writes."""

    def _work(self) -> None:
        while not self.stop.wait(PAUSE):
            with self.pen, suppress(FileNotFoundError):  # its bank is away: it makes another, and goes on
                self.bank.trades.mkdir(parents=True, exist_ok=True)
                self.write()

    def difference(self, exporter: Running) -> dict[str, int]:
        """What was written and is not shown, or not written and shown, after some patience; by source."""
        self.bank.put_recent(self.recent, "plain")
        written = {"memory_bank": len(self.trades.keys), "recent": len(self.rows.keys)}
        deadline, wrong = time.monotonic() + 60, written
        while wrong and time.monotonic() < deadline:
            now = exporter.samples()
            wrong = {source: n - total(now, source) for source, n in written.items() if n != total(now, source)}
            time.sleep(0.5)
        return wrong


@dataclass
class Scene:
    """Everything that runs."""

    exporter: Running
    endpoint: Endpoint
    folder: Path
    bank: Path
    ledger: Path
    own: Story
    bot: Steady
    broken: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def mine(self) -> None:
        """Blocks, and sometimes a reorg, until the end."""
        rng = random.Random(5)
        while not self.stop.wait(BLOCK):
            self.own.mine(1)
            if rng.random() < 0.02:
                depth = min(rng.randint(1, 3), self.own.room)
                self.own.reorg(depth, depth + 1)

    def log(self) -> None:
        """A log that is rotated each 500 lines."""
        file, number = self.folder / "bot.log", 0
        while not self.stop.wait(0.05):
            number += 1
            with file.open("a") as opened:
                opened.write(f"2026-01-01 00:00:00,000 - bot - {'ERROR' if number % 9 == 0 else 'INFO'} - {number}\n")
            if number % 500 == 0:
                file.rename(self.folder / "bot.log.1")

    def listen(self) -> None:
        """A client of the live feed that comes back whenever it is sent away."""
        url = f"ws://127.0.0.1:{self.exporter.port}/ws"
        while not self.stop.is_set():
            with suppress(OSError, WebSocketException, TimeoutError), connect(url, open_timeout=5) as client:
                client.send(json.dumps({"op": "subscribe", "topics": ["system", "prices", "trades"]}))
                while not self.stop.is_set():
                    client.recv(timeout=10)
            self.stop.wait(0.5)


# --- faults --------------------------------------------------------------------------------------------------------

type Fault = Callable[[Scene, float], None]
"""Does its harm for so many seconds, and heals."""


def of_the_node(begin: Callable[[Endpoint], None]) -> Fault:
    def fault(scene: Scene, seconds: float) -> None:
        begin(scene.endpoint)
        scene.stop.wait(seconds)
        heal(scene.endpoint)

    return fault


def attacked(name: str) -> Fault:
    def fault(scene: Scene, seconds: float) -> None:
        with suppress(OSError), Attack(scene.exporter.port, 200, *ATTACKS[name]):
            scene.stop.wait(seconds)

    return fault


def bank_away(scene: Scene, seconds: float) -> None:
    with suppress(OSError):
        away = scene.bank.with_name("away")
        scene.bank.rename(away)
        scene.stop.wait(min(seconds, 3))
    with scene.bot.pen, suppress(OSError):
        if scene.bank.exists():  # the bot has begun another one meanwhile: its files belong together
            for file in [path for path in scene.bank.rglob("*") if path.is_file()]:
                shutil.move(file, away / file.relative_to(scene.bank))
            shutil.rmtree(scene.bank)
        away.rename(scene.bank)


def ledger_locked(scene: Scene, seconds: float) -> None:
    with closing(sqlite3.connect(scene.ledger, isolation_level=None, timeout=10)) as db:
        db.execute("BEGIN IMMEDIATE")
        scene.stop.wait(seconds)
        db.execute("ROLLBACK")


def deaf_listeners(scene: Scene, seconds: float) -> None:
    made = [socket.create_connection(("127.0.0.1", scene.exporter.port), 5) for _ in range(20)]
    for one in made:
        one.sendall(b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")  # fmt: skip
    scene.stop.wait(seconds)
    for one in made:
        one.close()


def reloaded(scene: Scene, seconds: float) -> None:
    """Other stores, then those of before, each by SIGHUP."""
    before = scene.exporter.config.read_text()
    changed = yaml.safe_load(before) | {"storage": [{"name": "more", "path": str(scene.folder)}]}
    for text in (yaml.safe_dump(changed), "bot: [", before):
        scene.exporter.config.write_text(text)
        scene.exporter.process.send_signal(signal.SIGHUP)
        scene.stop.wait(seconds / 3)


def truncated_log(scene: Scene, seconds: float) -> None:
    file = scene.folder / "bot.log"
    with suppress(OSError):
        os.truncate(file, 0)
    with file.open("ab") as opened:
        opened.write(b"x" * 3_000_000)  # a line that has no end for a while
    scene.stop.wait(seconds)
    with file.open("ab") as opened:
        opened.write(b"\n")


def every_fault() -> dict[str, Fault]:
    """All, by name; one after the other, in turn."""
    found: dict[str, Fault] = {
        "bank away": bank_away, "ledger locked": ledger_locked, "deaf listeners": deaf_listeners,
        "reloaded": reloaded, "log truncated": truncated_log,
    }  # fmt: skip
    found |= {f"attack: {name}": attacked(name) for name in ATTACKS}
    found |= {f"node: {name}": of_the_node(begin) for name, begin in FAULTS.items()}
    return found


# --- what is measured ----------------------------------------------------------------------------------------------


@dataclass
class Figures:
    """One entry for each scrape."""

    seconds: list[float] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)
    lag_seconds: list[float] = field(default_factory=list)
    peaks: dict[str, float] = field(default_factory=dict)
    latest: dict[str, float] = field(default_factory=dict)
    fell: list[str] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    """Every tenth body once more, in the text format, for promtool."""
    faults: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """What is promised, as it was."""
        memory = self.memory_mib
        scrapes, lag = len(self.seconds), sorted(self.lag_seconds)
        return {
            "scrapes": scrapes,
            "bad": self.bad[:10],
            "good_ratio": round(1 - len(self.bad) / scrapes, 6),
            "slowest_seconds": round(max(self.seconds), 3),
            "p99_seconds": round(sorted(self.seconds)[int(scrapes * 0.99)], 4),
            "memory_mib": [round(memory[0], 2), round(max(memory), 2), round(memory[-1], 2)],
            "memory_mib_each_minute": [round(statistics.median(part), 1) for part in batched(memory, 60)],
            "slope_mib_per_1000": slope(memory[len(memory) // 2 :]),
            "slope_of_all_mib_per_1000": slope(memory),
            "lag_p50_ms": round(lag[len(lag) // 2] * 1e3, 2),
            "lag_p99_ms": round(lag[int(len(lag) * 0.99)] * 1e3, 2),
            "counters_that_fell": self.fell[:10],
            "faults": len(self.faults),
            "lag_peaks_ms": dict(sorted(self.latest.items(), key=lambda peak: -peak[1])[:8]),
            "memory_peaks_mib": dict(sorted(self.peaks.items(), key=lambda peak: -peak[1])[:8]),
        }


def slope(memory: list[float]) -> float:
    """MiB that it grows by in 1,000 scrapes."""
    return round(statistics.linear_regression(range(len(memory)), memory).slope * 1000, 4) if len(memory) > 2 else 0.0


def scrape(scene: Scene, figures: Figures, before: Samples) -> Samples:
    """One scrape, strictly read; what it says of the exporter is noted."""
    began, found = time.monotonic(), dict(before)
    try:
        text = scene.exporter.get("/metrics", Accept="application/openmetrics-text; version=1.0.0").decode()
        figures.seconds.append(time.monotonic() - began)
        counters: Samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if family.type == "counter" and sample.name.endswith("_total"):
                    counters[sample.name, frozenset(sample.labels.items())] = sample.value
                elif sample.name == "arb_exporter_resident_memory_bytes":
                    figures.memory_mib.append(sample.value / (1 << 20))
                elif sample.name == "arb_exporter_loop_lag_seconds":
                    figures.lag_seconds.append(sample.value)
        if len(figures.seconds) % 10 == 0:
            figures.texts.append(scene.exporter.get("/metrics"))
        figures.fell += [key[0] for key, value in counters.items() if value < before.get(key, 0.0)]
        found |= counters
    except (OSError, ValueError) as error:
        figures.seconds.append(time.monotonic() - began)
        figures.bad.append(f"{time.strftime('%X')} {type(error).__name__} during {figures.faults[-1:]}")
    return found


def refused(texts: list[bytes]) -> list[str]:
    """What `promtool check metrics` says of these; nothing where all is well.

    Raises:
        FileNotFoundError: there is no promtool.
    """
    said = [subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True) for text in texts]
    return [one.stderr.decode() for one in said if one.returncode or one.stderr]


def acquaint(scene: Scene) -> None:
    """Every fault, briefly, some times over."""
    for fault in [*every_fault().values()] * ROUNDS:
        fault(scene, BRIEF)
        if scene.stop.wait(BRIEF):
            break
    scene.stop.wait(REST)


def disturb(scene: Scene, figures: Figures, every: float) -> None:
    """One fault after the other, each for a third of the time."""
    faults = list(every_fault().items())
    random.Random(3).shuffle(faults)
    due = time.monotonic() + every * 2 / 3
    while not scene.stop.wait(max(0.0, due - time.monotonic())):
        due += every
        name, fault = faults[len(figures.faults) % len(faults)]
        figures.faults.append(name)
        before, lags = len(figures.memory_mib), len(figures.lag_seconds)
        fault(scene, every / 3)
        scene.stop.wait(2)
        peak = max(figures.memory_mib[before:], default=0.0)
        figures.peaks[name] = round(max(peak, figures.peaks.get(name, 0.0)), 1)
        lag = max(figures.lag_seconds[lags:], default=0.0) * 1e3
        figures.latest[name] = round(max(lag, figures.latest.get(name, 0.0)), 1)


@contextmanager
def scene_in(folder: Path) -> Iterator[Scene]:
    """Everything started, and ended whatever happens."""
    world = story.world(depth=5, interval=BLOCK)
    own = Story(random.Random(41), world)
    own.mine(20)
    state, bank = folder / "state", folder / "bank"
    bot = Steady(bank, state / "ledger.sqlite3")
    with serving(world) as endpoint:
        pools = [{"dex": p.dex, "kind": "uniswap_v2", "address": p.address, "name": f"pool-{i}"}
                 for i, p in enumerate(POOLS)]  # fmt: skip
        settings = {
            "bot": {"name": "b", "memory_bank": str(bank), "logs": [{"name": "bot", "path": str(folder / "bot.log*")}]},
            "chain": {
                "chain_id": world.chain_id, "pools": pools, "wallets": [{"name": "trader", "address": story.ME}],
                "endpoints": [{"name": "only", "http": endpoint.http, "ws": endpoint.ws}],
            },
            "state": str(state),
        }  # fmt: skip
        with running(settings, folder) as exporter:
            scene = Scene(exporter, endpoint, folder, bank, state / "ledger.sqlite3", own, bot)
            threading.excepthook = lambda said: scene.broken.append(f"{said.thread}: {said.exc_value!r}")
            threads = [bot.thread, *(threading.Thread(target=part) for part in (scene.mine, scene.log))]
            threads += [threading.Thread(target=scene.listen) for _ in range(3)]
            for thread in threads:
                thread.start()
            try:
                yield scene
            finally:
                scene.stop.set()
                bot.stop.set()
                for thread in threads:
                    thread.join(30)


def soak(seconds: float, every: float, folder: Path) -> dict[str, Any]:
    """Run it; the figures."""
    figures, seen = Figures(), dict[Any, float]()
    with scene_in(folder) as scene:
        first = threading.Thread(target=acquaint, args=(scene,))
        first.start()
        while first.is_alive():
            seen = scrape(scene, figures, seen)
            first.join(1)
        slow = [f"a scrape of {took:.2f} s" for took in figures.seconds if took >= 1]
        scene.broken += [f"before it began: {what}" for what in [*figures.bad, *figures.fell, *slow]]
        first_mib = [round(mib, 1) for mib in (figures.memory_mib[0], max(figures.memory_mib), figures.memory_mib[-1])]
        print(f"every fault came {ROUNDS} times: {first_mib} MiB", file=sys.stderr, flush=True)
        figures = Figures()
        trouble = threading.Thread(target=disturb, args=(scene, figures, every))
        trouble.start()
        began = due = time.monotonic()
        while time.monotonic() < began + seconds:
            seen = scrape(scene, figures, seen)
            due = max(due + 1, time.monotonic())
            time.sleep(max(due - time.monotonic(), 0))
            progress(time.monotonic() - began, seconds, figures)
        scene.stop.set()
        trouble.join(60)
        scene.bot.stop.set()
        scene.bot.thread.join(30)
        difference = scene.bot.difference(scene.exporter)
        ended = scene.exporter.stop()
        log = scene.exporter.stderr.read_text()
    words = Counter(re.findall(r'msg="?([^"=]+?)"? [a-z_]+=', log)).most_common(5)
    told = {
        "memory_mib_before_it_began": first_mib,
        "trades": len(scene.bot.trades.keys),
        "difference": difference,
        "checked_by_promtool": len(figures.texts),
        "refused_by_promtool": refused(figures.texts)[:5],
        "broken": scene.broken,
        "exit": ended,
        "tracebacks": log.count("Traceback"),
        "log_lines": log.count("\n"),
        "log": dict(words),
    }
    return figures.summary() | told


def progress(took: float, seconds: float, figures: Figures) -> None:
    """A line every five minutes."""
    if len(figures.seconds) % 300 == 0:
        said = f"{len(figures.bad)} of {len(figures.seconds)} scrapes bad, slowest {max(figures.seconds):.2f} s"
        print(f"{took / 60:.0f} of {seconds / 60:.0f} minutes: {said}", file=sys.stderr, flush=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=30, help="seconds between faults")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # the node's own troubles with what it does
    with tempfile.TemporaryDirectory() as folder:
        found = soak(options.minutes * 60, options.every, Path(folder))
    text = json.dumps(found, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    kept = promises(found, options.minutes * 60)
    print(*(f"{'kept' if was else 'NOT KEPT'}: {name}" for name, was in kept.items()), sep="\n")
    return 0 if all(kept.values()) else 1


def promises(found: dict[str, Any], asked: float) -> dict[str, bool]:
    """Which of the promises of docs/reliability.md these figures keep; `asked` is how many scrapes there should be."""
    return {
        "at least 3,597 of 3,600 scrapes are good": found["good_ratio"] * found["scrapes"] >= asked * 3597 / 3600,
        "each takes less than a second": found["slowest_seconds"] < 1,
        "in its second half memory grows by less than 0.1 MiB in 1,000": found["slope_mib_per_1000"] < 0.1,
        "the loop's lag has a p99 below 20 ms": found["lag_p99_ms"] < 20,
        "no counter falls": not found["counters_that_fell"],
        "what the bot wrote is what is shown": not found["difference"] and not found["broken"],
        "promtool takes every body": not found["refused_by_promtool"],
        "it ends as asked, without a traceback": found["exit"] == 0 and found["tracebacks"] == 0,
    }


if __name__ == "__main__":
    sys.exit(main())
