"""Pools of every kind on a real node, against what web3 says of the same contracts.

Uniswap V2, Uniswap V3 and Pancake V3 are the real contracts as npm has them; Solidly and Slipstream pools and the
aggregating contract are our own, written from the published formulas (tests/contracts).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from eth_abi import abi
from hypothesis import given
from hypothesis import strategies as st
from web3.contract import Contract

from exporter.config import Pool
from exporter.sources import discovery, pools
from exporter.sources.contracts import PoolFacts, Token
from exporter.sources.curves import Concentrated, ConstantProduct, Stable
from exporter.sources.heads import Heads
from exporter.sources.market import Market
from exporter.sources.pools import Reader, Reading, Venue
from exporter.sources.rpc import Rpc
from exporter.sources.shapes import State
from tests.fake_rpc import chain, node, word
from tests.pools_world import CHAIN_ID, World, tick_of, world

KINDS = ("pair", "volatile", "stable", "uniswap", "pancake", "slipstream")


@pytest.fixture(scope="module")
def real() -> Iterator[tuple[World, dict[str, Contract]]]:
    with world() as made:
        contracts = {
            "pair": made.pair("pair", "WETH", "USDC", 3000.0, 100),
            "volatile": made.solidly("volatile", "WETH", "USDC", 3010.0, 100, stable=False),
            "stable": made.solidly("stable", "DAI", "USDC", 1.25, 10**6, stable=True, bps=5),
            "uniswap": made.v3("uniswap", "WETH", "USDC", 3005.0, 10**17),
            "pancake": made.pancake("pancake", "WETH", "USDC", 2995.0, 10**17),
            "slipstream": made.slipstream("slipstream", "WETH", "USDC", 3001.0, 10**13),
        }
        yield made, contracts


def trade(made: World, contracts: dict[str, Contract], name: str, forward: bool, share: int = 1000) -> Any:
    """Swap a share of the pool's token through it."""
    act, pool = made.trader.functions, contracts[name]
    facts = made.venues[name].facts
    token = made.tokens[(facts.token0 if forward else facts.token1).symbol][1]
    amount = token.functions.balanceOf(pool.address).call() // share
    if name == "pair":
        r0, r1, _ = pool.functions.getReserves().call()
        return made.send(
            act.swapPair(pool.address, forward, amount, ConstantProduct(r0, r1).out(amount, forward, 3000))
        )
    if name in ("volatile", "stable"):
        return made.send(act.swapSolidly(pool.address, forward, amount))
    if name == "slipstream":
        root, liquidity = pool.functions.slot0().call()[0], pool.functions.liquidity().call()
        paid = amount * (10**6 - pool.functions.fee().call()) // 10**6
        then = (
            -(-(liquidity << 96) * root // ((liquidity << 96) + paid * root))
            if forward
            else root + (paid << 96) // liquidity
        )
        return made.send(act.swapSlipstream(pool.address, forward, amount, tick_of(then)))
    return made.send(act.swapConcentrated(pool.address, forward, amount))


def oracle(pool: Contract, venue: Venue, name: str) -> Decimal:
    """The price by web3's reading of the contract, in decimals, quote for one base."""
    facts = venue.facts
    with localcontext(prec=80):
        if name in ("pair", "volatile"):
            r0, r1, _ = pool.functions.getReserves().call()
            raw = Decimal(r1) / Decimal(r0)
        elif name == "stable":
            x, y, _ = (Decimal(r) for r in pool.functions.getReserves().call())
            x, y = x.scaleb(-facts.token0.decimals), y.scaleb(-facts.token1.decimals)
            raw = (3 * x * x * y + y**3) / (x**3 + 3 * x * y * y)
            raw = raw.scaleb(facts.token1.decimals - facts.token0.decimals)
        else:
            raw = (Decimal(pool.functions.slot0().call()[0]) / 2**96) ** 2
        price = raw.scaleb(facts.token0.decimals - facts.token1.decimals)
        return 1 / price if venue.inverted else price


def near(found: Fraction | None, expected: Decimal, digits: int = 60) -> bool:
    assert found is not None
    with localcontext(prec=80):
        return abs(Decimal(found.numerator) / Decimal(found.denominator) / expected - 1) < Decimal(10) ** -digits


@pytest.mark.parametrize("together", [False, True])
async def test_every_kind_is_read_as_web3_reads_it(real: tuple[World, dict[str, Contract]], together: bool) -> None:
    made, contracts = real
    if together:
        made.plant_multicall()
    venues = [made.venues[name] for name in KINDS]
    async with Rpc(made.chain()) as rpc:
        reader = Reader(rpc)
        for forward in (True, False, True):
            for name in KINDS:
                trade(made, contracts, name, forward)
            seen = await reader.read(venues)
            assert seen.block == made.w3.eth.block_number
            for name, venue, found in zip(KINDS, venues, seen.readings, strict=True):
                assert found is not None, name
                check(made, contracts[name], venue, found, name)


def check(made: World, pool: Contract, venue: Venue, found: Reading, name: str) -> None:
    assert near(found.price, oracle(pool, venue, name))
    if name in ("pair", "volatile", "stable"):
        r0, r1, changed = pool.functions.getReserves().call()
        assert (found.state.reserves, found.state.changed) == ((r0, r1), changed)
        assert found.liquidity is None
    else:
        sides = (venue.facts.token0, venue.facts.token1)
        held = tuple(made.tokens[t.symbol][1].functions.balanceOf(pool.address).call() for t in sides)
        assert (found.state.reserves, found.liquidity) == (held, pool.functions.liquidity().call())
    assert found.fee == {"pair": 3000, "volatile": 3000, "stable": 500, "slipstream": 400}.get(name, venue.facts.fee)


@pytest.mark.parametrize("name", KINDS)
def test_discovery_knows_every_kind(real: tuple[World, dict[str, Contract]], name: str) -> None:
    made, _ = real
    facts = made.venues[name].facts
    found = discovery.connect([made.url], CHAIN_ID).pool(facts.address)
    assert found is not None
    assert (found["kind"], found["token0"], found["token1"], found["fee"]) == (
        facts.kind, facts.token0.address, facts.token1.address, facts.fee,
    )  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("forward", [True, False])
async def test_what_comes_out_is_what_the_contract_gives(
    real: tuple[World, dict[str, Contract]], name: str, forward: bool
) -> None:
    made, contracts = real
    venue = made.venues[name]
    sides = venue.facts.token0, venue.facts.token1
    coming, going = (made.tokens[t.symbol][1] for t in (sides if forward else sides[::-1]))
    async with Rpc(made.chain()) as rpc:
        (before,) = await pools.read_venues(rpc, [venue])
    assert before is not None and before.state.curve is not None
    pool = contracts[name].address
    held = [t.functions.balanceOf(made.trader.address).call() for t in (coming, going)]
    trade(made, contracts, name, forward)
    paid = held[0] - coming.functions.balanceOf(made.trader.address).call()
    got = going.functions.balanceOf(made.trader.address).call() - held[1]
    assert before.state.curve.out(paid, forward, before.fee) == got > 0, pool


async def test_a_fee_that_moves_is_followed(real: tuple[World, dict[str, Contract]]) -> None:
    made, contracts = real
    venues = [made.venues[name] for name in ("slipstream", "volatile", "stable")]
    async with Rpc(made.chain()) as rpc:
        before = await pools.read_venues(rpc, venues)
        made.send(contracts["slipstream"].functions.setFee(1234))
        made.send(contracts["volatile"].functions.setFee(7))
        made.send(contracts["stable"].functions.setFee(9))
        after = await pools.read_venues(rpc, venues)
        made.send(contracts["slipstream"].functions.setFee(400))
        made.send(contracts["volatile"].functions.setFee(30))
        made.send(contracts["stable"].functions.setFee(5))
    assert [found and found.fee for found in after] == [1234, 700, 900]
    assert [found and found.price for found in after] == [found and found.price for found in before]


async def test_liquidity_that_is_added_or_taken_is_seen(real: tuple[World, dict[str, Contract]]) -> None:
    made, contracts = real
    venue, pool = made.venues["uniswap"], contracts["uniswap"]
    tick, spacing = pool.functions.slot0().call()[1], pool.functions.tickSpacing().call()
    lower, upper = ((tick // spacing + side * 5) * spacing for side in (-1, 1))
    async with Rpc(made.chain()) as rpc:
        (before,) = await pools.read_venues(rpc, [venue])
        made.send(made.trader.functions.fillConcentrated(pool.address, lower, upper, 10**16))
        (more,) = await pools.read_venues(rpc, [venue])
        made.send(made.trader.functions.drainConcentrated(pool.address, lower, upper, 10**16))
        (less,) = await pools.read_venues(rpc, [venue])
    assert before is not None and more is not None and less is not None and before.liquidity is not None
    assert (more.liquidity, less.liquidity) == (before.liquidity + 10**16, before.liquidity)
    assert more.price == before.price


async def test_a_past_block_is_read_as_it_was(real: tuple[World, dict[str, Contract]]) -> None:
    made, contracts = real
    venues = [made.venues[name] for name in KINDS]
    async with Rpc(made.chain()) as rpc:
        before, at = await pools.read_venues(rpc, venues), made.w3.eth.block_number
        for name in KINDS:
            trade(made, contracts, name, forward=True, share=10)
        now = await pools.read_venues(rpc, venues)
        past = await pools.read_venues(rpc, venues, hex(at))
    assert past == before
    assert all(a is not None and b is not None and a.price != b.price for a, b in zip(now, before, strict=True))


async def test_a_pool_that_is_none_costs_only_itself(real: tuple[World, dict[str, Contract]]) -> None:
    made, _ = real
    right = made.venues["pair"]
    token = made.venues["stable"].facts.token0
    wrong = [
        pools.venue(Pool("x", kind, token.address), "x", PoolFacts(token.address, kind, token, token, 5))
        for kind in sorted(pools.KINDS)
    ]
    async with Rpc(made.chain()) as rpc:
        found = await pools.read_venues(rpc, [*wrong, right])
        assert await pools.read_venues(rpc, []) == []
    assert found[:-1] == [None] * len(wrong)
    assert found[-1] is not None


async def test_what_events_tell_is_what_is_read_afterwards(real: tuple[World, dict[str, Contract]]) -> None:
    """Logs by WebSocket from a real node, of real swaps, applied to a market beside a second one that only reads."""
    made, contracts = real
    settings = made.chain()
    venues = [made.venues[name] for name in KINDS]
    told, own = Market(), []
    told.know(venues)
    async with Rpc(settings) as rpc, Heads(rpc, settings) as heads:
        reader = Reader(rpc)
        logs = heads.logs()
        assert await anext(logs) == []
        assert await anext(logs) == []  # the connection stands
        told.take(venues, await reader.read(venues))
        for name in (*KINDS, *KINDS):
            trade(made, contracts, name, forward=len(own) >= len(KINDS))
            own.append(name)
            height = made.w3.eth.block_number
            while told.hear(await anext(logs)) or max(s.place[0] if s.place else 0 for s in told.states) < height:
                pass
        await logs.aclose()
        before = told.states
        told.take(venues, await reader.read(venues))
    assert [state.changes for state in before] == [2] * len(KINDS)
    assert all(one is other for one, other in zip(before, told.states, strict=True)), "the read says nothing new"


# --- without a chain ---

amounts = st.integers(1, 2**112 - 1)


def venue(decimals0: int, decimals1: int, inverted: bool) -> Venue:
    facts = PoolFacts("0x1", "uniswap_v2", Token("0x2", "A", decimals0), Token("0x3", "B", decimals1), 3000)
    return Venue("v", "dex", facts, "A/B", inverted)


@given(amounts, amounts, st.integers(0, 30), st.integers(0, 30), st.booleans())
def test_a_price_is_the_quotient_of_the_reserves(r0: int, r1: int, d0: int, d1: int, inverted: bool) -> None:
    curve = ConstantProduct(r0, r1)
    price = pools.reading(venue(d0, d1, inverted), State(curve, curve.price, 3000, (r0, r1))).price
    with localcontext(prec=150):
        one, other = Decimal(r0).scaleb(-d0), Decimal(r1).scaleb(-d1)
        expected = one / other if inverted else other / one
    assert near(price, expected)


@given(st.integers(4295128739, 2**160 - 2**130), st.integers(0, 24), st.integers(0, 24), st.booleans())
def test_a_price_is_the_square_of_a_root(root: int, d0: int, d1: int, inverted: bool) -> None:
    curve = Concentrated(root, 1)
    price = pools.reading(venue(d0, d1, inverted), State(curve, curve.price, 500, None)).price
    with localcontext(prec=150):
        expected = (Decimal(root) / 2**96) ** 2 * Decimal(10) ** (d0 - d1)
        assert near(price, 1 / expected if inverted else expected)


def test_an_empty_pool_has_no_price() -> None:
    assert pools.reading(venue(18, 6, False), State(ConstantProduct(0, 5), None, 3000, (0, 5))).price is None


def test_only_concentrated_liquidity_is_told() -> None:
    readings = [
        pools.reading(venue(18, 6, False), State(curve, None, 3000, None))
        for curve in (ConstantProduct(1, 1), Stable(1, 1, 1, 1), None, Concentrated(2**96, 7))
    ]
    assert [found.liquidity for found in readings] == [None, None, None, 7]


def test_labels_are_names_or_dex_and_fee_and_unique() -> None:
    def pool(dex: str, name: str | None = None) -> Pool:
        return Pool(dex, "uniswap_v2", "0x1", name)

    configured = [pool("a"), pool("a"), pool("a", "a-3000-2"), pool("b"), pool("a"), pool("c", "mine")]
    assert pools.labels(configured, [3000, 3000, 1, 500, 3000, None]) == [
        "a-3000", "a-3000-3", "a-3000-2", "b-500", "a-3000-4", "mine",
    ]  # fmt: skip
    assert pools.labels([pool("x")], [None]) == ["x-unknown"]


async def test_what_a_solidly_pool_never_changes_is_asked_once_and_later_if_it_was_not_told() -> None:
    dai, usdc = Token("0x" + "01" * 20, "DAI", 18), Token("0x" + "02" * 20, "USDC", 6)
    facts = PoolFacts("0x" + "aa" * 20, "solidly", dai, usdc, 500)
    own = pools.venue(Pool("x", "solidly", facts.address), "x", facts)
    stable: dict[str, Any] = {"error": {"code": 3}}

    def call(request: dict[str, str], block: str) -> Any:
        asked = request["data"][:10]
        if asked == "0xf140a35a":
            amount, token = abi.decode(["uint256", "address"], bytes.fromhex(request["data"][10:]))
            return word(Stable(10**24, 10**12, 10**18, 10**6).out(amount, token == dai.address, 500))
        return {"0x22be3de1": stable or word(1), "0x0902f1ac": word(10**24, 10**12, 7)}.get(
            asked, {"error": {"code": 3}}
        )

    async with node() as fake:
        fake.answers |= {"eth_getCode": "0x", "eth_blockNumber": "0x64", "eth_call": call}
        async with Rpc(chain(fake)) as rpc:
            reader = Reader(rpc)
            assert (await reader.read([own])).readings == [None]
            stable.clear()
            (first,) = (await reader.read([own])).readings
            (again,) = (await reader.read([own])).readings
    assert first is not None and first is again, "what says the same is the same"
    assert (first.price, first.fee) == (Fraction(1), 500)
    assert sum(params[0]["data"] == "0x22be3de1" for method, params in fake.calls if method == "eth_call") == 2
