import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exporter.config import Endpoint
from exporter.ledger import Ledger
from exporter.settings import Secret
from exporter.sources import endpoint, jsonrpc, node
from exporter.sources.endpoint import Failed
from exporter.sources.genesis import Genesis
from exporter.sources.node import LATEST, Node
from tests import fake_rpc
from tests.fake_chain import FakeChain, Place, place
from tests.fake_rpc import CHAIN_ID
from tests.running import eventually

HEAD: list[jsonrpc.Call] = [("eth_blockNumber", [])]


@pytest.fixture
async def own() -> AsyncIterator[Place]:
    async with place() as made:
        yield made


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with endpoint.session() as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "RETRY_FIRST", 0.05)


def made(own: Place, genesis: Genesis | None = None) -> Node:
    return Node(Endpoint("first", Secret(own.node.url)), CHAIN_ID, genesis)


async def test_the_genesis_is_checked_at_every_connection(
    own: Place, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with Ledger(tmp_path) as ledger:
        found = made(own, Genesis(CHAIN_ID, ledger))
        assert await found.results(session, HEAD) == [hex(100)]
        assert own.node.calls[:2] == [("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])]
        own.node.fault = fake_rpc.status(500)
        with pytest.raises(Failed):
            await found.results(session, HEAD)
        own.node.fault = None
        FakeChain(100, 3).serve(own.node)  # the same id, and blocks of its own
        for _ in range(2):
            with pytest.raises(Failed, match="serves a chain with another genesis") as caught:
                await found.results(session, HEAD)
            assert (caught.value.outcome, found.usable) == ("wrong_chain", False)
        assert found.requests["eth_getBlockByNumber", "wrong_chain"] == 2
        own.chain.serve(own.node)
        assert await found.results(session, HEAD) == [hex(100)]


async def test_of_two_endpoints_that_disagree_the_first_is_believed(
    own: Place, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with place() as other, Ledger(tmp_path) as ledger:
        genesis = Genesis(CHAIN_ID, ledger)
        nodes = made(own, genesis), made(other, genesis)
        asked = await asyncio.gather(*(n.results(session, HEAD) for n in nodes), return_exceptions=True)
        assert sorted(n.usable for n in nodes) == [False, True]
        assert sum(isinstance(answer, Failed) for answer in asked) == 1


@pytest.mark.parametrize("answer", [None, {"error": {"code": -32000, "message": "pruned"}}])
async def test_a_node_without_block_0_is_used_all_the_same(
    own: Place, session: aiohttp.ClientSession, tmp_path: Path, answer: Any
) -> None:
    own.node.answers["eth_getBlockByNumber"] = answer
    async with Ledger(tmp_path) as ledger:
        found = made(own, Genesis(CHAIN_ID, ledger))
        assert await found.results(session, HEAD) == [hex(100)]


def full(bytes_each: int) -> Any:
    """Full blocks of that size."""
    return lambda number, full: {"number": number, "transactions": ["0x" + "0" * bytes_each] if full else []}


async def test_a_batch_whose_answer_is_too_large_is_asked_for_in_parts(
    own: Place, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "LARGEST", 100_000)
    found = made(own)
    own.node.answers["eth_getBlockByNumber"] = full(10_000)
    calls: list[jsonrpc.Call] = [("eth_getBlockByNumber", [hex(n), True]) for n in range(100)]
    answers = await found.results(session, calls)
    assert [answer["number"] for answer in answers] == [hex(n) for n in range(100)]
    assert found.usable
    assert found.requests["eth_getBlockByNumber", "ok"] == 100
    asked = own.node.requests
    await found.results(session, calls)
    assert own.node.requests - asked <= 24  # it is remembered what fits
    asked = own.node.requests
    await found.results(session, HEAD * 50)
    assert own.node.requests - asked == 1  # and for that method only
    own.node.answers["eth_getBlockByNumber"] = full(10)
    for _ in range(40):
        await found.results(session, calls)
    asked = own.node.requests
    await found.results(session, calls)
    assert own.node.requests - asked <= 3  # and grows with what gets smaller


async def test_a_batch_with_too_many_values_is_asked_for_in_parts(
    own: Place, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonrpc, "MOST_VALUES", 300)
    monkeypatch.setattr(jsonrpc, "LEAST_BYTES", 10**6)
    own.node.answers["eth_getLogs"] = [0] * 50
    found = made(own)
    assert await found.results(session, [("eth_getLogs", [{}])] * 20) == [[0] * 50] * 20
    assert found.usable
    own.node.answers["eth_getLogs"] = [0] * 500
    with pytest.raises(Failed, match="too many"):
        await found.results(session, [("eth_getLogs", [{}])])


@pytest.mark.parametrize(
    ("call", "fits"),
    [(("eth_getBlockByNumber", ["0x1", True]), True), (("eth_getBlockReceipts", ["0x1"]), True),
     (("eth_getLogs", [{}]), True), (("eth_getBlockByNumber", ["0x1", False]), False), (("eth_call", [{}]), False)],
)  # fmt: skip
async def test_a_single_full_block_may_be_large(
    own: Place, session: aiohttp.ClientSession, call: jsonrpc.Call, fits: bool
) -> None:
    found = made(own)
    await found.results(session, [])
    own.node.answers |= {call[0]: "0x" + "00" * (5 << 20)}
    if fits:
        assert len(await found.results(session, [call])) == 1
    else:
        with pytest.raises(Failed, match="too much"):
            await found.results(session, [call])


async def test_a_limit_of_the_rate_slows_it_down_and_nothing_else_does(
    own: Place, session: aiohttp.ClientSession
) -> None:
    found = made(own)
    await found.results(session, HEAD)
    assert found.pace.rate is None
    own.node.fault = fake_rpc.status(500)
    with pytest.raises(Failed):
        await found.results(session, HEAD)
    assert found.pace.rate is None
    own.node.fault = fake_rpc.status(429)
    with pytest.raises(Failed):
        await found.results(session, HEAD)
    assert found.pace.rate is not None
    own.node.fault = None
    assert await found.results(session, HEAD) == [hex(100)]


async def test_a_limit_of_a_single_call_slows_it_down_too(own: Place, session: aiohttp.ClientSession) -> None:
    own.node.answers["eth_call"] = {"error": {"code": -32005, "message": "slow down"}}
    found = made(own)
    _, head = await found.results(session, [("eth_call", []), *HEAD])
    assert (head, found.usable) == (hex(100), True)
    assert found.pace.rate is not None


async def test_what_was_lost_while_it_was_stuck_is_asked_again_as_soon_as_it_is_there(
    own: Place, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "HESITATION", 0.1)
    found = made(own)
    await found.results(session, [])
    own.node.fault = fake_rpc.silent
    asking = asyncio.create_task(found.results(session, HEAD))
    await eventually(lambda: own.node.requests >= 4)
    own.node.fault = None
    over = asyncio.get_running_loop().time()
    assert await asking == [hex(100)]
    assert asyncio.get_running_loop().time() - over < 2.0
    assert found.usable


async def test_a_slow_answer_is_waited_for(
    own: Place, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "HESITATION", 0.05)
    found = made(own)
    await found.results(session, [])

    async def slow(request: Any, body: Any) -> Any:
        if body[0]["method"] == "eth_chainId":
            return fake_rpc.web.json_response(own.node.reply(body))
        await asyncio.sleep(0.5)
        return fake_rpc.web.json_response(own.node.reply(body))

    own.node.fault = slow
    assert await found.results(session, HEAD) == [hex(100)]
    assert own.node.requests <= 4  # itself, a sign of life, and once more


async def test_nothing_is_left_behind_by_who_does_not_wait(
    own: Place, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "HESITATION", 0.02)
    found = made(own)
    await found.results(session, [])
    own.node.fault = fake_rpc.silent
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await found.results(session, HEAD)
    assert {task for task in asyncio.all_tasks() - before if "_exchange" in repr(task) or "post" in repr(task)} == set()


async def test_the_newest_block_it_told_of_is_noted(own: Place, session: aiohttp.ClientSession) -> None:
    found = made(own)
    await found.results(session, [LATEST, *HEAD])
    assert found.tip is not None
    assert (found.tip.number, found.tip.timestamp) == (100, 1_750_000_200)
    own.chain.mine()
    assert await found.probe(session)
    assert found.tip.number == 101
    own.node.answers["eth_getBlockByNumber"] = {"number": "x"}
    assert await found.probe(session)
    assert found.tip.number == 101
    own.node.fault = fake_rpc.status(500)
    assert not await found.probe(session)
    assert found.tip is None


def test_an_endpoint_that_was_never_well_is_not_due_when_alone() -> None:
    found = Node(Endpoint("first", Secret("http://127.0.0.1:1/")), CHAIN_ID)
    found._failed(Failed("refused", "x"), 0, node.time.monotonic())
    found.look_at = node.time.monotonic() + 100
    assert not found.due(alone=True)


@pytest.mark.parametrize("outcome", ["refused", "wrong_chain"])
def test_an_endpoint_that_was_well_is_soon_due_when_alone_whatever_became_of_it(outcome: str) -> None:
    found, began = Node(Endpoint("first", Secret("http://127.0.0.1:1/")), CHAIN_ID), node.time.monotonic()
    found._well, found._wait = True, 16.0
    found._failed(Failed(outcome, "x"), 0, began - node.RETRY_ALONE)
    assert found.due(alone=True)
    assert not found.due()
