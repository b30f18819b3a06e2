"""Amounts as decimal strings: exact where they are decimal, and never with an exponent."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final

WEI: Final = 18
_DIGITS: Final = Context(prec=18)


def text(amount: Fraction | Decimal | float | None) -> str | None:
    """A decimal string without exponent: exact for whole and decimal numbers, 18 digits of a fraction, None stays."""
    if amount is None or (isinstance(amount, float) and not math.isfinite(amount)):
        return None
    if isinstance(amount, Fraction):
        amount = _DIGITS.divide(Decimal(amount.numerator), Decimal(amount.denominator))
    if isinstance(amount, int):
        return str(amount)
    made = f"{Decimal(repr(amount)) if isinstance(amount, float) else amount:f}"
    return made.rstrip("0").rstrip(".") if "." in made else made


def ether(wei: int | None) -> str | None:
    """Wei as a decimal string of ether, exactly."""
    if wei is None:
        return None
    digits = str(abs(wei)).rjust(WEI + 1, "0")  # a page has thousands, and a Decimal takes longer
    whole, part = digits[:-WEI], digits[-WEI:].rstrip("0")
    return f"{'-' if wei < 0 else ''}{whole}{'.' if part else ''}{part}"
