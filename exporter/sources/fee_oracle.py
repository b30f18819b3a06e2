"""What an OP-stack chain took for a transaction beside its gas, by the word of its own oracle."""

from __future__ import annotations

from typing import Final

from exporter.sources import rlp
from exporter.sources.jsonrpc import Malformed, RpcError, call_data, words
from exporter.sources.receipts import Block, Receipt, Transaction
from exporter.sources.states import States

ORACLE: Final = "0x420000000000000000000000000000000000000f"
GET_L1_FEE, GET_OPERATOR_FEE = "0x49948e0e", "0x275aedd2"
PER_MILLION: Final = 10**6
REVERTED: Final = 3
"""The error by which nodes tell that a contract has reverted."""


class FeeOracle:
    """Asks the oracle about single transactions, at their own blocks."""

    def __init__(self, states: States, chain_id: int) -> None:
        self._states, self._chain_id = states, chain_id
        self._there = False

    async def l1_fee(self, block: Block, transaction: Transaction) -> int | None:
        """The L1 data fee in wei; 0 where there is no oracle, None if it does not tell."""
        if not await self._is_there(block):
            return 0
        raw = rlp.unsigned(transaction.fields, transaction.kind, self._chain_id)
        padded = raw.hex().ljust((len(raw) + 31) // 32 * 64, "0")
        return await self._ask(call_data(GET_L1_FEE, 32, len(raw)) + padded, block)

    async def operator_fee(self, block: Block, receipt: Receipt) -> int:
        """The oracle's word in wei, for forks differ in how they reckon; else as the first fork that had one."""
        if receipt.operator is None:
            return 0
        told = await self._ask(call_data(GET_OPERATOR_FEE, receipt.gas_used), block)
        scalar, constant = receipt.operator
        return receipt.gas_used * scalar // PER_MILLION + constant if told is None else told

    async def _is_there(self, block: Block) -> bool:
        if not self._there:
            (code,) = await self._states.at(block, [("eth_getCode", [ORACLE, hex(block.number)])])
            self._there = isinstance(code, str) and len(code) > len("0x")
        return self._there

    async def _ask(self, data: str, block: Block) -> int | None:
        """A word of the oracle's; None if it does not know the question, or the node has forgotten its answer."""
        (answer,) = await self._states.at(block, [("eth_call", [{"to": ORACLE, "data": data}, hex(block.number)])])
        question = data[: len(GET_L1_FEE)]
        try:
            (word,) = words(answer, 1)
        except (Malformed, RpcError) as error:
            if not isinstance(error, RpcError) or error.code != REVERTED:
                self._states.missing(question, block, error)
            return None
        self._states.told(question, block)
        return word
