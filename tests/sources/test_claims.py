from typing import Any

import pytest

from exporter.config import Chain, Endpoint
from exporter.settings import Secret
from exporter.sources.blocks import Header
from exporter.sources.claims import Mined, Unsettled, View, look_up
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.rpc import Rpc, Unreachable
from tests.anvils import anvil
from tests.claimed_chain import EXECUTOR, GAS, L1_FEE, LATER, OURS, PRICE, ClaimedChain, hash_of
from tests.fake_rpc import CHAIN_ID, Node, chain, node, status


@pytest.fixture
async def own():
    async with node() as made:
        yield made


async def looked_up(own: Node, *hashes: str, finality: str | int = "finalized") -> View:
    async with Rpc(chain(own)) as reader:
        return await look_up(reader, hashes, finality)


async def test_each_hash_is_what_the_chain_knows_of_it(own: Node) -> None:
    truth = ClaimedChain(own)
    hashes = [truth.add(1), truth.add(2, block=95, succeeded=False), truth.add(3, block=None), hash_of(4)]
    found = await looked_up(own, *hashes)
    assert (found.head, found.final, found.final_time) == (100, 90, truth.time - 20)
    assert found.seen == (
        Mined(50, True, OURS, EXECUTOR, GAS * PRICE, L1_FEE),
        Mined(95, False, OURS, EXECUTOR, GAS * PRICE, L1_FEE),
        Unsettled.WAITING,
        Unsettled.UNKNOWN,
    )


@pytest.mark.parametrize("finality", [0, 10, 99, 100])
async def test_finality_as_a_number_of_blocks(own: Node, finality: int) -> None:
    truth = ClaimedChain(own)
    found = await looked_up(own, truth.add(1), finality=finality)
    assert (found.final, found.final_time) == (100 - finality, truth.time - 2 * finality)


async def test_a_backend_behind_the_first_has_no_final_block(own: Node) -> None:
    truth = ClaimedChain(own)
    own.answers["eth_blockNumber"] = hex(110)
    found = await looked_up(own, truth.add(1), finality=20)
    assert (found.head, found.final, found.final_time) == (100, None, None)


@pytest.mark.parametrize("answer", [None, LATER, {"number": "0x5"}, {"number": "x", "timestamp": "0x1"}, "0x5"])
async def test_before_there_is_a_final_block(own: Node, answer: Any) -> None:
    truth = ClaimedChain(own)
    own.answers["eth_getBlockByNumber"] = lambda which, _: answer if which == "finalized" else truth.block(which, False)
    found = await looked_up(own, truth.add(1))
    assert (found.final, found.final_time) == (None, None)
    assert isinstance(found.seen[0], Mined)


@pytest.mark.parametrize("answer", [None, LATER, {"number": "ten"}])
async def test_without_a_head_there_is_no_view(own: Node, answer: Any) -> None:
    ClaimedChain(own)
    own.answers["eth_getBlockByNumber"] = answer
    with pytest.raises((Malformed, RpcError)):
        await looked_up(own, hash_of(1))


async def test_a_node_that_is_down_is_an_error(own: Node) -> None:
    own.fault = status(500)
    with pytest.raises(Unreachable):
        await looked_up(own, hash_of(1))


TRANSACTION_LIES: list[dict[str, Any]] = [
    {"hash": hash_of(2)}, {"hash": None}, {"from": "0x"}, {"blockHash": hash_of(51)}, {"blockNumber": "0x33"},
    {"blockNumber": None}, {"transactionIndex": "0x1"}, {"gas": "0x1"}, {"gasPrice": "0x1"},
]  # fmt: skip
RECEIPT_LIES: list[dict[str, Any]] = [
    {"transactionHash": hash_of(2)}, {"blockHash": hash_of(51)}, {"blockHash": None}, {"blockNumber": "0x33"},
    {"status": "0x2"}, {"status": None}, {"gasUsed": "0x0"}, {"effectiveGasPrice": "1e9"}, {"logs": None},
    {"transactionIndex": "0x1"}, {"l1Fee": "0x" + "f" * 40},
]  # fmt: skip


@pytest.mark.parametrize("lie", TRANSACTION_LIES, ids=str)
async def test_a_transaction_that_cannot_be_true_is_no_answer_and_costs_only_itself(own: Node, lie: Any) -> None:
    truth = ClaimedChain(own)
    lied, true = truth.add(1), truth.add(3)
    truth.known[lied] |= lie
    first, second = (await looked_up(own, lied, true)).seen
    assert first is Unsettled.UNANSWERED
    assert isinstance(second, Mined)


