"""What the bot's transactions have cost so far, from the wallets' ledger: what a trade takes, and what is spent."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from exporter.ledger import fetch

TRADES: Final = 100
"""So many of the last trades say what a trade takes."""
DAY, HOUR = 86_400.0, 3_600.0
MOST_ROWS: Final = 200_000
"""More transactions in a day than this are not added up; no wallet makes them."""


@dataclass(frozen=True, slots=True)
class Trade:
    """What one confirmed arbitrage took."""

    tx_hash: str
    gas_used: int
    l1_wei: int


def last_trades(db: sqlite3.Connection, chain_id: int) -> list[Trade]:
    """The newest confirmed successful arbitrages of the chain's own record, newest first."""
    query = (
        "SELECT hash, gas_used, l1_wei FROM wallet_transaction WHERE chain_id=? AND confirmed=1 AND trade=1"
        " AND outcome='success' ORDER BY block_number DESC, hash LIMIT ?"
    )
    return [Trade(tx_hash, gas, int(l1)) for tx_hash, gas, l1 in fetch(db, query, chain_id, TRADES)]


def rates(db: sqlite3.Connection, chain_id: int, senders: Collection[str], now: float) -> dict[str, float]:
    """What each of these senders pays in fees, whatever became of its transactions, in wei per second.

    The average of the last day, or since its first transaction, but of an hour at least; nothing paid is no rate.
    """
    paid = _paid(db, chain_id, senders, now - DAY)
    return {sender: fees / _span(db, chain_id, sender, oldest, now) for sender, (oldest, fees) in paid.items() if fees}


def _paid(
    db: sqlite3.Connection, chain_id: int, senders: Collection[str], since: float
) -> dict[str, tuple[float, int]]:
    """Time of the oldest transaction since then, and the fees of all, in wei.

    Blocks are gone through from the newest down, so that a long history costs nothing.
    """
    paid: dict[str, tuple[float, int]] = {}
    query = (
        "SELECT sender, time, l2_wei, l1_wei, operator_wei FROM wallet_transaction WHERE chain_id=? AND confirmed=?"
        " ORDER BY block_number DESC LIMIT ?"
    )
    for confirmed in (0, 1):
        for sender, time, *fees in db.execute(query, (chain_id, confirmed, MOST_ROWS)):
            if time < since:
                break
            if sender in senders:
                oldest, sum_wei = paid.get(sender, (time, 0))
                paid[sender] = min(oldest, time), sum_wei + sum(map(int, fees))
    return paid


def _span(db: sqlite3.Connection, chain_id: int, sender: str, oldest: float, now: float) -> float:
    query = "SELECT 1 FROM wallet_transaction WHERE chain_id=? AND sender=? AND time<? LIMIT 1"
    older = fetch(db, query, chain_id, sender, now - DAY)
    return DAY if older else max(now - oldest, HOUR)
