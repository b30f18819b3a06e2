"""Events as a bot would write them, counted into a real ledger."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from typing import Any

from exporter import event_books
from exporter.config import Settings
from exporter.ledger import Ledger
from exporter.sources import event_records
from exporter.sources.event_records import Event

NOW = 1_750_000_000.0
WHERE = {"pair": "WETH/USDC", "dex_buy": "aerodrome", "dex_sell": "baseswap"}
_WITHOUT: dict[str, dict[str, Any]] = {
    "opportunity": WHERE | {"stage": "detected"},
    "trade": WHERE | {"outcome": "success", "net_profit_eth": "0.25", "gas_fee_eth": "0.0625"},
    "flash_loan": {"provider": "balancer", "token": "WETH", "amount": "10", "outcome": "success"},
    "bundle": {"relay": "flashbots", "outcome": "submitted"},
    "allocation": {"share_ratio": 0.5, "amount_eth": "2"},
    "component": {"name": "scanner", "status": "ok"},
    "cache": {"name": "quotes", "hits": 0, "misses": 0, "entries": 0, "bytes": 0},
    "pool": {"name": "rpc", "in_use": 1, "size": 4},
    "price": {"pair": "WETH/USDC", "dex": "aerodrome", "price": "3000"},
}


def document(kind: str, id_: str, time: float = NOW, **fields: Any) -> dict[str, Any]:
    """An event as the bot writes it: its required fields, and those given; None takes a field out."""
    made = {"id": id_, "type": kind, "time": time} | _WITHOUT[kind] | fields
    return {name: value for name, value in made.items() if value is not None}


def event(kind: str, id_: str, time: float = NOW, **fields: Any) -> Event:
    """The same, parsed."""
    return event_records.parse(json.loads(json.dumps(document(kind, id_, time, **fields)), parse_float=Decimal))


async def told(ledger: Ledger, settings: Settings, *events: Event, now: float = NOW, complete: bool = True) -> int:
    """Count events in a transaction of their own."""

    def put(db: sqlite3.Connection) -> int:
        return event_books.count(db, settings, events, now, complete)

    return await ledger.write(put)
