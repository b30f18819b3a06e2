"""SIGKILL at any moment while events come by HTTP and by file, doubled and out of order: difference 0.

ARB_PROOFS=full tells 100,000 events across 40 kills.
"""

import json
import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import batched
from pathlib import Path
from typing import Any

from tests.running import Running, Samples, until

FULL = os.environ.get("ARB_PROOFS") == "full"
EVENTS, KILLS, ROTATIONS = (100_000, 40, 20) if FULL else (4_000, 6, 5)
PAIRS, VENUES = ("WETH/USDC", "cbETH/WETH", "USDbC/USDC"), ("aerodrome", "uniswap", "sushiswap")
KINDS = ("opportunity", "opportunity", "trade", "trade", "flash_loan", "bundle")


def made(rng: random.Random, number: int) -> dict[str, Any]:
    """One event; what it says is easily added up."""
    kind = rng.choice(KINDS)
    common = {"id": f"event-{number}", "type": kind, "time": 1_767_225_600 + number}
    route = {"pair": rng.choice(PAIRS), "dex_buy": rng.choice(VENUES), "dex_sell": rng.choice(VENUES)}
    outcome = rng.choice(("success", "failed"))
    own: dict[str, Any] = {
        "opportunity": {**route, "stage": rng.choice(("detected", "executed", "rejected", "missed"))},
        "trade": {**route, "outcome": outcome, "net_profit_eth": f"{rng.randrange(-500, 500)}e-6",
                  "gas_fee_eth": f"{rng.randrange(500)}e-7", "simulated": rng.random() < 0.05},
        "flash_loan": {"provider": rng.choice(("balancer", "aave")), "token": "WETH", "amount": 5, "outcome": outcome},
        "bundle": {"relay": "flashbots", "outcome": rng.choice(("submitted", "included"))},
    }[kind]  # fmt: skip
    return common | own


