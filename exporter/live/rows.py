"""What trades and opportunities of the ledger look like as JSON; what is unknown is null."""

from __future__ import annotations

from typing import Any

from exporter.history import OpportunityRow, TradeRow
from exporter.live.amounts import ether

type Item = dict[str, Any]


def trade(row: TradeRow) -> Item:
    """A trade."""
    return {
        "id": row.id,
        "source": row.source,
        "time": row.time,
        "pair": row.pair,
        "dex_buy": row.dex_buy,
        "dex_sell": row.dex_sell,
        "outcome": row.outcome,
        "reason": row.reason,
        "net_profit_eth": ether(row.net_wei),
        "gas_cost_eth": ether(row.gas_wei),
        "expected_profit_eth": ether(row.expected_wei),
        "tx_hash": row.tx_hash,
        "claim": row.claim,
    }


def opportunity(row: OpportunityRow) -> Item:
    """An opportunity."""
    return {
        "id": row.id,
        "source": row.source,
        "seen": row.seen,
        "pair": row.pair,
        "dex_buy": row.dex_buy,
        "dex_sell": row.dex_sell,
        "stage": row.stage,
        "reason": row.reason,
        "expected_profit_eth": ether(row.expected_wei),
    }
