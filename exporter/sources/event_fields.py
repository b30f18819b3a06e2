"""The kinds of values in events: how each is read strictly, and what it looks like as JSON Schema."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, Final

from exporter.log import Plain
from exporter.metrics import label
from exporter.sources import records
from exporter.sources.files import Unreadable
from exporter.sources.pairs import SYMBOLS, pair_of_symbols

LONGEST: Final = 256
"""Characters of a text; as a label it may be shorter still."""
LARGEST: Final = 2**53 - 1
"""The largest whole number that every language's JSON keeps."""
MOST: Final = 10**22
"""Ether from which on an amount was not meant in ether."""
_CONTEXT: Final = Context(prec=60)
_NUMBER: Final = re.compile(r"-?[0-9]{1,60}(?:\.[0-9]{1,80})?(?:[eE][+-]?[0-9]{1,2})?")
_PLAIN: Final = re.compile(r"(-?[0-9]{1,21})(?:\.([0-9]{1,18}))?")
"""An amount of ether that is a whole number of wei, and less than `MOST`."""
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,12})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_TX_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")


class BadEvent(Plain):
    """An event that cannot be used: `field` is the one at fault, None if it is no event at all.

    `reason` is from the closed set `FAULTS`.
    """

    def __init__(self, name: str | None, wanted: str, reason: str) -> None:
        super().__init__(f"{name or 'the record'} {wanted}")
        self.field, self.reason = name, reason


