"""The bot's own documents as samples."""

import json
import os
import time
from pathlib import Path

import pytest

from exporter.collector import Poll
from exporter.collectors.bot_state import COLLECTOR, Snapshot
from exporter.config import Bot
from exporter.sources.bot_documents import Report, Said, Tally
from tests.sources_for_tests import settings, shown, sources

NOW = 1_750_000_000.0


def one(name: str, age: float = 0.0, **told: object) -> Snapshot:
    return Snapshot("b", NOW, (Report(name, True, NOW - age, Said(**told)),))  # type: ignore[arg-type]


def head(name: str, age: float = 0.0) -> dict[str, float]:
    return {
        f'arb_bot_state_up{{bot="b",document="{name}"}}': 1,
        f'arb_bot_state_last_write_timestamp_seconds{{bot="b",document="{name}"}}': NOW - age,
    }


def test_the_state() -> None:
    told = one("state", status="stopped", web3_connected=False, balance_ether=1.25, block=7)
    assert shown(COLLECTOR, told) == head("state") | {
        'arb_bot_status{bot="b",status="running"}': 0,
        'arb_bot_status{bot="b",status="stopped"}': 1,
        'arb_bot_status{bot="b",status="error"}': 0,
        'arb_bot_status{bot="b",status="other"}': 0,
        'arb_bot_web3_connected{bot="b"}': 0,
        'arb_bot_reported_balance_ether{bot="b",document="state"}': 1.25,
        'arb_bot_reported_block{bot="b",document="state"}': 7,
    }


def test_the_system() -> None:
    told = one("system_state", uptime_seconds=5.0, block=6, components={"dashboard": True, "bank": False})
    assert shown(COLLECTOR, told) == head("system_state") | {
        'arb_bot_reported_uptime_seconds{bot="b"}': 5,
        'arb_bot_reported_block{bot="b",document="system_state"}': 6,
        'arb_bot_reported_component_up{bot="b",component="dashboard"}': 1,
        'arb_bot_reported_component_up{bot="b",component="bank"}': 0,
    }


def test_totals_stay_apart_by_document() -> None:
    snapshot = Snapshot("b", NOW, (
        Report("metrics", True, NOW, Said(trades={"success": 26, "failed": 2}, net_profit_ether=-0.5,
                                          success_ratio=0.75)),
        Report("performance", True, NOW, Said(trades={"unknown": 3}, net_profit_usd=4.5, gas_cost_ether=0.25)),
    ))  # fmt: skip
    assert shown(COLLECTOR, snapshot) == head("metrics") | head("performance") | {
        'arb_bot_reported_trades{bot="b",document="metrics",outcome="success"}': 26,
        'arb_bot_reported_trades{bot="b",document="metrics",outcome="failed"}': 2,
        'arb_bot_reported_trades{bot="b",document="performance",outcome="unknown"}': 3,
        'arb_bot_reported_net_profit_ether{bot="b",document="metrics"}': -0.5,
        'arb_bot_reported_net_profit_usd{bot="b",document="performance"}': 4.5,
        'arb_bot_reported_gas_cost_ether{bot="b",document="performance"}': 0.25,
        'arb_bot_reported_success_ratio{bot="b",document="metrics"}': 0.75,
    }


def test_venues() -> None:
    told = one("dex_performance", venues={"aerodrome": Tally(3, 0.5), "sushi": Tally(None, 0.25)})
    assert shown(COLLECTOR, told) == head("dex_performance") | {
        'arb_bot_reported_dex_trades{bot="b",dex="aerodrome"}': 3,
        'arb_bot_reported_dex_success_ratio{bot="b",dex="aerodrome"}': 0.5,
        'arb_bot_reported_dex_success_ratio{bot="b",dex="sushi"}': 0.25,
    }


@pytest.mark.parametrize(("name", "fresh"), [("opportunities", 60), ("performance", 300)])
def test_what_an_old_document_says_is_past(name: str, fresh: float) -> None:
    told = {"open_opportunities": 0} if name == "opportunities" else {"net_profit_usd": 1.0}
    assert len(shown(COLLECTOR, one(name, fresh, **told))) == 3
    assert shown(COLLECTOR, one(name, fresh + 0.5, **told)) == head(name, fresh + 0.5)


async def test_a_bank_is_read(tmp_path: Path) -> None:
    file = tmp_path / "bank" / "state" / "opportunities.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"opportunities": [{"id": "1"}]}))
    async with sources(settings(tmp_path, bot=Bot(name="b", memory_bank=tmp_path / "bank"))) as s:
        poll = COLLECTOR.open(s)
        assert isinstance(poll, Poll)
        assert shown(COLLECTOR, await poll.read())['arb_bot_open_opportunities{bot="b"}'] == 1
        os.utime(file, (time.time() - 100, time.time() - 100))
        found = shown(COLLECTOR, await poll.read())
        assert 'arb_bot_open_opportunities{bot="b"}' not in found
        assert found['arb_bot_state_up{bot="b",document="opportunities"}'] == 1
        file.unlink()
        assert shown(COLLECTOR, await poll.read())['arb_bot_state_up{bot="b",document="opportunities"}'] == 0


async def test_errors_are_passed_on_and_nothing_is_opened_unasked(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        assert COLLECTOR.open(s) is None
    async with sources(settings(tmp_path, bot=Bot(memory_bank=Path("/" + "x" * 300)))) as s:
        poll = COLLECTOR.open(s)
        assert isinstance(poll, Poll)
        with pytest.raises(OSError, match="too long"):
            await poll.read()
