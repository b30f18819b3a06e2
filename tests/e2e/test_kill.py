"""SIGKILL at any moment while the bot appends, rewrites and prunes: no trade lost or counted twice."""

import math
import random
import sqlite3
import threading
import time
import urllib.error
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests import bank
from tests.running import Running, Samples, until
from tests.tiers import FULL

ROWS = 1_500
"""In the list of recent trades at most, which is mapped as a file of a megabyte: it waits until the ledger has them."""
FILES = 1_500
"""At most, for the same reason: each life reads all that are there."""
KILLS, TRADES = (200, 100_000) if FULL else (12, 0)
"""At least as many of both."""
BURST = 4 if FULL else 1
"""Trades, and rows, that the bot writes in one turn."""
PROMISE = 2.0
"""Seconds from the start of the process to its first full scrape, of 99 in 100 starts."""
SOURCES = ("memory_bank", "recent")


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
        """Trades, and what goes with some of them."""
        if len(self.files) + BURST <= FILES:
            for _ in range(BURST):
                self._trade()
            if self.rng.random() < 0.3:
                self._rewrite()
        if self.rng.random() < 0.5 and len(self.recent) + BURST <= ROWS:
            self._rows()
        if self.rng.random() < 0.025:
            self._prune()

    @property
    def written(self) -> dict[str, int]:
        """Different trades so far, by source."""
        return dict(zip(SOURCES, (len(self.trades.keys), len(self.rows.keys)), strict=True))

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

    def _rows(self) -> None:
        for _ in range(BURST):
            row = bank.row(self.rng)
            self.rows.row(row)
            self.recent.insert(0, row)
        self.bank.put_recent(self.recent, self.rng.choice(["mmap", "plain", "renamed"]))

    def _prune(self) -> None:
        try:
            with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as db:
                counted = [place for place in self.files[:-300] if has(db, place[0])]
                (rows,) = db.execute("SELECT count(*) FROM trade WHERE bot='b' AND source='recent'").fetchone()
        except sqlite3.Error:
            return  # there is none yet, or it is being opened
        for place in counted:
            self.files.remove(place)
            place[1].unlink()
        if rows == len(self.rows.keys):
            del self.recent[60:]


def has(db: sqlite3.Connection, tx_hash: str) -> bool:
    query = "SELECT 1 FROM trade WHERE bot='b' AND tx_hash=? AND source='memory_bank'"
    return db.execute(query, (tx_hash,)).fetchone() is not None


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


def full(exporter: Running) -> bool:
    """Whether a scrape shows every source's trades, and all that is configured has been read."""
    try:
        shown = exporter.get("/metrics").decode()
        exporter.get("/readyz")
    except urllib.error.HTTPError:
        return False
    lines = [line for line in shown.splitlines() if line.startswith("arb_bot_trades_by_outcome_total{")]
    return all(any(f'source="{source}"' in line for line in lines) for source in SOURCES)


def test_kills_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    bot = Bot(tmp_path / "bank", tmp_path / "ledger" / "ledger.sqlite3")
    settings = {"bot": {"name": "b", "memory_bank": str(tmp_path / "bank")}, "state": str(tmp_path / "ledger")}
    seen: Samples = {}
    took: list[float] = []
    bot.thread.start()
    rng = random.Random(1)
    kills = scrapes = 0
    try:
        while kills < KILLS or sum(bot.written.values()) < TRADES:
            started = time.monotonic()
            exporter = Running(settings, tmp_path)
            try:
                exporter.until_up()
                if kills % 2:  # the others may be killed before they have read anything
                    until(lambda e=exporter: full(e), 20, exporter)
                    took.append(time.monotonic() - started)
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
            kills += 1
    finally:
        bot.stop.set()
        bot.thread.join()
    last = Running(settings, tmp_path)
    try:
        last.until_up()
        expected, found = bot.written, dict[str, int]()

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
    print(f"{kills} kills, {scrapes} scrapes, {expected}: difference 0; first full scrape {told(took)}")
    assert not FULL or percentile(took, 0.99) <= PROMISE


def percentile(seconds: list[float], share: float) -> float:
    return sorted(seconds)[max(0, math.ceil(share * len(seconds)) - 1)]


def told(seconds: list[float]) -> str:
    p50, p99 = percentile(seconds, 0.5), percentile(seconds, 0.99)
    return f"of {len(seconds)}: p50 {p50:.2f} s, p99 {p99:.2f} s, slowest {max(seconds):.2f} s"


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
