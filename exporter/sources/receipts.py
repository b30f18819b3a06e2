"""Blocks, transactions and receipts as nodes give them: read strictly, and checked against one another."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from exporter.sources.jsonrpc import Malformed, field, quantity

DEPOSIT: Final = 0x7E
"""Type of an OP-stack transaction that was sent on L1 and pays nothing here."""
LARGEST_WEI: Final = 2**128
LARGEST_COUNT: Final = 2**63
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction in its block; amounts in wei. `to` is None where a contract is made."""

    hash: str
    sender: str
    to: str | None
    nonce: int
    value_wei: int
    mint_wei: int
    gas_limit: int
    kind: int
    index: int
    fields: dict[str, Any]
    """As the node gave it, to be run again or measured."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block with those of its transactions that concern us."""

    number: int
    hash: str
    parent: str
    timestamp: int
    base_fee_wei: int
    gas_used: int
    transactions: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class Log:
    """What a contract reported."""

    address: str
    topics: tuple[str, ...]
    data: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction; fees in wei, None where the node says nothing of them."""

    succeeded: bool
    gas_used: int
    l2_wei: int
    l1_wei: int | None
    operator: tuple[int, int] | None
    """The operator fee's scalar and constant, where the chain's fork has one."""
    logs: tuple[Log, ...]


def hash_of(value: Any) -> str:
    """A 32-byte hash, lower-case.

    Raises:
        Malformed: it is none.
    """
    return _text(value, _HASH, "a hash")


def address_of(value: Any) -> str:
    """An address, lower-case.

    Raises:
        Malformed: it is none.
    """
    return _text(value, _ADDRESS, "an address")


def _text(value: Any, form: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise Malformed(f"{what} is not hexadecimal, or of another length")
    return value.lower()


def bounded(value: Any, limit: int) -> int:
    """A number below a limit.

    Raises:
        Malformed, RpcError: it is none, or larger than it can be.
    """
    number = quantity(value)
    if number >= limit:
        raise Malformed("a number is larger than there can be")
    return number


def _optional(answer: dict[str, Any], name: str, limit: int = LARGEST_WEI) -> int | None:
    return None if answer.get(name) is None else bounded(answer[name], limit)


def block(answer: Any, number: int, ours: Collection[str]) -> Block:
    """A block that was asked for by number, with the whole transactions that go from or to an address of ours.

    Raises:
        Malformed, RpcError: it is not there, or not that block.
    """
    if bounded(field(answer, "number"), LARGEST_COUNT) != number:
        raise Malformed("the node answered with another block")
    listed = field(answer, "transactions")
    if not isinstance(listed, list):
        raise Malformed("a block's transactions are no list")
    own = hash_of(field(answer, "hash"))
    transactions = tuple(_transaction(t, place, own) for place, t in enumerate(listed) if _concerns(t, ours))
    if len({transaction.hash for transaction in transactions}) < len(transactions):
        raise Malformed("a block has a transaction twice")
    return Block(
        number,
        own,
        hash_of(field(answer, "parentHash")),
        bounded(field(answer, "timestamp"), LARGEST_COUNT),
        _optional(answer, "baseFeePerGas") or 0,
        bounded(field(answer, "gasUsed"), LARGEST_COUNT),
        transactions,
    )


def _concerns(part: Any, ours: Collection[str]) -> bool:
    return any(str(field(part, end)).lower() in ours for end in ("from", "to"))


def _transaction(part: Any, place: int, block_hash: str) -> Transaction:
    if hash_of(field(part, "blockHash")) != block_hash or quantity(field(part, "transactionIndex")) != place:
        raise Malformed("a block has another block's transaction")
    return transaction(part)


def transaction(answer: Any) -> Transaction:
    """A transaction that is in a block.

    Raises:
        Malformed, RpcError: it is none.
    """
    to = field(answer, "to")
    return Transaction(
        hash_of(field(answer, "hash")),
        address_of(field(answer, "from")),
        None if to is None else address_of(to),
        bounded(field(answer, "nonce"), LARGEST_COUNT),
        bounded(field(answer, "value"), LARGEST_WEI),
        _optional(answer, "mint") or 0,
        bounded(field(answer, "gas"), LARGEST_COUNT),
        _optional(answer, "type", 256) or 0,
        bounded(field(answer, "transactionIndex"), LARGEST_COUNT),
        answer,
    )


def receipt(answer: Any, of: Transaction, block_hash: str, base_fee_wei: int) -> Receipt:
    """The receipt of a transaction in a block, as far as it agrees with both.

    Raises:
        Malformed, RpcError: it is late, of another transaction or block, or cannot be true.
    """
    if hash_of(field(answer, "transactionHash")) != of.hash or hash_of(field(answer, "blockHash")) != block_hash:
        raise Malformed("the receipt is of another transaction or block")
    if _optional(answer, "transactionIndex", LARGEST_COUNT) != of.index:
        raise Malformed("the receipt is of another place in the block")
    status, gas_used = quantity(field(answer, "status")), bounded(field(answer, "gasUsed"), LARGEST_COUNT)
    if status > 1 or not 0 < gas_used <= of.gas_limit:
        raise Malformed("the receipt's status or gas cannot be")
    price = _price(answer, of, base_fee_wei)
    logs = _logs(field(answer, "logs"), of.hash, block_hash)
    if logs and not status:
        raise Malformed("a reverted transaction has logs")
    return Receipt(bool(status), gas_used, _execution(answer, of, gas_used, price), *_extra(answer, of), logs)


def _price(answer: Any, of: Transaction, base_fee_wei: int) -> int:
    """Wei per gas; below the block's base fee, or above what the sender allows, it is not true."""
    if of.kind == DEPOSIT:
        return 0
    price = bounded(field(answer, "effectiveGasPrice"), LARGEST_WEI)
    most = _optional(of.fields, "maxFeePerGas" if of.kind >= 2 else "gasPrice")
    if price < base_fee_wei or (most is not None and price > most):
        raise Malformed("the receipt's gas price cannot be")
    return price


