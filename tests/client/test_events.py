"""The client's records are those that the exporter reads."""

import json
from decimal import Decimal
from typing import Any

import pytest

from exporter.client import events
from exporter.client.events import TYPES, Invalid
from exporter.sources import event_records

COMMON = {"id": "1", "time": 1_750_000_000.5, "strategy": "s", "simulated": True}
ROUTE = {"pair": "WETH/USDC", "dex_buy": "uniswap", "dex_sell": "sushiswap"}
FULL: dict[str, dict[str, Any]] = {
    "opportunity": ROUTE
    | {"stage": "rejected", "reason": "gas too high", "expected_profit_eth": "0.1"}
    | {"spread_ratio": 0.01, "confidence": 0.5, "path_length": 2},
    "trade": ROUTE
    | {"outcome": "failed", "reason": "Slippage", "tx_hash": bytes(32), "opportunity_id": "7"}
    | {"net_profit_eth": Decimal("-0.1"), "gas_fee_eth": 0.25, "l1_fee_eth": 1, "flash_loan_fee_eth": "0"}
    | {"dex_fee_eth": "0.003", "slippage_ratio": 0.001, "amount_eth": 3, "gas_used": 190_000, "path_length": 2}
    | {"discovered_at": 1_750_000_000, "submitted_at": 1_750_000_000.1, "included_at": "2025-06-15T15:06:41Z"},
    "flash_loan": {"provider": "uniswap", "token": "USDC", "amount": "1000.5", "fee_eth": 0.01, "outcome": "success"},
    "bundle": {"relay": "titan", "outcome": "included"},
    "allocation": {"dex": "uniswap", "share_ratio": 0.5, "amount_eth": 1},
    "component": {"name": "node", "status": "ok"},
    "cache": {"name": "pools", "hits": 10, "misses": 2, "entries": 6, "bytes": 1000},
    "pool": {"name": "rpc", "in_use": 1, "size": 4},
    "price": {"pair": "WETH/USDC", "dex": "uniswap", "price": "3000.123456789012345678"},
}


def record(event: str, **changes: Any) -> dict[str, Any]:
    fields = {key: value for key, value in {**COMMON, **FULL[event], **changes}.items() if value is not ...}
    document: dict[str, Any] = json.loads(events.line(event, fields))
    return document


@pytest.mark.parametrize("event", TYPES)
def test_the_exporter_reads_every_record(event: str) -> None:
    read = event_records.parse(record(event))
    assert (read.kind, read.id, read.strategy, read.simulated) == (event, "1", "s", True)


@pytest.mark.parametrize("event", TYPES)
def test_the_fields_are_the_exporters(event: str) -> None:
    writers, required = events._SHAPES[event]
    rules = event_records.RULES[event]
    assert set(writers) == {name for _, name, _, _ in rules}
    assert required | {"id", "time"} == {name for _, name, _, optional in rules if not optional}


def test_there_is_every_type() -> None:
    assert set(TYPES) == set(FULL) == set(event_records.TYPES)


@pytest.mark.parametrize("event", TYPES)
def test_each_required_field_is_missed_and_each_other_one_is_not(event: str) -> None:
    required = events._SHAPES[event][1]
    for key in FULL[event]:
        if key in required:
            with pytest.raises(Invalid, match=f"^{event}.{key} is missing$"):
                record(event, **{key: ...})
            with pytest.raises(Invalid, match=f"^{event}.{key}$"):
                record(event, **{key: None})
        else:
            assert key not in record(event, **{key: None})


@pytest.mark.parametrize("event", TYPES)
def test_an_unfit_value_is_named_by_its_field_and_never_shown(event: str) -> None:
    for key in FULL[event]:
        with pytest.raises(Invalid) as refused:
            record(event, **{key: ["secret"]})
        assert refused.value.kind == f"{event}.{key}"


def test_an_unknown_field_is_refused_without_its_name() -> None:
    with pytest.raises(Invalid, match="field that there is not"):
        record("price", secret=1)


def test_a_line_is_one_line_of_ascii() -> None:
    line = events.line("component", {**COMMON, "name": "nöde", "status": "ok"})
    assert line.isascii()
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
