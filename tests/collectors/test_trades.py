import random
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exporter import backlog, books, fault_books
from exporter.collector import Follow, Kept, Sources
from exporter.collectors import opportunities, trades
from exporter.config import Bot, Limits, Named, Settings
from exporter.sources.memory_bank import Batch, Missing
from exporter.sources.records import Trade
from tests import bank
from tests.fake_rpc import chain, node
from tests.sources_for_tests import settings, shown, sources

TRADE = {
    "timestamp": "2025-04-06T17:56:36.565225",
    "opportunity": {"token_pair": "WETH-USDC", "dex_1": "aerodrome", "dex_2": "baseswap", "potential_profit": 0.5},
    "success": True,
    "net_profit": 0.25,
    "gas_cost": 0.0625,
    "tx_hash": "0x" + "a" * 64,
    "error": None,
}


@pytest.fixture
def made(tmp_path: Path) -> bank.Bank:
    return bank.Bank(tmp_path / "bank")


def configured(made: bank.Bank, **limits: int) -> Settings:
    bot = Bot(name="b", memory_bank=made.path, timezone=ZoneInfo("UTC"))
    return settings(made.path.parent, bot=bot, limits=Limits(**limits))


def stream(sources_: Sources) -> AsyncIterator[trades.Snapshot]:
    opened = trades.COLLECTOR.open(sources_)
    assert isinstance(opened, Follow)
    return opened.stream()


async def after_passes(source: Any, passes: int = 1) -> trades.Snapshot:
    async with aclosing(source) as snapshots:
        for _ in range(passes):
            snapshot = await anext(snapshots)
    return snapshot


async def test_every_figure_of_a_small_bank(made: bank.Bank) -> None:
    made.put(1743976596, TRADE)
    lost = TRADE | {"success": False, "net_profit": -0.125, "tx_hash": "0x" + "b" * 64, "error": "Slippage exceeded"}
    made.put(1743976600, lost)
    made.put_recent([{"timestamp": "2025-04-07T00:00:00Z", "token_pair": "USDC-WETH", "dex_1": "x", "dex_2": "y",
                      "profit": 0, "gas_cost": 0.5, "success": False}])  # fmt: skip
    async with sources(configured(made)) as s:
        found = shown(trades.COLLECTOR, await after_passes(stream(s)))
    route = 'bot="b",source="memory_bank",pair="WETH/USDC",dex_buy="aerodrome",dex_sell="baseswap"'
    other = 'bot="b",source="recent",pair="WETH/USDC",dex_buy="x",dex_sell="y"'
    assert found == {
        f'arb_bot_trades_total{{{route},outcome="success"}}': 1,
        f'arb_bot_trades_total{{{route},outcome="failed"}}': 1,
        f'arb_bot_trades_total{{{other},outcome="failed"}}': 1,
        'arb_bot_trades_by_outcome_total{bot="b",source="memory_bank",outcome="success"}': 1,
        'arb_bot_trades_by_outcome_total{bot="b",source="memory_bank",outcome="failed"}': 1,
        'arb_bot_trades_by_outcome_total{bot="b",source="recent",outcome="success"}': 0,
        'arb_bot_trades_by_outcome_total{bot="b",source="recent",outcome="failed"}': 1,
        'arb_bot_trade_failures_total{bot="b",source="memory_bank",reason="slippage"}': 1,
        'arb_bot_trade_failures_total{bot="b",source="recent",reason="unknown"}': 1,
        f"arb_bot_net_profit_ether{{{route}}}": 0.125,
        f"arb_bot_net_profit_ether{{{other}}}": 0,
        f"arb_bot_gain_ether_total{{{route}}}": 0.25,
        f"arb_bot_gain_ether_total{{{other}}}": 0,
        f"arb_bot_loss_ether_total{{{route}}}": 0.125,
        f"arb_bot_loss_ether_total{{{other}}}": 0,
        f"arb_bot_gas_cost_ether_total{{{route}}}": 0.125,
        f"arb_bot_gas_cost_ether_total{{{other}}}": 0.5,
        f"arb_bot_expected_profit_ether_total{{{route}}}": 1.0,
        f"arb_bot_expected_profit_ether_total{{{other}}}": 0,
        'arb_bot_last_trade_timestamp_seconds{bot="b",source="memory_bank"}': 1743976600,
        'arb_bot_last_trade_timestamp_seconds{bot="b",source="recent"}': 1743984000,
        'arb_bot_data_provenance{bot="b",source="memory_bank",provenance="real"}': 0,
        'arb_bot_data_provenance{bot="b",source="memory_bank",provenance="simulated"}': 0,
        'arb_bot_data_provenance{bot="b",source="memory_bank",provenance="unverified"}': 1,
        'arb_bot_data_provenance{bot="b",source="recent",provenance="real"}': 0,
        'arb_bot_data_provenance{bot="b",source="recent",provenance="simulated"}': 0,
        'arb_bot_data_provenance{bot="b",source="recent",provenance="unverified"}': 1,
        'arb_bot_peak_net_profit_ether{bot="b",source="memory_bank"}': 0.25,
        'arb_bot_drawdown_ether{bot="b",source="memory_bank"}': 0.125,
        'arb_bot_peak_net_profit_ether{bot="b",source="recent"}': 0,
        'arb_bot_drawdown_ether{bot="b",source="recent"}': 0,
        'arb_bot_backfill_active{bot="b"}': 0,
    }


