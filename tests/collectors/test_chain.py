from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.collectors import chain as chain_collector
from exporter.collectors.chain import Snapshot, read
from exporter.sources import canonical
from exporter.sources.heads import Heads, Unknown
from exporter.sources.jsonrpc import Malformed
from exporter.sources.rpc import Rpc, Unreachable
from tests import fake_rpc
from tests.fake_chain import Place, configured, place
from tests.running import eventually
from tests.sources_for_tests import settings, shown, sources


@asynccontextmanager
async def following(*places: Place) -> AsyncIterator[tuple[Heads, Rpc]]:
    made = configured(*places)
    async with Rpc(made) as reader, Heads(reader, made) as heads:
        await eventually(lambda: heads.newest is not None and heads.error is None)
        yield heads, reader


async def test_the_head_and_all_that_is_known_of_it() -> None:
    async with place() as own, following(own) as (heads, reader):
        await eventually(lambda: own.socket.subscribed("newHeads") and heads.finalized is not None)
        await own.mine()
        await eventually(lambda: heads.by_websocket)
        own.chain.reorg(4, 1)
        await eventually(lambda: heads.reorgs == 1)
        await eventually(lambda: heads.interval_seconds is not None)
        found = shown(chain_collector.COLLECTOR, await read(heads, reader))
    assert found.pop("arb_chain_block_interval_seconds") == pytest.approx(2.0)
    assert found.pop("arb_chain_finalized_block") in (90, 91, 92)
    assert found == {
        "arb_chain_head_block": 102,
        "arb_chain_head_timestamp_seconds": 1_750_000_204,
        "arb_chain_finality_violated": 0,
        "arb_chain_reorgs_total": 1,
        "arb_chain_reorg_depth_blocks": 4,
        "arb_chain_head_fallbacks_total": 0,
        'arb_chain_head_source{source="http"}': 0,
        'arb_chain_head_source{source="websocket"}': 1,
        'arb_chain_head_lag_seconds{endpoint="first"}': 0,
        "arb_chain_preconfirmations_active": 0,
    }


async def test_what_is_not_known_is_absent() -> None:
    found = shown(chain_collector.COLLECTOR, Snapshot(5, 6))
    assert found["arb_chain_head_block"] == 5
    for name in ("finalized_block", "block_interval_seconds", "reorg_depth_blocks"):
        assert f"arb_chain_{name}" not in found
    assert not [name for name in found if name.startswith("arb_chain_head_lag")]


async def test_an_endpoint_that_is_behind_shows_by_how_much() -> None:
    async with place() as first, place() as second:
        first.ws_url = second.ws_url = ""
        second.chain.blocks = list(first.chain.blocks)
        first.chain.mine(6)
        async with following(first, second) as (heads, reader):
            await eventually(lambda: reader.nodes[1].lag_seconds is not None)
            found = shown(chain_collector.COLLECTOR, await read(heads, reader))
    assert found['arb_chain_head_lag_seconds{endpoint="first"}'] == 0
    assert found['arb_chain_head_lag_seconds{endpoint="second"}'] == 12


async def test_finality_that_is_violated_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "FINAL_EVERY", 0.0)
    async with place() as own, following(own) as (heads, reader):
        await eventually(lambda: heads.finalized is not None)
        own.chain.reorg(20, 1)
        await eventually(lambda: heads.finality_violated)
        found = shown(chain_collector.COLLECTOR, await read(heads, reader))
    assert found["arb_chain_finality_violated"] == 1
    assert found["arb_chain_finalized_block"] == 90


async def test_a_look_that_failed_is_an_error() -> None:
    async with place() as own, following(own) as (heads, reader):
        own.node.answers["eth_getBlockByNumber"] = lambda which, full: None
        await eventually(lambda: heads.error is not None)
        with pytest.raises(Malformed):
            await read(heads, reader)
        own.node.fault = fake_rpc.status(500)
        await eventually(lambda: isinstance(heads.error, Unreachable))
        with pytest.raises(Unreachable):
            await read(heads, reader)
    with pytest.raises(Unknown):
        await read(Heads(reader, configured(own)), reader)


async def test_heads_that_come_by_themselves_are_shown_while_nobody_answers() -> None:
    async with place() as own, following(own) as (heads, reader):
        await eventually(lambda: own.socket.subscribed("newHeads"))
        await own.mine()
        await eventually(lambda: heads.by_websocket)
        own.node.fault = fake_rpc.status(500)
        await eventually(lambda: heads.error is not None)
        await own.mine(3)
        await eventually(lambda: heads.newest is not None and heads.newest.number == 104)
        assert (await read(heads, reader)).head_block == 104


async def test_it_opens_with_a_chain_only(tmp_path: Path) -> None:
    async with place() as own, following(own) as (heads, reader):
        made = settings(tmp_path, chain=configured(own))
        async with sources(made, rpc=reader, heads=heads) as s:
            opened = chain_collector.COLLECTOR.open(s)
            assert opened is not None
            assert (await opened.read()).head_block == 100  # type: ignore[union-attr]
        async with sources(settings(tmp_path)) as s:
            assert chain_collector.COLLECTOR.open(s) is None
