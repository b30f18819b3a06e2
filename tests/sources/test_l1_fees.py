from fractions import Fraction
from typing import Any

import pytest

from exporter.sources import l1_fees
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.l1_fees import Prices
from tests.fake_rpc import word

# A receipt of Base mainnet's shape; the fee is 16 * scalar * base + blob scalar * blob base, times the size / 10**12.
RECEIPT = {
    "l1Fee": hex(3_000_000), "l1GasPrice": hex(1000), "l1BlobBaseFee": hex(7),
    "l1BaseFeeScalar": hex(2), "l1BlobBaseFeeScalar": hex(4),
}  # fmt: skip


def test_a_data_fee_moves_with_the_prices_of_l1() -> None:
    size = l1_fees.weight(RECEIPT)
    assert size == Fraction(3_000_000, 16 * 2 * 1000 + 4 * 7)
    unit = Prices(2000, 14, 2, 4).unit
    assert unit is not None
    assert size * unit == 6_000_000


@pytest.mark.parametrize("name", RECEIPT)
@pytest.mark.parametrize("value", [None, "x", 5])
def test_a_receipt_that_does_not_tell_has_no_weight(name: str, value: Any) -> None:
    assert l1_fees.weight(RECEIPT | {name: value}) is None


@pytest.mark.parametrize(
    "receipt", [None, [], {}, RpcError(-32000), Malformed("x"), RECEIPT | dict.fromkeys(list(RECEIPT)[1:], "0x0")]
)
def test_what_is_no_receipt_or_of_a_free_l1_has_no_weight(receipt: Any) -> None:
    assert l1_fees.weight(receipt) is None


def test_prices_are_as_complete_as_the_oracle() -> None:
    told = l1_fees.prices([word(1), word(2), word(3), RpcError(3)])
    assert (told, told.unit) == (Prices(1, 2, 3, None), None)
    assert Prices(1, 2, 3, 4).unit == 16 * 3 * 1 + 4 * 2
    assert [Prices(*(1 if n != i else None for n in range(4))).unit for i in range(4)] == [None] * 4


def test_the_operator_fee_is_asked_by_gas() -> None:
    method, (call, block) = l1_fees.operator_fee(255)
    assert (method, call["to"], block) == ("eth_call", l1_fees.ORACLE, "latest")
    assert call["data"] == "0x275aedd2" + "00" * 31 + "ff"
