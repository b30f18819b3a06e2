from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter.board import Board, follow
from exporter.collector import Follow, busy_clock
from exporter.collectors import prices
from exporter.collectors.prices import Unknown, Watch
from exporter.config import Chain, Pool
from exporter.sources import pool_events
from exporter.sources.contracts import Known, PoolFacts, Token
from exporter.sources.costs import Costs
from exporter.sources.heads import Heads
from exporter.sources.rpc import Rpc, Unreachable
from tests import chain_model as model
from tests.fake_rpc import Node, chain, node, silent, status, word
from tests.pools_world import World, world
from tests.running import eventually
from tests.sources.test_news import Heads as ByHand
from tests.sources.test_news import header
from tests.sources_for_tests import settings, shown, sources

WETH, USDC = Token(model.WETH, "WETH", 18), Token(model.USDC, "USDC", 6)


def facts(address: str, kind: str = "uniswap_v2") -> PoolFacts:
    return PoolFacts(address, kind, WETH, USDC, 3000)


class Told:
    """Contracts that are known already, or not yet."""

    def __init__(self, *pools: PoolFacts, pending: bool = False) -> None:
        self.found = Known({pool.address: pool for pool in pools}, {}, pending)

    async def known(self) -> Known:
        return self.found


POOLS = (Pool("alpha", "uniswap_v2", model.V2_A), Pool("beta", "uniswap_v2", model.V2_B))


@pytest.fixture
async def own():
    async with node() as made:
        made.contracts = model.serve(made)  # type: ignore[attr-defined]
        yield made


def watch(reader: Rpc, made: Chain, *known: PoolFacts) -> Watch:
    return Watch(reader, Told(*known), made)  # type: ignore[arg-type]


def reserve(own: Node, address: str, *words: int) -> None:
    own.contracts.code[address]["0x0902f1ac"] = word(*words)  # type: ignore[attr-defined]


async def test_every_figure_of_two_pools(own: Node) -> None:
    made = chain(own, pools=POOLS)
    reserve(own, model.V2_A, 100 * 10**18, 300_000 * 10**6, 1_750_000_000)
    reserve(own, model.V2_B, 100 * 10**18, 303_000 * 10**6, 1_750_000_001)
    async with Rpc(made) as reader:
        found = shown(prices.COLLECTOR, await watch(reader, made, facts(model.V2_A), facts(model.V2_B)).read())
    a, b = ('pair="WETH/USDC",dex="alpha",pool="alpha-3000"', 'pair="WETH/USDC",dex="beta",pool="beta-3000"')
    assert found == {
        f"arb_price_quote_per_base{{{a}}}": 3000,
        f"arb_price_quote_per_base{{{b}}}": 3030,
        f"arb_price_last_update_timestamp_seconds{{{a}}}": 1_750_000_000,
        f"arb_price_last_update_timestamp_seconds{{{b}}}": 1_750_000_001,
        f"arb_price_updates_total{{{a}}}": 0,
        f"arb_price_updates_total{{{b}}}": 0,
        f"arb_pool_fee_ratio{{{a}}}": 0.003,
        f"arb_pool_fee_ratio{{{b}}}": 0.003,
        'arb_price_spread_ratio{pair="WETH/USDC"}': 0.01,
        'arb_price_net_spread_ratio{pair="WETH/USDC"}': pytest.approx(1.01 * 0.997**2 - 1),
        'arb_price_spread_profit_ether{pair="WETH/USDC"}': pytest.approx(0.586308 / 3030, rel=1e-6),
        'arb_price_spread_since_timestamp_seconds{pair="WETH/USDC"}': pytest.approx(time.time(), abs=60),
        f'arb_pool_reserve_tokens{{{a},token="WETH"}}': 100,
        f'arb_pool_reserve_tokens{{{a},token="USDC"}}': 300_000,
        f'arb_pool_reserve_tokens{{{b},token="WETH"}}': 100,
        f'arb_pool_reserve_tokens{{{b},token="USDC"}}': 303_000,
        'arb_pool_up{dex="alpha",pool="alpha-3000"}': 1,
        'arb_pool_up{dex="beta",pool="beta-3000"}': 1,
    }


