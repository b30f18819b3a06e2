"""Events as a bot writes them: one whole document of each type."""

from __future__ import annotations

from typing import Any

TIME = "2026-01-01T00:00:00Z"
EPOCH = 1_767_225_600.0
HASH = "0x" + "aB" * 32

_OWN: dict[str, dict[str, Any]] = {
    "opportunity": {
        "pair": "USDC-WETH", "dex_buy": "aerodrome", "dex_sell": "uniswap", "stage": "rejected",
        "reason": "gas price above the maximum", "expected_profit_eth": "0.002", "spread_ratio": "0.004",
        "confidence": 0.9, "path_length": 2,
    },
    "trade": {
        "pair": "WETH/USDC", "dex_buy": "aerodrome", "dex_sell": "uniswap", "outcome": "success", "tx_hash": HASH,
        "opportunity_id": "o-1", "net_profit_eth": "0.0015", "gas_fee_eth": "0.0001", "l1_fee_eth": "0.00001",
        "flash_loan_fee_eth": "0", "dex_fee_eth": "0.0003", "slippage_ratio": "0.001", "amount_eth": "1.5",
        "gas_used": 210_000, "path_length": 2, "discovered_at": EPOCH - 2, "submitted_at": EPOCH - 1,
        "included_at": TIME,
    },
    "flash_loan": {"provider": "balancer", "token": "WETH", "amount": "10.5", "fee_eth": "0", "outcome": "success"},
    "bundle": {"relay": "flashbots", "outcome": "included"},
    "allocation": {"dex": "aerodrome", "share_ratio": "0.25", "amount_eth": "2"},
    "component": {"name": "scanner", "status": "ok"},
    "cache": {"name": "prices", "hits": 90, "misses": 10, "entries": 7, "bytes": 4096},
    "pool": {"name": "rpc", "in_use": 3, "size": 10},
    "price": {"pair": "WETH/USDC", "dex": "aerodrome", "price": "3000.5"},
}  # fmt: skip
TYPES = tuple(_OWN)


def event(kind: str, key: str = "e-1", /, **fields: Any) -> dict[str, Any]:
    """A whole event; a field given as None is left out."""
    made = {"id": key, "type": kind, "time": TIME, "strategy": "two-hop", **_OWN[kind], **fields}
    return {name: value for name, value in made.items() if value is not None}