LAST = 'arb_bot_last_trade_timestamp_seconds{bot="b",source="memory_bank"}'


async def test_a_time_that_can_be_none_is_absent_and_not_zero(made: bank.Bank) -> None:
    for n, name in enumerate(("000000000", "99999999999")):
        file = made.trades / f"trade_{name}.json"
        file.write_text(bank.json.dumps(TRADE | {"timestamp": None, "tx_hash": f"0x{n:064x}"}))
    async with sources(configured(made)) as s, aclosing(stream(s)) as snapshots:
        found = shown(trades.COLLECTOR, await anext(snapshots))
        assert (by_outcome(found, "memory_bank"), LAST in found) == (2, False)
        told = TRADE | {"timestamp": 1743976596, "tx_hash": f"0x{2:064x}"}
        (made.trades / "trade_00000000000.json").write_text(bank.json.dumps(told))
        assert shown(trades.COLLECTOR, await anext(snapshots))[LAST] == 1743976596


async def test_the_zero_of_an_older_version_is_no_time(made: bank.Bank) -> None:
    async with sources(configured(made)) as s, aclosing(stream(s)) as snapshots:
        await anext(snapshots)
        await s.ledger.write(lambda db: db.execute("UPDATE source SET last_trade=0.0"))
        assert LAST not in shown(trades.COLLECTOR, await anext(snapshots))


async def test_an_empty_bank_counts_from_zero(made: bank.Bank) -> None:
    async with sources(configured(made)) as s:
        found = shown(trades.COLLECTOR, await after_passes(stream(s)))
    assert found['arb_bot_trades_by_outcome_total{bot="b",source="memory_bank",outcome="success"}'] == 0
    assert not [name for name in found if "recent" in name]


async def test_a_first_read_shows_progress_and_no_counters_before_it_is_complete(
    made: bank.Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trades, "CHUNK", 10)
    monkeypatch.setattr(backlog, "HELD", 0.0)
    rng = random.Random(1)
    for i in range(25):
        made.put(bank.FIRST_EPOCH + i, bank.trade(rng))
    progress: dict[str, list[tuple[int, int]]] = {}
    async with sources(configured(made), progress=progress) as s, aclosing(stream(s)) as snapshots:
        for _ in range(3):
            during = shown(trades.COLLECTOR, await anext(snapshots))
            assert during == {'arb_bot_backfill_active{bot="b"}': 1}
        after = shown(trades.COLLECTOR, await anext(snapshots))
    assert progress["trades"] == [(10, 25), (20, 25), (25, 25)]
    assert sum(v for k, v in after.items() if k.startswith("arb_bot_trades_by_outcome")) == 25
    assert after['arb_bot_backfill_active{bot="b"}'] == 0


def by_outcome(found: dict[str, float], source: str) -> float:
    """The trades of a source."""
    return sum(v for k, v in found.items() if k.startswith("arb_bot_trades_by_outcome") and f'source="{source}"' in k)


