import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import pace
from exporter.sources.pace import Pace


class Clock:
    """A clock that only moves when it is told to, or slept on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.slept = 1000.0, 0.0
        monkeypatch.setattr(pace.asyncio, "sleep", self.sleep)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_there_is_no_delay_until_there_is_a_limit(clock: Clock) -> None:
    made = Pace(clock)
    for _ in range(1000):
        await made.turn(100)
    assert (clock.slept, made.rate) == (0.0, None)


async def test_a_limit_halves_what_was_asked_of_late(clock: Clock) -> None:
    made = Pace(clock)
    for _ in range(400):  # 20 calls a second
        await made.turn(1)
        clock.now += 0.05
    made.limited()
    assert made.rate == pytest.approx(10, rel=0.1)
    made.limited()  # others that were limited with it
    assert made.rate == pytest.approx(10, rel=0.1)
    clock.now += 2
    made.served()
    made.limited()
    assert made.rate == pytest.approx(5.5, rel=0.1)


async def test_an_endpoint_that_answers_nothing_says_nothing_of_a_rate(clock: Clock) -> None:
    made = Pace(clock)
    for _ in range(400):  # 20 calls a second
        await made.turn(1)
        clock.now += 0.05
    for _ in range(10):
        made.limited()
        clock.now += 2
    assert made.rate is not None
    assert made.rate > 10 * 0.9


async def test_it_keeps_to_its_rate_and_grows_slowly(clock: Clock) -> None:
    made = Pace(clock)
    for _ in range(200):
        await made.turn(1)
        clock.now += 0.05
    made.limited()
    began, rate = clock.now, made.rate
    assert rate is not None
    for _ in range(200):
        await made.turn(1)
    took = clock.now - began
    assert 200 / (rate + pace.GROWTH * took) * 0.7 < took < 200 / rate
    assert made.rate == pytest.approx(rate + pace.GROWTH * took, rel=0.02)


async def test_what_was_taken_from_a_fast_one_is_given_back_in_half_a_minute(clock: Clock) -> None:
    made = Pace(clock)
    for _ in range(2000):  # 200 calls a second
        await made.turn(20)
        clock.now += 0.1
    made.limited()
    taken = made.rate
    assert taken == pytest.approx(100, rel=0.1)
    clock.now += pace.RECOVERY
    await made.turn(1)
    assert made.rate == pytest.approx(2 * taken)  # type: ignore[operator]


async def test_limits_never_starve_it_and_no_turn_waits_for_long(clock: Clock) -> None:
    made = Pace(clock)
    await made.turn(1)
    for _ in range(100):
        clock.now += 1.1
        made.served()
        made.limited()
    assert made.rate is not None
    assert made.rate >= pace.LEAST
    for _ in range(20):
        before = clock.slept
        await made.turn(100)
        assert clock.slept - before <= pace.LONGEST + 1e-6


async def test_after_a_long_time_without_a_limit_nothing_is_held_back(clock: Clock) -> None:
    made = Pace(clock)
    made.limited()
    clock.now += 2 * pace.ENOUGH / pace.GROWTH
    await made.turn(1)
    assert made.rate is None


async def test_turns_come_in_the_order_of_asking_and_a_cancelled_one_takes_nothing() -> None:
    made = Pace()
    await made.turn(1)
    made.limited()
    made.rate = 50.0
    order: list[int] = []

    async def ask(number: int) -> None:
        await made.turn(5)
        order.append(number)

    tasks = [asyncio.create_task(ask(number)) for number in range(6)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    started = time.monotonic()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 2, 4, 5]
    assert time.monotonic() - started < 10


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=60))
def test_the_rate_stays_within_its_bounds(steps: list[tuple[float, bool]]) -> None:
    now = 1000.0

    def clock() -> float:
        return now

    made = Pace(clock)
    for elapsed, limited in steps:
        now += elapsed
        if limited:
            made.limited()
        else:
            made._pass()
        assert made.rate is None or pace.LEAST <= made.rate <= pace.ENOUGH
