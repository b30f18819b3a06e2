"""The model itself, as web3 reads it: what the proofs rest on has the shapes of a real node."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractLogicError, TransactionNotFound

from tests.model import story
from tests.model.deeds import TRANSFER, WETH, Fails, Trade
from tests.model.orders import ETHER, Order, Rules
from tests.model.server import Endpoint, served, serving
from tests.model.story import EXECUTOR, ME, POOLS, STRANGERS, Story
from tests.model.truth import truth


class Seen:
    """A served story, and web3 on top of it."""

    def __init__(self, endpoint: Endpoint, own: Story) -> None:
        self.endpoint, self.story, self.world = endpoint, own, own.world
        self.w3 = Web3(HTTPProvider(endpoint.http))

    def entries(self) -> Iterator[Any]:
        for number in range(1, self.world.head.number + 1):
            block = self.world.head.at(number)
            assert block is not None
            yield from ((block, entry) for entry in block.entries)


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    own = Story(random.Random(9), story.world(Rules(operator=(2_000, 10**9)), depth=6))
    own.mine(60)
    own.reorg(4, 6)
    with serving(own.world) as endpoint:
        yield Seen(endpoint, own)


def test_blocks_follow_one_another_and_hold_what_was_mined(seen: Seen) -> None:
    before = seen.w3.eth.get_block(0)
    for number in range(1, seen.world.head.number + 1):
        block = seen.w3.eth.get_block(number, full_transactions=True)
        assert (block["parentHash"], block["number"]) == (before["hash"], number)
        assert seen.w3.eth.get_block(block["hash"])["hash"] == block["hash"]
        assert block["timestamp"] >= before["timestamp"]
        before = block
    assert seen.w3.eth.get_block("latest")["hash"] == before["hash"]
    assert seen.w3.eth.get_block("finalized")["number"] == seen.world.final
    assert seen.w3.eth.chain_id == int(seen.w3.net.version) == seen.world.chain_id


def test_receipts_say_what_happened(seen: Seen) -> None:
    kinds = set()
    for block, entry in seen.entries():
        receipt = seen.w3.eth.get_transaction_receipt(entry.order.hash)
        sent = seen.w3.eth.get_transaction(entry.order.hash)
        assert receipt["blockHash"].to_0x_hex() == sent["blockHash"].to_0x_hex() == block.hash
        assert receipt["transactionIndex"] == sent["transactionIndex"] == entry.index + 1
        assert (receipt["status"], receipt["gasUsed"]) == (int(entry.succeeded), entry.gas_used)
        assert int(receipt["l1Fee"], 16) == entry.l1_fee  # type: ignore[typeddict-item]
        assert [log["logIndex"] for log in receipt["logs"]] == list(
            range(entry.first_log, entry.first_log + len(entry.logs))
        )
        kinds.add((entry.order.kind, entry.succeeded))
    assert {(0, True), (1, True), (2, True), (2, False)} <= kinds


def test_balances_and_nonces_add_up_over_the_whole_chain(seen: Seen) -> None:
    me = Web3.to_checksum_address(ME)
    head = seen.world.head
    inside = sum(e.after["ether", ME] - e.before["ether", ME] for _, e in seen.entries())
    minted = sum(e.order.value for _, e in seen.entries() if e.order.kind > 5 and e.order.sender == ME)
    assert seen.w3.eth.get_balance(me) == head.state["ether", ME] == 1000 * ETHER + inside + minted
    assert seen.w3.eth.get_transaction_count(me) == sum(e.order.sender == ME for _, e in seen.entries())


def test_logs_are_found_by_range_block_address_and_topic(seen: Seen) -> None:
    every = [log for _, entry in seen.entries() for log in entry.logs]
    head = seen.world.head.number
    assert len(seen.w3.eth.get_logs({"fromBlock": 0, "toBlock": head})) == len(every)
    weth = Web3.to_checksum_address(WETH)
    found = seen.w3.eth.get_logs({"fromBlock": 0, "toBlock": head, "address": weth, "topics": [TRANSFER]})
    assert len(found) == sum(log.address == WETH and log.topics[0] == TRANSFER for log in every)
    block = next(b for b, e in seen.entries() if e.logs)
    assert len(seen.w3.eth.get_logs({"blockHash": block.hash})) == sum(len(e.logs) for e in block.entries)
    assert seen.w3.eth.get_logs({"blockHash": block.hash, "address": weth, "topics": [None, "0x" + "77" * 32]}) == []


def test_calls_fees_and_what_is_unknown(seen: Seen) -> None:
    pool = Web3.to_checksum_address(POOLS[0].address)
    block = seen.world.head.back(10)
    told = seen.w3.eth.call({"to": pool, "data": "0x0902f1ac"}, block.number)
    assert int.from_bytes(told[:32]) == block.state["reserve", POOLS[0].address, WETH]
    history = seen.w3.eth.fee_history(3, "latest", [10, 50, 90])
    assert (len(history["baseFeePerGas"]), len(history["reward"])) == (4, 3)
    assert seen.w3.eth.get_code(pool) != b""
    assert seen.w3.eth.get_code(Web3.to_checksum_address(ME)) == b""
    with pytest.raises(TransactionNotFound):
        seen.w3.eth.get_transaction_receipt("0x" + "12" * 32)
    failing = next(e for _, e in seen.entries() if isinstance(e.order.deed, Fails) and len(e.order.deed.data) > 200)
    request = {"from": Web3.to_checksum_address(failing.order.sender), "data": failing.order.data,
               "to": Web3.to_checksum_address(failing.order.to)}  # fmt: skip
    with pytest.raises(ContractLogicError):
        seen.w3.eth.call(request)  # type: ignore[arg-type]


def test_an_arbitrage_is_worth_what_the_reserves_say() -> None:
    world = story.world(Rules(l1="none"), depth=0)
    trade = Trade(EXECUTOR, WETH, ETHER, (POOLS[0], POOLS[1]))
    block = world.mine([Order(ME, 0, EXECUTOR, trade)])
    got = ETHER
    for pool, inside in ((POOLS[0], WETH), (POOLS[1], POOLS[1].token1)):
        outside = pool.token1 if inside == pool.token0 else pool.token0
        before = world.head.back(1).state
        a, b = before["reserve", pool.address, inside], before["reserve", pool.address, outside]
        got = got * 997 * b // (a * 1000 + got * 997)
    (entry,) = block.entries
    assert truth(world, (ME,), (EXECUTOR,), 1).nets == {entry.order.hash: got - ETHER - entry.fees}


async def test_the_stream_tells_of_blocks_and_takes_logs_back() -> None:
    own = Story(random.Random(2), story.world(depth=9))
    own.mine(3)
    order = Order(STRANGERS[0], own.world.head.state["nonce", STRANGERS[0]], EXECUTOR,
                  Trade(STRANGERS[0], WETH, ETHER, (POOLS[0],)))  # fmt: skip
    async with served(own.world) as endpoint, aiohttp.ClientSession() as session:
        async with session.ws_connect(endpoint.ws) as socket:
            for number, what in enumerate((["newHeads"], ["logs", {"address": [POOLS[0].address]}])):
                await socket.send_json({"jsonrpc": "2.0", "id": number, "method": "eth_subscribe", "params": what})
                assert isinstance((await socket.receive_json())["result"], str)
            own.world.mine([order])
            came = [await result(socket) for _ in range(3)]
            assert came[0]["hash"] == own.world.head.hash
            assert [log["removed"] for log in came[1:]] == [False, False]
            own.world.reorg(1, [[], []])
            gone = [await result(socket) for _ in range(4)]
            assert [log["removed"] for log in gone[:2]] == [True, True]
            assert [head["number"] for head in gone[2:]] == [hex(4), hex(5)]


async def result(socket: aiohttp.ClientWebSocketResponse) -> Any:
    async with asyncio.timeout(20):
        return json.loads(await socket.receive_str())["params"]["result"]