FAULTS: Final = ("json", "shape", "type", "missing", "value", "size")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value: `read` gives what is kept of it, or None; `wanted` says in words what it must be."""

    read: Callable[[Any], Any]
    wanted: str
    schema: Mapping[str, Any]


def wire(kind: Kind, text: str, name: str = "", optional: bool = False, unsaid: Any = None) -> Any:
    """Declare a field: its kind, what it says, and its name in the event if that is another than here.

    An optional one may be missing or null, and is `unsaid` then.
    """
    known = {"kind": kind, "text": text, "name": name, "optional": optional}
    return field(default=unsaid, metadata=known) if optional else field(metadata=known)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= LONGEST else None


def _words(value: Any) -> str | None:
    """The beginning of a text of any length: a trade must not be lost over the words of its error."""
    return value[:LONGEST] if isinstance(value, str) else None


def _id(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= LONGEST and value.isprintable() else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: Any) -> Decimal | int | None:
    """A number, or a string that is one."""
    if isinstance(value, str):
        return Decimal(value) if len(value) <= 150 and _NUMBER.fullmatch(value) else None
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _ether(value: Any) -> int | None:
    if isinstance(value, str) and (plain := _PLAIN.fullmatch(value)):
        return int(plain[1] + (plain[2] or "").ljust(18, "0"))
    try:
        return records.ether(_number(value))
    except Unreadable:
        return None


def _cost(value: Any) -> int | None:
    amount = _ether(value)
    return amount if amount is not None and amount >= 0 else None


def _tokens(value: Any) -> Decimal | None:
    number = _number(value)
    return Decimal(number).normalize(_CONTEXT) if number is not None and 0 <= number < 10**60 else None


def _price(value: Any) -> Decimal | None:
    number = _number(value)
    positive = number is not None and Decimal("1e-60") < number < 10**60
    return Decimal(number).normalize(_CONTEXT) if number is not None and positive else None


def _ratio(least: int, most: int) -> Callable[[Any], float | None]:
    def read(value: Any) -> float | None:
        number = _number(value)
        return float(number) if number is not None and least <= number <= most else None

    return read


def _whole(least: int, most: int) -> Callable[[Any], int | None]:
    def read(value: Any) -> int | None:
        number = _number(value)
        return int(number) if number is not None and least <= number <= most and number == int(number) else None

    return read


def _time(value: Any) -> float | None:
    seconds: float | None = None
    if isinstance(value, str):
        seconds = _instant(value)
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool) and 0 < value < 10**12:
        seconds = float(value)
    return seconds if seconds is not None and records.EARLIEST <= seconds < records.LATEST else None


def _instant(text: str) -> float | None:
    if len(text) > 50 or not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        return None


def _venue(value: Any) -> str | None:
    return None if _text(value) is None else records.venue(value)


def _name(value: Any) -> str | None:
    return label(value) if _text(value) else None


def _token(value: Any) -> str | None:
    name = _name(value)
    return None if name is None else SYMBOLS.get(value.lower(), name)


def _pair(value: Any) -> str | None:
    return None if _text(value) is None else _pair_named(value)


@lru_cache(1024)
def _pair_named(text: str) -> str:
    return pair_of_symbols(text)


def _hash(value: Any) -> str | None:
    """A hash in lower case; of what is none, such as the one of a dry run, an empty text."""
    text = _text(value)
    return None if text is None else text.lower() if _TX_HASH.fullmatch(text) else ""


def choice(*names: str) -> Kind:
    """One of these words."""
    known = frozenset(names)
    return Kind(
        lambda value: value if isinstance(value, str) and value in known else None,
        f"must be one of {', '.join(names)}",
        {"type": "string", "enum": list(names)},
    )


def whole(least: int = 0, most: int = LARGEST) -> Kind:
    """A whole number."""
    return Kind(
        _whole(least, most),
        f"must be a whole number from {least} to {most}",
        _numeric({"type": "integer", "minimum": least, "maximum": most}),
    )


def ratio(least: int, most: int) -> Kind:
    """A part of one; 0.01 is a per cent."""
    return Kind(
        _ratio(least, most),
        f"must be a ratio from {least} to {most} (0.01 is 1 %)",
        _numeric({"type": "number", "minimum": least, "maximum": most}),
    )


def _string(least: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": LONGEST, **more}


def _numeric(number: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"type": "string", "pattern": f"^{_NUMBER.pattern}$"}, number]}


ID: Final = Kind(_id, f"must be a printable string of 1 to {LONGEST} characters", _string(1))
TIME: Final = Kind(
    _time,
    "must be a time with its zone (RFC 3339) or epoch seconds",
    {"anyOf": [{"type": "string", "format": "date-time"},
               {"type": "number", "minimum": records.EARLIEST, "exclusiveMaximum": records.LATEST}]},
)  # fmt: skip
FLAG: Final = Kind(_flag, "must be true or false", {"type": "boolean"})
TEXT: Final = Kind(_text, f"must be a string of at most {LONGEST} characters", _string())
WORDS: Final = Kind(_words, "must be a string", {"type": "string"})
NAME: Final = Kind(_name, f"must be a string of 1 to {LONGEST} characters", _string(1))
VENUE: Final = Kind(_venue, TEXT.wanted, _string())
TOKEN: Final = Kind(_token, NAME.wanted, _string(1))
PAIR: Final = Kind(_pair, TEXT.wanted, _string(examples=["WETH/USDC"]))
HASH: Final = Kind(_hash, TEXT.wanted, _string(examples=["0x" + "ab" * 32]))
ETHER: Final = Kind(
    _ether, "must be an amount of ether, as a decimal string or a number",
    _numeric({"type": "number", "exclusiveMinimum": -MOST, "exclusiveMaximum": MOST}),
)  # fmt: skip
COST: Final = Kind(
    _cost, "must be an amount of ether from 0 on, as a decimal string or a number",
    _numeric({"type": "number", "minimum": 0, "exclusiveMaximum": MOST}),
)  # fmt: skip
TOKENS: Final = Kind(
    _tokens, "must be an amount from 0 on, as a decimal string or a number", _numeric({"type": "number", "minimum": 0})
)
PRICE: Final = Kind(
    _price, "must be a price above 0, as a decimal string or a number",
    _numeric({"type": "number", "exclusiveMinimum": 0}),
)  # fmt: skip