def _execution(answer: Any, of: Transaction, gas_used: int, price: int) -> int:
    blob_gas = _optional(answer, "blobGasUsed", LARGEST_COUNT) if of.kind == 3 else None
    return gas_used * price + (blob_gas or 0) * (_optional(answer, "blobGasPrice") or 0)


def _extra(answer: Any, of: Transaction) -> tuple[int | None, tuple[int, int] | None]:
    """What an OP-stack chain takes beside the gas: the L1 data fee, and what the operator fee is made of."""
    if of.kind == DEPOSIT:
        return 0, None
    scalar, constant = _optional(answer, "operatorFeeScalar"), _optional(answer, "operatorFeeConstant")
    return _optional(answer, "l1Fee"), (scalar or 0, constant or 0) if scalar or constant else None


def _logs(listed: Any, transaction_hash: str, block_hash: str) -> tuple[Log, ...]:
    if not isinstance(listed, list):
        raise Malformed("a receipt's logs are no list")
    places = [quantity(field(part, "logIndex")) for part in listed]
    if places != sorted(set(places)):
        raise Malformed("a receipt has a log twice, or not in order")
    return tuple(_log(part, transaction_hash, block_hash) for part in listed)


def _log(part: Any, transaction_hash: str, block_hash: str) -> Log:
    own = part.get("removed") in (None, False)
    if not own or hash_of(field(part, "transactionHash")) != transaction_hash:
        raise Malformed("a receipt has a log of another transaction")
    if hash_of(field(part, "blockHash")) != block_hash:
        raise Malformed("a receipt has a log of another block")
    topics = field(part, "topics")
    if not isinstance(topics, list) or len(topics) > 4:
        raise Malformed("a log's topics are no list of at most four")
    data = _text(field(part, "data"), _DATA, "a log's data")
    return Log(address_of(field(part, "address")), tuple(map(hash_of, topics)), data)


def words_of(log: Log, least: int) -> Sequence[int] | None:
    """The 32-byte words of a log's data; None if there are fewer."""
    text = log.data[2:]
    if len(text) < least * 64:
        return None
    return [int(text[start : start + 64], 16) for start in range(0, least * 64, 64)]
