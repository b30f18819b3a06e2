import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import bot_documents
from exporter.sources.bot_documents import READERS, Reports, Said, Tally, count, number, outcomes, ratio, said
from exporter.sources.files import Unreadable
from tests import bank

METRICS = {
    "wallet_balance": 1.25,
    "system_status": {"memory_usage": 45.8, "last_block": 12345678},
    "performance": {"total_profit": 0.85, "success_rate": 0.92, "total_trades": 28, "successful_trades": 26,
                    "failed_trades": 2, "average_gas_cost": 0.015},
}  # fmt: skip
PERFORMANCE = {"success_rate": 92.5, "total_profit_usd": -389.5, "total_gas_cost_eth": 0.25, "total_trades": 155,
               "failed_trades": 18, "active_opportunities": 4}  # fmt: skip
VENUES = {"baseswap": {"success_rate": 0.8125, "total_profit_usd": 291.25, "total_trades": 30}, "aerodrome": "new"}
PAIRS = {"WETH-USDC": {"total_profit_usd": 257.5, "total_trades": 35},
         "WETH-DAI": {"total_profit_usd": 0.25, "total_trades": 5}}  # fmt: skip
SYSTEM = {
    "status": "running", "uptime": 37136, "network": {"block_number": 5655179},
    "performance": {"memory_usage": 222.7},
    "components": {"arbitrage_bot": {"status": "running"}, "memory_bank": {"status": "Healthy"},
                   "dashboard": {"status": "crashed"}, "silent": {}},
}  # fmt: skip
STATE = {"bot_status": "Running", "web3_connected": True, "current_block": 12345678, "wallet_balance": 1.25}
WRITERS = [bank.write_plain, bank.write_renamed, bank.write_mapped, bank.write_in_place, bank.write_slowly]


def test_each_document_says_its_own() -> None:
    told = {
        "metrics": (METRICS, Said(trades={"success": 26, "failed": 2}, net_profit_ether=0.85, success_ratio=0.92,
                                  balance_ether=1.25, block=12345678)),
        "performance": (PERFORMANCE, Said(trades={"success": 137, "failed": 18}, net_profit_usd=-389.5,
                                          gas_cost_ether=0.25, success_ratio=0.925)),
        "dex_performance": (VENUES, Said(venues={"baseswap": Tally(30, 0.8125)})),
        "token_metrics": (PAIRS, Said(trades={"unknown": 40}, net_profit_usd=257.75)),
        "system_state": (SYSTEM, Said(uptime_seconds=37136.0, block=5655179,
                                      components={"arbitrage_bot": True, "memory_bank": True, "dashboard": False})),
        "state": (STATE, Said(status="running", web3_connected=True, balance_ether=1.25, block=12345678)),
        "executions": ({"last_execution": {"trades_executed": 7}}, Said(trades={"unknown": 7})),
        "opportunities": ({"opportunities": [{}, {}]}, Said(open_opportunities=2)),
        "market_state": ({"gas_price": 0, "network_status": "unknown"}, Said()),
        "pool_metrics": ({}, Said()),
    }  # fmt: skip
    assert told.keys() == READERS.keys()
    for name, (document, meaning) in told.items():
        assert said(name, json.dumps(document).encode()) == meaning, name


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"[]", b"3", b"", b'{"a": Infinity}', b'{"a": 1} {"a": 2}', b'{"a": 1, "a": 2}'])
def test_what_is_not_one_whole_object_says_nothing(name: str, content: bytes) -> None:
    with pytest.raises(Unreadable):
        said(name, content)


def test_a_wrong_type_costs_only_itself() -> None:
    wrong = METRICS | {"wallet_balance": "1.25", "system_status": [], "performance": {"total_trades": "28",
                       "failed_trades": 2, "total_profit": 0.5, "success_rate": True}}  # fmt: skip
    assert said("metrics", json.dumps(wrong).encode()) == Said(trades={"failed": 2}, net_profit_ether=0.5)
    assert said("state", b'{"bot_status": "sleeping", "web3_connected": 1}') == Said(status="other")
    assert said("token_metrics", b'{"A-B": {"total_trades": 1}, "A-C": {}}') == Said()
    assert said("opportunities", b'{"opportunities": 4}') == Said()


def test_values() -> None:
    assert [number(v) for v in (3, Decimal("0.5"), -1, True, "3", None, 10**400)] == [3, 0.5, -1, *[None] * 4]
    assert [count(v) for v in (0, Decimal("7.0"), Decimal("7.5"), -1, 2**53)] == [0, 7, None, None, None]
    assert [ratio(v) for v in (0, 1, Decimal("0.92"), 92, 100, 101, -1)] == [0, 1, 0.92, 0.92, 1, None, None]


def test_outcomes_add_up_to_what_was_said() -> None:
    assert outcomes(10, 7, 3) == {"success": 7, "failed": 3}
    assert outcomes(10, 7, 2) == {"success": 7, "failed": 2, "unknown": 1}
    assert outcomes(10, 7, None) == {"success": 7, "failed": 3}
    assert outcomes(10, None, 4) == {"success": 6, "failed": 4}
    assert outcomes(10, None, None) == {"unknown": 10}
    assert outcomes(0, None, None) == {"unknown": 0}
    assert outcomes(3, None, 4) == {"failed": 4}
    assert outcomes(None, 3, None) == {"success": 3}
    assert outcomes(None, None, None) == {}


