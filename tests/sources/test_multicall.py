"""Hand-written ABI against eth_abi, against a contract on a real node, and against nonsense."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from eth_abi import abi
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import multicall
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.multicall import ADDRESS, Answers
from exporter.sources.rpc import Rpc, Unreachable
from tests.fake_rpc import Node, chain, node, status, word
from tests.pools_world import World, world

addresses = st.integers(1, 2**160 - 1).map(lambda number: f"0x{number:040x}")
data = st.binary(max_size=200)


@given(st.lists(st.tuples(addresses, data), max_size=20))
def test_calls_are_written_as_the_standard_has_it(reads: list[tuple[str, bytes]]) -> None:
    made = multicall.encode(tuple((to, "0x" + sent.hex()) for to, sent in reads))
    expected = abi.encode(["(address,bool,bytes)[]"], [[(to, True, sent) for to, sent in reads]])
    assert made == multicall.AGGREGATE3 + expected.hex()


@given(st.lists(st.tuples(st.booleans(), data), max_size=20))
def test_answers_are_read_as_the_standard_has_it(results: list[tuple[bool, bytes]]) -> None:
    answer = "0x" + abi.encode(["(bool,bytes)[]"], [results]).hex()
    assert multicall.decode(answer, len(results)) == [sent if success else None for success, sent in results]


@given(st.lists(st.tuples(st.booleans(), data), min_size=1, max_size=5), st.data())
def test_answers_that_are_cut_or_changed_are_refused_or_read_within_their_bounds(
    results: list[tuple[bool, bytes]], draw: st.DataObject
) -> None:
    right = abi.encode(["(bool,bytes)[]"], [results])
    place = draw.draw(st.integers(0, len(right) - 1))
    for wrong in (right[:place], right[:place] + bytes([right[place] ^ 0x41]) + right[place + 1 :]):
        try:
            found = multicall.decode("0x" + wrong.hex(), len(results))
        except Malformed:
            continue
        assert len(found) == len(results)


@given(st.one_of(st.none(), st.text(), st.integers(), st.binary().map(lambda b: "0x" + b.hex()), st.just(RpcError(3))))
def test_what_is_no_answer_is_refused(answer: object) -> None:
    with pytest.raises((Malformed, RpcError)):
        multicall.decode(answer, 3)


def test_an_answer_that_is_too_long_is_refused() -> None:
    answer = "0x" + abi.encode(["(bool,bytes)[]"], [[(True, bytes(multicall.LONGEST + 1))]]).hex()
    with pytest.raises(Malformed):
        multicall.decode(answer, 1)


READS = [("0x" + "11" * 20, "0x0902f1ac"), ("0x" + "22" * 20, "0x3850c7bd")]


@pytest.fixture
async def own():
    async with node() as made:
        made.answers |= {
            "eth_getCode": "0x", "eth_blockNumber": "0x64",
            "eth_call": lambda request, block: word(7) if request["to"] == READS[0][0] else {"error": {"code": 3}},
        }  # fmt: skip
        yield made


async def test_without_the_contract_calls_go_in_one_batch_and_its_code_is_asked_for_once(own: Node) -> None:
    async with Rpc(chain(own)) as rpc:
        for _ in range(3):
            assert await multicall.read(rpc, READS) == Answers(100, None, [bytes(31) + b"\7", None])
    methods = [method for method, _ in own.calls]
    assert methods.count("eth_getCode") == 1
    assert methods[-3:] == ["eth_blockNumber", "eth_call", "eth_call"]


async def test_a_past_block_is_asked_for_and_told(own: Node) -> None:
    async with Rpc(chain(own)) as rpc:
        assert (await multicall.read(rpc, READS, "0x10")).block == 16
    assert {params[1] for method, params in own.calls if method == "eth_call"} == {"0x10"}


@pytest.mark.parametrize(
    "answer", ["0x", word(32, 1), "0xzz", 7, {"error": {"code": -32000}}, word(32, 4, 2**255, 0, 0, 0)]
)
async def test_a_contract_that_answers_nonsense_is_done_without(own: Node, answer: object) -> None:
    own.answers["eth_getCode"] = "0x6001"
    singly = own.answers["eth_call"]
    own.answers["eth_call"] = lambda request, block: answer if request["to"] == ADDRESS else singly(request, block)
    async with Rpc(chain(own)) as rpc:
        for _ in range(2):
            assert (await multicall.read(rpc, READS)).data == [bytes(31) + b"\7", None]


@pytest.mark.parametrize("height", [None, "100", "0x" + "f" * 20, {"error": {"code": -32601}}])
async def test_a_height_that_is_none_is_not_told(own: Node, height: object) -> None:
    own.answers["eth_blockNumber"] = height
    async with Rpc(chain(own)) as rpc:
        assert (await multicall.read(rpc, READS)).block is None


async def test_no_node_no_answer(own: Node) -> None:
    own.fault = status(500)
    async with Rpc(chain(own)) as rpc:
        with pytest.raises(Unreachable):
            await multicall.read(rpc, READS)


@pytest.fixture(scope="module")
def real() -> Iterator[World]:
    with world() as made:
        made.plant_multicall()
        yield made


async def test_a_real_node_answers_the_same_together_and_singly(real: World) -> None:
    weth, contract = real.tokens["WETH"]
    holder = int(real.trader.address, 16)
    reads = [(weth.address, "0x313ce567"), (weth.address, f"0x70a08231{holder:064x}"), (weth.address, "0x0902f1ac"),
             ("0x" + "12" * 20, "0x0902f1ac")]  # fmt: skip
    async with Rpc(real.chain()) as rpc:
        singly = await multicall.read(rpc, reads)
        together = await multicall.read(rpc, reads)
        past = await multicall.read(rpc, reads, hex(real.w3.eth.block_number))
    held = contract.functions.balanceOf(real.trader.address).call().to_bytes(32)
    assert together.data == singly.data == past.data == [(18).to_bytes(32), held, None, b""]
    latest = real.w3.eth.get_block("latest")
    assert (together.block, together.time) == (singly.block, latest["timestamp"]) == (latest["number"], together.time)
