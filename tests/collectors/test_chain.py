from pathlib import Path
from typing import Any

import pytest

from exporter.collectors import chain as chain_collector
from exporter.collectors.chain import Head
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.rpc import Rpc
from tests import chain_model as model
from tests.fake_rpc import Node, chain, node
from tests.sources_for_tests import settings, shown, sources


@pytest.fixture
async def own():
    async with node() as made:
        model.serve(made)
        yield made


def blocks(*pairs: tuple[int, int]) -> Any:
    """A head that moves with each look."""
    left = list(pairs)

    def answer(tag: str, full: bool) -> dict[str, str]:
        number, time = left[0] if tag != "latest" or len(left) == 1 else left.pop(0)
        return {"number": hex(number), "timestamp": hex(time)}

    return answer


async def test_the_head_and_what_is_final(own: Node) -> None:
    made = chain(own)
    async with Rpc(made) as reader:
        found = shown(chain_collector.COLLECTOR, await Head(reader, made).read())
    assert found == {
        "arb_chain_head_block": 100,
        "arb_chain_head_timestamp_seconds": 1_750_000_000,
        "arb_chain_finalized_block": 90,
    }


async def test_finality_as_a_number_of_blocks_and_as_a_tag(own: Node) -> None:
    for finality, final in ((12, 88), (500, 0), ("safe", 90)):
        made = chain(own, finality=finality)
        async with Rpc(made) as reader:
            assert (await Head(reader, made).read()).finalized_block == final
    assert ("eth_getBlockByNumber", ["safe", False]) in own.calls


@pytest.mark.parametrize("answer", [None, {"error": {"code": -39001, "message": "x"}}, {"number": "x"}])
async def test_a_node_that_cannot_tell_what_is_final(own: Node, answer: Any) -> None:
    head = {"number": "0x5", "timestamp": "0x6"}
    own.answers["eth_getBlockByNumber"] = lambda tag, full: head if tag == "latest" else answer
    made = chain(own)
    async with Rpc(made) as reader:
        assert (await Head(reader, made).read()).finalized_block is None


@pytest.mark.parametrize("answer", [None, {"number": "0x1"}, {"number": 5, "timestamp": "0x1"}, {"error": {"code": 1}}])
async def test_a_head_that_is_none_is_an_error(own: Node, answer: Any) -> None:
    own.answers["eth_getBlockByNumber"] = answer
    made = chain(own)
    async with Rpc(made) as reader:
        with pytest.raises((Malformed, RpcError)):
            await Head(reader, made).read()


async def test_the_interval_is_measured_over_many_blocks(own: Node) -> None:
    looks = (10, 1000), (10, 1000), (15, 1001), (55, 1009), (60, 1010), (110, 1020)
    own.answers["eth_getBlockByNumber"] = blocks(*looks)
    made = chain(own)
    async with Rpc(made) as reader:
        head = Head(reader, made)
        intervals = [(await head.read()).block_interval_seconds for _ in looks]
    assert intervals == [None, None, None, None, pytest.approx(0.2), pytest.approx(0.2)]


async def test_nodes_that_lag_and_reorgs_leave_the_interval_alone_and_a_new_chain_begins_anew(own: Node) -> None:
    looks = (100, 1000), (110, 1020), (107, 1014), (112, 1024), (109, 1018), (114, 1028), (3, 2000), (9, 2012)
    own.answers["eth_getBlockByNumber"] = blocks(*looks)
    made = chain(own)
    async with Rpc(made) as reader:
        head = Head(reader, made)
        seen = [await head.read() for _ in looks]
    assert [s.block_interval_seconds for s in seen] == [None, 2, 2, 2, 2, 2, None, 2]
    assert [s.head_block for s in seen] == [number for number, _ in looks]


async def test_it_opens_with_a_chain_only(own: Node, tmp_path: Path) -> None:
    made = chain(own)
    async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader) as s:
        assert chain_collector.COLLECTOR.open(s) is not None
    async with sources(settings(tmp_path)) as s:
        assert chain_collector.COLLECTOR.open(s) is None
