"""Transactions that a bot claims to have made: what a node knows of each, and how far that node's chain is final."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from exporter.sources import receipts
from exporter.sources.heads import Heads
from exporter.sources.jsonrpc import Call, Malformed, RpcError, field, quantity
from exporter.sources.rpc import Rpc

MOST: Final = 20
"""Hashes in one look: two calls each still make a batch that most nodes take."""


class Unsettled(Enum):
    """What a node can say of a transaction that is in no block of its own."""

    UNKNOWN = "the node knows no such transaction"
    WAITING = "it is known, but in no block"
    UNANSWERED = "there is no usable answer"


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction in a block. `l1_wei` is the data fee, 0 on a chain without one."""

    block: int
    succeeded: bool
    sender: str
    to: str | None
    l2_wei: int
    l1_wei: int


type Seen = Mined | Unsettled


@dataclass(frozen=True, slots=True)
class View:
    """What one batch said, so that all of it is one node's word: `final` is None while it has no final block."""

    head: int
    final: int | None
    final_time: int | None
    seen: tuple[Seen, ...]

    def within(self, heads: Heads) -> View:
        """The same as far as it fits what is known of the chain from all nodes; nothing is final on one in doubt."""
        newest, known = heads.newest, heads.finalized
        head = self.head if newest is None else max(self.head, newest.number)
        if heads.finality_violated:
            return View(head, None, None, self.seen)
        if self.final is None or known is None or known.number >= self.final:
            return View(head, self.final, self.final_time, self.seen)
        return View(head, known.number, known.timestamp, self.seen)


async def look_up(rpc: Rpc, hashes: Sequence[str], finality: str | int) -> View:
    """Each of these transactions, by hash, and the node's head and final block; `finality` is a tag or a depth.

    Raises:
        Unreachable, Malformed, RpcError: there is no node, or it does not even tell its head.
    """
    final = finality if isinstance(finality, str) else hex(max(await _head(rpc) - finality, 0))
    blocks: list[Call] = [("eth_getBlockByNumber", [which, False]) for which in ("latest", final)]
    asked: list[Call] = [call for own in hashes for call in _calls(own)]
    latest, settled, *answers = await rpc.batch([*blocks, *asked])
    head = quantity(field(latest, "number"))
    number, time = _final(settled, head if isinstance(finality, str) else head - finality)
    return View(head, number, time, tuple(map(_seen, hashes, answers[::2], answers[1::2])))


async def _head(rpc: Rpc) -> int:
    return quantity(await rpc.call("eth_blockNumber", []))


def _calls(own: str) -> tuple[Call, Call]:
    return ("eth_getTransactionByHash", [own]), ("eth_getTransactionReceipt", [own])


def _final(block: Any, deepest: int) -> tuple[int, int] | tuple[None, None]:
    """Number and time of the final block; nodes have none at first, and one that lags must not be believed."""
    try:
        number, time = quantity(field(block, "number")), quantity(field(block, "timestamp"))
    except (Malformed, RpcError):
        return None, None
    return (number, time) if number <= deepest else (None, None)


def _seen(own: str, transaction: Any, receipt: Any) -> Seen:
    if transaction is None and receipt is None:
        return Unsettled.UNKNOWN
    try:
        if field(transaction, "blockHash") is None:
            return Unsettled.WAITING
        return _mined(own, transaction, receipt)
    except (Malformed, RpcError):
        return Unsettled.UNANSWERED


def _mined(own: str, transaction: Any, receipt: Any) -> Mined:
    found = receipts.transaction(transaction)
    if found.hash != own:
        raise Malformed("the node answered with another transaction")
    block = quantity(field(transaction, "blockNumber"))
    if quantity(field(receipt, "blockNumber")) != block:
        raise Malformed("the receipt is of another block")
    paid = receipts.receipt(receipt, found, receipts.hash_of(field(transaction, "blockHash")), 0)
    return Mined(block, paid.succeeded, found.sender, found.to, paid.l2_wei, paid.l1_wei or 0)
