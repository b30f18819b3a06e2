"""Blocks, transactions and receipts: what is right is read, and what cannot be is refused."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.log import Plain
from exporter.sources import receipts
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.receipts import Log, Transaction

ME, STRANGER, CONTRACT = ("0x" + digit * 40 for digit in "abc")
HASH, BLOCK, PARENT = ("0x" + digit * 64 for digit in "123")


def transaction(**changes: Any) -> dict[str, Any]:
    return {
        "hash": HASH,
        "blockHash": BLOCK,
        "blockNumber": "0x64",
        "transactionIndex": "0x0",
        "from": ME.upper().replace("X", "x"),
        "to": CONTRACT,
        "nonce": "0x7",
        "value": "0x5",
        "gas": "0x5208",
        "type": "0x2",
        "maxFeePerGas": "0x64",
        "maxPriorityFeePerGas": "0x1",
        "gasPrice": "0x14",
        "input": "0x",
    } | changes


def block(*transactions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "number": "0x64",
        "hash": BLOCK,
        "parentHash": PARENT,
        "timestamp": "0x5",
        "baseFeePerGas": "0xa",
        "gasUsed": "0x5208",
        "gasLimit": "0xffffff",
        "transactions": list(transactions),
    } | changes


def log(**changes: Any) -> dict[str, Any]:
    return {
        "address": CONTRACT,
        "topics": ["0x" + "d" * 64],
        "data": "0x" + "01" * 32,
        "logIndex": "0x3",
        "transactionHash": HASH,
        "blockHash": BLOCK,
        "removed": False,
    } | changes


def receipt(**changes: Any) -> dict[str, Any]:
    return {
        "transactionHash": HASH,
        "blockHash": BLOCK,
        "transactionIndex": "0x0",
        "status": "0x1",
        "gasUsed": "0x5000",
        "effectiveGasPrice": "0x14",
        "logs": [log(), log(logIndex="0x4")],
        "l1Fee": "0x99",
    } | changes


def of(**changes: Any) -> Transaction:
    return receipts.transaction(transaction(**changes))


def test_a_block_keeps_what_concerns_us() -> None:
    mine, other = transaction(), transaction(hash=PARENT, transactionIndex="0x1", **{"from": STRANGER, "to": None})
    gift = transaction(hash="0x" + "4" * 64, transactionIndex="0x2", **{"from": STRANGER, "to": ME})
    read = receipts.block(block(mine, other, gift), 100, {ME})
    assert (read.number, read.hash, read.parent, read.timestamp, read.base_fee_wei) == (100, BLOCK, PARENT, 5, 10)
    assert [t.hash for t in read.transactions] == [HASH, gift["hash"]]
    first = read.transactions[0]
    assert (first.sender, first.to, first.nonce, first.value_wei) == (ME, CONTRACT, 7, 5)
    assert (first.gas_limit, first.kind, first.index) == (21_000, 2, 0)


def test_a_chain_without_base_fee() -> None:
    assert receipts.block(block(baseFeePerGas=None), 100, set()).base_fee_wei == 0


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "0x",
        {},
        block(number="0x65"),
        block(number="100"),
        block(hash="0x12"),
        block(hash=None),
        {name: value for name, value in block().items() if name != "hash"},
        block(parentHash="0x"),
        block(timestamp="-0x1"),
        block(timestamp=hex(2**63)),
        block(transactions=None),
        block(transactions=["0x12"]),
        block(transactions=[None]),
        block(baseFeePerGas=hex(2**128)),
        block(transaction(blockHash=PARENT)),
        block(transaction(transactionIndex="0x1")),
        block(transaction(), transaction(transactionIndex="0x1")),
        block(transaction(nonce=hex(2**64))),
        block(transaction(value=hex(2**128))),
        block(transaction(hash=HASH[:-1])),
        block(transaction(gas=None)),
        block(transaction(type="0x1ff")),
        block(transaction(**{"from": None})),
        block(transaction(to="0x")),
        RpcError(-32000),
    ],
)
def test_what_is_not_that_block(answer: Any) -> None:
    with pytest.raises((Malformed, RpcError)):
        receipts.block(answer, 100, {ME, CONTRACT})


def test_a_receipt_of_an_op_stack_chain() -> None:
    read = receipts.receipt(receipt(), of(), BLOCK, 10)
    assert (read.succeeded, read.gas_used, read.l2_wei, read.l1_wei) == (True, 0x5000, 0x5000 * 20, 0x99)
    assert read.operator is None
    assert read.logs[0] == Log(CONTRACT, ("0x" + "d" * 64,), "0x" + "01" * 32)
    assert len(read.logs) == 2


def test_a_receipt_of_a_plain_chain_tells_no_l1_fee() -> None:
    answer = receipt()
    del answer["l1Fee"]
    assert receipts.receipt(answer, of(), BLOCK, 10).l1_wei is None


def test_operator_fees_where_a_fork_has_them() -> None:
    assert (
        receipts.receipt(receipt(operatorFeeScalar="0x0", operatorFeeConstant="0x0"), of(), BLOCK, 10).operator is None
    )
    told = receipt(operatorFeeScalar="0x2", operatorFeeConstant="0x3")
    assert receipts.receipt(told, of(), BLOCK, 10).operator == (2, 3)


def test_a_deposit_pays_nothing() -> None:
    answer = receipt(effectiveGasPrice="0x0")
    read = receipts.receipt(answer, of(type="0x7e", mint="0x10"), BLOCK, 10)
    assert (read.l2_wei, read.l1_wei, read.operator) == (0, 0, None)
    assert of(type="0x7e", mint="0x10").mint_wei == 16


def test_blobs_are_paid_for() -> None:
    answer = receipt(blobGasUsed="0x20000", blobGasPrice="0x3")
    assert receipts.receipt(answer, of(type="0x3"), BLOCK, 10).l2_wei == 0x5000 * 20 + 0x20000 * 3
    assert receipts.receipt(answer, of(), BLOCK, 10).l2_wei == 0x5000 * 20  # a header's field elsewhere


def test_legacy_price_bounds() -> None:
    legacy = of(type="0x0", gasPrice="0x14")
    assert receipts.receipt(receipt(), legacy, BLOCK, 10).l2_wei == 0x5000 * 20
    with pytest.raises(Malformed, match="gas price"):
        receipts.receipt(receipt(effectiveGasPrice="0x15"), legacy, BLOCK, 10)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        RpcError(-32000),
        receipt(transactionHash=PARENT),
        receipt(blockHash=PARENT),
        receipt(status=None),
        receipt(status="0x2"),
        receipt(status="ok"),
        receipt(gasUsed="0x0"),
        receipt(gasUsed="0x5209"),
        receipt(gasUsed=hex(2**256 - 1)),
        receipt(effectiveGasPrice="0x9"),
        receipt(effectiveGasPrice="0x65"),
        receipt(effectiveGasPrice=hex(2**200)),
        receipt(transactionIndex="0x1"),
        receipt(transactionIndex=None),
        receipt(status="0x0"),
        receipt(logs=None),
        receipt(logs=[log(), log()]),
        receipt(logs=[log(), log(logIndex="0x2")]),
        receipt(logs=[log(removed=True)]),
        receipt(logs=[log(blockHash=PARENT)]),
        receipt(logs=[log(transactionHash=PARENT)]),
        receipt(logs=[log(topics=["0x" + "d" * 64] * 5)]),
        receipt(logs=[log(topics=None)]),
        receipt(logs=[log(topics=["0x1"])]),
        receipt(logs=[log(data="0x123")]),
        receipt(logs=[log(address="0x1")]),
        receipt(l1Fee=hex(2**128)),
        receipt(l1Fee=5),
        receipt(logs=[7]),
        receipt(operatorFeeScalar="x"),
    ],
)
def test_what_cannot_be_true(answer: Any) -> None:
    with pytest.raises((Malformed, RpcError)):
        receipts.receipt(answer, of(), BLOCK, 10)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just("0x1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_one_odd_field_is_read_or_refused_and_never_anything_else(data: st.DataObject) -> None:
    answer = copy.deepcopy(receipt())
    target = data.draw(st.sampled_from([answer, answer["logs"][0]]))
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(json_values)
    whole = block(transaction())
    whole[data.draw(st.sampled_from(sorted(whole)))] = data.draw(json_values)
    for attempt in (
        lambda: receipts.receipt(answer, of(), BLOCK, 10),
        lambda: receipts.block(whole, 100, {ME}),
        lambda: receipts.transaction(
            transaction() | {data.draw(st.sampled_from(["to", "nonce"])): data.draw(json_values)}
        ),
    ):
        try:
            attempt()
        except Plain as error:
            assert isinstance(error, Malformed | RpcError)


def test_words_of_a_log() -> None:
    assert receipts.words_of(Log(CONTRACT, (), "0x" + f"{7:064x}" + f"{8:064x}" + "ff"), 2) == [7, 8]
    assert receipts.words_of(Log(CONTRACT, (), "0x" + f"{7:064x}"), 2) is None