class Bot:
    """Reports every event at least once, by one way or both, in any order, and again until it was taken."""

    def __init__(self, file: Path, events: list[dict[str, Any]]) -> None:
        self.file, self.rng = file, random.Random(3)
        self.posted = self.lines = self.again = self.rotations = 0
        self.kills = 0
        self.url = ""
        self.stop = threading.Event()
        by_http = [e for e in events if self.rng.random() < 0.6]
        ids = {e["id"] for e in by_http}
        by_file = [e for e in events if e["id"] not in ids or self.rng.random() < 0.3]
        self.http, self.appended = self._disordered(by_http), self._disordered(by_file)
        self.threads = [threading.Thread(target=self._post), threading.Thread(target=self._append)]

    def _disordered(self, events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """In batches, some of them twice, each and all shuffled a little."""
        doubled = events + self.rng.sample(events, len(events) // 20)
        doubled.sort(key=lambda e: int(e["id"].partition("-")[2]) + self.rng.uniform(0, 2_000))
        return [list(batch) for batch in batched(doubled, self.rng.choice((97, 150)))]

    def _spread(self, batches: list[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
        """The batches, no faster than the exporter is killed."""
        for number, batch in enumerate(batches):
            while self.kills < KILLS and number * KILLS > len(batches) * (self.kills + 1) and not self.stop.is_set():
                time.sleep(0.005)
            if self.stop.is_set():
                return
            yield batch

    def _post(self) -> None:
        for batch in self._spread(self.http):
            body = "\n".join(map(json.dumps, batch)).encode() if self.posted % 2 else json.dumps(batch).encode()
            while not self.stop.is_set() and not self._taken(body, "x-ndjson" if self.posted % 2 else "json"):
                self.again += 1
                time.sleep(0.02)
            self.posted += len(batch)

    def _taken(self, body: bytes, kind: str) -> bool:
        request = urllib.request.Request(self.url, body, {"Content-Type": f"application/{kind}"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
                return bool(response.status == 202)
        except (OSError, ValueError, urllib.error.HTTPError):
            return False

    def _append(self) -> None:
        for number, batch in enumerate(self._spread(self.appended), 1):
            lines = "".join(json.dumps(event) + "\n" for event in batch).encode()
            with self.file.open("ab", buffering=0) as opened:
                cut = self.rng.randrange(len(lines))
                opened.write(lines[:cut])  # and so a line is torn for a moment
                time.sleep(0.001)
                opened.write(lines[cut:])
            self.lines += len(batch)
            if number % max(len(self.appended) // ROTATIONS, 1) == 0:
                self._rotate()

    def _rotate(self) -> None:
        self.rotations += 1
        for place in range(self.rotations, -1, -1):
            older = self.file.with_name(f"{self.file.name}.{place}" if place else self.file.name)
            if older.exists():
                older.rename(self.file.with_name(f"{self.file.name}.{place + 1}"))


def expected(events: list[dict[str, Any]]) -> tuple[Counter[tuple[str, ...]], dict[str, Decimal]]:
    """What must be shown in the end: counts by metric and label values, sums of money."""
    counts: Counter[tuple[str, ...]] = Counter()
    sums = {"net": Decimal(), "gain": Decimal(), "gas": Decimal()}
    for event in events:
        kind = event["type"]
        counts["arb_events_total", kind] += 1
        if event.get("simulated"):
            counts["arb_events_simulated_total", kind] += 1
        elif kind == "trade":
            counts["arb_bot_trades_by_outcome_total", event["outcome"]] += 1
            net = Decimal(event["net_profit_eth"])
            sums["net"] += net
            sums["gain"] += max(net, Decimal())
            sums["gas"] += Decimal(event["gas_fee_eth"])
        elif kind == "opportunity":
            counts["arb_bot_opportunities_by_stage_total", event["stage"]] += 1
        elif kind == "flash_loan":
            counts["arb_bot_flash_loans_total", event["provider"], event["outcome"]] += 1
        elif kind == "bundle":
            counts["arb_bot_bundles_total", event["relay"], event["outcome"]] += 1
    return counts, sums


LABELS = {
    "arb_events_total": ("type",), "arb_events_simulated_total": ("type",),
    "arb_bot_trades_by_outcome_total": ("outcome",), "arb_bot_opportunities_by_stage_total": ("stage",),
    "arb_bot_flash_loans_total": ("provider", "outcome"), "arb_bot_bundles_total": ("relay", "outcome"),
}  # fmt: skip


def found(samples: Samples) -> Counter[tuple[str, ...]]:
    """The same of what is shown; what is zero counts as absent."""
    counts: Counter[tuple[str, ...]] = Counter()
    for (name, pairs), value in samples.items():
        labels = dict(pairs)
        if name in LABELS and value and labels.get("source", "events") == "events":
            counts[name, *(labels[label] for label in LABELS[name])] += int(value)
    return counts


def counters(samples: Samples) -> Samples:
    kept = ("arb_bot_", "arb_events_")
    return {key: value for key, value in samples.items() if key[0].startswith(kept) and key[0].endswith("_total")
            and key[0] != "arb_events_requests_total"}  # fmt: skip


def test_kills_lose_no_event_and_count_none_twice(tmp_path: Path) -> None:
    rng = random.Random(11)
    events = [made(rng, number) for number in range(EVENTS)]
    file = tmp_path / "events.ndjson"
    file.touch()
    settings = {"bot": {"name": "b", "events": str(file)}, "state": str(tmp_path / "ledger")}
    bot, scrapes = Bot(file, events), 0
    seen: Samples = {}
    began = time.monotonic()
    try:
        while bot.kills < KILLS:
            exporter = Running(settings, tmp_path)
            bot.url = f"{exporter.url}/api/v1/events"
            try:
                exporter.until_up(120)
                if not bot.kills:
                    until(lambda: exporter.value("arb_events_total", bot="b", type="trade") == 0, 120, exporter)  # noqa: B023
                    for thread in bot.threads:
                        thread.start()
                end = time.monotonic() + rng.uniform(0.1, 1.2)
                while time.monotonic() < end:
                    now = exporter.samples()
                    assert all(now.get(key, value) >= value for key, value in seen.items()), "a counter fell"
                    seen |= counters(now)
                    scrapes += 1
                    time.sleep(0.02)
            finally:
                exporter.process.kill()
                exporter.process.wait()
            bot.kills += 1
        _finish(Running(settings, tmp_path), bot, events, seen)
    finally:
        bot.stop.set()
        for thread in bot.threads:
            if thread.ident is not None:
                thread.join()
    took = time.monotonic() - began
    told = f"{bot.posted} by HTTP ({bot.again} requests again), {bot.lines} by file with {bot.rotations} rotations"
    print(f"{EVENTS} events, {told}, {KILLS} kills, {scrapes} scrapes, {took:.0f} s: difference 0")


def _finish(last: Running, bot: Bot, events: list[dict[str, Any]], seen: Samples) -> None:
    bot.url = f"{last.url}/api/v1/events"
    counts, sums = expected(events)
    try:
        last.until_up(120)
        for thread in bot.threads:
            thread.join(600)
            assert not thread.is_alive()
        until(lambda: found(last.samples()) == counts, 120, last)
        final = last.samples()
    except AssertionError:
        difference = counts.copy()
        difference.subtract(found(last.samples()))
        raise AssertionError({key: value for key, value in difference.items() if value}) from None
    finally:
        last.process.kill()
        last.process.wait()
    assert all(final.get(key, -1) >= value for key, value in seen.items())
    for name, total in (("net_profit_ether", sums["net"]), ("gain_ether_total", sums["gain"]),
                        ("gas_cost_ether_total", sums["gas"])):  # fmt: skip
        shown = sum(value for (metric, _), value in final.items() if metric == f"arb_bot_{name}")
        assert abs(shown - float(total)) < 1e-9, name
    assert not any(value for (metric, _), value in final.items() if metric == "arb_events_conflicts_total")
    assert not any(value for (metric, _), value in final.items() if metric == "arb_events_invalid_total")
