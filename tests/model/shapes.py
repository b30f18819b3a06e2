"""Blocks, transactions, receipts and logs in the words of geth and op-geth."""

from __future__ import annotations

from typing import Any

from tests.model.orders import BRIDGED, DEPOSITOR, L1_BLOCK, ZERO, Order, l1_base_fee, name
from tests.model.world import GAS_LIMIT, Block, Entry, World

BLOOM = "0x" + "00" * 256
UNCLES = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
EMPTY = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
SEQUENCER = "0x4200000000000000000000000000000000000011"


def block(world: World, of: Block, full: bool) -> dict[str, Any]:
    """`eth_getBlockByNumber`."""
    listed = [transaction(world, of, entry) for entry in of.entries] if full else [e.order.hash for e in of.entries]
    first = [_attributes(of) if full else _attributes(of)["hash"]] if world.rules.l1 != "none" and of.number else []
    return header(of) | {"size": "0x400", "uncles": [], "withdrawals": [], "transactions": first + listed}


def header(of: Block) -> dict[str, Any]:
    """What `newHeads` sends, too."""
    return {
        "number": hex(of.number), "hash": of.hash, "parentHash": of.parent.hash if of.parent else ZERO,
        "timestamp": hex(of.timestamp), "baseFeePerGas": hex(of.base_fee), "gasUsed": hex(of.gas_used),
        "gasLimit": hex(GAS_LIMIT), "miner": SEQUENCER, "difficulty": "0x0", "nonce": "0x0000000000000000",
        "extraData": "0x000000003200000003", "logsBloom": BLOOM, "mixHash": name("mix", of.hash), "sha3Uncles": UNCLES,
        "stateRoot": name("state", of.hash), "transactionsRoot": name("transactions", of.hash),
        "receiptsRoot": name("receipts", of.hash), "withdrawalsRoot": EMPTY, "blobGasUsed": "0x0",
        "excessBlobGas": "0x0", "parentBeaconBlockRoot": name("beacon", of.number),
    }  # fmt: skip


def shift(world: World) -> int:
    """How many transactions of the chain itself come first in a block."""
    return int(world.rules.l1 != "none")


def _attributes(of: Block) -> dict[str, Any]:
    """The transaction by which each block of an OP-stack chain learns about L1."""
    return {
        "blockHash": of.hash, "blockNumber": hex(of.number), "transactionIndex": "0x0", "type": "0x7e",
        "hash": name("attributes", of.hash), "sourceHash": name("source", of.hash), "from": DEPOSITOR, "to": L1_BLOCK,
        "nonce": hex(of.number), "value": "0x0", "mint": "0x0", "gas": "0xf4240", "gasPrice": "0x0",
        "input": "0x440a5e20", "v": "0x0", "r": "0x0", "s": "0x0", "depositReceiptVersion": "0x1",
    }  # fmt: skip


def transaction(world: World, of: Block, entry: Entry) -> dict[str, Any]:
    """`eth_getTransactionByHash`, mined."""
    order = entry.order
    place = {
        "blockHash": of.hash, "blockNumber": hex(of.number), "transactionIndex": hex(entry.index + shift(world)),
        "gasPrice": hex(entry.price),
    }  # fmt: skip
    return place | sent(world, order) | {"gasPrice": hex(entry.price)}


def sent(world: World, order: Order) -> dict[str, Any]:
    """What the sender has signed; the place is nowhere yet."""
    common = {
        "hash": order.hash, "from": order.sender, "to": order.to, "nonce": hex(order.nonce), "value": hex(order.value),
        "gas": hex(order.gas_limit), "gasPrice": hex(order.most), "input": order.data, "type": hex(order.kind),
    }  # fmt: skip
    if order.kind == BRIDGED:
        return common | {
            "sourceHash": name("source", order.hash), "mint": hex(order.value), "depositReceiptVersion": "0x1",
            "v": "0x0", "r": "0x0", "s": "0x0",
        }  # fmt: skip
    common |= {"v": "0x1", "r": name("r", order.hash), "s": "0x1" + name("s", order.hash)[3:]}
    if order.kind >= 1:
        common |= {"chainId": hex(world.chain_id), "accessList": [], "yParity": "0x1"}
    if order.kind >= 2:
        common |= {"maxFeePerGas": hex(order.most), "maxPriorityFeePerGas": hex(order.tip)}
    return common


def receipt(world: World, of: Block, entry: Entry) -> dict[str, Any]:
    """`eth_getTransactionReceipt`."""
    order = entry.order
    base = {
        "transactionHash": order.hash, "transactionIndex": hex(entry.index + shift(world)), "blockHash": of.hash,
        "blockNumber": hex(of.number), "from": order.sender, "to": order.to, "contractAddress": None,
        "type": hex(order.kind), "status": hex(entry.succeeded), "gasUsed": hex(entry.gas_used),
        "cumulativeGasUsed": hex(entry.gas_before + entry.gas_used), "effectiveGasPrice": hex(entry.price),
        "logsBloom": BLOOM, "logs": logs(world, of, entry),
    }  # fmt: skip
    return base | _deposit(order) | _l1(world, of, entry)


def _deposit(order: Order) -> dict[str, Any]:
    return {"depositNonce": hex(order.nonce), "depositReceiptVersion": "0x1"} if order.kind == BRIDGED else {}


def _l1(world: World, of: Block, entry: Entry) -> dict[str, Any]:
    rules = world.rules
    found: dict[str, Any] = {}
    if rules.l1 == "receipt":
        found = {
            "l1Fee": hex(entry.l1_fee), "l1GasPrice": hex(l1_base_fee(of.number)), "l1GasUsed": "0x640",
            "l1BaseFeeScalar": "0x8dd", "l1BlobBaseFee": "0x1", "l1BlobBaseFeeScalar": "0x101c12",
        }  # fmt: skip
    if rules.operator is not None and entry.order.kind != BRIDGED:
        found |= {"operatorFeeScalar": hex(rules.operator[0]), "operatorFeeConstant": hex(rules.operator[1])}
    return found


def logs(world: World, of: Block, entry: Entry, removed: bool = False) -> list[dict[str, Any]]:
    """The logs of a transaction, with their places."""
    return [
        {
            "address": log.address, "topics": list(log.topics), "data": log.data, "blockNumber": hex(of.number),
            "transactionHash": entry.order.hash, "transactionIndex": hex(entry.index + shift(world)),
            "blockHash": of.hash, "blockTimestamp": hex(of.timestamp), "logIndex": hex(entry.first_log + place),
            "removed": removed,
        }
        for place, log in enumerate(entry.logs)
    ]  # fmt: skip
