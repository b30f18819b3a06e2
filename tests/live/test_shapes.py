"""Every collector's snapshot as JSON, exactly; and nothing of what is too old or was never read."""

import json
from dataclasses import replace
from typing import Any

from exporter import collectors
from exporter.board import Board
from exporter.config import Chain, Endpoint, Named, Pool
from exporter.live import shapes, topics
from exporter.live.feeds import TOPICS
from tests.golden.examples import EXAMPLES

BY_NAME = {collector.name: collector for collector in collectors.ALL}
READ = 1_750_000_000.0
CHAIN = Chain(
    8453,
    (Endpoint("primary"),),
    wallets=(Named("trader", "0x" + "1" * 40), Named("spare", "0x" + "2" * 40), Named("new", "0x" + "3" * 40)),
    pools=(
        Pool("aerodrome", "uniswap_v2", "0x" + "61" * 20),
        Pool("baseswap", "uniswap_v2", "0x" + "62" * 20),
        Pool("uniswap", "uniswap_v3", "0x" + "63" * 20),
    ),
)


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def filled(*names: str, clock: Clock | None = None) -> Board:
    """A board with the golden examples of these collectors, or of all."""
    made = Board(clock=lambda: READ, monotonic=clock or Clock())
    for name in names or EXAMPLES:
        made.declare(name, BY_NAME[name].max_age)
        made.publish(BY_NAME[name], EXAMPLES[name], 0.25)
    return made


def test_prices() -> None:
    found = shapes.prices(filled("prices"))
    assert list(found) == [("WETH/USDC", "aerodrome", "aerodrome-3000"), ("WETH/USDC", "baseswap", "baseswap-3000")]
    assert found["WETH/USDC", "aerodrome", "aerodrome-3000"] == {
        "pair": "WETH/USDC",
        "dex": "aerodrome",
        "pool": "aerodrome-3000",
        "address": "0x" + "61" * 20,
        "price": "3000",
        "liquidity": "10954451150103322",
        "block": None,
        "ts": READ,
    }
    assert shapes.price_spreads(filled("prices")) == [{"pair": "WETH/USDC", "spread_ratio": 0.01}]


def test_pools_in_the_order_of_the_settings_also_those_that_cannot_be_read() -> None:
    known, other, absent = shapes.pools(filled("prices"), CHAIN)
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
        "changes": 7,
    }
    assert other["price"] == "3030"
    assert absent == {"dex": "uniswap", "kind": "uniswap_v3", "address": "0x" + "63" * 20, "up": False}


def test_gas_with_the_head_of_the_chain_and_without() -> None:
    fees = {
        "base_fee_wei": "4459095",
        "next_base_fee_wei": "3905342",
        "block_used_ratio": 0.3125,
        "priority_fee_wei": {"10": "1000", "50": "1250913", "90": "2000000"},
        "l1_base_fee_wei": "3000000000",
        "l1_blob_base_fee_wei": "1000000000",
    }
    assert shapes.gas(filled("gas")) == {(): fees | {"head_block": None, "finalized_block": None}}
    assert shapes.gas(filled("gas", "chain")) == {(): fees | {"head_block": 30_000_000, "finalized_block": 29_999_400}}


def test_wallets_and_what_is_in_them() -> None:
    board = filled("wallet")
    assert shapes.portfolio(board) == {
        ("trader", "ETH"): {
            "wallet": "trader",
            "token": "ETH",
            "balance": "1.25",
            "nonce": 42,
            "pending_transactions": 1,
        },
        ("trader", "WETH"): {"wallet": "trader", "token": "WETH", "balance": "0.5"},
        ("trader", "USDC"): {"wallet": "trader", "token": "USDC", "balance": "1500.25"},
    }
    assert shapes.wallets(board, CHAIN) == [
        {
            "wallet": "trader",
            "address": "0x" + "1" * 40,
            "balance_eth": "1.25",
            "nonce": 42,
            "pending_transactions": 1,
            "tokens": {"WETH": "0.5", "USDC": "1500.25"},
        },
        {
            "wallet": "spare",
            "address": "0x" + "2" * 40,
            "balance_eth": None,
            "nonce": None,
            "pending_transactions": None,
            "tokens": {},
        },
        {"wallet": "new", "address": "0x" + "3" * 40},
    ]


