"""Words and sentences of bots end in a closed set of reasons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources.reasons import REJECTIONS, rejection


@pytest.mark.parametrize("reason", REJECTIONS)
def test_a_reason_named_is_that_reason(reason: str) -> None:
    assert rejection(reason) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Gas price 0.5 gwei above the maximum", "gas_too_high"),
        ("network fee eats it", "gas_too_high"),
        ("net PROFIT below threshold", "profit_too_low"),
        ("ROI 0.1 % < 0.2 %", "profit_too_low"),
        ("slippage 3 % > 1 %", "slippage"),
        ("price impact too high", "slippage"),
        ("not enough liquidity in pool", "liquidity"),
        ("price moved away", "price_moved"),
        ("spread closed", "price_moved"),
        ("stale price (12 s)", "stale_price"),
        ("eth_call reverted", "simulation_failed"),
        ("confidence 0.3 < 0.5", "confidence_too_low"),
        ("exposure limit reached", "risk_limit"),
        ("insufficient balance", "balance"),
        ("flash loan provider has no liquidity", "flash_loan_unavailable"),
        ("competitor was faster: front-run", "competition"),
        ("deadline exceeded", "timeout"),
        ("because", "other"),
        ("", "other"),
        (None, "other"),
        (7, "other"),
    ],
)
def test_a_sentence_means_a_reason(text: object, reason: str) -> None:
    assert rejection(text) == reason


@given(st.text())
def test_whatever_is_said_the_set_is_closed(text: str) -> None:
    assert rejection(text) in REJECTIONS
