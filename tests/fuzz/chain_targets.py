"""Parsers of what nodes say, below the JSON: receipts, logs of pools, returned data, frames of a subscription."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import rlp as reference

from exporter.log import Plain
from exporter.sources import endpoint, jsonrpc, multicall, pool_events, receipts, reverts, rlp
from exporter.sources.blocks import Header
from exporter.sources.contracts import PoolFacts, Token
from exporter.sources.curves import Concentrated, ConstantProduct, Stable
from exporter.sources.endpoint import Failed
from exporter.sources.packed import PIECE, Unpacker
from exporter.sources.shapes import State
from exporter.sources.subscription import Log, Opened, Subscription
from tests.fuzz.target import Target, as_json, in_a_loop, text_of

ME, POOL = "0x" + "a" * 40, "0x" + "c" * 40
HASH, BLOCK, PARENT = ("0x" + digit * 64 for digit in "123")
WORD = "0" * 64
CURVES = (
    ("uniswap_v2", ConstantProduct(5, 5)), ("solidly", ConstantProduct(5, 5, True)),
    ("solidly", Stable(5, 5, 10**18, 10**6)), ("solidly", None), ("uniswap_v3", Concentrated(2**96, 1)),
    ("slipstream", Concentrated(2**96, 1)),
)  # fmt: skip


def paid(data: bytes) -> None:
    """A block, a transaction in it, and its receipt: what is taken cannot be impossible."""
    with suppress(Plain):
        parts = jsonrpc.parse(data)
        block, transaction, receipt = parts if isinstance(parts, list) and len(parts) == 3 else (parts,) * 3
        with suppress(Plain):
            assert receipts.block(block, 100, {ME}).number == 100
        found = receipts.transaction(transaction)
        known = receipts.receipt(receipt, found, BLOCK, 10)
        assert 0 < known.gas_used <= found.gas_limit and (known.succeeded or not known.logs)
        for log in known.logs:
            assert len(receipts.words_of(log, 1) or [0]) == 1


def signed(data: bytes) -> None:
    """A transaction that is encoded is what others read as one of as many fields."""
    with suppress(Plain):
        fields = jsonrpc.parse(data)
        for kind in range(5) if isinstance(fields, dict) else ():
            with suppress(Plain):
                raw = rlp.unsigned(fields, kind, 8453)
                parts = reference.decode(raw[1:] if kind else raw)
                assert len(parts) == {0: 9, 1: 8, 2: 9, 4: 10}[kind]


def pool_log(data: bytes) -> None:
    """A log of a pool of any kind, and the pool after it."""
    with suppress(Plain):
        entry = jsonrpc.parse(data)
        for kind, curve in CURVES if isinstance(entry, dict) else ():
            facts = PoolFacts(POOL, kind, Token(ME, "A", 18), Token(HASH[:42], "B", 6), 500)
            state = State(curve, None, 500, (5, 5))
            with suppress(Plain):
                change = pool_events.change(entry, facts, state)
                if change is not None and change.curve is not None:
                    after = state.moved(change.curve, change.time, change.amounts)
                    assert after.reserves is not None and min(after.reserves) >= 0


def returned(data: bytes) -> None:
    """What Multicall3 returned to so many calls."""
    for count in range(4):
        with suppress(Plain):
            found = multicall.decode(text_of(data), count)
            assert len(found) == count and all(len(part or b"") <= multicall.LONGEST for part in found)


def revert(data: bytes) -> None:
    """Why a contract reverted, from an error of the node."""
    with suppress(Plain):
        error = jsonrpc.result({"error": jsonrpc.parse(data)})
        if not isinstance(error, jsonrpc.RpcError):
            raise error  # null is no error, and no answer either
        assert reverts.reason(error.data, 5, 6).isidentifier()


def wait(data: bytes) -> None:
    """For how long a node asks to be left alone: never for long."""
    assert 0 <= endpoint.retry_after(text_of(data)) <= endpoint.RETRY_AFTER_LAST


def packed(data: bytes) -> None:
    """A packed body unpacks to the same in whatever pieces it comes, and never by much at once."""
    found = []
    for size in (len(data) + 1, 5):
        unpacker, taken = Unpacker("gzip"), bytearray()
        with suppress(ValueError):
            for start in range(0, len(data), size):
                for piece in unpacker.feed(data[start : start + size]):
                    assert len(piece) <= PIECE
                    taken += piece
        found.append((unpacker.complete, taken))
    assert found[0] == found[1] or not all(complete for complete, _ in found)


@dataclass
class Frames:
    """A node's side of a connection: it says what it was given, and hears everything."""

    said: Iterator[bytes]
    asked: list[Any] = field(default_factory=list)

    async def send_str(self, text: str) -> None:
        self.asked.append(json.loads(text))

    def __aiter__(self) -> Frames:
        return self

    async def __anext__(self) -> aiohttp.WSMessage:
        try:
            return aiohttp.WSMessage(aiohttp.WSMsgType.BINARY, next(self.said), None)
        except StopIteration:
            raise StopAsyncIteration from None


