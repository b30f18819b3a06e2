from pathlib import Path

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


async def test_without_a_chain_there_is_nothing(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        assert rpc.COLLECTOR.open(s) is None
