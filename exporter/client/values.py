"""How a value of the bot becomes JSON: amounts exactly, everything else only if it is what it should be."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Final

type Amount = Decimal | int | float | str
"""Ether, tokens or a ratio, as the field's name says. A float counts as its shortest decimal form."""
type Moment = datetime | float | str
"""Epoch seconds, a datetime with a zone, or RFC 3339."""
type Name = str
"""Up to 200 printable characters."""
type Words = str
"""An explanation, such as an error's text; cut and cleaned, never refused for its length."""
type Hash = str | bytes
"""Of a transaction, in hex or as web3 gives it."""
type Count = int
"""Zero or more."""
type Flag = bool

LONGEST_NAME: Final = 200
DIGITS: Final = 60
"""Of an amount, on each side of the point: 2**256 wei has 78 in all, an ether amount of it 60 and 18."""
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_PLAIN: Final = re.compile(r"-?[0-9]{1,60}(?:\.[0-9]{1,60})?")
_LONGEST_BITS: Final = 199  # nearly 10**60
_LATEST: Final = 1e11  # epoch seconds: what is more was meant in milliseconds
_LARGEST_COUNT: Final = 2**53 - 1


class Unfit(Exception):
    """A value is not what its field asks for."""


def ether(wei: int) -> Decimal:
    """Wei in ether, without any rounding. Not a number, and so counted as invalid, if `wei` is no integer."""
    if not isinstance(wei, int) or isinstance(wei, bool):
        return Decimal("NaN")
    return Decimal((int(wei < 0), tuple(map(int, str(abs(wei)))), -18))


def amount(value: object) -> str:
    """An amount as a string of plain digits.

    Raises:
        Unfit: it is no finite number, or absurdly long.
    """
    if isinstance(value, str):
        value = _digits(value)
    elif isinstance(value, float):
        value = _digits(float.__repr__(value))
    elif isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _LONGEST_BITS:
        value = int.__repr__(value)
    if isinstance(value, Decimal):
        value = _plain(value)
    if not isinstance(value, str) or len(value) > 2 * DIGITS:
        raise Unfit
    return f'"{value}"'


def _digits(text: str) -> str | Decimal:
    """The text itself if it is a number in digits, as nearly always; what has an exponent is worked out."""
    if len(text) <= 2 * DIGITS and _PLAIN.fullmatch(text):
        return text
    if len(text) > 2 * DIGITS or not _NUMBER.fullmatch(text):
        raise Unfit
    return Decimal(text)


def _plain(value: Decimal) -> str:
    if not value.is_finite():
        raise Unfit
    if not value:
        return "0"
    if not -DIGITS <= value.adjusted() < DIGITS:
        raise Unfit
    return format(value, "f")


def moment(value: object) -> str:
    """A moment in epoch seconds, to the microsecond.

    Raises:
        Unfit: it has no zone, or cannot be meant.
    """
    if isinstance(value, float) and 0 < value < _LATEST:
        return repr(round(value, 6))
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise Unfit from None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise Unfit
        value = value.timestamp()
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < _LATEST:
        raise Unfit
    return repr(round(float(value), 6))


def name(value: object) -> str:
    """A name or a few words.

    Raises:
        Unfit: it is empty, too long, or cannot be printed.
    """
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME or not value.isprintable():
        raise Unfit
    return encode_basestring_ascii(value)


def words(value: object) -> str:
    """An explanation, cut to what is of use.

    Raises:
        Unfit: it is no text.
    """
    if not isinstance(value, str):
        raise Unfit
    return encode_basestring_ascii("".join(c if c.isprintable() else " " for c in value[:LONGEST_NAME]))


def transaction(value: object) -> str:
    """The hash of a transaction.

    Raises:
        Unfit: it is neither a name nor 32 bytes.
    """
    if isinstance(value, bytes) and len(value) == 32:
        return f'"0x{bytes(value).hex()}"'
    return name(value)


def count(value: object) -> str:
    """A number of things.

    Raises:
        Unfit: it is no integer, or negative.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST_COUNT:
        raise Unfit
    return str(int(value))


def flag(value: object) -> str:
    """True or false.

    Raises:
        Unfit: it is neither.
    """
    if value is True:
        return "true"
    if value is False:
        return "false"
    raise Unfit


def one_of(*words: str) -> Callable[[object], str]:
    """What turns one of the words into JSON, and raises `Unfit` for everything else."""
    known = {word: encode_basestring_ascii(word) for word in words}

    def chosen(value: object) -> str:
        if not isinstance(value, str) or value not in known:
            raise Unfit
        return known[value]

    return chosen
