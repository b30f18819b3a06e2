"""The bot's books in the ledger: every trade once by its key, and the totals of what was counted."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from exporter import course, fault_books
from exporter.course import Course
from exporter.ledger import fetch
from exporter.slots import Route, Slots
from exporter.sources.memory_bank import Batch, Fault
from exporter.sources.records import SUCCESS, Execution, Opportunity, Trade

UNBOUNDED: Final = 2**31
"""More series than there can be."""
CLOCK_SLACK: Final = 300.0
"""Seconds that a trade's time may lie ahead of our clock before it is not believed."""


@dataclass(frozen=True, slots=True)
class RouteTotal:
    """Sums of one route; amounts in wei."""

    success: int = 0
    failed: int = 0
    net_wei: int = 0
    gain_wei: int = 0
    loss_wei: int = 0
    gas_wei: int = 0
    expected_wei: int = 0

    def plus(self, trade: Trade) -> RouteTotal:
        """With one trade more; an unknown amount leaves its sum alone."""
        net, won = trade.net_wei or 0, trade.outcome == SUCCESS
        return RouteTotal(
            self.success + won,
            self.failed + (not won),
            self.net_wei + net,
            self.gain_wei + max(net, 0),
            self.loss_wei + max(-net, 0),
            self.gas_wei + max(trade.gas_wei or 0, 0),
            self.expected_wei + max(trade.expected_wei or 0, 0),
        )


@dataclass(slots=True)
class SourceTotal:
    """Everything counted of one source; `first_read` once its first complete read is done.

    `peak_wei` is the highest that the sum of net profits ever was, `below_wei` how far that sum is below it now.
    """

    first_read: bool = False
    last_trade: float | None = None
    routes: dict[Route, RouteTotal] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    peak_wei: int | None = None
    below_wei: int | None = None

    @property
    def success(self) -> int:
        """Successful trades over all routes."""
        return sum(total.success for total in self.routes.values())

    @property
    def failed(self) -> int:
        """Failed trades over all routes."""
        return sum(total.failed for total in self.routes.values())


@dataclass(frozen=True, slots=True)
class Books:
    """All totals of a bot, by source."""

    sources: Mapping[str, SourceTotal]


class Writer:
    """Puts batches down inside one transaction of the ledger, for one bot and one source."""

    def __init__(
        self, db: sqlite3.Connection, bot: str, source: str, routes: int, now: float, slots: Slots | None = None
    ) -> None:
        self._db, self._bot, self._source, self._most_routes, self._now = db, bot, source, routes, now
        self._slots = slots or Slots(db, bot, UNBOUNDED)
        self._totals: dict[Route, RouteTotal] = {}
        self._failures: dict[str, int] = {}
        self._last: float | None = None
        self._course = Course(db, bot, source)
        self.conflicts = 0

    def put(self, batch: Batch, executions: Iterable[Execution]) -> None:
        """Everything in a batch, and executions whose waiting is over."""
        for opportunity in batch.opportunities:
            self._opportunity(opportunity)
        for trade in batch.trades:
            self.trade(trade)
        for execution in executions:
            self.trade(self._joined(execution))
        fault_books.put(self._db, self._bot, batch.faults, self._now)
        self.flush(batch.complete)

    def trade(self, trade: Trade) -> int | None:
        """Count a trade; the number of its row, None if it was known."""
        self._course.find()
        row = self._db.execute(
            "INSERT INTO trade (bot, source, key, digest, time, pair, dex_buy, dex_sell, outcome, reason, net_wei,"
            " gas_wei, expected_wei, tx_hash) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
            (
                self._bot, self._source, trade.key, trade.digest, trade.time, trade.pair, trade.dex_buy,
                trade.dex_sell, trade.outcome, trade.reason, _text(trade.net_wei), _text(trade.gas_wei),
                _text(trade.expected_wei), trade.tx_hash,
            ),
        )  # fmt: skip
        if not row.rowcount:
            self._again(trade)
            return None
        route = self._slot((trade.pair, trade.dex_buy, trade.dex_sell), "total")
        self._totals[route] = self._total(route).plus(trade)
        self._course.add(trade.net_wei or 0)
        if trade.reason is not None:
            self._failures[trade.reason] = self._failures.get(trade.reason, 0) + 1
        if trade.time is not None and trade.time <= self._now + CLOCK_SLACK:
            self._last = max(trade.time, self._last or 0.0)
        return row.lastrowid

    def expect(self, row: int, expected_wei: int) -> None:
        """What was expected of a trade that is counted already."""
        query = "UPDATE trade SET expected_wei=? WHERE id=? RETURNING pair, dex_buy, dex_sell"
        for pair, dex_buy, dex_sell in fetch(self._db, query, str(expected_wei), row):
            route = self._slot((pair, dex_buy, dex_sell), "total")
            total = self._total(route)
            self._totals[route] = replace(total, expected_wei=total.expected_wei + max(expected_wei, 0))

    def _again(self, trade: Trade) -> None:
        """A key seen before: nothing is counted, but other content under it is a fault."""
        known = self._db.execute(
            "SELECT digest FROM trade WHERE bot=? AND source=? AND key=?", (self._bot, self._source, trade.key)
        ).fetchone()
        if known[0] != trade.digest:
            self.conflicts += 1
            self._conflict(b"trade", trade.key, trade.digest)

    def _conflict(self, what: bytes, key: bytes, digest: bytes) -> None:
        """A fault of the bank; events have a count of their own."""
        if self._source == "events":
            return
        mark = hashlib.blake2b(what + b"\0" + key + b"\0" + digest, digest_size=16).digest()
        kind = "recent" if self._source == "recent" else what.decode()
        fault_books.put(self._db, self._bot, [Fault(kind, "conflict", mark)], self._now)

    def _opportunity(self, opportunity: Opportunity) -> None:
        added = self._db.execute(
            "INSERT INTO opportunity (bot, source, id, digest, pair, dex_buy, dex_sell, expected_wei, seen)"
            " VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
            (
                self._bot, self._source, opportunity.id, opportunity.digest, opportunity.pair,
                opportunity.dex_buy, opportunity.dex_sell, _text(opportunity.expected_wei), self._now,
            ),
        ).rowcount  # fmt: skip
        if added:
            route = self._slot((opportunity.pair, opportunity.dex_buy, opportunity.dex_sell), "opportunity_total")
            self._db.execute(
                "INSERT INTO opportunity_total VALUES (?,?,?,?,?,'detected',1) ON CONFLICT DO UPDATE SET count=count+1",
                (self._bot, self._source, *route),
            )
            return
        known = fetch(
            self._db, "SELECT digest FROM opportunity WHERE bot=? AND source=? AND id=?",
            self._bot, self._source, opportunity.id,
        )  # fmt: skip
        if known[0][0] != opportunity.digest:
            self._conflict(b"opportunity", opportunity.id.encode(), opportunity.digest)

    def _joined(self, execution: Execution) -> Trade:
        found = self._db.execute(
            "SELECT pair, dex_buy, dex_sell, expected_wei FROM opportunity WHERE bot=? AND source=? AND id=?",
            (self._bot, self._source, execution.opportunity_id),
        ).fetchone()
        if found is None:
            return execution.trade
        pair, dex_buy, dex_sell, expected = found
        return replace(execution.trade, pair=pair, dex_buy=dex_buy, dex_sell=dex_sell, expected_wei=_number(expected))

    def _slot(self, route: Route, table: str) -> Route:
        """The route itself if it has one of the slots, which are given once and for ever; else `other`."""
        return self._slots.route(self._source, route, self._most_routes, table)

    def _total(self, route: Route) -> RouteTotal:
        if route not in self._totals:
            found = fetch(
                self._db, f"SELECT {_SUMS} FROM total WHERE bot=? AND source=? AND pair=? AND dex_buy=? AND dex_sell=?",  # noqa: S608  no value is put into the text
                self._bot, self._source, *route,
            )  # fmt: skip
            self._totals[route] = RouteTotal(*map(int, found[0])) if found else RouteTotal()
        return self._totals[route]

    def flush(self, complete: bool) -> None:
        """Put down what was counted since this began; `complete` if the source's first read is over."""
        for route, t in self._totals.items():
            sums = (t.success, t.failed, *map(str, (t.net_wei, t.gain_wei, t.loss_wei, t.gas_wei, t.expected_wei)))
            self._db.execute(
                "INSERT OR REPLACE INTO total VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                (self._bot, self._source, *route, *sums),
            )
        for reason, count in self._failures.items():
            self._db.execute(
                "INSERT INTO failure VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET count=count+excluded.count",
                (self._bot, self._source, reason, count),
            )
        self._db.execute(
            "INSERT INTO source VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET"
            " first_read=max(first_read, excluded.first_read),"
            " last_trade=max(coalesce(last_trade, excluded.last_trade), coalesce(excluded.last_trade, last_trade))",
            (self._bot, self._source, int(complete), self._last),
        )
        self._course.save()


