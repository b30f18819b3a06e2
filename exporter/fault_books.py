"""Faults of the bank in the ledger: each counted once for each content, and remembered for as long as it matters."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from exporter.ledger import fetch
from exporter.sources.memory_bank import Fault

REMEMBERED: Final = 31 * 86_400.0
"""Seconds for which a fault is known after it was last put down as seen: 30 days after it was seen at least."""
KEPT: Final = 100_000
"""The newest faults are known for longer: until so many others have been seen."""
SEEN_AGAIN: Final = 86_400.0
"""Seconds after which it is worth a write that a fault is still there."""
FORGOTTEN_AT_ONCE: Final = 100


def put(db: sqlite3.Connection, bot: str, faults: Sequence[Fault], now: float) -> None:
    """Count faults inside the caller's transaction, each once for each content; forget a few of the oldest."""
    for fault in unknown(db, faults, now):
        known = db.execute("DELETE FROM fault WHERE key=?", (fault.key,)).rowcount
        db.execute("INSERT INTO fault (key, seen) VALUES (?,?)", (fault.key, now))  # as the newest of all
        if not known:
            db.execute(
                "INSERT INTO fault_total VALUES (?,?,?,1) ON CONFLICT DO UPDATE SET count=count+1",
                (bot, fault.kind, fault.reason),
            )
    if faults:
        _forget(db, now, max(FORGOTTEN_AT_ONCE, 2 * len(faults)))


def unknown(db: sqlite3.Connection, faults: Sequence[Fault], now: float) -> list[Fault]:
    """Those of these faults that have not been counted yet, or not been seen for a day; each once."""
    query = "SELECT 1 FROM fault WHERE key=? AND seen>?"
    each = {fault.key: fault for fault in faults}
    return [fault for fault in each.values() if not fetch(db, query, fault.key, now - SEEN_AGAIN)]


def _forget(db: sqlite3.Connection, now: float, most: int) -> None:
    db.execute(
        "DELETE FROM fault WHERE seq IN (SELECT seq FROM fault ORDER BY seq LIMIT ?) AND seen<?"
        " AND seq<=(SELECT max(seq) FROM fault)-?",
        (most, now - REMEMBERED, KEPT),
    )


def totals(db: sqlite3.Connection, bot: str) -> dict[tuple[str, str], int]:
    """Faults counted, by (kind, reason)."""
    query = "SELECT kind, reason, count FROM fault_total WHERE bot=? ORDER BY 1,2"
    return {(kind, reason): count for kind, reason, count in fetch(db, query, bot)}
