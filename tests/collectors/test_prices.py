import logging
from pathlib import Path

import pytest

from exporter.collectors import prices
from exporter.collectors.prices import Unknown, Watch
from exporter.config import Chain, Pool
from exporter.sources.contracts import Known, PoolFacts, Token
from exporter.sources.rpc import Rpc
from tests import chain_model as model
from tests.fake_rpc import Node, chain, node, word
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


async def test_every_figure_of_two_pools(own: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices.time, "time", lambda: 1_750_000_000.0)
    made = chain(own, pools=POOLS)
    async with Rpc(made) as reader:
        found = shown(prices.COLLECTOR, await watch(reader, made, facts(model.V2_A), facts(model.V2_B)).read())
    a, b = ('pair="WETH/USDC",dex="alpha",pool="alpha-3000"', 'pair="WETH/USDC",dex="beta",pool="beta-3000"')
    assert found == {
        f"arb_price_quote_per_base{{{a}}}": 3000,
        f"arb_price_quote_per_base{{{b}}}": 3030,
        f"arb_price_last_update_timestamp_seconds{{{a}}}": 1_750_000_000,
        f"arb_price_last_update_timestamp_seconds{{{b}}}": 1_750_000_000,
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


async def test_a_change_is_seen_once(own: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1.0]
    monkeypatch.setattr(prices.time, "time", lambda: clock[0])
    made = chain(own, pools=POOLS[:1])
    async with Rpc(made) as reader:
        seen = watch(reader, made, facts(model.V2_A))
        await seen.read()
        clock[0] = 2.0
        own.contracts.code[model.V2_A]["0x0902f1ac"] = word(10**18, 3100 * 10**6, 8)  # type: ignore[attr-defined]
        await seen.read()
        clock[0] = 3.0
        (state,) = (await seen.read()).states
    assert (state.changed, state.changes, state.price) == (2.0, 1, 3100)


async def test_a_pool_without_answer_or_of_absurd_size_costs_only_itself(own: Node) -> None:
    made = chain(own, pools=(*POOLS, Pool("gamma", "uniswap_v2", model.NOBODY)))
    own.contracts.code[model.V2_B]["0x0902f1ac"] = word(2**200, 1)  # type: ignore[attr-defined]
    async with Rpc(made) as reader:
        found = shown(
            prices.COLLECTOR,
            await watch(reader, made, facts(model.V2_A), facts(model.V2_B), facts(model.NOBODY)).read(),
        )
    assert {k: v for k, v in found.items() if k.startswith("arb_pool_up")} == {
        'arb_pool_up{dex="alpha",pool="alpha-3000"}': 1,
        'arb_pool_up{dex="beta",pool="beta-3000"}': 0,
        'arb_pool_up{dex="gamma",pool="gamma-3000"}': 0,
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
            found = shown(prices.COLLECTOR, await seen.read())
    assert sorted(record.msg for record in caplog.records) == [
        "pool is of a kind that is not read yet",
        "pool is of another kind than configured",
    ]
    assert set(found.values()) == {0}


async def test_an_empty_pool_has_reserves_and_no_price(own: Node) -> None:
    own.contracts.code[model.V2_A]["0x0902f1ac"] = word(0, 0)  # type: ignore[attr-defined]
    made = chain(own, pools=POOLS[:1])
    async with Rpc(made) as reader:
        found = shown(prices.COLLECTOR, await watch(reader, made, facts(model.V2_A)).read())
    assert not any("quote_per_base" in name for name in found)
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
