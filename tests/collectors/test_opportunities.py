from pathlib import Path

from exporter.collectors import opportunities
from tests.sources_for_tests import settings, shown, sources


async def test_without_a_ledgered_source_there_is_nothing(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        assert shown(opportunities.COLLECTOR, await opportunities.read(s)) == {}


def test_one_counter_by_route_and_stage() -> None:
    snapshot = opportunities.Snapshot("b", {("memory_bank", "WETH/USDC", "x", "y", "detected"): 3})
    route = 'bot="b",source="memory_bank",pair="WETH/USDC",dex_buy="x",dex_sell="y"'
    assert shown(opportunities.COLLECTOR, snapshot) == {f'arb_bot_opportunities_total{{{route},stage="detected"}}': 3}
