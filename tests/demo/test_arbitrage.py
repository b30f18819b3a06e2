"""The arithmetic agrees with itself: no other amount is better, nothing is found where nothing is."""

import pytest

from demo.arbitrage import Reserves, amount_in, amount_out, best_input, between, opportunities
from demo.chain import ETHER, Pool

USDC = 10**6
ONE = Pool("uniswap", "WETH", "USDC", "0x" + "1" * 40)
TWO = Pool("sushiswap", "WETH", "USDC", "0x" + "2" * 40)
STAKED_ONE = Pool("uniswap", "cbETH", "WETH", "0x" + "3" * 40)
STAKED_TWO = Pool("sushiswap", "cbETH", "WETH", "0x" + "4" * 40)

DEAR = Reserves(weth=400 * ETHER, other=1_230_000 * USDC)
CHEAP = Reserves(weth=300 * ETHER, other=900_000 * USDC)


def left(amount: int) -> int:
    """What a round trip with so much WETH leaves."""
    return amount_out(amount_out(amount, DEAR.weth, DEAR.other), CHEAP.other, CHEAP.weth) - amount


@pytest.mark.parametrize("factor", [0.5, 0.9, 0.99, 1.01, 1.1, 2])
def test_no_other_input_leaves_more(factor: float) -> None:
    best = best_input(DEAR, CHEAP)
    assert left(best) > left(round(best * factor))


def test_the_opportunity_is_what_the_pools_give() -> None:
    found = between(ONE, DEAR, TWO, CHEAP)
    assert found is not None
    assert found.received == amount_out(found.borrowed, CHEAP.other, CHEAP.weth)
    assert amount_out(found.owed, DEAR.weth, DEAR.other) >= found.borrowed
    assert found.profit == pytest.approx(left(best_input(DEAR, CHEAP)), rel=1e-6)


def test_the_wrong_direction_and_equal_prices_give_nothing() -> None:
    assert between(TWO, CHEAP, ONE, DEAR) is None
    assert between(ONE, CHEAP, TWO, CHEAP) is None


def test_the_fee_closes_small_spreads() -> None:
    nearly = Reserves(weth=300 * ETHER, other=905_000 * USDC)
    assert between(ONE, nearly, TWO, CHEAP) is None


def test_only_pools_of_one_pair_are_compared_and_the_best_comes_first() -> None:
    staked = Reserves(weth=300 * ETHER, other=300 * ETHER)
    tilted = Reserves(weth=300 * ETHER, other=303 * ETHER)
    found = opportunities({ONE: DEAR, STAKED_ONE: staked, TWO: CHEAP, STAKED_TWO: tilted})
    assert [opportunity.sell_at for opportunity in found] == [ONE, STAKED_TWO]
    assert found[0].profit > found[1].profit


def test_venues_tell_where_the_base_token_is_bought_and_sold() -> None:
    found = between(ONE, DEAR, TWO, CHEAP)
    assert found is not None
    assert found.venues == ("sushiswap", "uniswap")
    staked = between(STAKED_ONE, Reserves(300 * ETHER, 310 * ETHER), STAKED_TWO, Reserves(300 * ETHER, 300 * ETHER))
    assert staked is not None
    assert staked.venues == ("uniswap", "sushiswap")


def test_amount_in_is_the_least_that_suffices() -> None:
    wanted = 1234 * USDC
    needed = amount_in(wanted, DEAR.weth, DEAR.other)
    assert amount_out(needed, DEAR.weth, DEAR.other) >= wanted
    assert amount_out(needed * 999_999 // 1_000_000, DEAR.weth, DEAR.other) < wanted
