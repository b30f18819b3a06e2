"""A chain for the fake node that knows transactions by hash, has a head and a final block, and can be looked up."""

from __future__ import annotations

from typing import Any

from tests.fake_rpc import Node

OURS, EXECUTOR, THEIRS = "0x" + "aa" * 20, "0x" + "cc" * 20, "0x" + "bb" * 20
GAS, PRICE, L1_FEE = 100_000, 10**9, 10**12
LATER = {"error": {"code": -32000, "message": "header not found"}}


def hash_of(number: int) -> str:
    """A transaction's, or a block's, hash."""
    return f"0x{number:064x}"


class ClaimedChain:
    """Transactions by hash; those without a block wait."""

    def __init__(self, node: Node) -> None:
        self.head, self.final = 100, 90
        self.time = 1_750_000_000
        self.known: dict[str, dict[str, Any]] = {}
        self.receipts: dict[str, dict[str, Any]] = {}
        node.answers |= {
            "eth_blockNumber": lambda: hex(self.head),
            "eth_getBlockByNumber": self.block,
            "eth_getTransactionByHash": lambda tx_hash: self.known.get(tx_hash),
            "eth_getTransactionReceipt": lambda tx_hash: self.receipts.get(tx_hash),
        }

    def block(self, which: str, full: bool) -> Any:
        """A header; final blocks are two seconds older for each that they lie behind."""
        numbers = {"latest": self.head, "finalized": self.final, "safe": self.final}
        number = numbers[which] if which in numbers else int(which, 16)
        if number > self.head:
            return None
        return {
            "number": hex(number), "hash": hash_of(number), "parentHash": hash_of(number - 1),
            "timestamp": hex(self.time - 2 * (self.head - number)), "baseFeePerGas": "0x1", "gasUsed": "0x1",
            "gasLimit": "0xffff", "transactions": [],
        }  # fmt: skip

    def add(self, number: int, *, block: int | None = 50, succeeded: bool = True, sender: str = OURS) -> str:
        """A transaction, whose hash is returned."""
        own = hash_of(number)
        place = {"blockHash": None, "blockNumber": None, "transactionIndex": None}
        if block is not None:
            place = {"blockHash": hash_of(block), "blockNumber": hex(block), "transactionIndex": "0x0"}
        self.known[own] = {
            "hash": own, "from": sender, "to": EXECUTOR, "nonce": hex(number), "value": "0x0", "gas": hex(2 * GAS),
            "type": "0x0", "gasPrice": hex(PRICE), "input": "0x", **place,
        }  # fmt: skip
        if block is not None:
            self.receipts[own] = {
                "transactionHash": own, "status": hex(succeeded), "gasUsed": hex(GAS), "logs": [],
                "effectiveGasPrice": hex(PRICE), "l1Fee": hex(L1_FEE), "from": sender, "to": EXECUTOR, **place,
            }  # fmt: skip
        return own

    def remove(self, own: str) -> None:
        """As a reorg does, or a node that forgets."""
        self.known.pop(own)
        self.receipts.pop(own, None)
