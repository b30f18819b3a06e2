"""What logs say was moved: our tokens, swaps at pools, and the route they make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

from exporter.config import Pool
from exporter.sources import flows, pools
from exporter.sources.contracts import PoolFacts, Token
from exporter.sources.flows import Swap
from exporter.sources.receipts import Log

WETH = Token("0x4200000000000000000000000000000000000006", "WETH", 18)
USDC = Token("0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", "USDC", 6)
ME, OTHER, NOBODY = "0x" + "a" * 40, "0x" + "b" * 40, "0x" + "0" * 40
TOPICS = {
    flows.TRANSFER: "Transfer(address,address,uint256)",
    flows.DEPOSIT: "Deposit(address,uint256)",
    flows.WITHDRAWAL: "Withdrawal(address,uint256)",
}
SWAPS = (
    "Swap(address,uint256,uint256,uint256,uint256,address)",
    "Swap(address,address,uint256,uint256,uint256,uint256)",
    "Swap(address,address,int256,int256,uint160,uint128,int24)",
    "Swap(address,address,int256,int256,uint160,uint128,int24,uint128,uint128)",
    "Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)",
    "Swap(bytes32,address,address,uint256,uint256)",
    "TokenExchange(address,int128,uint256,int128,uint256)",
    "TokenExchange(address,uint256,uint256,uint256,uint256)",
)
V2, AERODROME, V3, PANCAKE = list(flows.SWAPS)[:4]


def keccak(text: str) -> str:
    return "0x" + bytes(Web3.keccak(text=text)).hex()


def topic(address: str) -> str:
    return "0x" + address[2:].rjust(64, "0")


def data(*words: int) -> str:
    return "0x" + "".join(f"{word % 2**256:064x}" for word in words)


def transfer(token: Token, giver: str, taker: str, amount: int) -> Log:
    return Log(token.address, (flows.TRANSFER, topic(giver), topic(taker)), data(amount))


def wrap(event: str, who: str, amount: int) -> Log:
    return Log(WETH.address, (event, topic(who)), data(amount))


def gained(*logs: Log) -> dict[str, int]:
    return flows.of_tokens(logs, {ME}, {WETH.address})


def test_topics_are_those_of_the_events() -> None:
    assert {value: keccak(text) for value, text in TOPICS.items()} == {value: value for value in TOPICS}
    assert list(flows.SWAPS) == [keccak(SWAPS[i]) for i in (0, 1, 2, 3, 4, 5, 6, 7)]


def test_tokens_that_came_and_went() -> None:
    logs = (transfer(USDC, OTHER, ME, 50), transfer(USDC, ME, OTHER, 20), transfer(WETH, ME, OTHER, 7))
    assert gained(*logs, transfer(USDC, OTHER, OTHER, 1000)) == {USDC.address: 30, WETH.address: -7}


def test_what_evens_out_or_stays_among_us_is_no_gain() -> None:
    assert gained(transfer(USDC, OTHER, ME, 50), transfer(USDC, ME, OTHER, 50), transfer(USDC, ME, ME, 9)) == {}


def test_a_token_of_its_own_kind_is_not_an_amount() -> None:
    nft = Log(USDC.address, (flows.TRANSFER, topic(OTHER), topic(ME), data(5)), "0x")
    assert gained(nft, Log(USDC.address, (flows.TRANSFER, topic(OTHER), topic(ME)), "0x"), Log(ME, (), "0x")) == {}


def test_ether_that_was_wrapped_and_unwrapped() -> None:
    logs = (wrap(flows.WITHDRAWAL, ME, 9), wrap(flows.DEPOSIT, ME, 4), wrap(flows.WITHDRAWAL, OTHER, 100))
    elsewhere = Log(USDC.address, (flows.WITHDRAWAL, topic(ME)), data(1000))
    assert flows.of_ether((*logs, elsewhere, transfer(WETH, OTHER, ME, 7)), {ME}, {WETH.address}) == (9, 4)


def test_wrapping_is_told_by_events_of_its_own() -> None:
    assert gained(wrap(flows.DEPOSIT, ME, 9)) == {WETH.address: 9}
    assert gained(wrap(flows.WITHDRAWAL, ME, 9)) == {WETH.address: -9}
    assert gained(wrap(flows.DEPOSIT, OTHER, 9)) == {}
    assert flows.of_tokens([wrap(flows.DEPOSIT, ME, 9)], {ME}, set()) == {}


def test_wrapping_that_is_told_twice_counts_once() -> None:
    assert gained(transfer(WETH, NOBODY, ME, 9), wrap(flows.DEPOSIT, ME, 9)) == {WETH.address: 9}
    assert gained(wrap(flows.WITHDRAWAL, ME, 9), transfer(WETH, ME, NOBODY, 9)) == {WETH.address: -9}


@given(st.lists(st.tuples(st.sampled_from([ME, OTHER, NOBODY]), st.sampled_from([ME, OTHER]), st.integers(0, 2**200))))
def test_gains_are_the_balance_that_a_token_would_hold(moves: list[tuple[str, str, int]]) -> None:
    balance = sum(amount for _, taker, amount in moves if taker == ME) - sum(a for giver, _, a in moves if giver == ME)
    assert gained(*(transfer(USDC, *move) for move in moves)).get(USDC.address, 0) == balance


@pytest.mark.parametrize("event", [V2, AERODROME])
def test_swaps_that_tell_ins_and_outs(event: str) -> None:
    assert flows.swaps([Log(ME, (event, topic(ME), topic(ME)), data(5, 0, 0, 7))]) == [Swap(ME, 5, -7)]


@pytest.mark.parametrize("event", [V3, PANCAKE])
def test_swaps_that_tell_signed_amounts(event: str) -> None:
    assert flows.swaps([Log(ME, (event, topic(ME), topic(ME)), data(-5, 7, 1, 2, 3, 0, 0))]) == [Swap(ME, -5, 7)]


def test_swaps_elsewhere_and_torn_ones_count_without_amounts() -> None:
    logs = [Log(ME, (event,), "0x") for event in flows.SWAPS]
    assert flows.swaps(logs) == [Swap(ME, None, None)] * len(flows.SWAPS)
    assert flows.swaps([transfer(USDC, ME, OTHER, 1), Log(ME, (), "0x")]) == []


def venue(dex: str, address: str, token0: Token = WETH, token1: Token = USDC) -> pools.Venue:
    facts = PoolFacts(address, "uniswap_v2", token0, token1, 3000)
    return pools.venue(Pool(dex, "uniswap_v2", address), dex, facts)


DAI = Token("0x50c5725949a6f0c72e6c4a641f24049a917db0cb", "DAI", 18)
A, B, C, UNKNOWN = (f"0x{digit * 40}" for digit in "1234")
VENUES = {
    A: venue("uniswap", A), B: venue("sushi", B), C: venue("aerodrome", C, DAI, USDC),
    "0x" + "5" * 40: venue("curve", "0x" + "5" * 40, USDC, WETH),
}  # fmt: skip


def test_the_base_is_bought_where_it_leaves_a_pool() -> None:
    assert flows.route([Swap(A, -5, 7), Swap(B, 5, -8)], VENUES) == ("WETH/USDC", "uniswap", "sushi")
    assert flows.route([Swap(B, 5, -8), Swap(A, -5, 7)], VENUES) == ("WETH/USDC", "uniswap", "sushi")


def test_a_pool_with_its_tokens_the_other_way_round() -> None:
    assert flows.route([Swap("0x" + "5" * 40, 7, -5), Swap(A, 5, -8)], VENUES) == ("WETH/USDC", "curve", "uniswap")


def test_what_is_not_configured_is_unknown() -> None:
    assert flows.route([Swap(UNKNOWN, 1, -1), Swap(A, 5, -8)], VENUES) == ("WETH/USDC", "unknown", "uniswap")
    assert flows.route([Swap(UNKNOWN, 1, -1)], VENUES) == ("unknown",) * 3
    assert flows.route([], VENUES) == ("unknown",) * 3
    assert flows.route([Swap(A, None, None), Swap(B, None, None)], VENUES) == ("WETH/USDC", "unknown", "unknown")


def test_a_triangle_has_the_venues_of_its_ends() -> None:
    made = [Swap(A, 5, -8), Swap(C, 1, -1), Swap(UNKNOWN, 1, -1)]
    assert flows.route(made, VENUES) == ("WETH/USDC", "uniswap", "unknown")
    assert flows.route(made[:2], VENUES) == ("WETH/USDC", "uniswap", "aerodrome")
