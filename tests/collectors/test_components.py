import math
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.collector import Sources, when_moved
from exporter.collectors import components
from exporter.config import Bot
from tests.bot_events import NOW, event, told
from tests.sources_for_tests import settings, shown, sources


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components.time, "time", lambda: NOW + 1)


async def test_last_words_of_every_kind(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        assert shown(components.COLLECTOR, await components.read(s)) == {}
        await told(
            s.ledger, made,
            event("component", "1", status="down", time=NOW - 5),
            event("component", "2", status="degraded"),
            event("component", "3", status="ok", time=NOW - 1),
            event("pool", "4"),
            event("cache", "5", hits=90, misses=10, entries=7, bytes=4096),
            event("allocation", "6", dex="aerodrome"),
            event("allocation", "7", pair="USDC-WETH", share_ratio="0.25"),
            event("price", "8", price="3003.5"),
        )  # fmt: skip
        found = shown(components.COLLECTOR, await components.read(s))
    assert found == {
        'arb_bot_component_status{bot="b",component="scanner",status="ok"}': 0,
        'arb_bot_component_status{bot="b",component="scanner",status="degraded"}': 1,
        'arb_bot_component_status{bot="b",component="scanner",status="down"}': 0,
        'arb_bot_component_last_report_timestamp_seconds{bot="b",component="scanner"}': NOW,
        'arb_bot_pool_in_use{bot="b",pool="rpc"}': 1,
        'arb_bot_pool_size{bot="b",pool="rpc"}': 4,
        'arb_bot_cache_hits_total{bot="b",cache="quotes"}': 90,
        'arb_bot_cache_misses_total{bot="b",cache="quotes"}': 10,
        'arb_bot_cache_entries{bot="b",cache="quotes"}': 7,
        'arb_bot_cache_bytes{bot="b",cache="quotes"}': 4096,
        'arb_bot_dex_allocation_ratio{bot="b",dex="aerodrome"}': 0.5,
        'arb_bot_dex_allocation_ether{bot="b",dex="aerodrome"}': 2,
        'arb_bot_pair_allocation_ratio{bot="b",pair="WETH/USDC"}': 0.25,
        'arb_bot_pair_allocation_ether{bot="b",pair="WETH/USDC"}': 2,
        'arb_bot_reported_price_quote_per_base{bot="b",pair="WETH/USDC",dex="aerodrome"}': 3003.5,
    }


async def test_an_old_word_goes_but_its_time_and_what_was_counted_stay(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        await told(
            s.ledger, made, event("component", "1"), event("cache", "2", hits=3), event("price", "3"),
            event("allocation", "4", dex="x"),
        )  # fmt: skip
        snapshot = await components.read(s)
    hour = shown(components.COLLECTOR, replace(snapshot, now=NOW + 3_601))
    assert hour == {
        'arb_bot_component_last_report_timestamp_seconds{bot="b",component="scanner"}': NOW,
        'arb_bot_cache_hits_total{bot="b",cache="quotes"}': 3,
        'arb_bot_cache_misses_total{bot="b",cache="quotes"}': 0,
        'arb_bot_dex_allocation_ratio{bot="b",dex="x"}': 0.5,
        'arb_bot_dex_allocation_ether{bot="b",dex="x"}': 2,
    }
    assert len(shown(components.COLLECTOR, replace(snapshot, now=NOW + 86_401))) == 3


async def test_names_may_hold_spaces(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        await told(s.ledger, made, event("price", "1", dex="a venue of three"), event("pool", "2", name="to the node"))
        found = shown(components.COLLECTOR, await components.read(s))
    assert found == {
        'arb_bot_reported_price_quote_per_base{bot="b",pair="WETH/USDC",dex="a venue of three"}': 3000,
        'arb_bot_pool_in_use{bot="b",pool="to the node"}': 1,
        'arb_bot_pool_size{bot="b",pool="to the node"}': 4,
    }


async def test_it_looks_again_now_and_then_though_nobody_speaks(tmp_path: Path) -> None:
    looks: list[float] = []

    async def read(_: Sources) -> int:
        looks.append(NOW)
        return len(looks)

    async with sources(settings(tmp_path)) as s:
        for at_least, found in ((math.inf, (1, 1)), (0.0, (2, 3))):
            opened = when_moved(s, read, at_least=at_least)
            assert (await opened.read(), await opened.read()) == found


async def test_names_beyond_the_slots_have_no_state(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        await told(s.ledger, made, *(event("component", str(i), name=f"c{i}") for i in range(30)))
        found = shown(components.COLLECTOR, await components.read(s))
    assert len(found) == 20 * 4
    assert not [name for name in found if '"other"' in name]