_SUMS: Final = "success, failed, net_wei, gain_wei, loss_wei, gas_wei, expected_wei"


def known_opportunities(db: sqlite3.Connection, bot: str, ids: Iterable[str]) -> set[str]:
    """Which of these opportunities of the bank have been seen."""
    query = "SELECT 1 FROM opportunity WHERE bot=? AND source='memory_bank' AND id=?"
    return {identity for identity in ids if fetch(db, query, bot, identity)}


def read(db: sqlite3.Connection, bot: str) -> Books:
    """All totals of a bot."""
    sources = {
        source: SourceTotal(bool(first_read), last_trade or None)  # 0 was once taken for a time
        for source, first_read, last_trade in fetch(
            db, "SELECT source, first_read, last_trade FROM source WHERE bot=?", bot
        )
    }
    query = f"SELECT source, pair, dex_buy, dex_sell, {_SUMS} FROM total WHERE bot=? ORDER BY 1,2,3,4"  # noqa: S608
    for source, pair, dex_buy, dex_sell, *sums in fetch(db, query, bot):
        sources[source].routes[pair, dex_buy, dex_sell] = RouteTotal(*map(int, sums))
    for source, reason, count in fetch(db, "SELECT source, reason, count FROM failure WHERE bot=? ORDER BY 1,2", bot):
        sources[source].failures[reason] = count
    for source, (net, peak) in course.read(db, bot).items():
        sources[source].peak_wei, sources[source].below_wei = peak, peak - net
    return Books(sources)


def complete(db: sqlite3.Connection, bot: str) -> frozenset[str]:
    """The sources whose first read is over."""
    return frozenset(source for (source,) in fetch(db, "SELECT source FROM source WHERE bot=? AND first_read", bot))


type OpportunityTotals = dict[tuple[str, str, str, str, str], int]


def opportunities(db: sqlite3.Connection, bot: str) -> OpportunityTotals:
    """Opportunities counted, by (source, pair, venue bought at, venue sold at, stage)."""
    query = "SELECT source, pair, dex_buy, dex_sell, stage, count FROM opportunity_total WHERE bot=? ORDER BY 1,2,3,4,5"
    return {tuple(key): count for *key, count in fetch(db, query, bot)}


def _text(amount: int | None) -> str | None:
    return None if amount is None else str(amount)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
