"""SIGKILL at any moment of a backfill and of following, under reorgs: every transaction is counted once in the end."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.model import story, watch
from tests.model.server import Endpoint, serving
from tests.model.story import EXECUTOR, ME, SPARE, Story
from tests.model.truth import truth
from tests.model.watch import BOT, Watch
from tests.running import Running, Samples, until

KILLS = 20 if os.environ.get("ARB_PROOFS") == "full" else 4
BACKLOG = 800 if KILLS == 20 else 300
SCANNED = "arb_wallet_transactions_scanned_block"


class Life:
    """Goes on with the chain in a thread of its own: blocks, and now and then a reorg."""

    def __init__(self, own: Story) -> None:
        self.story = own
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        rng = random.Random(77)
        while not self._stop.is_set():
            self.story.mine()
            if rng.random() < 0.2 and self.story.room > 1:
                depth = rng.randint(1, self.story.room)
                self.story.reorg(depth, depth + 1)
            time.sleep(0.1)

    def __enter__(self) -> Life:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def settings(endpoint: Endpoint, folder: Path) -> dict[str, Any]:
    pools = [{"dex": p.dex, "kind": "uniswap_v2", "address": p.address} for p in endpoint.world.pools]
    wallets = [{"name": "trader", "address": ME}, {"name": "spare", "address": SPARE}]
    chain = {
        "chain_id": endpoint.world.chain_id, "backfill_from": 1, "pools": pools, "wallets": wallets,
        "contracts": [{"name": "executor", "address": EXECUTOR}],
        "endpoints": [{"name": "model", "http": endpoint.http}],
    }  # fmt: skip
    return {"bot": {"name": BOT}, "chain": chain, "state": str(folder / "ledger")}


class Runs:
    """Run after run of the exporter, whose counters never fall."""

    def __init__(self, made: dict[str, Any], folder: Path) -> None:
        self._settings, self._folder = made, folder
        self.seen: Samples = {}
        self.rng = random.Random(3)
        self.ended_at: list[int] = []

    def run(self, done: Callable[[Running], bool]) -> None:
        """From the start to SIGKILL, which comes once something is so."""
        exporter = Running(self._settings, self._folder)
        try:
            exporter.until_up()
            until(lambda: self._look(exporter) or done(exporter), 60, exporter)
        finally:
            exporter.process.kill()
            exporter.process.wait()
        with closing(sqlite3.connect(self._folder / "ledger" / "ledger.sqlite3")) as db:
            self.ended_at += [scanned or 0 for (scanned,) in db.execute("SELECT scanned FROM chain")]

    @property
    def shown(self) -> int:
        """Transactions, as they were last shown."""
        return int(sum(n for (name, _), n in self.seen.items() if name == "arb_wallet_transactions_total"))

    def for_a_moment(self) -> Callable[[Running], bool]:
        end = time.monotonic() + self.rng.uniform(0.3, 1.6)
        return lambda exporter: time.monotonic() > end

    def _look(self, exporter: Running) -> None:
        now = exporter.samples()
        fallen = {key: (value, now[key]) for key, value in self.seen.items() if now.get(key, value) < value}
        assert not fallen, f"counters fell: {fallen}"
        self.seen |= {
            key: value
            for key, value in now.items()
            if key[0].endswith("_total") and key[0].startswith(("arb_wallet_", "arb_bot_"))
        }


async def test_kills_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    world = story.world(depth=12, interval=0.2)
    own = Story(random.Random(55), world)
    own.mine(BACKLOG)
    with serving(world) as endpoint:
        runs = Runs(settings(endpoint, tmp_path), tmp_path)
        runs.run(lambda exporter: (exporter.value(SCANNED) or 0) > 0)
        with Life(own):
            for _ in range(KILLS // 2):
                runs.run(runs.for_a_moment())
            runs.run(lambda exporter: (exporter.value(SCANNED) or 0) > BACKLOG)
            for _ in range(KILLS // 2):
                runs.run(runs.for_a_moment())
        own.mine(world.depth + 3, empty=True)
        wanted = sum(truth(world, (ME, SPARE), (EXECUTOR,), 1).counts.values())
        runs.run(lambda exporter: runs.shown >= wanted)
        made = Watch(watch.settings(tmp_path / "ledger", [endpoint]))
        async with made.run():
            await made.look()
            assert await made.mistakes(world) == []
    assert runs.shown == wanted > 200
    assert runs.ended_at[KILLS // 2] < BACKLOG < runs.ended_at[-3], "not both were killed, reading and following"
    print(f"{len(runs.ended_at)} kills at blocks {runs.ended_at}, {wanted} transactions: difference 0")