def test_only_so_many_names_are_told_apart() -> None:
    many = {f"dex{i}": {"total_trades": i} for i in range(50)} | {"x" * 65: {"total_trades": 1}, "": {}}
    assert list(said("dex_performance", json.dumps(many).encode()).venues) == [f"dex{i}" for i in range(20)]


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2) | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)  # fmt: skip
KEYS = ["performance", "system_status", "network", "components", "last_execution", "opportunities", "status", "uptime",
        "total_trades", "failed_trades", "successful_trades", "success_rate", "total_profit", "total_profit_usd",
        "wallet_balance", "bot_status", "web3_connected", "current_block", "trades_executed", "last_block"]  # fmt: skip
OBJECTS = st.dictionaries(
    st.sampled_from(KEYS), VALUES | st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6), max_size=6
)


@given(name=st.sampled_from(list(READERS)), root=OBJECTS)
def test_no_document_of_any_shape_is_too_much(name: str, root: dict[str, Any]) -> None:
    try:
        found = said(name, json.dumps(root).encode())
    except Unreadable as refused:
        assert refused.reason in ("number", "shape")
        return
    assert all(0 <= n < 2**63 for n in found.trades.values())
    assert found.success_ratio is None or 0 <= found.success_ratio <= 1
    assert found.status in (None, "running", "stopped", "error", "other")
    assert all(type(up) is bool for up in found.components.values())


@given(name=st.sampled_from(list(READERS)), content=st.binary(max_size=60))
def test_no_bytes_are_too_much(name: str, content: bytes) -> None:
    try:
        said(name, content)
    except Unreadable:
        return


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for kind in ("state", "metrics"):
        (tmp_path / "bank" / kind).mkdir(parents=True)
    return tmp_path / "bank"


def settled(reports: Reports) -> Reports:
    reports._broken._seconds = 0.0
    return reports


@pytest.mark.parametrize("write", WRITERS)
def test_documents_of_every_style_of_writing(home: Path, write: Callable[[Path, bytes], None]) -> None:
    reports = Reports(home, 64 << 20)
    for block in (7, 8):
        write(home / "state" / "state.json", json.dumps(STATE | {"current_block": block}).encode())
        write(home / "metrics" / "metrics.json", json.dumps(METRICS).encode())
        os.utime(home / "state" / "state.json", (1_000, 1_000 + block))
        own, totals = reports.read()
        assert (own.document, own.whole, own.last_write, own.said.block) == ("state", True, 1_000 + block, block)
        assert (totals.document, totals.said.net_profit_ether) == ("metrics", 0.85)


def test_only_what_changed_is_parsed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    real = bot_documents.said

    def noted(name: str, content: bytes) -> Said:
        parsed.append(name)
        return real(name, content)

    monkeypatch.setattr(bot_documents, "said", noted)
    reports = Reports(home, 1 << 20)
    for text in ('{"uptime": 1}', '{"uptime": 1}', '{"uptime": 2}'):
        (home / "state" / "system_state.json").write_text(text)
        reports.read()
    assert parsed == ["system_state"] * 2
    assert reports.read()[0].said.uptime_seconds == 2


def test_one_that_is_being_written_is_what_it_was_and_one_that_stays_broken_is_not(home: Path) -> None:
    file = home / "state" / "state.json"
    file.write_text(json.dumps(STATE))
    reports = Reports(home, 1 << 20)
    before = reports.read()
    file.write_text('{"bot_sta')
    assert reports.read() == before
    (broken,) = settled(reports).read()
    assert (broken.document, broken.whole, broken.said) == ("state", False, Said())
    file.write_text(json.dumps(STATE))
    assert reports.read()[0].said == before[0].said


def test_one_that_was_never_whole_is_not_shown_before_it_has_settled(home: Path) -> None:
    (home / "metrics" / "performance.json").write_text("")
    reports = Reports(home, 1 << 20)
    assert reports.read() == ()
    assert [(r.document, r.whole) for r in settled(reports).read()] == [("performance", False)]


def test_one_that_vanishes_is_not_forgotten_nor_is_the_bank(home: Path) -> None:
    file = home / "state" / "state.json"
    file.write_text(json.dumps(STATE))
    os.utime(file, (5, 5))
    reports = Reports(home, 1 << 20)
    assert reports.read()[0].whole
    file.unlink()
    assert [(r.whole, r.last_write, r.said) for r in reports.read()] == [(False, 5, Said())]
    home.rename(home.with_name("gone"))
    assert [r.whole for r in reports.read()] == [False]
    home.with_name("gone").rename(home)
    file.write_text(json.dumps(STATE))
    assert reports.read()[0].whole


def test_no_bank_no_documents(tmp_path: Path) -> None:
    assert Reports(tmp_path / "none", 1 << 20).read() == ()
    (tmp_path / "file").write_text("x")
    assert Reports(tmp_path / "file", 1 << 20).read() == ()


def test_links_and_giants_are_not_read(home: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(STATE))
    (home / "state" / "state.json").symlink_to(tmp_path / "secret.json")
    (home / "metrics" / "metrics.json").write_bytes(json.dumps(METRICS).encode() + b" " * (1 << 20))
    reports = settled(Reports(home, 1 << 20))
    reports.read()
    assert [(r.document, r.whole, r.said) for r in reports.read()] == [
        ("state", False, Said()), ("metrics", False, Said())
    ]  # fmt: skip
