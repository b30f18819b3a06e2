from pathlib import Path

from exporter import books
from exporter.collectors import opportunities
from exporter.config import Bot
from exporter.sources.memory_bank import Batch
from tests.bot_events import NOW, event, told
from tests.sources_for_tests import settings, shown, sources


async def test_without_a_ledgered_source_there_is_nothing(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        assert shown(opportunities.COLLECTOR, await opportunities.read(s)) == {}


def test_files_name_opportunities_and_not_what_became_of_them() -> None:
    snapshot = opportunities.Snapshot(
        "b", {("memory_bank", "WETH/USDC", "x", "y", "detected"): 3, ("memory_bank", "a/b", "x", "y", "detected"): 2},
        frozenset(("memory_bank", "recent")),
    )  # fmt: skip
    route = 'bot="b",source="memory_bank",pair="{}",dex_buy="x",dex_sell="y",stage="detected"'
    assert shown(opportunities.COLLECTOR, snapshot) == {
        f"arb_bot_opportunities_total{{{route.format('WETH/USDC')}}}": 3,
        f"arb_bot_opportunities_total{{{route.format('a/b')}}}": 2,
        'arb_bot_opportunities_by_stage_total{bot="b",source="memory_bank",stage="detected"}': 5,
    }


def test_a_bank_without_opportunities_has_none() -> None:
    snapshot = opportunities.Snapshot("b", {}, frozenset(("memory_bank",)))
    assert shown(opportunities.COLLECTOR, snapshot) == {
        'arb_bot_opportunities_by_stage_total{bot="b",source="memory_bank",stage="detected"}': 0
    }


async def test_events_tell_the_funnel_the_reasons_the_value_and_the_hour(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        await told(
            s.ledger, made,
            event("opportunity", "1", expected_profit_eth="0.5"),
            event("opportunity", "2", stage="rejected", reason="gas_too_high", expected_profit_eth="0.25"),
            event("opportunity", "3", stage="missed", expected_profit_eth="0.125"),
        )  # fmt: skip
        found = shown(opportunities.COLLECTOR, await opportunities.read(s))
    route = 'bot="b",source="events",pair="WETH/USDC",dex_buy="aerodrome",dex_sell="baseswap"'
    events = 'bot="b",source="events"'
    assert {name: value for name, value in found.items() if value} == {
        f'arb_bot_opportunities_total{{{route},stage="detected"}}': 1,
        f'arb_bot_opportunities_total{{{route},stage="rejected"}}': 1,
        f'arb_bot_opportunities_total{{{route},stage="missed"}}': 1,
        f'arb_bot_opportunities_by_stage_total{{{events},stage="detected"}}': 1,
        f'arb_bot_opportunities_by_stage_total{{{events},stage="rejected"}}': 1,
        f'arb_bot_opportunities_by_stage_total{{{events},stage="missed"}}': 1,
        f'arb_bot_opportunity_rejections_total{{{events},reason="gas_too_high"}}': 1,
        f'arb_bot_opportunity_expected_profit_ether_total{{{events},stage="detected"}}': 0.5,
        f'arb_bot_opportunity_expected_profit_ether_total{{{events},stage="rejected"}}': 0.25,
        f'arb_bot_opportunity_expected_profit_ether_total{{{events},stage="missed"}}': 0.125,
        f'arb_bot_opportunities_by_hour_total{{{events},hour="15"}}': 1,
    }
    assert len([value for value in found.values() if value == 0]) == 1 + 13 + 1 + 23, "and the rest is there at 0"


async def test_a_first_read_that_goes_on_shows_nothing(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        await told(s.ledger, made, event("opportunity", "1"), complete=False)
        assert shown(opportunities.COLLECTOR, await opportunities.read(s)) == {}


async def test_the_ledger_is_read_again_only_once_it_moved(tmp_path: Path) -> None:
    made = settings(tmp_path)
    async with sources(made) as s:
        opened = opportunities.COLLECTOR.open(s)
        assert opened is not None
        first = await opened.read()  # type: ignore[union-attr]
        assert await opened.read() is first  # type: ignore[union-attr]
        await s.ledger.write(lambda db: db.execute("INSERT INTO chain (chain_id) VALUES (1)"))
        assert await opened.read() is first, "what says the same is the same"  # type: ignore[union-attr]
        await s.ledger.write(
            lambda db: books.Writer(db, "default", "recent", 10, NOW).put(Batch("recent", complete=True), [])
        )
        assert await opened.read() is not first  # type: ignore[union-attr]
