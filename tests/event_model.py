"""What events add up to, reckoned plainly from the documents themselves: what the ledger's books are held against."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

WEI = 10**18
BOUNDS = {
    "duration": (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60),
    "slippage": (0.0001, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1),
}


class Model:
    """One bot's events; names that have a slot are kept in the order in which they came."""

    def __init__(self, most: dict[str, int]) -> None:
        self.most = most
        self.ids: set[str] = set()
        self.trades: dict[str, dict[str, Any]] = {}
        self.chances: dict[str, dict[str, Any]] = {}
        self.conflicts = 0
        self.names: dict[str, list[str]] = defaultdict(list)
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.sums: defaultdict[tuple[str, ...], Fraction] = defaultdict(Fraction)
        self.largest: dict[tuple[str, str], Fraction] = {}
        self.said: dict[tuple[str, str], dict[str, Any]] = {}
        self.routes: dict[str, tuple[str, ...]] = {}
        self.net = self.peak = Fraction(0)

    def named(self, kind: str, name: str) -> str:
        known = self.names[kind]
        if name not in known and len(known) < self.most[kind]:
            known.append(name)
        return name if name in known else "other"

    def take(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of these that are new, as they are to be counted."""
        new = []
        for event in events:
            if event["id"] not in self.ids:
                self.ids.add(event["id"])
                new.append(event)
        for event in sorted(new, key=lambda e: e["type"] != "opportunity"):
            getattr(self, event["type"])(event)
        return new

    def route(self, event: dict[str, Any]) -> tuple[str, ...]:
        route = event["pair"], event["dex_buy"], event["dex_sell"]
        return route if self.named(f"route of {event['type']}", "|".join(route)) != "other" else ("other",) * 3

    def opportunity(self, event: dict[str, Any]) -> None:
        self.chances[event["id"]] = event
        self.counts["opportunity", *self.route(event), event["stage"]] += 1
        self.sums["expected", event["stage"]] += max(Fraction(event.get("expected_profit_eth", 0)), 0)
        if event["stage"] == "rejected":
            self.counts["rejection", event.get("reason", "other")] += 1
        if event["stage"] == "detected":
            self.counts["hour", f"{datetime.fromtimestamp(event['time'], UTC).hour:02d}"] += 1

    def trade(self, event: dict[str, Any]) -> None:
        key = event.get("tx_hash", event["id"])
        if key in self.trades:
            self.conflicts += {**event, "id": ""} != {**self.trades[key], "id": ""}
            return
        self.trades[key] = event
        self.routes[key] = self.route(event)
        net = Fraction(event["net_profit_eth"])
        self.net += net
        self.peak = max(self.peak, self.net)
        strategy = self.named("strategy", event["strategy"]) if "strategy" in event else "unknown"
        self.counts["strategy", strategy, event["outcome"]] += 1
        for name, amount in (("net", net), ("gain", max(net, Fraction(0))), ("loss", max(-net, Fraction(0)))):
            self.sums[name, strategy] += amount
        for field in ("gas_fee_eth", "amount_eth", "gas_used"):
            if field in event:
                self.sums[field, strategy] += Fraction(event[field])
        length = event.get("path_length", 0)
        path = "unknown" if length < 2 else str(length) if length < 6 else "6+"
        self.counts["path", path, event["outcome"]] += 1
        self.sums["path", path] += net
        for start, end in (("discovered", "submitted"), ("submitted", "included"), ("discovered", "included")):
            self._observe(event, start, end)
        self._slip(event)
        for field in ("gas_fee_eth", "l1_fee_eth", "flash_loan_fee_eth", "dex_fee_eth"):
            if field in event:
                self.sums["fee", field] += Fraction(event[field])

    def _observe(self, event: dict[str, Any], start: str, end: str) -> None:
        if f"{start}_at" in event and f"{end}_at" in event and event[f"{end}_at"] >= event[f"{start}_at"]:
            seconds = event[f"{end}_at"] - event[f"{start}_at"]
            place = sum(bound < seconds for bound in BOUNDS["duration"])
            self.counts["duration", f"{start}_{end}", str(place)] += 1
            self.sums["duration", f"{start}_{end}"] += Fraction(seconds)

    def _slip(self, event: dict[str, Any]) -> None:
        if "slippage_ratio" in event:
            lost = max(Fraction(event["slippage_ratio"]), Fraction(0))
            place = sum(Fraction(str(bound)) < lost for bound in BOUNDS["slippage"])
            for venue in {self.named("venue", event[side]) for side in ("dex_buy", "dex_sell")}:
                self.counts["slippage", venue, str(place)] += 1
                self.sums["slippage", venue] += lost

    def flash_loan(self, event: dict[str, Any]) -> None:
        provider = self.named("provider", event["provider"])
        self.counts["loan", provider, event["outcome"]] += 1
        self.sums["loan", provider] += Fraction(event.get("fee_eth", 0))
        if event["outcome"] == "success" and self.named("loan", provider + event["token"]) != "other":
            key = provider, event["token"]
            self.largest[key] = max(Fraction(event["amount"]), self.largest.get(key, Fraction(0)))

    def bundle(self, event: dict[str, Any]) -> None:
        self.counts["bundle", self.named("relay", event["relay"]), event["outcome"]] += 1

    def component(self, event: dict[str, Any]) -> None:
        self._say("component", event)

    def cache(self, event: dict[str, Any]) -> None:
        before = self.said.get(("cache", event["name"]))
        if self._say("cache", event):
            anew = before is None or event["hits"] < before["hits"] or event["misses"] < before["misses"]
            for field in ("hits", "misses"):
                self.counts[field, event["name"]] += event[field] - (0 if anew or before is None else before[field])

    def _say(self, kind: str, event: dict[str, Any]) -> bool:
        key = kind, event["name"]
        if self.named(kind, event["name"]) == "other" or event["time"] < self.said.get(key, event)["time"]:
            return False
        self.said[key] = event
        return True

    def expected(self) -> dict[tuple[str, ...], Fraction]:
        """By route, what the opportunities of its trades promised, whichever was told first."""
        found: defaultdict[tuple[str, ...], Fraction] = defaultdict(Fraction)
        for key, trade in self.trades.items():
            chance = self.chances.get(trade.get("opportunity_id", ""), {})
            found[self.routes[key]] += max(Fraction(chance.get("expected_profit_eth", 0)), 0)
        return found
