"""What the bot's events add up to: each is counted in the transaction that takes it in, and never again."""

from __future__ import annotations

import bisect
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from exporter.books import Writer
from exporter.config import Settings
from exporter.event_totals import (
    EVENTS,
    HOURS,
    MICROSECONDS,
    PHASES,
    SECONDS,
    SLIPPAGES,
    Key,
    Word,
    last_word,
)  # fmt: skip
from exporter.ledger import fetch
from exporter.metrics import OTHER, UNKNOWN
from exporter.slots import Slots, room
from exporter.sources import event_records as said
from exporter.sources.event_records import DETECTED, REJECTED
from exporter.sources.records import SUCCESS, WEI, Trade


def count(
    db: sqlite3.Connection, settings: Settings, events: Iterable[said.Event], now: float, complete: bool = True
) -> int:
    """Count events that are new and no simulation, in the caller's transaction; how many of them were conflicts.

    A conflict is a trade that was told before, under another id and with other content. While a first read goes on
    it is not `complete`, and nothing of it is shown.
    """
    return Counting(db, settings, now).put(events, complete)


class Counting:
    """One batch of events on its way into the ledger."""

    def __init__(self, db: sqlite3.Connection, settings: Settings, now: float) -> None:
        self._db, self._bot, self._zone, self._now = db, settings.bot.name, settings.bot.timezone, now
        self._most_routes = settings.limits.routes_per_source
        self._slots = Slots(db, self._bot, room(settings))
        self._writer = Writer(db, self._bot, EVENTS, self._most_routes, now, self._slots)
        self._steps: Counter[tuple[str, str, str, str]] = Counter()
        self._added: Counter[tuple[str, str, str]] = Counter()
        self._largest: dict[tuple[str, str, str], int] = {}
        self._words: dict[Key, Word | None] = {}
        self._awaiting = False

    def put(self, events: Iterable[said.Event], complete: bool) -> int:
        """Opportunities before all else, because trades refer to them."""
        self._awaiting = bool(fetch(self._db, "SELECT 1 FROM awaited WHERE bot=? LIMIT 1", self._bot))
        rest = []
        for event in events:
            if isinstance(event, said.Opportunity):
                self._opportunity(event)
            else:
                rest.append(event)
        for event in rest:
            _COUNTED[type(event)](self, event)
        self._flush()
        self._writer.flush(complete)
        return self._writer.conflicts

    def _opportunity(self, event: said.Opportunity) -> None:
        route = event.pair, event.dex_buy, event.dex_sell
        expected = event.expected_profit_wei
        added = self._db.execute(
            "INSERT INTO opportunity (bot, source, id, digest, pair, dex_buy, dex_sell, expected_wei, seen, stage,"
            " reason) VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
            (self._bot, EVENTS, event.id, event.digest, *route, None if expected is None else str(expected),
             self._now, event.stage, event.reason),
        ).rowcount  # fmt: skip
        if not added:
            return
        route = self._slots.route(EVENTS, route, self._most_routes, "opportunity_total")
        self._steps[*route, event.stage] += 1
        self._add("stage_expected_wei", max(expected or 0, 0), event.stage)
        if event.stage == REJECTED:
            self._add("rejections", 1, event.reason or OTHER)
        if event.stage == DETECTED:
            self._add("hours", 1, HOURS[datetime.fromtimestamp(event.time, self._zone).hour])
        if expected is not None and self._awaiting:
            self._awaited(event.id, expected)

    def _awaited(self, opportunity: str, expected_wei: int) -> None:
        """Give trades that were told before their opportunity what it promised."""
        query = "DELETE FROM awaited WHERE bot=? AND opportunity=? RETURNING trade"
        for (trade,) in fetch(self._db, query, self._bot, opportunity):
            self._writer.expect(trade, expected_wei)

    def _trade(self, event: said.Trade) -> None:
        expected, waits = self._promised(event.opportunity_id)
        row = self._writer.trade(_row(event, expected))
        if row is None:
            return
        if waits:
            self._db.execute("INSERT INTO awaited VALUES (?,?,?,?)", (self._bot, event.opportunity_id, row, self._now))
        self._by_strategy(event)
        self._by_path(event)
        self._timing(event)
        self._slippage(event)
        self._fees(event)

    def _promised(self, opportunity: str | None) -> tuple[int | None, bool]:
        """What a trade's opportunity promised (wei), and whether that may still be told."""
        if opportunity is None:
            return None, False
        query = "SELECT expected_wei FROM opportunity WHERE bot=? AND source='events' AND id=?"
        found = fetch(self._db, query, self._bot, opportunity)
        return (int(found[0][0]) if found and found[0][0] is not None else None), not found

    def _by_strategy(self, event: said.Trade) -> None:
        name = UNKNOWN if event.strategy is None else self._slots.name("strategy", event.strategy)
        net = event.net_profit_wei
        self._add("strategy_trades", 1, name, event.outcome)
        self._add("strategy_net_wei", net, name)
        self._add("strategy_gain_wei", max(net, 0), name)
        self._add("strategy_loss_wei", max(-net, 0), name)
        self._add("strategy_gas_wei", event.gas_fee_wei, name)
        self._add("strategy_amount_wei", event.amount_wei, name)
        self._add("strategy_gas_used", event.gas_used, name)

    def _by_path(self, event: said.Trade) -> None:
        path = _path(event.path_length)
        self._add("path_trades", 1, path, event.outcome)
        self._add("path_net_wei", event.net_profit_wei, path)

    def _timing(self, event: said.Trade) -> None:
        found, sent, mined = event.discovered_at, event.submitted_at, event.included_at
        for phase, start, end in zip(PHASES, (found, sent, found), (sent, mined, mined), strict=True):
            if start is not None and end is not None and end >= start:
                self._observe("duration", "duration_us", phase, round((end - start) * MICROSECONDS), MICROSECONDS)

    def _slippage(self, event: said.Trade) -> None:
        if event.slippage_ratio is None:
            return
        lost = round(max(event.slippage_ratio, 0.0) * WEI)
        for venue in {self._slots.name("venue", venue) for venue in (event.dex_buy, event.dex_sell)}:
            self._observe("slippage", "slippage_wei", venue, lost, WEI)

    def _observe(self, counts: str, sums: str, name: str, amount: int, unit: int) -> None:
        bounds = SECONDS if unit == MICROSECONDS else SLIPPAGES
        self._add(counts, 1, name, f"{bisect.bisect_left(bounds, amount / unit):02d}")
        self._add(sums, amount, name)

    def _fees(self, event: said.Trade) -> None:
        self._add("fee_wei", event.gas_fee_wei, "gas")
        self._add("fee_wei", event.l1_fee_wei, "l1")
        self._add("fee_wei", event.flash_loan_fee_wei, "flash_loan")
        self._add("fee_wei", event.dex_fee_wei, "dex")
        self._add("gas_used", event.gas_used)

    def _flash_loan(self, event: said.FlashLoan) -> None:
        provider = self._slots.name("provider", event.provider)
        self._add("loans", 1, provider, event.outcome)
        self._add("loan_fee_wei", event.fee_wei, provider)
        if event.outcome == SUCCESS and self._slots.name("loan", f"{provider} {event.token}") != OTHER:
            key = "loan_largest_wei", provider, event.token
            self._largest[key] = max(int(event.amount.scaleb(18)), self._largest.get(key, 0))

    def _bundle(self, event: said.Bundle) -> None:
        self._add("bundles", 1, self._slots.name("relay", event.relay), event.outcome)

    def _component(self, event: said.Component) -> None:
        self._say("component", event.name, event.time, event.status)

    def _pool(self, event: said.PoolUse) -> None:
        self._say("pool", event.name, event.time, event.in_use, event.size)

    def _allocation(self, event: said.Allocation) -> None:
        what, name = ("dex", event.dex) if event.dex is not None else ("pair", event.pair)
        self._say(what, name or UNKNOWN, event.time, event.share_ratio, event.amount_wei)

    def _price(self, event: said.Price) -> None:
        self._say("price", f"{event.pair} {event.dex}", event.time, event.price)

    def _cache(self, event: said.Cache) -> None:
        """Running totals: what they grew by, or all of them if the bot has begun anew."""
        before = self._last("cache", event.name)
        values = event.hits, event.misses
        if not self._say("cache", event.name, event.time, *values, event.entries, event.bytes):
            return
        known = (0, 0) if before is None else tuple(map(int, before.values[:2]))
        anew = any(value < old for value, old in zip(values, known, strict=True))
        for what, value, old in zip(("cache_hits", "cache_misses"), values, known, strict=True):
            self._add(what, value - old * (not anew), event.name)

    def _say(self, what: str, name: str, time: float, *values: object) -> bool:
        """Whether this is the last word now: it has a slot, and nothing newer was said."""
        if self._slots.name(what, name) == OTHER:
            return False
        time = min(time, self._now)
        before = self._last(what, name)
        if before is not None and before.time > time:
            return False
        self._words[what, name] = Word(what, name, (), time, tuple(map(str, values)))
        return True

    def _last(self, what: str, name: str) -> Word | None:
        if (what, name) not in self._words:
            self._words[what, name] = last_word(self._db, self._bot, what, name)
        return self._words[what, name]

    def _add(self, what: str, amount: int | None, one: str = "", two: str = "") -> None:
        """An amount more; None was not told, and makes no total of nothing."""
        if amount is not None:
            self._added[what, one, two] += amount

    def _flush(self) -> None:
        for key, amount in self._added.items():
            self._put(key, amount + (self._get(key) or 0))
        for key, amount in self._largest.items():
            self._put(key, max(amount, self._get(key) or 0))
        for (*route, stage), steps in self._steps.items():
            self._db.execute(
                "INSERT INTO opportunity_total VALUES (?,?,?,?,?,?,?)"
                " ON CONFLICT DO UPDATE SET count=count+excluded.count",
                (self._bot, EVENTS, *route, stage, steps),
            )
        for word in self._words.values():
            if word is not None:
                row = self._bot, word.what, word.name, word.time, " ".join(word.values)
                self._db.execute("INSERT OR REPLACE INTO word VALUES (?,?,?,?,?)", row)

    def _get(self, key: tuple[str, str, str]) -> int | None:
        found = fetch(self._db, "SELECT amount FROM event_total WHERE bot=? AND what=? AND one=? AND two=?",
                      self._bot, *key)  # fmt: skip
        return int(found[0][0]) if found else None

    def _put(self, key: tuple[str, str, str], amount: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO event_total VALUES (?,?,?,?,?)", (self._bot, *key, str(amount)))


_COUNTED: Final[Mapping[type[said.Event], Callable[[Counting, Any], None]]] = {
    said.Trade: Counting._trade,
    said.FlashLoan: Counting._flash_loan,
    said.Bundle: Counting._bundle,
    said.Allocation: Counting._allocation,
    said.Component: Counting._component,
    said.Cache: Counting._cache,
    said.PoolUse: Counting._pool,
    said.Price: Counting._price,
}


def _row(event: said.Trade, expected_wei: int | None) -> Trade:
    """An event as a row of the trades' books: known by its transaction, or else by its own id."""
    key = b"i" + event.id.encode() if event.tx_hash is None else b"t" + bytes.fromhex(event.tx_hash[2:])
    return Trade(
        key, event.digest, event.time, event.pair, event.dex_buy, event.dex_sell, event.outcome, event.reason,
        event.net_profit_wei, event.gas_fee_wei, expected_wei, event.tx_hash,
    )  # fmt: skip


def _path(length: int | None) -> str:
    if length is None or length < 2:
        return UNKNOWN
    return str(length) if length < 6 else "6+"


def forget(db: sqlite3.Connection, settings: Settings, before: float, most: int) -> None:
    """Leave out what was learned before that time (epoch seconds) and is only needed to join trades to chances.

    Of each kind up to so many.
    """
    old = (settings.bot.name, before, most)
    oldest = "SELECT seq FROM opportunity WHERE source='events' AND bot=? AND seen<? ORDER BY seen LIMIT ?"
    db.execute(f"DELETE FROM opportunity WHERE seq IN ({oldest})", old)  # noqa: S608
    waiting = "SELECT opportunity, trade FROM awaited WHERE bot=? AND seen<? LIMIT ?"
    db.execute(f"DELETE FROM awaited WHERE bot=? AND (opportunity, trade) IN ({waiting})", (settings.bot.name, *old))  # noqa: S608
