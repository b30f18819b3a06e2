"""Many reads of contracts in one call: Multicall3's `aggregate3`, written and read by hand; single calls without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from weakref import WeakKeyDictionary

from exporter.sources import jsonrpc
from exporter.sources.jsonrpc import Call, Malformed, RpcError
from exporter.sources.rpc import Node, Rpc

ADDRESS: Final = "0xca11bde05977b3631167028862be2a173976ca11"
"""Where Multicall3 is on nearly every chain."""
AGGREGATE3, BLOCK_NUMBER, BLOCK_TIME = "0x82ad56cb", "0x42cbb15c", "0x0f28c97d"
LONGEST: Final = 4096
"""Bytes of one read's answer: what we read takes a few words."""
_WORD: Final = 32
_MOST_NUMBER: Final = 2**53

type Read = tuple[str, str]
"""(address, call data)"""

_OWN: Final = ((ADDRESS, BLOCK_NUMBER), (ADDRESS, BLOCK_TIME))

_FOUND: Final[WeakKeyDictionary[Node, bool]] = WeakKeyDictionary()
"""Whether an endpoint's chain has Multicall3, by its code; looked up once."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was returned, None where a call failed; with the block's number and its time in epoch seconds, if told."""

    block: int | None
    time: int | None
    data: list[bytes | None]


async def read(rpc: Rpc, reads: Sequence[Read], block: str = "latest") -> Answers:
    """All of these, by one call if the chain has Multicall3, else by a batch; `block` is a tag or a hex number.

    Raises:
        Unreachable: no endpoint answers.
    """
    if _found(rpc):
        try:
            return await _together(rpc, reads, block)
        except (Malformed, RpcError):
            _forget(rpc)  # a node that serves no such call, another one by now, or a block from before it
    return await _singly(rpc, reads, block)


async def _together(rpc: Rpc, reads: Sequence[Read], block: str) -> Answers:
    call = {"to": ADDRESS, "data": encode((*_OWN, *reads))}
    number, time, *data = decode(await rpc.call("eth_call", [call, block]), len(reads) + 2)
    return Answers(_number(number), _number(time), data)


def _number(data: bytes | None) -> int:
    """A word of the contract's own, which cannot fail.

    Raises:
        Malformed: it did.
    """
    if data is None or len(data) != _WORD or (number := int.from_bytes(data)) >= _MOST_NUMBER:
        raise Malformed("the block is not told")
    return number


async def _singly(rpc: Rpc, reads: Sequence[Read], block: str) -> Answers:
    calls: list[Call] = [("eth_call", [{"to": to, "data": data}, block]) for to, data in reads]
    asked: list[Call] = [("eth_getCode", [ADDRESS, "latest"])] if _found(rpc) is None else []
    number, *results = await rpc.batch([("eth_blockNumber", []), *asked, *calls])
    if asked:
        _note(rpc.active, results.pop(0))
    return Answers(int(block, 16) if block.startswith("0x") else _height(number), None, [_bytes(r) for r in results])


def _found(rpc: Rpc) -> bool | None:
    """Whether the chain of the endpoint in use has Multicall3; None while that is not known."""
    return None if rpc.active is None else _FOUND.get(rpc.active)


def _note(node: Node | None, code: Any) -> None:
    if node is not None and isinstance(code, str):
        _FOUND[node] = len(code) > 2


def _forget(rpc: Rpc) -> None:
    if rpc.active is not None:
        _FOUND.pop(rpc.active, None)


def _height(answer: Any) -> int | None:
    try:
        number = jsonrpc.quantity(answer)
    except (Malformed, RpcError):
        return None
    return number if number < _MOST_NUMBER else None


def _bytes(answer: Any) -> bytes | None:
    """Returned data; None for an error, and for what is none."""
    if not isinstance(answer, str) or not answer.startswith("0x") or len(answer) > 2 + 2 * LONGEST:
        return None
    try:
        return bytes.fromhex(answer[2:])
    except ValueError:
        return None


@lru_cache(maxsize=8)
def encode(reads: tuple[Read, ...]) -> str:
    """The call data of `aggregate3((address,bool,bytes)[])`, each call allowed to fail."""
    calls = [_call(to, data) for to, data in reads]
    offsets, place = [], _WORD * len(calls)
    for call in calls:
        offsets.append(_word(place))
        place += len(call) // 2
    return "".join((AGGREGATE3, _word(_WORD), _word(len(calls)), *offsets, *calls))


def _call(to: str, data: str) -> str:
    size = len(data) // 2 - 1
    padding = -size % _WORD
    return "".join((to[2:].rjust(64, "0"), _word(1), _word(3 * _WORD), _word(size), data[2:], "00" * padding))


def _word(number: int) -> str:
    return f"{number:064x}"


def decode(answer: Any, count: int) -> list[bytes | None]:
    """The data that each of so many calls returned, None for those that failed.

    Raises:
        Malformed, RpcError: this is no such answer.
    """
    if isinstance(answer, Malformed | RpcError):
        raise answer
    try:
        raw = bytes.fromhex(answer[2:]) if isinstance(answer, str) and answer[:2] == "0x" else b""
    except ValueError:
        raise Malformed("returned data is not hexadecimal") from None
    start = _integer(raw, 0) + _WORD
    if _integer(raw, start - _WORD) != count:
        raise Malformed("another number of answers than calls")
    return [_result(raw, start + _integer(raw, start + _WORD * place)) for place in range(count)]


def _result(raw: bytes, start: int) -> bytes | None:
    success, place = _integer(raw, start), start + _integer(raw, start + _WORD)
    size = _integer(raw, place)
    data = raw[place + _WORD : place + _WORD + size]
    if success > 1 or size > LONGEST or len(data) != size:
        raise Malformed("returned data is not what it says")
    return data if success else None


def _integer(raw: bytes, place: int) -> int:
    word = raw[place : place + _WORD]
    if len(word) != _WORD:
        raise Malformed("returned data is too short")
    return int.from_bytes(word)
