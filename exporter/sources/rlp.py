"""A transaction as it is signed, for the fee that depends on its bytes: recursive length prefix encoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from exporter.sources.jsonrpc import Malformed, quantity

type Item = bytes | list[Item]

_SHORT: Final = 55
_LEGACY: Final = ("nonce", "gasPrice", "gas", "to", "value", "input")
_TYPED: Final = {
    1: ("chainId", "nonce", "gasPrice", "gas", "to", "value", "input", "accessList"),
    2: ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList"),
    4: (
        "chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList",
        "authorizationList",
    ),
}  # fmt: skip


def encode(item: Item) -> bytes:
    """The encoding of bytes, or of a list of such."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _prefix(0x80, len(item)) + item
    body = b"".join(map(encode, item))
    return _prefix(0xC0, len(body)) + body


def _prefix(offset: int, length: int) -> bytes:
    if length <= _SHORT:
        return bytes([offset + length])
    size = number(length)
    return bytes([offset + _SHORT + len(size)]) + size


def number(value: int) -> bytes:
    """A number in as few bytes as it needs; none for zero."""
    return value.to_bytes((value.bit_length() + 7) // 8)


def unsigned(fields: Mapping[str, Any], kind: int, chain_id: int) -> bytes:
    """A transaction as nodes give it, encoded without its signature.

    Raises:
        Malformed: it is of a kind that is not known, or a field is missing.
    """
    if kind == 0:
        parts = [_field(fields, name) for name in _LEGACY]
        return encode([*parts, number(chain_id), b"", b""])
    if kind not in _TYPED:
        raise Malformed("the transaction's type is not known")
    return bytes([kind]) + encode([_field(fields, name) for name in _TYPED[kind]])


def _field(fields: Mapping[str, Any], name: str) -> Item:
    value = fields.get(name)
    if name == "accessList":
        return [[_bytes(entry["address"]), list(map(_bytes, entry["storageKeys"]))] for entry in _listed(value)]
    if name == "authorizationList":
        return [_authorization(entry) for entry in _listed(value)]
    if name in ("to", "input"):
        return b"" if value is None else _bytes(value)
    return number(quantity(value))


def _authorization(entry: Mapping[str, Any]) -> Item:
    parts: list[Item] = [number(quantity(entry.get(name))) for name in ("chainId", "nonce", "yParity", "r", "s")]
    return [parts[0], _bytes(entry["address"]), *parts[1:]]


def _listed(value: Any) -> list[Mapping[str, Any]]:
    entries = value or []
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "address" in e for e in entries):
        raise Malformed("a transaction's list is none")
    if not all(isinstance(e.get("storageKeys", []), list) for e in entries):
        raise Malformed("a transaction's list is none")
    return [{"storageKeys": [], **entry} for entry in entries]


def _bytes(value: Any) -> bytes:
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError):
        raise Malformed("a transaction's field is not hexadecimal") from None
