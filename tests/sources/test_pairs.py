import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import pairs
from exporter.sources.pairs import pair_of_symbols, pair_of_tokens


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("WETH-USDC", "WETH/USDC"),
        ("USDC-WETH", "WETH/USDC"),
        ("USDC/WETH", "WETH/USDC"),
        ("USDC_WETH", "WETH/USDC"),
        (" WETH - USDC ", "WETH/USDC"),
        ("WETH-wstETH", "wstETH/WETH"),
        ("WETH-cbETH", "cbETH/WETH"),
        ("ETH/cbETH", "cbETH/ETH"),
        ("cbETH/ETH", "cbETH/ETH"),
        ("USDC/ETH", "ETH/USDC"),
        ("USDC-USDbC", "USDC/USDbC"),
        ("USDbC-USDC", "USDC/USDbC"),
        ("USDC-DAI", "DAI/USDC"),
        ("DAI-USDC", "DAI/USDC"),
        ("AERO-cbETH", "cbETH/AERO"),
        ("PEPE-DEGEN", "PEPE/DEGEN"),
        ("DEGEN-PEPE", "DEGEN/PEPE"),
        ("WETH-DEGEN", "DEGEN/WETH"),
        ("0x4200000000000000000000000000000000000006-0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "WETH/USDC"),
        ("0x4200000000000000000000000000000000000006-0x000000000000000000000000000000000000dEaD", "other"),
        ("WETH", "unknown"),
        ("WETH-USDC-DAI", "unknown"),
        ("WETH-", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        (5, "unknown"),
        ("WE\x00TH-USDC", "unknown"),
        ("<script>-USDC", "unknown"),
        ("A" * 25 + "-USDC", "unknown"),
    ],
)
def test_pairs_as_bots_write_them(text: object, pair: str) -> None:
    assert pair_of_symbols(text) == pair


@given(st.sampled_from(sorted(pairs.ADDRESSES)), st.sampled_from(sorted(pairs.ADDRESSES)))
def test_the_order_of_known_tokens_does_not_matter_and_agrees_with_the_chains(one: str, other: str) -> None:
    if one == other:
        return
    named = pair_of_symbols(f"{one}-{other}")
    assert named == pair_of_symbols(f"{other}-{one}")
    tokens = (one, pairs.ADDRESSES[one]), (other, pairs.ADDRESSES[other])
    assert pair_of_tokens(*tokens) == (named, named.startswith(f"{other}/"))
    assert pair_of_tokens(*reversed(tokens)) == (named, named.startswith(f"{one}/"))


@given(st.text())
def test_whatever_a_bot_writes_is_a_safe_label(text: str) -> None:
    pair = pair_of_symbols(text)
    assert pair in ("unknown", "other") or (pair.count("/") == 1 and pair.isprintable() and len(pair) < 50)


def test_a_token_with_the_higher_address_is_the_quote() -> None:
    assert pair_of_tokens(("A", "0x02"), ("B", "0x01")) == ("B/A", True)
    assert pair_of_tokens(("USDC", "0x01"), ("A", "0x02")) == ("A/USDC", True)
