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
        Pool("uniswap", "uniswap_v3", "0x" + "75" * 20),
        Pool("sushi", "uniswap_v3", "0x" + "73" * 20),
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
