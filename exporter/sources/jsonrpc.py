"""JSON-RPC as bytes and words: requests, answers, quantities and ABI words. No input or output."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, Final

from exporter.log import Plain

type Call = tuple[str, list[Any]]
"""(method, parameters)"""

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_RATE_CODES: Final = frozenset((-32005, -32016, -32029, 429))
WORD: Final = 64
MOST_REVERT_DATA: Final = 8192
MOST_VALUES: Final = 200_000
"""More in one answer is a bomb: eight megabytes of `[],` become two hundred, and hold up the loop for half a second."""
LEAST_BYTES: Final = 32
"""Bytes a value takes at least, on average, in an honest answer with more values than that."""


class Malformed(Plain):
    """An answer that is not what JSON-RPC, or the method, promises."""

    outcome = "malformed"


class Refused(Malformed):
    """The node does not take a batch as a whole, as a rule because it is too large."""

    outcome = "rpc_error"


class TooMany(Malformed):
    """An answer with more values than is good for anybody; a smaller batch may have fewer."""


class RateLimited(Plain):
    """The node asks to be left alone for a while."""

    outcome = "rate_limited"


class RpcError(Plain):
    """The node answered one call with an error; its text is never repeated. `data` is what a contract reverted with."""

    def __init__(self, code: int, data: str = "") -> None:
        super().__init__(f"the node answered with error {code}")
        self.code, self.data = code, data
        self.outcome = "rate_limited" if code in _RATE_CODES else "rpc_error"


def request(calls: Sequence[Call]) -> bytes:
    """The body of a batch; ids are the places in it."""
    parts = [{"jsonrpc": "2.0", "id": i, "method": m, "params": params} for i, (m, params) in enumerate(calls)]
    return json.dumps(parts, separators=(",", ":")).encode()


def answers(body: bytes, count: int) -> list[Any]:
    """The results of a batch in order; an error of one call is an `RpcError` in its place.

    Raises:
        Malformed: this is no answer to that batch. Refused, RateLimited: nor will there be one. TooMany: it is a bomb.
    """
    parsed = parse(body)
    parts = [parsed] if isinstance(parsed, dict) else parsed
    if not isinstance(parts, list) or not parts:
        raise Malformed("the answer is not a batch")
    _check_refusal(parts, count)
    found: dict[int, Any] = {}
    for part in parts:
        place = part.get("id") if isinstance(part, dict) else None
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < count or place in found:
            raise Malformed("the answer has unknown or doubled ids")
        found[place] = result(part)
    return [found.get(place, Malformed("the answer to this call is missing")) for place in range(count)]


def outcome(result: Any) -> str:
    """The class of one call's result."""
    return result.outcome if isinstance(result, Malformed | RpcError) else "ok"


def parse(body: bytes) -> Any:
    """JSON, as strict as it is meant to be.

    Raises:
        Malformed: it is none. TooMany: it is a bomb.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > max(MOST_VALUES, len(body) // LEAST_BYTES):
        raise TooMany("the answer has too many values")
    try:
        return json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        raise Malformed("the answer is not JSON") from None


def _no_number(_: str) -> Any:
    raise ValueError


def _finite(text: str) -> float:
    return value if math.isfinite(value := float(text)) else _no_number(text)  # such as 1e999


def _check_refusal(parts: list[Any], count: int) -> None:
    """Errors alone, where they mean the batch and not its calls: nodes send one, or the same for each call."""
    errors = [part.get("error") for part in parts if isinstance(part, dict)]
    if len(errors) < len(parts) or None in errors:
        return
    single = len(parts) == 1 and (count > 1 or not isinstance(parts[0].get("id"), int))
    if count > 1 and all(map(_names_batch, errors)):
        raise Refused("the batch is too large for the node")
    if all(_code(error) in _RATE_CODES for error in errors):
        raise RateLimited("the node limits the rate of requests")
    if single:
        raise Refused(f"the node refused the whole batch with error {_code(errors[0])}")


def _names_batch(error: Any) -> bool:
    """Whether it is the size that a node minds; some give that the code of a rate limit."""
    return isinstance(error, dict) and "batch" in str(error.get("message", ""))[:200].lower()


def result(part: dict[str, Any]) -> Any:
    """The result of one answer, or the error that it is."""
    if part.get("error") is not None:
        return RpcError(_code(part["error"]), _revert_data(part["error"]))
    return part["result"] if "result" in part else Malformed("the answer has neither result nor error")


def _code(error: Any) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) and abs(code) < 10**9 else 0


def _revert_data(error: Any) -> str:
    """The data of a revert; some nodes wrap it into an object, or put words before it."""
    found = error.get("data") if isinstance(error, dict) else None
    if isinstance(found, dict):
        found = found.get("data") or found.get("result")
    text = found.rpartition(" ")[2] if isinstance(found, str) and len(found) <= MOST_REVERT_DATA else ""
    return text if _DATA.fullmatch(text) else ""


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
