"""What is known of the chain as JSON, exactly; and nothing of what was never read."""

from dataclasses import replace

from exporter.board import Board
from exporter.live import chain_shapes
from exporter.sources.curves import Concentrated
from tests.golden.examples import EXAMPLES
from tests.live.test_shapes import BY_NAME, CHAIN, filled


def test_prices() -> None:
    found = chain_shapes.prices(filled("prices"))
    assert list(found) == [
        ("WETH/USDC", "aerodrome", "aerodrome-3000"),
        ("WETH/USDC", "baseswap", "baseswap-3000"),
        ("WETH/USDC", "uniswap", "uniswap-500"),
    ]
    assert found["WETH/USDC", "aerodrome", "aerodrome-3000"] == {
        "pair": "WETH/USDC",
        "dex": "aerodrome",
        "pool": "aerodrome-3000",
        "address": "0x" + "61" * 20,
        "price": "3000",
        "liquidity": "10954451150103322",
        "block": 30_000_000,
        "ts": EXAMPLES["prices"].states[0].learned,
    }
    assert found["WETH/USDC", "uniswap", "uniswap-500"]["liquidity"] == str(8 * 10**18)


def test_liquidity_of_another_curve_is_not_known() -> None:
    snapshot = EXAMPLES["prices"]
    state = snapshot.states[0]
    odd = replace(state, reading=replace(state.reading, state=replace(state.reading.state, curve=None, reserves=None)))
    board = Board()
    board.declare("prices", 60.0)
    board.publish(BY_NAME["prices"], replace(snapshot, states=(odd,), opportunities=()), 0.0)
    (price,) = chain_shapes.prices(board).values()
    assert (price["price"], price["liquidity"]) == ("3000", None)
    pool, *_ = chain_shapes.pools(board, CHAIN)
    assert (pool["reserves"], pool["liquidity"]) == (None, None)
    assert isinstance(snapshot.states[2].reading.state.curve, Concentrated)


def test_spreads_and_whether_they_pay() -> None:
    assert chain_shapes.price_spreads(filled("prices")) == [
        {
            "pair": "WETH/USDC",
            "spread_ratio": 0.01,
            "net_spread_ratio": 0.0039,
            "profit_eth": "0.004",
            "profitable": True,
            "since": 1_749_999_990.5,
        }
    ]


def test_pools_in_the_order_of_the_settings_also_those_that_cannot_be_read() -> None:
    known, other, absent = chain_shapes.pools(filled("prices"), CHAIN)
    assert known == {
        "dex": "aerodrome",
        "kind": "uniswap_v2",
        "address": "0x" + "61" * 20,
        "up": True,
        "pair": "WETH/USDC",
        "pool": "aerodrome-3000",
        "fee_ratio": 0.003,
        "tokens": [
            {"symbol": "WETH", "address": "0x4200000000000000000000000000000000000006", "decimals": 18},
            {"symbol": "USDC", "address": "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", "decimals": 6},
        ],
        "reserves": ["200", "600000"],
        "liquidity": "10954451150103322",
        "price": "3000",
        "block": 30_000_000,
        "learned": EXAMPLES["prices"].states[0].learned,
        "changed": 1_749_999_998.0,
        "changes": 7,
        "preconfirmed": False,
    }
    assert (other["fee_ratio"], other["reserves"]) == (0.0005, ["150", "450000"])
    assert absent == {"dex": "sushi", "kind": "uniswap_v3", "address": "0x" + "73" * 20, "up": False}


def test_gas_with_the_head_of_the_chain_and_without() -> None:
    fees = {
        "base_fee_wei": "4459095",
        "next_base_fee_wei": "3905342",
        "base_fee_window_wei": {"10": "3900000", "50": "4054000", "90": "4460000"},
        "base_fee_trend_ratio": 0.1,
        "block_used_ratio": 0.3125,
        "priority_fee_wei": {"10": "1000", "50": "1250913", "90": "2000000"},
        "l1_base_fee_wei": "3000000000",
        "l1_blob_base_fee_wei": "1000000000",
        "trade_l1_fee_wei": "1200000000000",
        "trade_cost_wei": "3000000000000",
    }
    head = {
        "head_block": 30_000_000,
        "head_timestamp_seconds": 1_749_999_999,
        "finalized_block": 29_999_400,
        "block_interval_seconds": 2.0,
        "reorgs": 3,
    }
    assert chain_shapes.gas(filled("gas")) == {(): fees | dict.fromkeys(head)}
    assert chain_shapes.gas(filled("gas", "chain")) == {(): fees | head}


WAITING = {
    "nonce": 42,
    "nonce_gap": 0,
    "pending_transactions": 1,
    "stuck_transactions": 1,
    "oldest_pending": 1_749_999_900.25,
    "runway_seconds": 12_500_000.0,
}


def test_wallets_and_what_is_in_them() -> None:
    board = filled("wallet")
    assert chain_shapes.portfolio(board) == {
        ("trader", "ETH"): {"wallet": "trader", "token": "ETH", "balance": "1.25"} | WAITING,
        ("trader", "WETH"): {"wallet": "trader", "token": "WETH", "balance": "0.5"},
        ("trader", "USDC"): {"wallet": "trader", "token": "USDC", "balance": "1500.25"},
    }
    known, silent, new = chain_shapes.wallets(board, CHAIN)
    tokens = {"WETH": "0.5", "USDC": "1500.25"}
    assert known == {
        "wallet": "trader", "address": "0x" + "1" * 40, "balance_eth": "1.25", "tokens": tokens,
    } | WAITING  # fmt: skip
    assert silent == {
        "wallet": "spare", "address": "0x" + "2" * 40, "balance_eth": None, "tokens": {},
    } | dict.fromkeys(WAITING)  # fmt: skip
    assert new == {"wallet": "new", "address": "0x" + "3" * 40}


def test_nothing_is_made_up_before_the_first_read() -> None:
    board = Board()
    assert chain_shapes.prices(board) == chain_shapes.portfolio(board) == chain_shapes.gas(board) == {}
    assert chain_shapes.pools(board, None) == chain_shapes.wallets(board, None) == []
    assert chain_shapes.price_spreads(board) == []
    assert chain_shapes.wallets(board, CHAIN)[0] == {"wallet": "trader", "address": "0x" + "1" * 40}
    assert chain_shapes.pools(board, CHAIN)[0]["up"] is False
