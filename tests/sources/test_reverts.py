"""Classes of reverts, with selectors reckoned anew from the errors' names."""

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

from exporter.sources import reverts

NAMES = {
    "slippage": """InsufficientOutputAmount() INSUFFICIENT_OUTPUT_AMOUNT() TooLittleReceived() V3TooLittleReceived()
        V2TooLittleReceived() V4TooLittleReceived(uint256,uint256) SlippageExceeded() ExcessiveSlippage()
        InsufficientOutput() PriceSlippage() ReturnAmountIsNotEnough() ReturnAmountIsNotEnough(uint256,uint256)""",
    "unprofitable": """NotProfitable() NoProfit() NoProfit(uint256,uint256) InsufficientProfit()
        InsufficientProfit(uint256,uint256) Unprofitable() NotEnoughProfit() ProfitTooLow()""",
    "insufficient_liquidity": "InsufficientLiquidity() NotEnoughLiquidity()",
    "insufficient_funds": """InsufficientBalance() InsufficientBalance(uint256,uint256)
        ERC20InsufficientBalance(address,uint256,uint256) ERC20InsufficientAllowance(address,uint256,uint256)
        InsufficientFunds() InsufficientAllowance() TransferFromFailed() TransferFailed()""",
    "timeout": """DeadlineExpired() DeadlineExpired(uint256) Expired() TransactionDeadlinePassed()
        TransactionTooOld()""",
}
ERRORS = [(name, error) for name, listed in NAMES.items() for error in listed.split()]


def selector(signature: str) -> str:
    return "0x" + bytes(Web3.keccak(text=signature)[:4]).hex()


def words(text: str) -> str:
    return selector("Error(string)") + encode(["string"], [text]).hex()


@pytest.mark.parametrize(("name", "error"), ERRORS)
def test_well_known_errors(name: str, error: str) -> None:
    assert reverts.reason(selector(error) + "00" * 64, 10, 100) == name


def test_no_selector_is_listed_that_has_no_name_here() -> None:
    assert set(reverts._KNOWN) == {selector(error) for _, error in ERRORS}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT", "slippage"),
        ("UniswapV2: INSUFFICIENT_LIQUIDITY", "insufficient_liquidity"),
        ("No profit", "unprofitable"),
        ("UniswapV2Router: EXPIRED", "timeout"),
        ("ERC20: transfer amount exceeds balance", "insufficient_funds"),
        ("strange", "other"),
        ("", "unknown"),
    ],
)
def test_texts_mean_what_they_mean_in_the_bots_files(text: str, name: str) -> None:
    assert reverts.reason(words(text), 10, 100) == name


def test_panics_unknown_errors_and_silence() -> None:
    assert reverts.reason(selector("Panic(uint256)") + "11".zfill(64), 10, 100) == "panic"
    assert reverts.reason(selector("Strange(uint8)") + "11".zfill(64), 10, 100) == "custom_error"
    assert reverts.reason("0x", 10, 100) == reverts.reason("", 10, 100) == "reverted"
    assert reverts.reason("0x", 100, 100) == reverts.reason("0x1234", 99, 100) == "out_of_gas"


@given(st.binary(max_size=200))
def test_no_data_is_too_odd(raw: bytes) -> None:
    for data in ("0x" + raw.hex(), reverts._ERROR + raw.hex()):
        assert reverts.reason(data, 1, 2).isidentifier()
