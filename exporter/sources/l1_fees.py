"""L1 data fees of an OP-stack chain: what L1 charges now, and how much of it a transaction was. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from exporter.sources.jsonrpc import Call, Malformed, RpcError, call_data, eth_call, field, quantity, words

ORACLE: Final = "0x420000000000000000000000000000000000000f"
L1_BASE_FEE, BLOB_BASE_FEE = "0x519b4bd3", "0xf8206140"
BASE_SCALAR, BLOB_SCALAR = "0xc5985918", "0x68d5dca6"
OPERATOR_FEE = "0x275aedd2"
PRICES: Final[tuple[Call, ...]] = tuple(
    eth_call(ORACLE, selector) for selector in (L1_BASE_FEE, BLOB_BASE_FEE, BASE_SCALAR, BLOB_SCALAR)
)
"""The calls that `prices` reads the answers of."""
_RECEIPT: Final = ("l1GasPrice", "l1BlobBaseFee", "l1BaseFeeScalar", "l1BlobBaseFeeScalar")


@dataclass(frozen=True, slots=True)
class Prices:
    """What L1 charges, fees in wei; None where the oracle of this fork does not tell."""

    base_fee_wei: int | None = None
    blob_base_fee_wei: int | None = None
    base_scalar: int | None = None
    blob_scalar: int | None = None

    @property
    def unit(self) -> int | None:
        """What every data fee is proportional to, since the forks that post blobs; None before those, or unknown."""
        if (
            self.base_fee_wei is None
            or self.blob_base_fee_wei is None
            or self.base_scalar is None
            or self.blob_scalar is None
        ):
            return None
        return 16 * self.base_scalar * self.base_fee_wei + self.blob_scalar * self.blob_base_fee_wei


def prices(answers: Sequence[Any]) -> Prices:
    """The answers to `PRICES`; some forks lack one of the functions, which is normal."""
    return Prices(*map(word, answers))


def operator_fee(gas: int) -> Call:
    """Ask for the operator fee of so much gas."""
    return eth_call(ORACLE, call_data(OPERATOR_FEE, gas))


def word(answer: Any) -> int | None:
    """The one number of an answer; None if there is none."""
    try:
        return words(answer, 1)[0]
    except (Malformed, RpcError):
        return None


def weight(receipt: Any) -> Fraction | None:
    """A transaction's data fee in units of the time it was mined: what its size alone makes of it.

    None where its receipt does not tell what L1 charged.
    """
    try:
        paid, *told = (quantity(field(receipt, name)) for name in ("l1Fee", *_RECEIPT))
    except (Malformed, RpcError):
        return None
    unit = Prices(*told).unit
    return Fraction(paid, unit) if unit else None