async def test_a_long_list_is_put_down_in_batches_and_one_more_row_is_one_more(
    made: bank.Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trades, "CHUNK", 10)
    rows = [bank.row(random.Random(n)) for n in range(25)]
    made.put_recent([*rows, rows[0]])
    progress: dict[str, list[tuple[int, int]]] = {}
    async with sources(configured(made), progress=progress) as s, aclosing(stream(s)) as snapshots:
        for _ in range(2):
            assert by_outcome(shown(trades.COLLECTOR, await anext(snapshots)), "recent") == 0
        found = [shown(trades.COLLECTOR, await anext(snapshots)) for _ in range(2)]
        assert [by_outcome(each, "recent") for each in found] == [26, 26]
        made.put_recent([*rows, rows[0], bank.row(random.Random(99))], "renamed")
        assert by_outcome(shown(trades.COLLECTOR, await anext(snapshots)), "recent") == 27
    assert progress["trades"] == [(10, 26), (20, 26), (26, 26)]


async def test_a_long_list_that_breaks_off_is_counted_once_and_waited_for_no_more_when_it_goes(
    made: bank.Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trades, "CHUNK", 10)
    rows = [bank.row(random.Random(n)) for n in range(25)]
    progress: dict[str, list[tuple[int, int]]] = {}
    async with sources(configured(made), progress=progress) as s:
        opened = trades.COLLECTOR.open(s)
        assert isinstance(opened, Follow)
        await after_passes(opened.stream())
        made.put_recent(rows)
        async with aclosing(opened.stream()) as snapshots:
            assert isinstance(await anext(snapshots), Kept)
            await anext(snapshots)
            with monkeypatch.context() as broken:
                broken.setattr(s.ledger, "_transact", _disk_full)
                with pytest.raises(OSError, match="space"):
                    await anext(snapshots)
        assert progress["trades"] == [(10, 25)]
        made.recent.unlink()
        await after_passes(opened.stream(), 2)
        assert progress["trades"] == [(10, 25), (0, 0)]
        made.put_recent(rows)
        found = shown(trades.COLLECTOR, await after_passes(opened.stream(), 5))
    assert by_outcome(found, "recent") == 25


async def test_a_bank_that_is_renamed_away_and_back_keeps_every_count(made: bank.Bank) -> None:
    away = made.path.with_name("away")
    for n in range(3):
        made.put(bank.FIRST_EPOCH + n, bank.trade(random.Random(n)))
    async with sources(configured(made)) as s:
        opened = trades.COLLECTOR.open(s)
        assert isinstance(opened, Follow)
        async with aclosing(opened.stream()) as snapshots:
            assert by_outcome(shown(trades.COLLECTOR, await anext(snapshots)), "memory_bank") == 3
            made.path.rename(away)
            with pytest.raises(Missing):
                await anext(snapshots)
        bank.Bank(away).put(bank.FIRST_EPOCH + 3, bank.trade(random.Random(3)))
        async with aclosing(opened.stream()) as snapshots:
            kept = await anext(snapshots)
            assert isinstance(kept, Kept)
            assert by_outcome(shown(trades.COLLECTOR, kept.snapshot), "memory_bank") == 3
            with pytest.raises(Missing):
                await anext(snapshots)
        away.rename(made.path)
        found = shown(trades.COLLECTOR, await after_passes(opened.stream(), 2))
        faults = await s.ledger.read(lambda db: fault_books.totals(db, "b"))
    assert by_outcome(found, "memory_bank") == 4
    assert faults == {}


async def test_a_bank_that_is_renamed_away_between_two_chunks_is_read_on_when_it_is_back(
    made: bank.Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trades, "CHUNK", 10)
    away = made.path.with_name("away")
    for n in range(25):
        made.put(bank.FIRST_EPOCH + n, bank.trade(random.Random(n)))
    async with sources(configured(made)) as s:
        opened = trades.COLLECTOR.open(s)
        assert isinstance(opened, Follow)
        async with aclosing(opened.stream()) as snapshots:
            await anext(snapshots)
            made.path.rename(away)
            with pytest.raises(Missing):
                await anext(snapshots)
        bank.Bank(away).put(bank.FIRST_EPOCH + 25, bank.trade(random.Random(25)))
        away.rename(made.path)
        found = shown(trades.COLLECTOR, await after_passes(opened.stream(), 4))
        faults = await s.ledger.read(lambda db: fault_books.totals(db, "b"))
    assert by_outcome(found, "memory_bank") == 26
    assert faults == {}


