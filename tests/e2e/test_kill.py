"""SIGKILL at any moment while the bot appends, rewrites and prunes: no trade lost or counted twice."""

import os
import random
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests import bank
from tests.running import Running, Samples, until

ROWS = 1_500
"""In the list of recent trades at most, which is mapped as a file of a megabyte: it waits until the ledger has them."""
KILLS = 200 if os.environ.get("ARB_PROOFS") == "full" else 12


class Bot:
    """Writes trades without pause and removes only what is in the exporter's ledger, which it must never lose again."""

    def __init__(self, path: Path, ledger: Path) -> None:
        self.bank, self.ledger = bank.Bank(path), ledger
        self.rng = random.Random(7)
        self.trades, self.rows = bank.Oracle(), bank.Oracle()
        self.epoch = bank.FIRST_EPOCH
        self.files: list[tuple[str, Path]] = []
        self.recent: list[dict[str, object]] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        while not self.stop.is_set():
            self.write()
            time.sleep(0.004)

    def write(self) -> None:
        """A trade, and what goes with some of them."""
        self._trade()
        if self.rng.random() < 0.3:
            self._rewrite()
        if self.rng.random() < 0.5 and len(self.recent) < ROWS:
            self._row()
        if self.epoch % 40 == 0:
            self._prune()

    def _trade(self) -> None:
        record = bank.trade(self.rng)
        self.epoch += 1
        style = self.rng.choice([bank.write_plain, bank.write_renamed, bank.write_slowly])
        file = self.bank.trades / f"trade_{self.epoch}.json"
        style(file, bank.json.dumps(record, indent=2).encode())
        self.trades.trade(record)
        self.files.append((record["tx_hash"], file))

    def _rewrite(self) -> None:
        """The same trade once more, in place or under another name."""
        tx_hash, file = self.rng.choice(self.files)
        content = file.read_bytes()
        if self.rng.random() < 0.5:
            bank.write_plain(file, content)
        else:
            self.epoch += 1
            copy = self.bank.trades / f"trade_{self.epoch}.json"
            copy.write_bytes(content)
            self.files.append((tx_hash, copy))

    def _row(self) -> None:
        row = bank.row(self.rng)
        self.rows.row(row)
        self.recent.insert(0, row)
        self.bank.put_recent(self.recent, self.rng.choice(["mmap", "plain", "renamed"]))

    def _prune(self) -> None:
        try:
            with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as db:
                kept = {tx_hash for (tx_hash,) in db.execute("SELECT tx_hash FROM trade WHERE source='memory_bank'")}
                (rows,) = db.execute("SELECT count(*) FROM trade WHERE source='recent'").fetchone()
        except sqlite3.Error:
            return  # there is none yet, or it is being opened
        for place in [p for p in self.files[:-300] if p[0] in kept]:
            self.files.remove(place)
            place[1].unlink()
        if rows == len(self.rows.keys):
            del self.recent[60:]


def total(samples: Samples, source: str) -> int:
    return int(
        sum(
            value
            for (name, labels), value in samples.items()
            if name == "arb_bot_trades_by_outcome_total" and ("source", source) in labels
        )
    )


def counters(samples: Samples) -> Samples:
    return {key: value for key, value in samples.items() if key[0].startswith("arb_bot_") and key[0].endswith("_total")}


def test_kills_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    bot = Bot(tmp_path / "bank", tmp_path / "ledger" / "ledger.sqlite3")
    settings = {"bot": {"name": "b", "memory_bank": str(tmp_path / "bank")}, "state": str(tmp_path / "ledger")}
    seen: Samples = {}
    bot.thread.start()
    rng = random.Random(1)
    scrapes = 0
    try:
        for _ in range(KILLS):
            exporter = Running(settings, tmp_path)
            try:
                exporter.until_up()
                end = time.monotonic() + rng.uniform(0.05, 0.9)
                while time.monotonic() < end:
                    now = exporter.samples()
                    assert all(now.get(key, value) >= value for key, value in seen.items()), "a counter fell"
                    seen |= counters(now)
                    scrapes += 1
                    time.sleep(0.02)
            finally:
                exporter.process.kill()
                exporter.process.wait()
    finally:
        bot.stop.set()
        bot.thread.join()
    last = Running(settings, tmp_path)
    try:
        last.until_up()
        expected = {"memory_bank": len(bot.trades.keys), "recent": len(bot.rows.keys)}
        found: dict[str, int] = {}

        def all_there() -> bool:
            now = last.samples()
            found.update({source: total(now, source) for source in expected})
            return found == expected

        try:
            until(all_there, 30, last)
        except AssertionError:
            raise AssertionError(f"shown {found}, written {expected}") from None
        final = last.samples()
    finally:
        last.process.kill()
        last.process.wait()
    assert all(final.get(key, -1) >= value for key, value in seen.items())
    for source, oracle in (("memory_bank", bot.trades), ("recent", bot.rows)):
        compare(final, source, oracle)
    print(f"{KILLS} kills, {scrapes} scrapes, {expected}: difference 0")


def compare(samples: Samples, source: str, oracle: bank.Oracle) -> None:
    counts: Counter[tuple[str, ...]] = Counter()
    for (name, labels), value in samples.items():
        label = dict(labels)
        if label.get("source") != source:
            continue
        route = tuple(label.get(n, "") for n in ("pair", "dex_buy", "dex_sell"))
        if name == "arb_bot_trades_total":
            counts[(*route, label["outcome"])] += int(value)
        elif name == "arb_bot_net_profit_ether":
            assert abs(value - float(oracle.net[route])) < 1e-9  # type: ignore[index]
        elif name == "arb_bot_gas_cost_ether_total":
            assert abs(value - float(oracle.gas[route])) < 1e-9  # type: ignore[index]
        elif name == "arb_bot_expected_profit_ether_total":
            assert abs(value - float(oracle.expected[route])) < 1e-9  # type: ignore[index]
    assert counts == Counter(oracle.counts)
