"""The memory bank has the files, clocks and habits of the true bot."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo import bank as bank_module
from demo.bank import RECENT_BYTES, RECENT_ROWS, Books, MemoryBank, Trade
from demo.chain import BOT_TIMEZONE, ETHER


def trade(success: bool = True) -> Trade:
    return Trade(
        token_pair="WETH-USDC",
        dex_buy="uniswap",
        dex_sell="sushiswap",
        expected_profit=2 * 10**15,
        confidence=0.5,
        success=success,
        net_profit=10**15 if success else -(10**12),
        gas_cost=10**12,
        tx_hash="0x" + "ab" * 32,
        error=None if success else "Slippage exceeded",
        amount=ETHER // 2,
        block_number=77,
        execution_ms=1003,
        usd_per_ether=3000.0,
    )


@pytest.fixture
def bank(tmp_path: Path) -> MemoryBank:
    return MemoryBank(tmp_path / "bank", BOT_TIMEZONE)


def recent(bank: MemoryBank) -> bytes:
    return (bank.root / "trades" / "recent_trades.json").read_bytes()


def test_a_trade_file_has_the_true_instant_in_its_name_and_local_time_inside(bank: MemoryBank) -> None:
    path = bank.record(trade())
    content = json.loads(path.read_text())
    named = datetime.fromtimestamp(int(path.stem.removeprefix("trade_")), UTC)
    inside = datetime.fromisoformat(content["timestamp"])
    assert inside.tzinfo is None
    assert named - inside.replace(tzinfo=UTC) in (
        timedelta(hours=hours) - timedelta(microseconds=inside.microsecond) for hours in (4, 5)
    )
    del content["timestamp"]
    assert content == {
        "opportunity": {
            "token_pair": "WETH-USDC",
            "dex_1": "uniswap",
            "dex_2": "sushiswap",
            "potential_profit": 0.002,
            "confidence": 0.5,
        },
        "success": True,
        "net_profit": 0.001,
        "gas_cost": 1e-06,
        "tx_hash": "0x" + "ab" * 32,
        "error": None,
    }


def test_trades_of_one_second_do_not_overwrite_each_other(bank: MemoryBank) -> None:
    assert bank.record(trade()) != bank.record(trade())


def test_the_recent_trades_fill_one_mebibyte_with_nul_newest_first(bank: MemoryBank) -> None:
    bank.record(trade())
    bank.record(trade(success=False))
    content = recent(bank)
    assert len(content) == RECENT_BYTES == 1 << 20
    text = content.rstrip(b"\0")
    assert content == text.ljust(RECENT_BYTES, b"\0")
    rows = json.loads(text)["trades"]
    assert [row["success"] for row in rows] == [False, True]
    assert rows[0]["profit"] == 0
    assert isinstance(rows[0]["profit"], int)
    assert rows[1]["profit"] == 0.001
    claimed = datetime.fromisoformat(rows[0]["timestamp"])
    assert claimed.tzinfo == UTC
    assert datetime.now(UTC) - claimed > timedelta(hours=3)  # the Z is false


def test_the_recent_trades_are_bounded_and_survive_a_restart(bank: MemoryBank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_module, "RECENT_ROWS", 2)
    again = MemoryBank(bank.root, BOT_TIMEZONE)
    for _ in range(3):
        again.record(trade())
    rows = json.loads(recent(again).rstrip(b"\0"))["trades"]
    assert len(rows) == 2 < RECENT_ROWS
    MemoryBank(bank.root, BOT_TIMEZONE)
    assert json.loads(recent(again).rstrip(b"\0"))["trades"] == rows


def test_the_oldest_trades_are_pruned(bank: MemoryBank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_module, "KEPT_TRADES", 3)
    for second in range(1000, 1004):
        (bank.root / "trades" / f"trade_{second}.json").write_text("{}")
    again = MemoryBank(bank.root, BOT_TIMEZONE)
    newest = again.record(trade())
    names = sorted(path.name for path in (bank.root / "trades").glob("trade_*.json"))
    assert names == ["trade_1002.json", "trade_1003.json", newest.name]


def test_few_backups_are_kept(bank: MemoryBank) -> None:
    bank.write("state/state.json", {"bot_status": "running"})
    for day in range(5):
        (bank.root / ".backups" / f"2025010{day}_120000").mkdir()
    copy = bank.back_up()
    assert json.loads((copy / "state" / "state.json").read_text()) == {"bot_status": "running"}
    assert len(list((bank.root / ".backups").iterdir())) == 3
    assert copy.exists()


def test_the_books_add_up() -> None:
    books = Books()
    assert books.confidence("WETH-USDC", "uniswap", "sushiswap") == 0.5
    books.add(trade(), "2025-01-01T00:00:00Z")
    books.add(trade(success=False), "2025-01-01T00:00:01Z")
    assert (books.total.trades, books.total.successes, books.total.profit) == (2, 1, 10**15 - 10**12)
    assert books.by_pair["WETH-USDC"].document() == {
        "success_rate": 0.5,
        "total_profit_usd": pytest.approx(2.997),
        "total_trades": 2,
        "avg_profit_per_trade": pytest.approx(1.4985),
    }
    assert set(books.by_dex) == {"uniswap", "sushiswap"}
    assert books.since(0).trades == 2
    assert books.confidence("WETH-USDC", "uniswap", "sushiswap") == 0.5