async def test_after_a_restart_figures_are_there_at_once_even_without_the_bank(made: bank.Bank) -> None:
    made.put(1743976596, TRADE)
    async with sources(configured(made)) as s:
        before = shown(trades.COLLECTOR, await after_passes(stream(s)))
    shutil.rmtree(made.path)
    async with sources(configured(made)) as s, aclosing(stream(s)) as snapshots:
        assert shown(trades.COLLECTOR, await anext(snapshots)) == before
        with pytest.raises(Missing):
            await anext(snapshots)


async def test_while_the_bank_is_gone_the_chains_trades_are_kept_in_view(made: bank.Bank) -> None:
    async with sources(configured(made)) as s:
        opened = trades.COLLECTOR.open(s)
        assert isinstance(opened, Follow)
        await after_passes(opened.stream())
        shutil.rmtree(made.path)
        await put(s, Batch("chain", trades=[chain_trade()], complete=True))
        async with aclosing(opened.stream()) as snapshots:
            kept = await anext(snapshots)
            with pytest.raises(Missing):
                await anext(snapshots)
    assert isinstance(kept, Kept)
    found = shown(trades.COLLECTOR, kept.snapshot)
    assert found['arb_bot_trades_by_outcome_total{bot="b",source="chain",outcome="success"}'] == 1


async def test_a_bank_that_comes_back_is_a_success(made: bank.Bank) -> None:
    async with sources(configured(made)) as s:
        opened = trades.COLLECTOR.open(s)
        assert isinstance(opened, Follow)
        await after_passes(opened.stream())
        async with aclosing(opened.stream()) as snapshots:
            assert isinstance(await anext(snapshots), Kept)
            assert isinstance(await anext(snapshots), trades.Snapshot)


async def test_a_missing_bank_fails_and_shows_nothing(made: bank.Bank) -> None:
    shutil.rmtree(made.path)
    async with sources(configured(made)) as s:
        with pytest.raises(Missing):
            await anext(stream(s))


async def test_the_same_totals_are_the_same_snapshot(made: bank.Bank) -> None:
    made.put(1743976596, TRADE)
    async with sources(configured(made)) as s, aclosing(stream(s)) as snapshots:
        assert await anext(snapshots) is await anext(snapshots)


