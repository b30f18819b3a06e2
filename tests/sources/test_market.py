"""What is read and what is heard, put together: the last by block and place counts, and a read is the truth."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter.config import Pool
from exporter.sources import market, pool_events, pools
from exporter.sources.contracts import PoolFacts, Token
from exporter.sources.curves import Concentrated, ConstantProduct
from exporter.sources.market import Market, PoolState
from exporter.sources.pools import Reading, Seen, Venue
from exporter.sources.shapes import State
from tests.fake_rpc import word
from tests.tiers import lives

WETH, USDC = Token("0x" + "11" * 20, "WETH", 18), Token("0x" + "22" * 20, "USDC", 6)
Q96 = 2**96


def venue(letter: str, kind: str = "uniswap_v2") -> Venue:
    facts = PoolFacts("0x" + letter * 40, kind, WETH, USDC, 3000)
    return pools.venue(Pool(letter, kind, facts.address), f"{letter}-3000", facts)


A, B, V3 = venue("a"), venue("b"), venue("c", "uniswap_v3")


def pair(price: int, changed: int | None = 50) -> Reading:
    """A pair with one ether at this price."""
    curve = ConstantProduct(10**18, price * 10**6)
    return pools.reading(A, State(curve, curve.price, 3000, (10**18, price * 10**6), changed))


def sync(at: Venue, price: int, block: int, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"address": at.facts.address, "topics": [pool_events.SYNC_V2], "data": word(10**18, price * 10**6),
            "blockNumber": hex(block), "logIndex": hex(index), "removed": False} | more  # fmt: skip


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def own(clock: Clock) -> Market:
    made = Market(clock, clock)
    made.know([A, B])
    made.take([A, B], Seen(100, 60, [pair(3000), pair(3030)]))
    return made


def prices(own: Market) -> list[int]:
    return [int(state.reading.price or 0) for state in own.states]


def first(own: Market) -> PoolState:
    return own.states[0]


def test_a_read_is_what_it_is_and_the_same_again_is_the_same_object(own: Market, clock: Clock) -> None:
    before = own.states
    assert before[0] == PoolState(A, pair(3000), 100, 1000.0, 50.0)
    clock.now = 1001
    own.take([A, B], Seen(101, 62, [pair(3000), pair(3031)]))
    assert own.states[0] is before[0]
    assert own.states[1] == PoolState(B, pair(3031), 101, 1001.0, 50.0, changes=1)


def test_an_event_counts_at_once_until_the_block_is_read(own: Market, clock: Clock) -> None:
    clock.now = 1001
    assert not own.hear([sync(A, 3100, 101, blockTimestamp="0x3f")])
    assert prices(own) == [3100, 3030]
    state = first(own)
    assert (state.block, state.learned, state.changed, state.changes, state.place) == (101, 1001.0, 63.0, 1, (101, 0))
    own.take([A, B], Seen(101, 63, [pair(3100, 63), pair(3030)]))
    assert first(own) == PoolState(A, pair(3100, 63), 101, 1001.0, 63.0, changes=1)


def test_the_read_of_its_block_is_right_whatever_an_event_said(own: Market) -> None:
    own.hear([sync(A, 9999, 101)])
    own.take([A, B], Seen(101, 63, [pair(3100, 63), pair(3030)]))
    assert prices(own) == [3100, 3030]


def test_an_older_read_does_not_undo_an_event_for_a_while(own: Market, clock: Clock) -> None:
    own.hear([sync(A, 3100, 102)])
    own.take([A, B], Seen(101, 63, [pair(3000), pair(3050)]))
    assert prices(own) == [3100, 3050]
    clock.now += market.LIFE
    own.take([A, B], Seen(101, 63, [pair(3000), pair(3050)]))
    assert prices(own) == [3000, 3050]


def test_the_last_by_block_and_place_counts_in_whatever_order_they_come(own: Market) -> None:
    own.hear([sync(A, 3103, 102, 1), sync(A, 3101, 101, 9), sync(A, 3102, 102, 0)])
    assert prices(own)[0] == 3103
    own.hear([sync(A, 3104, 102, 7)])
    assert prices(own)[0] == 3104


def test_an_event_of_a_block_that_was_read_says_nothing_new(own: Market) -> None:
    assert not own.hear([sync(A, 3100, 100)])
    assert prices(own) == [3000, 3030]


def test_what_is_taken_back_or_not_told_is_to_be_read(own: Market) -> None:
    own.hear([sync(A, 3100, 101)])
    assert own.hear([sync(A, 3100, 101, removed=True)])
    own.take([A, B], Seen(100, 60, [pair(3000), pair(3030)]))
    assert prices(own) == [3000, 3030]


def test_an_event_from_far_ahead_is_not_believed(own: Market) -> None:
    assert own.hear([sync(A, 3100, 100 + market.AHEAD + 1)])
    assert prices(own) == [3000, 3030]


def test_what_is_malformed_or_of_a_stranger_costs_only_itself(own: Market) -> None:
    odd: list[dict[str, Any]] = [{}, {"address": 7}, {"address": A.facts.address}, sync(A, 1, 101, data="0x"),
                                 sync(venue("d"), 5, 101)]  # fmt: skip
    assert not own.hear([*odd, sync(B, 3100, 101)])
    assert prices(own) == [3000, 3100]


def test_a_promise_is_marked_until_it_is_kept(own: Market) -> None:
    own.hear([sync(A, 3100, 101, preconfirmed=True, blockNumber=None)])
    assert (first(own).preconfirmed, prices(own)[0], first(own).place) == (True, 3100, (101, -1))
    own.hear([sync(A, 3100, 101)])
    assert (first(own).preconfirmed, first(own).changes) == (False, 1)
    own.hear([sync(A, 3105, 102, preconfirmed=True)])
    own.take([A, B], Seen(102, 64, [pair(3100, 63), pair(3030)]))
    assert (first(own).preconfirmed, prices(own)[0]) == (False, 3100)


def test_a_pool_without_answer_is_gone_and_counts_on_when_it_is_back(own: Market) -> None:
    own.take([A, B], Seen(101, 62, [None, pair(3030)]))
    assert [state.venue for state in own.states] == [B]
    assert not own.hear([sync(A, 3100, 102)])
    own.take([A, B], Seen(103, 66, [pair(3001), pair(3030)]))
    assert first(own).changes == 1


def test_a_chain_begun_anew_is_read_from_its_start(own: Market) -> None:
    own.take([A, B], Seen(5, 10, [pair(1), pair(2)]))
    assert (prices(own), own.block) == ([1, 2], 5)


def test_balances_may_move_without_a_change(clock: Clock) -> None:
    def reading(held: tuple[int, int], root: int = Q96) -> Reading:
        curve = Concentrated(root, 5)
        return pools.reading(V3, State(curve, curve.price, 500, held))

    own = Market(clock, clock)
    own.know([V3])
    own.take([V3], Seen(100, 60, [reading((1, 2))]))
    assert first(own).changed == 60.0
    own.take([V3], Seen(101, 62, [reading((3, 4))]))
    assert (first(own).changes, first(own).changed, first(own).reading.state.reserves) == (0, 60.0, (3, 4))
    swap = sync(V3, 1, 102) | {"topics": [pool_events.SWAP_V3], "data": word(1, 2, 2 * Q96, 5, 13863)}
    own.hear([swap])
    own.take([V3], Seen(102, 64, [reading((5, 6), 2 * Q96)]))
    assert (first(own).changes, first(own).block, first(own).reading.state.reserves) == (1, 102, (5, 6))
    own.take([V3], Seen(None, None, [reading((5, 6), 3 * Q96)]))
    assert (first(own).changes, first(own).block, first(own).changed) == (2, None, clock.now)


class Story(RuleBasedStateMachine):
    """One pool on a chain that grows; events come late, doubled, in any order or not at all, reads lag a little."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.market = Market(self.clock, self.clock)
        self.market.know([A])
        self.prices = [3000]
        self.events: list[dict[str, Any]] = []
        self.read = 0
        self.changes = 0
        self.market.take([A], Seen(0, 0, [pair(3000)]))

    @rule(steps=st.lists(st.integers(1, 5), min_size=1, max_size=3))
    def mine(self, steps: list[int]) -> None:
        price, block = self.prices[-1], len(self.prices)
        for index, step in enumerate(steps):
            price += step
            self.events.append(sync(A, price, block, index))
        self.prices.append(price)

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        if self.events:
            chosen = data.draw(st.lists(st.sampled_from(self.events), max_size=6))
            assert not self.market.hear(chosen)

    @rule(behind=st.integers(0, 2), seconds=st.integers(0, 6))
    def look(self, behind: int, seconds: int) -> None:
        self.clock.now += seconds
        block = max(len(self.prices) - 1 - behind, self.read)
        self.read = block
        self.market.take([A], Seen(block, block, [pair(self.prices[block])]))

    @invariant()
    def it_shows_the_truth_that_was_read_or_something_newer(self) -> None:
        (state,) = self.market.states
        assert state.reading.price is not None
        assert state.reading.price >= self.prices[self.read]
        if state.place is not None and state.place[0] > self.read:
            block, index = state.place
            told = next(e for e in self.events if (int(e["blockNumber"], 16), int(e["logIndex"], 16)) == (block, index))
            assert told["data"] == word(10**18, int(state.reading.price) * 10**6)

    @invariant()
    def it_never_counts_backwards(self) -> None:
        assert self.market.states[0].changes >= self.changes
        self.changes = self.market.states[0].changes


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=lives(60), stateful_step_count=30, deadline=None)
