"""Rows of the wallets' ledger, put there directly for tests of what is made from them."""

from __future__ import annotations

import sqlite3
from typing import Any

CHAIN_ID = 8453
SENDER = "0x" + "aa" * 20


def hash_of(number: int) -> str:
    """A transaction's hash."""
    return f"0x{number:064x}"


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A confirmed, successful arbitrage in the block of that number."""
    return {
        "chain_id": CHAIN_ID, "hash": hash_of(number), "address": SENDER, "sender": SENDER, "nonce": number,
        "block_number": number, "block_hash": hash_of(number), "time": 1.75e9 + number, "confirmed": 1,
        "outcome": "success", "reason": None, "trade": 1, "gas_used": 200_000, "l2_wei": "0", "l1_wei": "0",
        "operator_wei": "0", "net_wei": "0", "unvalued": 0, "flows": "{}",
        "pair": "WETH/USDC", "dex_buy": "a", "dex_sell": "b",
    } | changes  # fmt: skip


def put(db: sqlite3.Connection, *rows: dict[str, Any]) -> None:
    """Write them."""
    for one in rows:
        names = ", ".join(one)
        marks = ", ".join("?" * len(one))
        db.execute(f"INSERT INTO wallet_transaction ({names}) VALUES ({marks})", tuple(one.values()))  # noqa: S608
