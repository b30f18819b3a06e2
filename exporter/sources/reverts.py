"""Why a transaction was undone, as one of few classes, from the data that its contract reverted with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.sources.records import failure_reason

OUT_OF_GAS, PANIC, CUSTOM, SILENT = "out_of_gas", "panic", "custom_error", "reverted"
_ERROR, _PANIC = "0x08c379a0", "0x4e487b71"
_BY_CLASS: Final[Mapping[str, str]] = {
    "slippage": "42301c23 27dc822c c9f52c71 39d35496 849eaf98 8b063d73 8199f5f3 97c7f537 bb2875c3 dd6570c9 f32bec2f"
    " 064a4ec6",
    "unprofitable": "a5adf0af e39aafee 31708d59 4e47f8ea 4e88422a 0b4cb199 3b5c3088 dfaaa478",
    "insufficient_liquidity": "bb55fd27 4323a555",
    "insufficient_funds": "f4d678b8 cf479181 e450d38c fb8f41b2 356680b7 13be252b 7939f424 90b8ec18",
    "timeout": "1ab7da6b bc3088ef 203d82d8 5bf6f916 a83116fc",
}
"""Selectors of errors that routers and arbitrage contracts declare; their names are in this module's test."""
_KNOWN: Final = {"0x" + selector: name for name, listed in _BY_CLASS.items() for selector in listed.split()}
_LONGEST: Final = 500


def reason(data: str, gas_used: int, gas_limit: int) -> str:
    """The class of a revert; `data` is hexadecimal, `0x` or nothing if there is none."""
    selector = data[:10]
    if selector == _ERROR:
        return failure_reason(_string(data))
    if selector == _PANIC:
        return PANIC
    if len(selector) == len(_ERROR):
        return _KNOWN.get(selector.lower(), CUSTOM)
    return OUT_OF_GAS if gas_used >= gas_limit * 63 // 64 else SILENT


def _string(data: str) -> str:
    """The text of `Error(string)`, as far as it goes."""
    raw = bytes.fromhex(data[10:])
    length = int.from_bytes(raw[32:64], "big")
    return raw[64 : 64 + min(length, _LONGEST)].decode("utf-8", "replace")
