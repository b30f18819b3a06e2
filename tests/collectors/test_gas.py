from pathlib import Path
from typing import Any

import pytest

from exporter.collectors import gas
from exporter.collectors.gas import Fees
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.rpc import Rpc, Unreachable
from tests import chain_model as model
from tests.fake_rpc import Node, chain, node, status, word
from tests.sources_for_tests import settings, shown, sources


@pytest.fixture
async def own():
    async with node() as made:
        model.serve(made)
        yield made


async def test_fees_of_a_chain_without_an_oracle(own: Node) -> None:
    async with Rpc(chain(own)) as reader:
        found = shown(gas.COLLECTOR, await Fees(reader).read())
    assert found == {
        "arb_gas_base_fee_wei": 100,
        "arb_gas_next_base_fee_wei": 200,
        "arb_gas_block_used_ratio": 0.25,
        'arb_gas_priority_fee_wei{percentile="10"}': 1,
        'arb_gas_priority_fee_wei{percentile="50"}': 2,
        'arb_gas_priority_fee_wei{percentile="90"}': 3,
    }


async def test_fees_of_l1_where_there_is_an_oracle_which_is_asked_for_once(own: Node) -> None:
    own.answers["eth_getCode"] = "0x6000"
    own.answers["eth_call"] = lambda call, _: word(3 * 10**9) if call["data"] == gas.L1_BASE_FEE else model.REVERT
    async with Rpc(chain(own)) as reader:
        fees = Fees(reader)
        for _ in range(3):
            snapshot = await fees.read()
    assert (snapshot.l1_base_fee_wei, snapshot.l1_blob_base_fee_wei) == (3 * 10**9, None)
    assert sum(method == "eth_getCode" for method, _ in own.calls) <= 2


@pytest.mark.parametrize("answer", [None, {"error": {"code": -32601}}])
async def test_a_node_that_does_not_tell_code_costs_the_fees_of_l1_until_it_does(own: Node, answer: Any) -> None:
    own.answers["eth_getCode"] = answer
    own.answers["eth_call"] = word(3)
    async with Rpc(chain(own)) as reader:
        fees = Fees(reader)
        blind = await fees.read()
        own.answers["eth_getCode"] = "0x6000"
        seen = await fees.read()
    assert (blind.base_fee_wei, blind.l1_base_fee_wei, seen.l1_base_fee_wei) == (100, None, 3)


@pytest.mark.parametrize(
    "history",
    [None, {}, {"baseFeePerGas": [], "gasUsedRatio": []}, {"baseFeePerGas": ["0x1"], "gasUsedRatio": [0.1]},
     {"baseFeePerGas": ["0x1", "x"], "gasUsedRatio": [0.1]}, {"baseFeePerGas": ["0x1", "0x2"], "gasUsedRatio": ["a"]},
     {"baseFeePerGas": ["0x1", "0x2"], "gasUsedRatio": [7]}, {"baseFeePerGas": ["0x1", "0x2"], "gasUsedRatio": [True]},
     {"baseFeePerGas": "0x12", "gasUsedRatio": [1]}, {"error": {"code": -32601}}],
)  # fmt: skip
async def test_what_is_no_fee_history(own: Node, history: Any) -> None:
    own.answers["eth_feeHistory"] = history
    async with Rpc(chain(own)) as reader:
        with pytest.raises((Malformed, RpcError)):
            await Fees(reader).read()


@pytest.mark.parametrize("reward", [None, [], [[]], "x"])
async def test_an_empty_block_has_no_priority_fees(own: Node, reward: Any) -> None:
    own.answers["eth_feeHistory"] = {"baseFeePerGas": ["0x1", "0x2"], "gasUsedRatio": [0], "reward": reward}
    async with Rpc(chain(own)) as reader:
        assert (await Fees(reader).read()).priority_fee_wei == {}


async def test_a_node_that_is_down_is_an_error(own: Node, tmp_path: Path) -> None:
    own.fault = status(500)
    async with Rpc(chain(own)) as reader, sources(settings(tmp_path), rpc=reader) as s:
        with pytest.raises(Unreachable):
            await gas.COLLECTOR.open(s).read()  # type: ignore[union-attr]


async def test_without_a_chain_there_is_nothing(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        assert gas.COLLECTOR.open(s) is None