async def _heard(frames: Frames) -> list[object]:
    subscription: Any = Subscription(frames, 8453, [POOL], lambda: 2.0)  # type: ignore[arg-type]
    found = []
    with suppress(Failed):
        async for message in subscription.messages():
            found.append(message)  # noqa: PERF401  it ends by an error
    return found


def subscription(data: bytes) -> None:
    """Frames of a node, one a line: messages of ours, or the end; our own word in a log is never the node's."""
    for message in in_a_loop(_heard(Frames(iter(data.split(b"\n"))))):
        assert isinstance(message, Opened | Header | Log)
        assert not isinstance(message, Log) or message.entry["address"] == message.entry["address"].lower()


_TRANSACTION = {
    "hash": HASH, "blockHash": BLOCK, "blockNumber": "0x64", "transactionIndex": "0x0", "from": ME, "to": POOL,
    "nonce": "0x7", "value": "0x5", "gas": "0x5208", "type": "0x2", "maxFeePerGas": "0x64", "gasPrice": "0x14",
    "maxPriorityFeePerGas": "0x1", "input": "0x01", "chainId": "0x2105",
    "accessList": [{"address": POOL, "storageKeys": [HASH]}],
    "authorizationList": [{"chainId": "0x1", "nonce": "0x1", "yParity": "0x0", "r": "0x1", "s": "0x1", "address": ME}],
}  # fmt: skip
_BLOCK = {
    "number": "0x64", "hash": BLOCK, "parentHash": PARENT, "timestamp": "0x5", "baseFeePerGas": "0xa",
    "gasUsed": "0x5208", "gasLimit": "0xffffff", "transactions": [_TRANSACTION],
}  # fmt: skip
_LOG = {
    "address": POOL, "topics": [HASH], "data": "0x" + WORD, "logIndex": "0x3", "transactionHash": HASH,
    "blockHash": BLOCK, "removed": False, "blockNumber": "0x64",
}  # fmt: skip
_RECEIPT = {
    "transactionHash": HASH, "blockHash": BLOCK, "transactionIndex": "0x0", "status": "0x1", "gasUsed": "0x5000",
    "effectiveGasPrice": "0x14", "l1Fee": "0x5", "operatorFeeScalar": "0x1", "operatorFeeConstant": "0x2",
    "logs": [_LOG],
}  # fmt: skip
_SYNC = _LOG | {"topics": [pool_events.SYNC_V2], "data": "0x" + WORD[:-1] + "7" + WORD[:-1] + "8"}
_SWAPPED = "0x" + "".join(f"{n:064x}" for n in (5, 2**256 - 5, 2**97, 99, 13863))
_SWAP = _LOG | {"topics": [pool_events.SWAP_V3], "data": _SWAPPED, "blockTimestamp": "0x5"}
_RETURNED = "0x" + "".join(f"{n:064x}" for n in (32, 2, 64, 192, 1, 64, 32, 7, 0, 64, 0))
_HEAD = {"number": "0x1", "hash": HASH, "parentHash": PARENT, "timestamp": "0x5", "gasUsed": "0x1", "gasLimit": "0x2"}
_ANSWERS = tuple({"id": n, "result": word} for n, word in enumerate(("0x2105", "0xa", "0xb", "0xc"), 1))
_NEWS = (
    {"method": "eth_subscription", "params": {"subscription": "0xa", "result": _HEAD}},
    {"method": "eth_subscription", "params": {"subscription": "0xb", "result": _LOG}},
    {"method": "eth_subscription", "params": {"subscription": "0xc", "result": {"logs": [_LOG]}}},
)  # fmt: skip
_GZIP = bytes.fromhex("1f8b080000000000000203cb48cdc9c95728cf2fca49010085114a0d0b000000")

TARGETS = {
    "paid": Target(paid, as_json([_BLOCK, _TRANSACTION, _RECEIPT], [_BLOCK, _TRANSACTION | {"to": None}, None])),
    "signed": Target(signed, as_json(_TRANSACTION, {**_TRANSACTION, "to": None, "accessList": None})),
    "pool_log": Target(pool_log, as_json(_SYNC, _SWAP, _SWAP | {"preconfirmed": True, "blockNumber": None})),
    "returned": Target(returned, (_RETURNED.encode(), b"0x" + WORD.encode() * 2, b"0x")),
    "revert": Target(revert, as_json(
        {"code": 3, "data": "0x08c379a0" + f"{32:064x}{3:064x}" + b"low".hex().ljust(64, "0")},
        {"code": 3, "data": {"data": "Reverted 0x4e487b71"}}, {"code": -32000, "message": "x"},
    )),
    "wait": Target(wait, (b"5", b"Wed, 21 Oct 2026 07:28:00 GMT", b"1e9", b"-1", b"\xd9\xa3", b"9" * 5_000)),
    "packed": Target(packed, (_GZIP, _GZIP * 2, _GZIP[:-4])),
    "subscription": Target(subscription, (
        b"\n".join(as_json(*_ANSWERS[:3], *_NEWS[:2], _ANSWERS[3], _NEWS[2])),
        b"\n".join(as_json({"id": 1, "error": {"code": -32601}}, {"id": 1, "result": "0x1"})), b"[" * 3_000,
    )),
}  # fmt: skip
