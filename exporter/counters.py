"""What in a ledger counters of Prometheus are made of, and which of them would fall by another ledger."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Sums:
    """A table of sums: whose they are and what else tells its rows apart (SQL); its columns that are counters."""

    whose: str
    row: str
    counters: Mapping[str, str]


_SOURCE, _ROUTE = "bot || ' ' || source", "pair, dex_buy, dex_sell"
NO_COUNTERS: Final = ("strategy_net_wei", "path_net_wei", "loan_largest_wei")
"""Totals of events that may fall, or are no sum."""
COUNTERS: Final = {
    "total": Sums(_SOURCE, _ROUTE, {
        "success": "successful trades", "failed": "failed trades", "gain_wei": "gains in wei",
        "loss_wei": "losses in wei", "gas_wei": "gas costs in wei", "expected_wei": "expected profits in wei",
    }),
    "failure": Sums(_SOURCE, "reason", {"count": "failures"}),
    "opportunity_total": Sums(_SOURCE, f"{_ROUTE}, stage", {"count": "opportunities"}),
    "fault_total": Sums("bot", "kind, reason", {"count": "invalid files"}),
    "log_total": Sums("log || ' ' || kind", "name", {"count": "log counts"}),
    "wallet_total": Sums("address", "chain_id, outcome, reason", {
        "count": "wallet transactions", "l2_wei": "execution fees in wei", "l1_wei": "data fees in wei",
        "operator_wei": "operator fees in wei",
    }),
    "wallet_removed": Sums("address", "chain_id", {"count": "transactions removed by reorgs"}),
    "event_count": Sums("bot || ' ' || fact", "name", {"count": "events"}),
    "event_total": Sums("bot || ' ' || what", "what, one, two", {"amount": "sums of events"}),
}  # fmt: skip
"""Everything durable that counters of Prometheus are made of."""

type Counts = dict[tuple[Any, ...], int]
"""By what is counted, whose it is, and the row."""


def read(db: sqlite3.Connection) -> Counts:
    """All counters of a ledger of any version.

    Raises:
        ValueError: a sum is no number.
        sqlite3.Error: the ledger cannot be read.
    """
    known = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    return {row: amount for table in COUNTERS if table in known for row, amount in _rows(db, table)}


def fallen(before: Counts, after: Counts) -> list[str]:
    """In words what falls in any row; rows of one owner together."""
    sums: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for row, was in before.items():
        if (left := after.get(row, 0)) < was:
            sums[row[:2]][0] += was
            sums[row[:2]][1] += left
    return [f"{what} of {whose} fall from {was} to {left}" for (what, whose), (was, left) in sums.items()]


def _rows(db: sqlite3.Connection, table: str) -> Iterator[tuple[tuple[Any, ...], int]]:
    sums = COUNTERS[table]
    for column, what in sums.counters.items():
        for amount, *row in db.execute(f"SELECT {column}, {sums.whose}, {sums.row} FROM {table}"):  # noqa: S608
            if table != "event_total" or row[1] not in NO_COUNTERS:
                yield (what, *row), int(amount)  # wei are text
