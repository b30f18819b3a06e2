from pathlib import Path

from exporter.collectors import execution
from exporter.config import Bot
from tests.bot_events import NOW, event, told
from tests.sources_for_tests import settings, shown, sources


def plain(found: dict[str, float], name: str) -> dict[str, float]:
    """Samples that begin with this name, without those that are 0."""
    return {key.removeprefix(name): value for key, value in found.items() if key.startswith(name) and value}


async def test_path_length_timing_slippage_and_fees(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        assert shown(execution.COLLECTOR, await execution.read(s)) == {}
        await told(
            s.ledger, made,
            event("trade", "1", path_length=2, discovered_at=NOW, submitted_at=NOW + 0.25, included_at=NOW + 2.5,
                  slippage_ratio=0.001, l1_fee_eth="0.125", flash_loan_fee_eth="0", dex_fee_eth="0.5", gas_used=21_000),
            event("trade", "2", path_length=9, outcome="failed", net_profit_eth="-0.5", dex_sell="aerodrome",
                  submitted_at=NOW + 1, discovered_at=NOW + 2, slippage_ratio=-0.25),
            event("trade", "3"),
        )  # fmt: skip
        found = shown(execution.COLLECTOR, await execution.read(s))
    assert plain(found, "arb_bot_path") == {
        '_trades_total{bot="b",path_length="2",outcome="success"}': 1,
        '_trades_total{bot="b",path_length="6+",outcome="failed"}': 1,
        '_trades_total{bot="b",path_length="unknown",outcome="success"}': 1,
        '_net_profit_ether{bot="b",path_length="2"}': 0.25,
        '_net_profit_ether{bot="b",path_length="6+"}': -0.5,
        '_net_profit_ether{bot="b",path_length="unknown"}': 0.25,
    }
    assert len([name for name in found if name.startswith("arb_bot_path_trades_total")]) == 12
    duration = plain(found, "arb_bot_trade_duration_seconds")
    for phase, seconds, first in (
        ("discovery_to_submission", 0.25, 4),
        ("submission_to_inclusion", 2.25, 8),
        ("discovery_to_inclusion", 2.5, 8),
    ):
        labels = f'bot="b",phase="{phase}"'
        assert duration[f"_sum{{{labels}}}"] == seconds
        assert duration[f"_count{{{labels}}}"] == 1
        assert len([key for key in duration if key.startswith(f"_bucket{{{labels}")]) == 13 - first
    slippage = plain(found, "arb_bot_slippage_ratio")
    assert slippage['_sum{bot="b",dex="aerodrome"}'] == 0.001, "better than quoted is no slippage"
    assert slippage['_count{bot="b",dex="aerodrome"}'] == 2, "both of its venues are one"
    assert slippage['_count{bot="b",dex="baseswap"}'] == 1
    assert slippage['_bucket{bot="b",dex="aerodrome",le="0.0001"}'] == 1
    assert slippage['_bucket{bot="b",dex="aerodrome",le="0.001"}'] == 2
    assert {key: value for key, value in found.items() if "fees" in key or "gas_used" in key} == {
        'arb_bot_fees_ether_total{bot="b",kind="gas"}': 0.1875,
        'arb_bot_fees_ether_total{bot="b",kind="l1"}': 0.125,
        'arb_bot_fees_ether_total{bot="b",kind="flash_loan"}': 0,
        'arb_bot_fees_ether_total{bot="b",kind="dex"}': 0.5,
        'arb_bot_gas_used_total{bot="b"}': 21_000,
    }


async def test_phases_without_times_are_there_and_empty(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        await told(s.ledger, made, event("trade", "1"))
        found = shown(execution.COLLECTOR, await execution.read(s))
    assert {value for name, value in found.items() if "duration" in name} == {0}
    assert not [name for name in found if "slippage" in name or "gas_used" in name]