@pytest.mark.parametrize("lie", RECEIPT_LIES, ids=str)
async def test_nor_is_a_receipt(own: Node, lie: Any) -> None:
    truth = ClaimedChain(own)
    lied, true = truth.add(1), truth.add(3)
    truth.receipts[lied] |= lie
    first, second = (await looked_up(own, lied, true)).seen
    assert first is Unsettled.UNANSWERED
    assert isinstance(second, Mined)


async def test_another_transaction_with_its_own_receipt_is_no_answer(own: Node) -> None:
    truth = ClaimedChain(own)
    asked, another = hash_of(1), truth.add(2)
    truth.known[asked], truth.receipts[asked] = truth.known[another], truth.receipts[another]
    assert (await looked_up(own, asked)).seen == (Unsettled.UNANSWERED,)


@pytest.mark.parametrize("half", ["known", "receipts"])
async def test_half_an_answer_is_none(own: Node, half: str) -> None:
    truth = ClaimedChain(own)
    claimed = truth.add(1)
    getattr(truth, half).pop(claimed)
    assert (await looked_up(own, claimed)).seen == (Unsettled.UNANSWERED,)


async def test_an_error_for_one_hash_is_no_answer(own: Node) -> None:
    ClaimedChain(own)
    own.answers["eth_getTransactionByHash"] = LATER
    assert (await looked_up(own, hash_of(1))).seen == (Unsettled.UNANSWERED,)


class Known:
    """What all nodes told of the head."""

    def __init__(self, newest: int | None, finalized: int | None, violated: bool = False) -> None:
        self.newest, self.finalized = (None if n is None else header(n) for n in (newest, finalized))
        self.finality_violated = violated


def header(number: int) -> Header:
    return Header(number, hash_of(number), hash_of(number - 1), 1000 + number, 1, 1, 1)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (Known(None, None), (100, 90, 7)),
        (Known(110, None), (110, 90, 7)),
        (Known(99, 80), (100, 80, 1080)),
        (Known(110, 95), (110, 90, 7)),
        (Known(110, 90), (110, 90, 7)),
        (Known(110, 95, violated=True), (110, None, None)),
    ],
)
def test_one_nodes_word_is_kept_within_what_is_known_from_all(known: Any, expected: Any) -> None:
    seen = (Unsettled.UNKNOWN,)
    found = View(100, 90, 7, seen).within(known)
    assert ((found.head, found.final, found.final_time), found.seen) == (expected, seen)
    assert View(100, None, None, seen).within(known).final is None


async def test_a_real_node_tells_of_every_kind_of_transaction() -> None:
    with anvil("--slots-in-an-epoch", "1") as url:
        made = Chain(chain_id=CHAIN_ID, endpoints=(Endpoint("own", Secret(url)),))
        async with Rpc(made) as reader:
            sender = (await reader.call("eth_accounts", []))[0]
            fees = {"maxFeePerGas": hex(10**9), "maxPriorityFeePerGas": hex(10**6)}
            reverts = "0x60006000fd"  # init code that does nothing but revert
            wanted: list[dict[str, Any]] = [
                {"to": EXECUTOR, "value": "0x1", "gas": hex(21_000), "gasPrice": hex(10**9)},
                {"to": EXECUTOR, "value": "0x1", "gas": hex(30_000), **fees},
                {"to": EXECUTOR, "gas": hex(50_000), "accessList": [{"address": EXECUTOR, "storageKeys": []}], **fees},
                {"data": "0x00", "gas": hex(100_000), **fees},
                {"data": reverts, "gas": hex(100_000), **fees},
            ]
            hashes = [await reader.call("eth_sendTransaction", [{"from": sender, **one}]) for one in wanted]
            waiting = await look_up(reader, [*hashes, hash_of(1)], "finalized")
            await reader.call("anvil_mine", ["0x10", "0x2"])
            found = await look_up(reader, [*hashes, hash_of(1)], "finalized")
            receipts = [await reader.call("eth_getTransactionReceipt", [own]) for own in hashes]
    assert waiting.seen == (*[Unsettled.WAITING] * 5, Unsettled.UNKNOWN)
    assert found.final is not None
    assert 1 < found.final < found.head == 16
    paid = [int(one["gasUsed"], 16) * int(one["effectiveGasPrice"], 16) for one in receipts]
    to = [EXECUTOR, EXECUTOR, EXECUTOR, None, None]
    ok = [True, True, True, True, False]
    mined = tuple(Mined(1, ok[n], sender, to[n], paid[n], 0) for n in range(5))
    assert found.seen == (*mined, Unsettled.UNKNOWN)
