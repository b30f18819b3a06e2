from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from exporter.collectors import rpc
from exporter.sources.rpc import Rpc
from tests.fake_rpc import chain, node
from tests.sources_for_tests import settings, shown, sources


async def test_endpoints_by_name(tmp_path: Path) -> None:
    async with node() as one, node() as two:
        two.answers["eth_chainId"] = "0x1"
        one.answers["eth_blockNumber"] = "0x1"
        made = chain(one, two)
        async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader) as s:
            await reader.batch([("eth_blockNumber", [])] * 2)
            opened = rpc.COLLECTOR.open(s)
            found = shown(rpc.COLLECTOR, await opened.read())  # type: ignore[union-attr]
            before = await opened.read()  # type: ignore[union-attr]
            await reader.batch([("eth_blockNumber", [])])
            assert (
                shown(rpc.COLLECTOR, before)[
                    'arb_rpc_requests_total{endpoint="first",method="eth_blockNumber",outcome="ok"}'
                ]
                == 2
            )
    assert found['arb_rpc_requests_total{endpoint="first",method="eth_blockNumber",outcome="ok"}'] == 2
    assert found['arb_rpc_requests_total{endpoint="first",method="eth_chainId",outcome="ok"}'] == 1
    assert (found['arb_rpc_up{endpoint="first"}'], found['arb_rpc_up{endpoint="second"}']) == (1, 0)
    assert (found['arb_rpc_active{endpoint="first"}'], found['arb_rpc_active{endpoint="second"}']) == (1, 0)
    assert found['arb_rpc_request_duration_seconds_count{endpoint="first"}'] == 2
    assert found['arb_rpc_request_duration_seconds_bucket{endpoint="first",le="+Inf"}'] == 2
    assert found['arb_rpc_request_duration_seconds_count{endpoint="second"}'] == 0


@dataclass
class Line:
    name: str
    up: bool


async def test_websockets_are_shown_whatever_the_head_does(tmp_path: Path) -> None:
    async with node() as one:
        made = chain(one)
        lines = [Line("first", True)]
        heads = SimpleNamespace(feed=SimpleNamespace(lines=lines), error=Exception("the last look failed"))
        async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader, heads=heads) as s:
            opened = rpc.COLLECTOR.open(s)
            for up in (1, 0):
                lines[0].up = bool(up)
                found = shown(rpc.COLLECTOR, await opened.read())  # type: ignore[union-attr]
                assert found['arb_rpc_websocket_up{endpoint="first"}'] == up


async def test_without_a_chain_there_is_nothing(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        assert rpc.COLLECTOR.open(s) is None