async def test_all_pools_are_read_in_one_batch_with_the_block(own: Node) -> None:
    made = chain(own, pools=POOLS)
    async with Rpc(made) as reader:
        seen = watch(reader, made, facts(model.V2_A), facts(model.V2_B))
        await seen.read()
        before, own.calls[:] = own.requests, []
        await seen.read()
    assert own.requests == before + 1
    assert [method for method, _ in own.calls] == ["eth_blockNumber", "eth_call", "eth_call"]


async def test_a_change_is_seen_once_and_no_change_is_the_same_snapshot(own: Node) -> None:
    made = chain(own, pools=POOLS[:1])
    async with Rpc(made) as reader:
        seen = watch(reader, made, facts(model.V2_A))
        first = await seen.read()
        assert await seen.read() is first
        reserve(own, model.V2_A, 10**18, 3100 * 10**6, 8)
        changed = await seen.read()
        assert await seen.read() is changed
    (state,) = changed.states
    assert (state.changed, state.changes, state.reading.price) == (8.0, 1, 3100)


async def test_a_node_that_lags_takes_nothing_back_but_a_reorg_does(own: Node) -> None:
    made = chain(own, pools=POOLS[:1])
    blocks = iter(["0x64", "0x61", "0x65", "0x62", "0x62", "0x62", "0x62", "0x63", None, "0x1"])
    own.answers["eth_blockNumber"] = lambda: next(blocks)
    async with Rpc(made) as reader:
        seen = watch(reader, made, facts(model.V2_A))
        found = []
        for look in range(10):
            reserve(own, model.V2_A, 10**18, (look + 1) * 10**6, 8)
            (state,) = (await seen.read()).states
            found.append((state.reading.price, state.changes))
    assert [price for price, _ in found] == [1, 1, 3, 3, 3, 3, 7, 8, 9, 9]
    assert [changes for _, changes in found] == [0, 0, 1, 1, 1, 1, 2, 3, 4, 4]


async def test_a_label_never_moves_to_another_pool(own: Node) -> None:
    made = chain(own, pools=(Pool("a", "uniswap_v2", model.V2_A), Pool("a", "uniswap_v2", model.V2_B)))
    told = Told(facts(model.V2_B), pending=True)
    async with Rpc(made) as reader:
        seen = Watch(reader, told, made)  # type: ignore[arg-type]
        assert (await seen.read()).up == {("a", "a-3000"): True, ("a", "a-unknown"): False}
        told.found = Told(facts(model.V2_A), facts(model.V2_B)).found
        states = (await seen.read()).states
    assert {s.venue.label: s.venue.facts.address for s in states} == {"a-3000": model.V2_B, "a-3000-2": model.V2_A}
    assert [s.changes for s in states] == [0, 0]


async def test_while_no_node_answers_nobody_looks_up_contracts(own: Node) -> None:
    own.fault = status(500)
    made = chain(own, pools=POOLS)
    async with Rpc(made) as reader:
        with pytest.raises(Unreachable):
            await Watch(reader, None, made).read()  # type: ignore[arg-type]


async def test_a_pool_without_answer_or_of_absurd_size_costs_only_itself(own: Node) -> None:
    late = "0x" + "dd" * 20
    own.contracts.code[late] = {"0x0902f1ac": word(1, 1, 2**32)}  # type: ignore[attr-defined]
    pools = Pool("gamma", "uniswap_v2", model.NOBODY), Pool("delta", "uniswap_v2", late)
    made = chain(own, pools=(*POOLS, *pools))
    reserve(own, model.V2_B, 2**200, 1, 7)
    async with Rpc(made) as reader:
        found = shown(
            prices.COLLECTOR,
            await watch(reader, made, *map(facts, (model.V2_A, model.V2_B, model.NOBODY, late))).read(),
        )
    assert {k: v for k, v in found.items() if k.startswith("arb_pool_up")} == {
        'arb_pool_up{dex="alpha",pool="alpha-3000"}': 1,
        'arb_pool_up{dex="beta",pool="beta-3000"}': 0,
        'arb_pool_up{dex="gamma",pool="gamma-3000"}': 0,
        'arb_pool_up{dex="delta",pool="delta-3000"}': 0,
    }
    assert not any("spread" in name for name in found)


