"""JSON-RPC as bytes and words: requests, answers, quantities and ABI words. No input or output."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from exporter.log import Plain

type Call = tuple[str, list[Any]]
"""(method, parameters)"""

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_RATE_CODES: Final = frozenset((-32005, -32029, 429))
WORD: Final = 64


class Malformed(Plain):
    """An answer that is not what JSON-RPC, or the method, promises."""


class RateLimited(Plain):
    """The node asks to be left alone for a while."""


class RpcError(Plain):
    """The node answered one call with an error; its text is never repeated."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the node answered with error {code}")
        self.code = code


def request(calls: Sequence[Call]) -> bytes:
    """The body of a batch; ids are the places in it."""
    parts = [{"jsonrpc": "2.0", "id": i, "method": m, "params": params} for i, (m, params) in enumerate(calls)]
    return json.dumps(parts, separators=(",", ":")).encode()


def answers(body: bytes, count: int) -> list[Any]:
    """The results of a batch in order; an error of one call is an `RpcError` in its place.

    Raises:
        Malformed: this is no answer to that batch. RateLimited: all of it was refused.
    """
    parsed = _parse(body)
    if isinstance(parsed, dict):
        _refused(parsed)
        parsed = [parsed]
    if not isinstance(parsed, list):
        raise Malformed("the answer is not a batch")
    found: dict[int, Any] = {}
    for part in parsed:
        place = part.get("id") if isinstance(part, dict) else None
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < count or place in found:
            raise Malformed("the answer has unknown or doubled ids")
        found[place] = _result(part)
    if found and all(isinstance(f, RpcError) and f.code in _RATE_CODES for f in found.values()):
        raise RateLimited("the node limits the rate of requests")
    return [found.get(place, Malformed("the answer to this call is missing")) for place in range(count)]


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Malformed("the answer is not JSON") from None


def _no_constant(_: str) -> Any:
    raise ValueError


def _refused(answer: dict[str, Any]) -> None:
    """A single object in place of a batch: an error about all of it, unless it answers a batch of one."""
    error = answer.get("error")
    if error is not None and not isinstance(answer.get("id"), int):
        code = _code(error)
        if code in _RATE_CODES:
            raise RateLimited("the node limits the rate of requests")
        raise Malformed(f"the node refused the whole batch with error {code}")


def _result(part: dict[str, Any]) -> Any:
    if part.get("error") is not None:
        return RpcError(_code(part["error"]))
    return part["result"] if "result" in part else Malformed("the answer has neither result nor error")


def _code(error: Any) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) and abs(code) < 10**9 else 0


def quantity(value: Any) -> int:
    """A number as nodes write it.

    Raises:
        Malformed, RpcError: it is none; an error in a batch's place is raised as it is.
    """
    if isinstance(value, Plain):
        raise value
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise Malformed("a number is not hexadecimal")
    return int(value, 16)


def words(value: Any, least: int) -> list[int]:
    """The 32-byte words of returned data, at least so many; more are ignored.

    Raises:
        Malformed, RpcError: it is no such data. Empty data means that there is no contract.
    """
    if isinstance(value, Plain):
        raise value
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise Malformed("returned data is not hexadecimal")
    if len(value) < 2 + least * WORD:
        raise Malformed("there is no such contract there" if value == "0x" else "returned data is too short")
    return [int(value[start : start + WORD], 16) for start in range(2, 2 + least * WORD, WORD)]


def field(value: Any, name: str) -> Any:
    """A member of a returned object.

    Raises:
        Malformed, RpcError: there is no object, or no such member.
    """
    if isinstance(value, Plain):
        raise value
    if not isinstance(value, dict) or name not in value:
        raise Malformed(f"the answer has no {name}")
    return value[name]


def call_data(selector: str, *arguments: int) -> str:
    """A selector and its arguments as words."""
    return selector + "".join(f"{argument:064x}" for argument in arguments)


def eth_call(to: str, data: str) -> Call:
    """A read of a contract at the latest block."""
    return "eth_call", [{"to": to, "data": data}, "latest"]