async def test_a_failed_commit_is_tried_again_and_counts_once(made: bank.Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    made.put(1743976596, TRADE)
    made.put_recent([bank.row(random.Random(1))])
    async with sources(configured(made)) as s:
        opened = trades.COLLECTOR.open(s)
        assert isinstance(opened, Follow)
        with monkeypatch.context() as broken:
            broken.setattr(s.ledger, "_transact", _disk_full)
            with pytest.raises(OSError, match="space"):
                await anext(opened.stream())
        assert s.ledger.degraded
        found = shown(trades.COLLECTOR, await after_passes(opened.stream()))
    assert found['arb_bot_trades_by_outcome_total{bot="b",source="memory_bank",outcome="success"}'] == 1


def _disk_full(*_: object) -> None:
    raise OSError(28, "No space left on device")


async def test_an_execution_waits_for_its_opportunity(made: bank.Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    async with sources(configured(made)) as s, aclosing(stream(s)) as snapshots:
        await anext(snapshots)
        made.put(1743976596, bank.execution(rng, "e", "o", status="SUCCESSFUL"))
        early = shown(trades.COLLECTOR, await anext(snapshots))
        made.put(1743976590, bank.opportunity(rng, "o", token_pair="WETH-USDC", dex_1="x", dex_2="y"))
        joined = shown(trades.COLLECTOR, await anext(snapshots))
        made.put(1743976597, bank.execution(rng, "e2", "nobody", status="SUCCESSFUL"))
        await anext(snapshots)
        monkeypatch.setattr(trades, "PATIENCE", -1.0)
        alone = shown(trades.COLLECTOR, await anext(snapshots))
        chances = shown(opportunities.COLLECTOR, await opportunities.read(s))
    assert not [k for k in early if k.startswith("arb_bot_trades_total")]
    route = 'bot="b",source="memory_bank",pair="WETH/USDC",dex_buy="x",dex_sell="y"'
    assert joined[f'arb_bot_trades_total{{{route},outcome="success"}}'] == 1
    unknown = 'bot="b",source="memory_bank",pair="unknown",dex_buy="unknown",dex_sell="unknown"'
    assert alone[f'arb_bot_trades_total{{{unknown},outcome="success"}}'] == 1
    assert chances == {
        f'arb_bot_opportunities_total{{{route},stage="detected"}}': 1,
        'arb_bot_opportunities_by_stage_total{bot="b",source="memory_bank",stage="detected"}': 1,
    }


async def test_more_routes_than_slots_are_other(made: bank.Bank) -> None:
    for i in range(8):
        record = TRADE | {"tx_hash": f"0x{i:064x}", "opportunity": TRADE["opportunity"] | {"dex_1": f"v{i}"}}  # type: ignore[operator]
        made.put(1743976596 + i, record)
    async with sources(configured(made, routes_per_source=3)) as s:
        found = shown(trades.COLLECTOR, await after_passes(stream(s)))
    rows = {k: v for k, v in found.items() if k.startswith("arb_bot_trades_total")}
    assert len(rows) == 4
    assert sum(rows.values()) == 8
    other = 'bot="b",source="memory_bank",pair="other",dex_buy="other",dex_sell="other",outcome="success"'
    assert rows[f"arb_bot_trades_total{{{other}}}"] == 5


async def test_a_bank_that_is_not_configured_is_not_read(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        found = shown(trades.COLLECTOR, await after_passes(stream(s)))
        assert found == {'arb_bot_backfill_active{bot="default"}': 0}
        assert shown(opportunities.COLLECTOR, await opportunities.read(s)) == {}


async def test_opportunities_are_read_from_the_ledger_only_when_it_moved(made: bank.Bank) -> None:
    async with sources(configured(made)) as s:
        opened = opportunities.COLLECTOR.open(s)
        assert opened is not None
        first = await opened.read()  # type: ignore[union-attr]
        assert await opened.read() is first  # type: ignore[union-attr]
        await after_passes(stream(s))
        assert await opened.read() is not first  # type: ignore[union-attr]


TRADER = Named("trader", "0x" + "a" * 40)
HASH = "0x" + "c" * 64


def chain_trade() -> Trade:
    key = bytes.fromhex(HASH[2:])
    return Trade(key, key, 1_750_000_000.0, "WETH/USDC", "x", "y", "success", None, 10**17, 10**15, None, HASH)


async def put(sources_: Sources, batch: Batch) -> None:
    await sources_.ledger.write(lambda db: books.Writer(db, "b", batch.source, 10, 2e9).put(batch, []))


async def test_without_a_bank_the_chains_own_trades_are_shown(tmp_path: Path) -> None:
    async with node() as own:
        made = settings(tmp_path, bot=Bot(name="b"), chain=chain(own, wallets=(TRADER,)))
        async with sources(made) as s:
            given = stream(s)
            async with aclosing(given) as snapshots:
                assert 'arb_bot_backfill_active{bot="b"}' in shown(trades.COLLECTOR, await anext(snapshots))
                await put(s, Batch("chain", trades=[chain_trade()], complete=True))
                found = shown(trades.COLLECTOR, await anext(snapshots))
    assert found['arb_bot_trades_by_outcome_total{bot="b",source="chain",outcome="success"}'] == 1
    route = 'bot="b",source="chain",pair="WETH/USDC",dex_buy="x",dex_sell="y"'
    assert found[f"arb_bot_net_profit_ether{{{route}}}"] == 0.1
    assert found['arb_bot_data_provenance{bot="b",source="chain",provenance="real"}'] == 1
    assert found['arb_bot_data_provenance{bot="b",source="chain",provenance="unverified"}'] == 0


async def test_a_source_is_real_once_its_hashes_are_found(made: bank.Bank) -> None:
    made.put(1743976596, TRADE)
    label = 'arb_bot_data_provenance{{bot="b",source="memory_bank",provenance="{}"}}'
    async with sources(configured(made)) as s, aclosing(stream(s)) as snapshots:
        assert shown(trades.COLLECTOR, await anext(snapshots))[label.format("unverified")] == 1
        await s.ledger.write(
            lambda db: db.execute(
                "INSERT INTO claim (trade, bot, source, status, due) SELECT id, bot, source, 'confirmed', 0 FROM trade"
            )
        )
        found = shown(trades.COLLECTOR, await anext(snapshots))
    assert (found[label.format("real")], found[label.format("unverified")]) == (1, 0)