async def test_a_kind_that_is_not_true_shows_no_price_and_is_told_once(
    own: Node, caplog: pytest.LogCaptureFixture
) -> None:
    made = chain(own, pools=(Pool("alpha", "solidly", model.V2_A), Pool("beta", "slipstream", model.V3)))
    async with Rpc(made) as reader:
        seen = watch(reader, made, facts(model.V2_A), facts(model.V3, "uniswap_v3"))
        with caplog.at_level(logging.WARNING, "exporter.prices"):
            await seen.read()
            seen._known = None  # as after another pool has been looked up
            found = shown(prices.COLLECTOR, await seen.read())
    assert [record.msg for record in caplog.records] == ["pool is of another kind than configured"] * 2
    assert set(found.values()) == {0}


async def test_an_empty_pool_has_reserves_and_no_price(own: Node) -> None:
    reserve(own, model.V2_A, 0, 0, 0)
    made = chain(own, pools=POOLS[:1])
    async with Rpc(made) as reader:
        found = shown(prices.COLLECTOR, await watch(reader, made, facts(model.V2_A)).read())
    assert not any("quote_per_base" in name for name in found)
    assert not any("last_update" in name for name in found)
    assert found['arb_pool_up{dex="alpha",pool="alpha-3000"}'] == 1


async def test_pools_that_are_still_looked_up(own: Node) -> None:
    made = chain(own, pools=POOLS)
    async with Rpc(made) as reader:
        with pytest.raises(Unknown):
            await Watch(reader, Told(pending=True), made).read()  # type: ignore[arg-type]
        partly = await Watch(reader, Told(facts(model.V2_A), pending=True), made).read()  # type: ignore[arg-type]
        assert partly.up == {("alpha", "alpha-3000"): True, ("beta", "beta-unknown"): False}


async def test_it_opens_with_pools_only(own: Node, tmp_path: Path) -> None:
    made = chain(own, pools=POOLS)
    async with Rpc(made) as reader:
        async with sources(settings(tmp_path, chain=made), rpc=reader, contracts=Told()) as s:
            assert isinstance(prices.COLLECTOR.open(s), Follow)
        made = chain(own)
        async with sources(settings(tmp_path, chain=made), rpc=reader, contracts=Told()) as s:
            assert prices.COLLECTOR.open(s) is None


# --- concentrated liquidity, costs and promises on the page ---


