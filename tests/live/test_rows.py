"""Trades and opportunities as JSON: every field, and null for what is not known."""

from exporter.history import OpportunityRow, TradeRow
from exporter.live import rows


def test_a_trade_with_everything() -> None:
    row = TradeRow(
        7, "memory_bank", 1.7e9, "WETH/USDC", "a", "b", "failed", "slippage", -5, 10**18, 15 * 10**17, "0x" + "ab" * 32
    )
    assert rows.trade(row) == {
        "id": 7,
        "source": "memory_bank",
        "time": 1.7e9,
        "pair": "WETH/USDC",
        "dex_buy": "a",
        "dex_sell": "b",
        "outcome": "failed",
        "reason": "slippage",
        "net_profit_eth": "-0.000000000000000005",
        "gas_cost_eth": "1",
        "expected_profit_eth": "1.5",
        "tx_hash": "0x" + "ab" * 32,
        "claim": None,
    }


def test_a_trade_of_which_little_is_known() -> None:
    row = TradeRow(1, "recent", None, "unknown", "unknown", "unknown", "success", None, None, None, None, None)
    assert {name for name, value in rows.trade(row).items() if value is None} == {
        "time", "reason", "net_profit_eth", "gas_cost_eth", "expected_profit_eth", "tx_hash", "claim",
    }  # fmt: skip


def test_an_opportunity() -> None:
    assert rows.opportunity(OpportunityRow(3, "memory_bank", 1.8e9, "WETH/USDC", "a", "b", 25 * 10**15)) == {
        "id": 3,
        "source": "memory_bank",
        "seen": 1.8e9,
        "pair": "WETH/USDC",
        "dex_buy": "a",
        "dex_sell": "b",
        "stage": "detected",
        "reason": None,
        "expected_profit_eth": "0.025",
    }
    assert rows.opportunity(OpportunityRow(3, "m", None, "p", "a", "b", None))["expected_profit_eth"] is None
