"""Whose names become labels: first come, first kept, for ever, and paid for out of one purse of series."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exporter.config import Settings
from exporter.demand import most
from exporter.ledger import fetch
from exporter.metrics import OTHER, UNKNOWN

type Route = tuple[str, str, str]
"""(pair, venue bought at, venue sold at)"""

ELSEWHERE: Final = (OTHER, OTHER, OTHER)
ROUTE_OF_TRADES: Final = 7
"""Series that a route of trades is: two counts and five sums."""
STAGES_OF_ROUTE: Final = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """How many names of a kind may be labels, and how many series each of them is."""

    most: int
    series: int


KINDS: Final[Mapping[str, Kind]] = {
    "strategy": Kind(20, 8),
    "venue": Kind(10, 14),
    "provider": Kind(10, 3),
    "loan": Kind(20, 1),
    "relay": Kind(20, 5),
    "component": Kind(20, 4),
    "pool": Kind(20, 2),
    "cache": Kind(20, 4),
    "dex": Kind(10, 2),
    "pair": Kind(20, 2),
    "price": Kind(50, 1),
}


class Slots:
    """The slots of one bot inside one transaction; `room` is how many series all of them together may be."""

    def __init__(self, db: sqlite3.Connection, bot: str, room: int) -> None:
        self._db, self._bot, self._room = db, bot, room
        self._names: dict[str, set[str]] = {}
        self._routes: dict[tuple[str, str, Route], Route] = {}
        self._spent: int | None = None

    def name(self, kind: str, name: str) -> str:
        """The name itself if it has a slot, or gets one; else `other`."""
        if not self._names:
            self._load()
        known = self._names[kind]
        if name in known or name in (OTHER, UNKNOWN):
            return name
        if len(known) >= KINDS[kind].most or not self._pay(KINDS[kind].series):
            return OTHER
        self._db.execute("INSERT INTO slot VALUES (?,?,?)", (self._bot, kind, name))
        known.add(name)
        return name

    def route(self, source: str, route: Route, most: int, table: str) -> Route:
        """The route itself if it has a slot, or gets one, and has series in a table already or can pay for them."""
        key = source, table, route
        if key not in self._routes:
            self._routes[key] = self._route(source, route, most, table)
        return self._routes[key]

    def _route(self, source: str, route: Route, most: int, table: str) -> Route:
        shown = f"SELECT 1 FROM {table} {_WHERE} LIMIT 1"  # noqa: S608  names of tables are ours
        if route == ELSEWHERE or fetch(self._db, shown, self._bot, source, *route):
            return route
        # Opportunities are seen on many more routes than are traded: they must not take the trades' slots.
        holder = source if table == "total" else f"{source} {table}"
        held = bool(fetch(self._db, f"SELECT 1 FROM route {_WHERE}", self._bot, holder, *route))  # noqa: S608
        if not held and self._taken(holder) >= most:
            return ELSEWHERE
        if not self._pay(ROUTE_OF_TRADES if table == "total" else stages(source)):
            return ELSEWHERE
        if not held:
            self._db.execute("INSERT INTO route VALUES (?,?,?,?,?)", (self._bot, holder, *route))
        return route

    def _taken(self, holder: str) -> int:
        return int(fetch(self._db, "SELECT count(*) FROM route WHERE bot=? AND source=?", self._bot, holder)[0][0])

    def _load(self) -> None:
        self._names = {kind: set() for kind in KINDS}
        for kind, name in fetch(self._db, "SELECT kind, name FROM slot WHERE bot=?", self._bot):
            self._names[kind].add(name)

    def _pay(self, series: int) -> bool:
        if self._spent is None:
            self._spent = spent(self._db, self._bot)
        if self._spent + series > self._room:
            return False
        self._spent += series
        return True


_WHERE: Final = "WHERE bot=? AND source=? AND pair=? AND dex_buy=? AND dex_sell=?"


def spent(db: sqlite3.Connection, bot: str) -> int:
    """How many series all slots of a bot are, at most."""
    names = sum(
        KINDS[kind].series * int(count)
        for kind, count in fetch(db, "SELECT kind, count(*) FROM slot WHERE bot=? GROUP BY kind", bot)
    )
    trades = int(fetch(db, "SELECT count(*) FROM total WHERE bot=?", bot)[0][0])
    steps = sum(
        stages(source) * int(count)
        for source, count in fetch(
            db, "SELECT source, count(*) FROM (SELECT DISTINCT source, pair, dex_buy, dex_sell FROM opportunity_total"
            " WHERE bot=?) GROUP BY source", bot,
        )
    )  # fmt: skip
    return names + ROUTE_OF_TRADES * trades + steps


def stages(source: str) -> int:
    """How many stages of an opportunity a source can tell."""
    return STAGES_OF_ROUTE if source == "events" else 1


def room(settings: Settings) -> int:
    """How many series the configuration leaves for names that the bot thinks of."""
    return max(settings.limits.series - most(settings), 0)
