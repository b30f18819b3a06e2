import logging
from pathlib import Path

import pytest

from exporter.collectors import prices
from exporter.collectors.prices import Unknown, Watch
from exporter.config import Chain, Pool
from exporter.sources.contracts import Known, PoolFacts, Token
from exporter.sources.rpc import Rpc, Unreachable
from tests import chain_model as model
from tests.fake_rpc import Node, chain, node, status, word
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
        'arb_price_spread_ratio{pair="WETH/USDC"}': 0.01,
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
    assert (state.changed, state.changes, state.price) == (8.0, 1, 3100)


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
            found.append((state.price, state.changes))
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


async def test_a_kind_that_is_not_read_or_not_true_shows_no_price_and_is_told_once(
    own: Node, caplog: pytest.LogCaptureFixture
) -> None:
    made = chain(own, pools=(Pool("alpha", "solidly", model.V2_A), Pool("beta", "slipstream", model.SLIPSTREAM)))
    async with Rpc(made) as reader:
        seen = watch(reader, made, facts(model.V2_A), facts(model.SLIPSTREAM, "slipstream"))
        with caplog.at_level(logging.WARNING, "exporter.prices"):
            await seen.read()
            seen._known = None  # as after another pool has been looked up
            found = shown(prices.COLLECTOR, await seen.read())
    assert sorted(record.msg for record in caplog.records) == [
        "pool is of a kind that is not read yet",
        "pool is of another kind than configured",
    ]
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
            assert prices.COLLECTOR.open(s) is not None
        made = chain(own)
        async with sources(settings(tmp_path, chain=made), rpc=reader, contracts=Told()) as s:
            assert prices.COLLECTOR.open(s) is None