async def test_every_figure_of_a_pool_with_concentrated_liquidity(own: Node) -> None:
    code = own.contracts.code[model.SLIPSTREAM]  # type: ignore[attr-defined]
    slot0 = word(2**96 * 5477 // 10**8, 2**256 - 196_260, 0, 1, 1, 1)
    code |= {"0x3850c7bd": slot0, "0x1a686502": word(10**15), "0xddca3f43": word(420)}
    balances = own.contracts.balances  # type: ignore[attr-defined]
    balances |= {(model.WETH, model.SLIPSTREAM): 25 * 10**17, (model.USDC, model.SLIPSTREAM): 4000 * 10**6}
    made = chain(own, pools=(Pool("aero", "slipstream", model.SLIPSTREAM),))
    known = PoolFacts(model.SLIPSTREAM, "slipstream", WETH, USDC, 400)
    async with Rpc(made) as reader:
        snapshot = await watch(reader, made, known).read()
    labels = 'pair="WETH/USDC",dex="aero",pool="aero-400"'
    assert shown(prices.COLLECTOR, snapshot) == {
        f"arb_price_quote_per_base{{{labels}}}": pytest.approx(5477**2 / 10**4, rel=1e-9),
        f"arb_price_last_update_timestamp_seconds{{{labels}}}": pytest.approx(time.time(), abs=60),
        f"arb_price_updates_total{{{labels}}}": 0,
        f"arb_pool_active_liquidity{{{labels}}}": 10**15,
        f"arb_pool_fee_ratio{{{labels}}}": 0.00042,
        f'arb_pool_reserve_tokens{{{labels},token="WETH"}}': 2.5,
        f'arb_pool_reserve_tokens{{{labels},token="USDC"}}': 4000.0,
        'arb_pool_up{dex="aero",pool="aero-400"}': 1,
    }


async def test_a_spread_pays_when_it_leaves_more_than_the_gas_costs(own: Node) -> None:
    made, costs = chain(own, pools=POOLS), Costs(lambda: 0.0)
    async with Rpc(made) as reader:
        seen = Watch(reader, Told(facts(model.V2_A), facts(model.V2_B)), made, None, costs)  # type: ignore[arg-type]
        name = 'arb_price_spread_profitable{pair="WETH/USDC"}'
        assert name not in shown(prices.COLLECTOR, await seen.read())
        costs.trade_cost_wei = 10**13
        assert shown(prices.COLLECTOR, await seen.read())[name] == 1
        costs.trade_cost_wei = 10**16
        assert shown(prices.COLLECTOR, await seen.read())[name] == 0


# --- the stream ---


class Streaming:
    """A watch on the board, as it runs in the exporter; heads by hand."""

    def __init__(self, own: Node, heads: Any) -> None:
        self.node, self.heads = own, heads
        self.board = Board()
        self.board.declare("prices", prices.COLLECTOR.max_age)

    @property
    def state(self) -> Any:
        return self.board.states["prices"]

    def price(self, dex: str = "alpha") -> float | None:
        """What the board shows."""
        found = [s for s in self.state.snapshot.states if s.venue.dex == dex] if self.state.snapshot else []
        return float(found[0].reading.price) if found and found[0].reading.price else None

    def log(self, price: int, block: int, **more: Any) -> dict[str, Any]:
        return {"address": model.V2_A, "topics": [pool_events.SYNC_V2], "data": word(10**18, price * 10**6),
                "blockNumber": hex(block), "logIndex": "0x0"} | more  # fmt: skip


@asynccontextmanager
async def streaming(own: Node, heads: Any = None) -> AsyncIterator[Streaming]:
    made = chain(own, pools=POOLS)
    own.answers["eth_blockNumber"] = "0x64"
    shown_ = Streaming(own, heads)
    async with Rpc(made) as reader:
        seen = Watch(reader, Told(facts(model.V2_A), facts(model.V2_B)), made, heads)  # type: ignore[arg-type]
        task = asyncio.create_task(follow(shown_.board, prices.COLLECTOR, seen.stream))
        try:
            yield shown_
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class ByHandOnBase(ByHand):
    preconfirmations_active = False

    def __init__(self) -> None:
        super().__init__()
        self.newest = header(100)


async def test_an_event_is_on_the_board_before_anything_is_read(own: Node) -> None:
    heads = ByHandOnBase()
    async with streaming(own, heads) as up:
        await eventually(lambda: up.price() == 3000)
        own.fault = silent  # whatever is read from now on is not answered
        heads.batches.put_nowait([up.log(3100, 101)])
        await eventually(lambda: up.price() == 3100)
        assert up.price("beta") == 3030


async def test_a_new_head_is_read_at_once_and_its_word_counts(own: Node) -> None:
    heads = ByHandOnBase()
    async with streaming(own, heads) as up:
        await eventually(lambda: up.price() == 3000)
        heads.batches.put_nowait([up.log(3100, 101)])
        await eventually(lambda: up.price() == 3100)
        reserve(own, model.V2_A, 10**18, 3200 * 10**6, 9)
        own.answers["eth_blockNumber"] = "0x65"
        heads.move(header(101))
        await eventually(lambda: up.price() == 3200)


async def test_what_was_taken_back_is_read(own: Node) -> None:
    heads = ByHandOnBase()
    async with streaming(own, heads) as up:
        await eventually(lambda: up.price() == 3000)
        heads.batches.put_nowait([up.log(3100, 101)])
        await eventually(lambda: up.price() == 3100)
        heads.batches.put_nowait([up.log(3100, 101, removed=True)])
        await eventually(lambda: up.price() == 3000)


async def test_a_node_that_is_behind_the_head_is_asked_again_soon(own: Node) -> None:
    heads = ByHandOnBase()
    async with streaming(own, heads) as up:
        await eventually(lambda: up.price() == 3000)
        heads.move(header(101))
        await eventually(lambda: up.state.snapshot is not None)
        own.answers["eth_blockNumber"] = "0x65"
        reserve(own, model.V2_A, 10**18, 3200 * 10**6, 9)
        started = time.monotonic()
        await eventually(lambda: up.price() == 3200)
        assert time.monotonic() - started < prices.EVERY


@pytest.mark.parametrize("fault", [status(500), silent])
async def test_after_a_fault_the_price_is_fresh_within_two_seconds(own: Node, fault: Any) -> None:
    heads = ByHandOnBase()
    async with streaming(own, heads) as up:
        await eventually(lambda: up.price() == 3000)
        own.fault = fault
        heads.move(header(101))
        await eventually(lambda: up.state.success is False)
        await asyncio.sleep(1)
        reserve(own, model.V2_A, 10**18, 3300 * 10**6, 9)
        own.answers["eth_blockNumber"] = "0x66"
        own.fault = None
        over = time.monotonic()
        await eventually(lambda: up.price() == 3300)
        assert time.monotonic() - over <= 2
        assert up.state.success


async def test_without_heads_it_polls_and_its_reads_do_not_count_the_waiting(own: Node) -> None:
    async with streaming(own) as up:
        await eventually(lambda: up.price() == 3000)
        reserve(own, model.V2_A, 10**18, 3300 * 10**6, 9)
        await eventually(lambda: up.price() == 3300)
        assert up.state.duration < prices.EVERY_HEADLESS / 2


async def test_promised_prices_are_marked(own: Node) -> None:
    heads = ByHandOnBase()
    heads.preconfirmations_active = True
    async with streaming(own, heads) as up:
        await eventually(lambda: up.price() == 3000)
        heads.batches.put_nowait([up.log(3100, 101, preconfirmed=True)])
        await eventually(lambda: up.price() == 3100)
        found = shown(prices.COLLECTOR, up.state.snapshot)
    assert {name: value for name, value in found.items() if "preconfirmed" in name} == {
        'arb_price_preconfirmed{pair="WETH/USDC",dex="alpha",pool="alpha-3000"}': 1,
        'arb_price_preconfirmed{pair="WETH/USDC",dex="beta",pool="beta-3000"}': 0,
    }


async def test_a_burst_makes_few_snapshots(own: Node) -> None:
    heads = ByHandOnBase()
    made = chain(own, pools=POOLS)
    own.answers["eth_blockNumber"] = "0x64"
    async with Rpc(made) as reader:
        seen = Watch(reader, Told(facts(model.V2_A), facts(model.V2_B)), made, heads)  # type: ignore[arg-type]
        async with aclosing(seen.stream()) as snapshots:
            await anext(snapshots)
            for price in range(3001, 3201):
                log = Streaming(own, heads).log(price, 101, logIndex=hex(price))
                heads.batches.put_nowait([log])
            count, before = 0, busy_clock()
            async for snapshot in snapshots:
                count += 1
                if snapshot.states[0].reading.price == 3200:
                    break
            assert count < 20
            assert snapshot.states[0].changes == 200
            assert busy_clock() >= before


async def test_nothing_is_left_behind(own: Node) -> None:
    heads = ByHandOnBase()
    before = asyncio.all_tasks()
    async with streaming(own, heads) as up:
        await eventually(lambda: up.price() == 3000)
    assert heads.closed
    await eventually(lambda: asyncio.all_tasks() == before)


# --- a real node, with real heads ---


@pytest.fixture(scope="module")
def real() -> Any:
    with world() as made:
        made.plant_multicall()
        yield made


async def test_a_swap_on_a_real_chain_is_on_the_board_and_a_reorg_takes_it_back(real: World) -> None:
    pool = real.v3("uniswap", "WETH", "USDC", 3000.0, 10**17)
    made = real.chain()
    board = Board()
    board.declare("prices", 15)
    state = board.states["prices"]

    def price() -> float:
        return float(state.snapshot.states[0].reading.price)

    async with Rpc(made) as rpc, Heads(rpc, made) as heads:
        told = Told(*(venue.facts for venue in real.venues.values()))
        seen = Watch(rpc, told, made, heads)  # type: ignore[arg-type]
        task = asyncio.create_task(follow(board, prices.COLLECTOR, seen.stream))
        try:
            await eventually(lambda: state.success and abs(price() - 3000) < 0.01)
            before = price()
            swap = real.trader.functions.swapConcentrated(pool.address, True, 10**12)
            await asyncio.to_thread(real.send, swap)
            root = pool.functions.slot0().call()[0]
            await eventually(lambda: state.snapshot.states[0].reading.state.curve.sqrt_price_x96 == root)
            assert price() != before
            real.request("anvil_reorg", 1, [])
            await eventually(lambda: price() == before)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
