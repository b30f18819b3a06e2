"""A whole exporter with everything it can watch: bank, logs, events, stores, a process, a chain, and what they do."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests import bank
from tests.faults.proxy import Proxy, between
from tests.model import story
from tests.model.deeds import USDC, WETH
from tests.model.server import Endpoint, serving
from tests.model.story import POOLS, Story
from tests.model.truth import truth
from tests.running import Running, Samples, running
from tests.sources.event_documents import event

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
MONOTONIC = ("_total", "_bucket", "_count", "_sum")


class Stage:
    """The bot and its chain below one exporter; `act` is one step of each, by its `clock`."""

    def __init__(self, folder: Path, endpoint: Endpoint, own: Story, proxy: Proxy) -> None:
        self.folder, self.endpoint, self.own, self.proxy = folder, endpoint, own, proxy
        self.bank, self.rng = bank.Bank(folder / "bank"), random.Random(11)
        self.log, self.events, self.pidfile = folder / "bot.log", folder / "events.ndjson", folder / "bot.pid"
        (folder / "store").mkdir()
        self.acts, self.clock = 0, 0
        self.exporter: Running
        self._lock = threading.Lock()

    def act(self) -> None:
        """A trade, a line, an event, and a block."""
        with self._lock:
            self.acts += 1
            self.bank.put(bank.FIRST_EPOCH + self.acts, bank.trade(self.rng))
            (self.folder / "store" / f"{self.acts}").write_bytes(b"x" * 100)
            with self.log.open("a") as opened:
                opened.write(f"2026-01-01 00:00:00,000 - bot - ERROR - {self.acts}\n")
            with self.events.open("a") as opened:
                opened.write(json.dumps(self._event()) + "\n")
            self.own.mine(1)

    def _event(self) -> dict[str, Any]:
        return event("opportunity", f"e{self.acts}", stage="detected", time=time.time() + self.clock)

    def move(self) -> None:
        """Blocks until the price is another one."""
        before = self.price
        with self._lock:
            while self.price == before:
                self.own.mine(1)

    @property
    def price(self) -> float:
        """What the first pool says now."""
        state, pool = self.own.world.head.state, POOLS[0]
        return state["reserve", pool.address, USDC] * 10**12 / state["reserve", pool.address, WETH]

    def shows_price(self) -> bool:
        """Whether that is what the exporter shows."""
        shown = self.exporter.value("arb_price_quote_per_base", pair="WETH/USDC", dex="uniswap", pool="pool-0")
        return shown is not None and abs(shown / self.price - 1) < 1e-12

    def settings(self, node: int) -> dict[str, Any]:
        """All of it; the node is asked at this port."""
        urls = {scheme: f"{scheme}://127.0.0.1:{node}/v2" for scheme in ("http", "ws")}
        world = self.own.world
        pools = [{"dex": p.dex, "kind": "uniswap_v2", "address": p.address, "name": f"pool-{i}"}
                 for i, p in enumerate(POOLS)]  # fmt: skip
        return {
            "bot": {
                "name": "b", "memory_bank": str(self.folder / "bank"), "events": str(self.events),
                "logs": [{"name": "bot", "path": str(self.log)}], "process": {"pidfile": str(self.pidfile)},
            },
            "storage": [{"name": "store", "path": str(self.folder / "store")}],
            "chain": {
                "chain_id": world.chain_id, "pools": pools, "wallets": [{"name": "trader", "address": story.ME}],
                "endpoints": [{"name": "only", **urls}], "backfill_from": 1,
            },
            "state": str(self.folder / "state"),
        }  # fmt: skip

    def counted(self) -> dict[str, float]:
        """How often each was seen: trades, lines of the log, events."""
        found = self.exporter.samples()

        def total(name: str, **labels: str) -> float:
            return sum(v for (n, own), v in found.items() if n == name and set(labels.items()) <= own)

        return {
            "trades": total("arb_bot_trades_by_outcome_total", source="memory_bank"),
            "lines": total("arb_bot_log_messages_total"),
            "events": total("arb_events_total"),
        }

    def transactions(self) -> tuple[float, int]:
        """Those of the wallet that are shown, and those that are final."""
        shown = sum(v for (name, _), v in self.exporter.samples().items() if name == "arb_wallet_transactions_total")
        return shown, self.final()

    def final(self) -> int:
        """How many transactions of the wallet are final."""
        with self._lock:
            return sum(truth(self.own.world, (story.ME,), (), 1).counts.values())


@contextmanager
def playing(folder: Path, weather: bool = False, **environment: str) -> Iterator[Stage]:
    """A stage whose exporter runs, with a proxy before its node if there shall be weather; all is ended at the end."""
    own = Story(random.Random(41), story.world(depth=5, interval=0.2))
    own.mine(20)
    bot = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    try:
        with serving(own.world) as endpoint, between(endpoint.door.port) as proxy:
            stage = Stage(folder, endpoint, own, proxy)
            stage.pidfile.write_text(str(bot.pid))
            port = proxy.port if weather else endpoint.door.port
            with running(stage.settings(port), folder, **environment) as stage.exporter:
                yield stage
    finally:
        bot.kill()
        bot.wait()


def strictly(exporter: Running) -> tuple[Samples, Samples]:
    """What only rises, and the rest, of a page that a strict parser reads."""
    rising: Samples = {}
    rest: Samples = {}
    for family in text_string_to_metric_families(exporter.get("/metrics", Accept=OPENMETRICS).decode()):
        for sample in family.samples:
            rises = family.type in ("counter", "histogram") and sample.name.endswith(MONOTONIC)
            (rising if rises else rest)[sample.name, frozenset(sample.labels.items())] = sample.value
    return rising, rest
