"""What spreads are worth, since when, and what is not computed twice."""

from __future__ import annotations

from exporter.config import Pool
from exporter.sources import pools
from exporter.sources.contracts import PoolFacts, Token
from exporter.sources.costs import Costs
from exporter.sources.curves import ConstantProduct
from exporter.sources.market import PoolState
from exporter.sources.shapes import State
from exporter.sources.weighing import Scales

WETH, USDC, DAI = (
    Token("0x" + "01" * 20, "WETH", 18),
    Token("0x" + "02" * 20, "USDC", 6),
    Token("0x" + "03" * 20, "DAI", 18),
)
OTHER_USDC = Token("0x" + "04" * 20, "USDC", 6)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def state(name: str, price: int, base: Token = WETH, quote: Token = USDC, depth: int = 100) -> PoolState:
    curve = ConstantProduct(depth * 10**base.decimals, depth * price * 10**quote.decimals)
    facts = PoolFacts("0x" + name.encode().hex().rjust(40, "0"), "uniswap_v2", base, quote, 3000)
    venue = pools.venue(Pool(name, "uniswap_v2", facts.address), name, facts)
    reading = pools.reading(venue, State(curve, curve.price, 3000, (curve.reserve0, curve.reserve1)))
    return PoolState(venue, reading, 100, 1000.0, 1000.0)


def test_a_profit_in_ether_and_whether_it_pays() -> None:
    costs = Costs(lambda: 0.0)
    scales = Scales(costs, Clock())
    states = (state("a", 3000), state("b", 3300))
    (unknown,) = scales.opportunities(states)
    assert unknown.spread.profit is not None and unknown.profit_wei is not None
    # The deepest of two pools of equal ether is the one with more dollars.
    assert unknown.profit_wei == unknown.spread.profit * 10**12 // 3300
    assert unknown.pays is None
    costs.trade_cost_wei = unknown.profit_wei - 1
    assert scales.opportunities(states)[0].pays is True
    costs.trade_cost_wei = unknown.profit_wei
    assert scales.opportunities(states)[0].pays is False


def test_a_token_without_a_way_to_ether_has_no_worth() -> None:
    (found,) = Scales(Costs()).opportunities((state("a", 1, DAI, USDC), state("b", 2, DAI, USDC)))
    assert (found.profit_wei, found.pays) == (None, None)
    assert found.spread.profit


def test_since_when_a_spread_has_been_above_zero() -> None:
    clock = Clock()
    scales = Scales(None, clock)

    def since(price: int) -> float | None:
        (found,) = scales.opportunities((state("a", 3000), state("b", price)))
        return found.since

    assert since(3300) == 1000.0
    clock.now = 1001.0
    assert since(3400) == 1000.0
    assert since(3001) is None
    clock.now = 1005.0
    assert since(3300) == 1005.0
    assert scales.opportunities(()) == ()
    clock.now = 1006.0
    assert since(3300) == 1006.0


def test_only_what_changed_is_computed_anew() -> None:
    scales = Scales(None)
    a, b, c, d = state("a", 3000), state("b", 3010), state("c", 1, DAI, USDC), state("d", 1, DAI, USDC)
    before = scales.opportunities((a, b, c, d))
    after = scales.opportunities((a, b, c, state("d", 2, DAI, USDC)))
    assert after[0].spread is before[0].spread
    assert after[1].spread is not before[1].spread


def test_tokens_of_one_name_are_not_the_same_and_the_better_spread_is_shown() -> None:
    one = (state("a", 3000), state("b", 3300))
    other = (state("c", 5000, quote=OTHER_USDC), state("d", 5001, quote=OTHER_USDC))
    (found,) = Scales(None).opportunities((*other, *one))
    assert found.spread.quote == USDC
    assert found.spread.ratio == 0.1
