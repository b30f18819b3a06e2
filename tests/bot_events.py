"""Events as a bot would write them, counted into a real ledger."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from exporter import event_books
from exporter.config import Settings
from exporter.ledger import Ledger
from exporter.sources import event_records
from exporter.sources.event_records import BUNDLE_OUTCOMES, OUTCOMES, STAGES, Event
from exporter.sources.reasons import REJECTIONS
from exporter.sources.records import REASONS

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


def hostile(count: int, rng: random.Random) -> Iterator[Event]:
    """Events of every type whose every name is another one."""
    for made in hostile_documents(count, rng):
        yield event_records.parse(json.loads(json.dumps(made), parse_float=Decimal))


def hostile_documents(count: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    """The same as the bot writes them."""
    for number in range(count):
        kind = rng.choice(list(_WITHOUT))
        yield document(kind, f"{number}", **_HOSTILE[kind](rng))


def _word(rng: random.Random) -> str:
    """Mostly what may be a label, however odd; sometimes what may not."""
    odd = rng.choice(["abc XYZ", '"\\{},=é☃', "🦄", "\n\x00\u202e"])
    return "".join(rng.choices(odd, k=rng.choice([5, 20, 55, 70]))) + str(rng.randrange(10**9))


def _where(rng: random.Random) -> dict[str, Any]:
    return {"pair": f"T{rng.randrange(10**6)}/USDC", "dex_buy": _word(rng), "dex_sell": rng.choice([_word(rng), ""])}


_HOSTILE: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "opportunity": lambda rng: _where(rng) | {"stage": rng.choice(STAGES), "expected_profit_eth": 1,
                                              "reason": rng.choice(REJECTIONS)},
    "trade": lambda rng: _where(rng) | {
        "strategy": rng.choice([_word(rng), None]), "amount_eth": 1, "gas_used": 1, "slippage_ratio": 0.01,
        "outcome": rng.choice(OUTCOMES), "reason": rng.choice(REASONS), "path_length": rng.randrange(1, 9),
        "l1_fee_eth": 1, "flash_loan_fee_eth": 1, "dex_fee_eth": 1, "discovered_at": NOW - 1, "included_at": NOW,
    },
    "flash_loan": lambda rng: {"provider": _word(rng), "token": _word(rng), "fee_eth": 1},
    "bundle": lambda rng: {"relay": _word(rng), "outcome": rng.choice(BUNDLE_OUTCOMES)},
    "allocation": lambda rng: rng.choice([{"dex": _word(rng)}, {"pair": _where(rng)["pair"]}]),
    "component": lambda rng: {"name": _word(rng)},
    "cache": lambda rng: {"name": _word(rng)},
    "pool": lambda rng: {"name": _word(rng)},
    "price": lambda rng: {"pair": _where(rng)["pair"], "dex": _word(rng)},
}  # fmt: skip
