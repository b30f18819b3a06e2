"""Trades and opportunities row by row out of the ledger: backwards in pages for readers, forwards for the live feed."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass, field
from typing import Any, Final

from exporter.ledger import fetch

SPAN: Final = 5_000
"""Rows that one query looks at, so that a filter that fits nothing holds up nobody who writes."""
NEWEST: Final = 2**63 - 1
"""A cursor that is after every row."""


@dataclass(frozen=True, slots=True)
class TradeRow:
    """A trade as it was counted; `id` grows in the order in which trades became known, `time` is epoch seconds.

    `claim` is what the chain says of it, None for what was not looked up there (yet).
    """

    id: int
    source: str
    time: float | None
    pair: str
    dex_buy: str
    dex_sell: str
    outcome: str
    reason: str | None
    net_wei: int | None
    gas_wei: int | None
    expected_wei: int | None
    tx_hash: str | None
    claim: str | None = None


@dataclass(frozen=True, slots=True)
class OpportunityRow:
    """A step of an opportunity; `seen` is when the exporter learned of it (epoch seconds), if that was noted.

    `reason` is why it was rejected or missed.
    """

    id: int
    source: str
    seen: float | None
    pair: str
    dex_buy: str
    dex_sell: str
    expected_wei: int | None
    stage: str = "detected"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which trades: of this source, pair, venue on either side and outcome, made from `since` until before `until`."""

    source: str | None = None
    pair: str | None = None
    dex: str | None = None
    outcome: str | None = None
    since: float | None = None
    until: float | None = None

    def clause(self) -> tuple[str, list[Any]]:
        """The conditions in SQL, and their values."""
        found = [(sql, getattr(self, name)) for name, sql in _CONDITIONS.items() if getattr(self, name) is not None]
        return " AND ".join(["1", *(sql for sql, _ in found)]), [v for sql, v in found for _ in range(sql.count("?"))]


_CONDITIONS: Final = {
    "source": "source = ?",
    "pair": "pair = ?",
    "dex": "(dex_buy = ? OR dex_sell = ?)",
    "outcome": "outcome = ?",
    "since": "time >= ?",
    "until": "time < ?",
}


@dataclass(frozen=True, slots=True)
class Slice[Row]:
    """Rows, the newest first; `next` is where to go on, None once there is nothing more."""

    rows: list[Row]
    next: int | None


_TRADE: Final = (
    "SELECT id, source, time, pair, dex_buy, dex_sell, outcome, reason, net_wei, gas_wei, expected_wei, tx_hash"
    " FROM trade WHERE "
)
_CLAIM: Final = "(SELECT status FROM claim WHERE claim.trade = t.id)"
_OPPORTUNITY: Final = (
    "SELECT seq, source, seen, pair, dex_buy, dex_sell, expected_wei, stage, reason FROM opportunity WHERE "
)
_OF_THE_BOT: Final = "+bot = ? AND "
"""With a plus, or SQLite finds all rows of the bot by an index and sorts them, for the few that come next."""
_MADE: Final = "ifnull(time, 0)"  # as the index has it: what has no time comes last
_EARLIER: Final = f"{_MADE} BETWEEN ? AND ? AND ({_MADE} < ? OR id < ?) ORDER BY {_MADE} DESC, id DESC"


def trades(db: sqlite3.Connection, bot: str, wanted: Wanted, before: int, limit: int) -> Slice[TradeRow]:
    """At most `limit` trades, the newest first, that come after the one with the id `before`.

    There are fewer also where they are far between; `next` says whether to go on.
    """
    begin = _begin(db, bot, before, wanted.until)
    if begin is None:
        return Slice([], None)
    bounds = (bot, wanted.since or 0.0, begin, begin, before)
    clause, values = wanted.clause()
    query = f"SELECT t.*, {_CLAIM} FROM ({_TRADE}bot = ? AND {_EARLIER} LIMIT {SPAN}) AS t WHERE {clause} LIMIT ?"  # noqa: S608  no value is put into the text
    found = [_trade(row) for row in fetch(db, query, *bounds, *values, limit)]
    if len(found) == limit:
        return Slice(found, found[-1].id)
    last = fetch(db, f"SELECT id FROM trade WHERE bot = ? AND {_EARLIER} LIMIT 1 OFFSET {SPAN - 1}", *bounds)  # noqa: S608
    return Slice(found, last[0][0] if last else None)


def _begin(db: sqlite3.Connection, bot: str, before: int, until: float | None) -> float | None:
    """The latest time to look at; None if there is no trade `before`."""
    latest = math.inf if until is None else until
    if before == NEWEST:
        return latest
    found = fetch(db, f"SELECT {_MADE} FROM trade WHERE bot = ? AND id = ?", bot, before)  # noqa: S608
    return min(found[0][0], latest) if found else None


def opportunities(db: sqlite3.Connection, bot: str, before: int, limit: int) -> Slice[OpportunityRow]:
    """At most `limit` opportunities with an id below `before`, the last learned of first."""
    found = fetch(db, f"{_OPPORTUNITY}{_OF_THE_BOT}seq < ? ORDER BY seq DESC LIMIT ?", bot, before, limit)
    rows = [_opportunity(row) for row in found]
    return Slice(rows, rows[-1].id if len(rows) == limit else None)


@dataclass(frozen=True, slots=True)
class Place:
    """How far the live feed has read; `complete` are the sources whose first read was over by then."""

    trade: int = 0
    opportunity: int = 0
    complete: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class News:
    """What became known after a place, the oldest first; `more` if there is more at once."""

    place: Place
    trades: list[TradeRow] = field(default_factory=list)
    opportunities: list[OpportunityRow] = field(default_factory=list)
    more: bool = False


def present(db: sqlite3.Connection, bot: str) -> Place:
    """The place after everything that is there."""
    trade, opportunity = fetch(db, "SELECT (SELECT max(id) FROM trade), (SELECT max(seq) FROM opportunity)")[0]
    return Place(trade or 0, opportunity or 0, _complete(db, bot))


def news(db: sqlite3.Connection, bot: str, place: Place, limit: int) -> News:
    """What became known after `place` of sources whose first read was over by then: the rest is history, no news."""
    query = f"{_TRADE}{_OF_THE_BOT}id > ? ORDER BY id LIMIT ?"
    trades = [_trade(row) for row in fetch(db, query, bot, place.trade, limit)]
    query = f"{_OPPORTUNITY}{_OF_THE_BOT}seq > ? ORDER BY seq LIMIT ?"
    chances = [_opportunity(row) for row in fetch(db, query, bot, place.opportunity, limit)]
    more = len(trades) == limit or len(chances) == limit
    after = Place(
        trades[-1].id if trades else place.trade,
        chances[-1].id if chances else place.opportunity,
        place.complete if more else _complete(db, bot),
    )
    return News(
        after,
        [trade for trade in trades if trade.source in place.complete],
        [chance for chance in chances if chance.source in place.complete],
        more,
    )


def _complete(db: sqlite3.Connection, bot: str) -> frozenset[str]:
    return frozenset(name for (name,) in fetch(db, "SELECT source FROM source WHERE bot = ? AND first_read", bot))


def _trade(row: tuple[Any, ...]) -> TradeRow:
    return TradeRow(*row[:8], *map(_number, row[8:11]), *row[11:])


def _opportunity(row: tuple[Any, ...]) -> OpportunityRow:
    return OpportunityRow(*(*row[:6], _number(row[6]), *row[7:]))


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