def test_the_system() -> None:
    board = filled("host", "process", "exporter", "rpc")
    board.fail("rpc", TimeoutError(), 1.0)
    (found,) = shapes.system(board).values()
    assert found["host"]["cpu_usage_ratio"] == 0.125
    assert found["host"]["memory_used_bytes"] == 8_589_934_592
    assert found["host"]["file_systems"] == [
        {"mountpoint": "/", "size_bytes": 270_000_000_000, "free_bytes": 90_000_000_000}
    ]
    assert found["host"]["network_receive_bytes"] == 5_000_000
    assert found["host"]["disk_written_bytes"] == 2_000_000
    assert found["process"] == {
        "up": True,
        "resident_memory_bytes": 88_080_384,
        "cpu_seconds": 31.25,
        "open_fds": 14,
        "threads": 9,
        "start_timestamp_seconds": 1_749_900_000.0,
    }
    assert found["exporter"]["resident_bytes"] == 46_137_344
    assert found["endpoints"] == {"primary": {"up": True, "active": True}, "public": {"up": False, "active": False}}
    assert found["collectors"]["rpc"] == {"success": False, "error": "timed out"}
    assert found["collectors"]["host"] == {"success": True, "error": None}


def test_a_bot_that_does_not_run() -> None:
    board = Board()
    board.declare("process", 60.0)
    board.publish(BY_NAME["process"], replace(EXAMPLES["process"], process=None), 0.0)
    assert shapes.system(board)[()]["process"] == {"up": False}


def test_stores_and_the_memory_bank() -> None:
    assert shapes.storage(filled("storage")) == {
        ("backups",): {
            "store": "backups",
            "up": True,
            "files": 120,
            "bytes": 9_000_000,
            "last_write": 1_749_950_000.0,
            "truncated": False,
            "growth_bytes_per_second": 12.5,
            "backups": {"count": 3, "newest": 1_749_949_999.0},
        },
        ("analytics",): {"store": "analytics", "up": False},
    }
    bank = shapes.memory_bank(filled("memory_bank"))
    assert bank[".",] == {
        "directory": ".",
        "up": True,
        "invalid_files": [{"kind": "trade", "reason": "json", "count": 2}],
        "backups": 1,
        "documents": [
            {"directory": "state", "document": "market_state", "valid": True, "last_write": 1_744_749_809.0},
            {"directory": "metrics", "document": "performance", "valid": False, "last_write": 1.7e9},
        ],
    }
    assert bank["trades",]["bytes"] == 2_112_000


def test_a_bank_that_is_gone_says_so() -> None:
    board = Board()
    board.declare("memory_bank", 60.0)
    gone = type(EXAMPLES["memory_bank"])("default", False, {}, 0, (), {})
    board.publish(BY_NAME["memory_bank"], gone, 0.0)
    assert shapes.memory_bank(board) == {(".",): {"directory": ".", "up": False, "invalid_files": []}}


NEVER: dict[str, Any] = {"host": None, "process": None, "exporter": None, "endpoints": {}, "collectors": {}}


def test_nothing_is_made_up_before_the_first_read() -> None:
    board = Board()
    assert {name: shape(board) for name, shape in TOPICS.items()} == {
        "prices": {}, "portfolio": {}, "gas": {}, "system": {(): NEVER}, "storage": {}, "memory_bank": {},
    }  # fmt: skip
    assert shapes.pools(board, None) == shapes.wallets(board, None) == shapes.price_spreads(board) == []
    assert shapes.wallets(board, CHAIN)[0] == {"wallet": "trader", "address": "0x" + "1" * 40}


def test_what_is_too_old_is_not_known_any_more() -> None:
    clock = Clock()
    board = filled(clock=clock)
    assert all(shape(board) for shape in TOPICS.values())
    clock.now += max(collector.max_age for collector in collectors.ALL) + 1
    assert [name for name, shape in TOPICS.items() if shape(board)] == ["system"]
    assert shapes.system(board)[()] | {"collectors": {}} == NEVER


def test_every_item_is_json_and_has_the_key_of_its_topic() -> None:
    board = filled()
    keys = {topic.name: topic.key for topic in topics.ALL}
    for name, shape in TOPICS.items():
        items = shape(board)
        assert items
        for key, item in items.items():
            assert key == tuple(item[part] for part in keys[name])
            assert json.loads(json.dumps(item, allow_nan=False)) == item
