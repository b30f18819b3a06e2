"""So many in a turn of the loop, in order, whoever gives up meanwhile."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from exporter.web.turns import Turns


async def turns_of(turns: Turns, guests: int, leaving: set[int]) -> list[list[int]]:
    """Who came in with each turn of the loop."""
    came: list[list[int]] = [[]]

    async def guest(number: int) -> None:
        await turns.come()
        came[-1].append(number)

    tasks = [asyncio.create_task(guest(number)) for number in range(guests)]
    await asyncio.sleep(0)
    for number in leaving:
        tasks[number].cancel()
    while not all(task.done() for task in tasks):
        came.append([])
        await asyncio.sleep(0)
    return [numbers for numbers in came if numbers]


@given(st.integers(1, 9), st.integers(0, 60), st.sets(st.integers(0, 59)))
def test_no_turn_lets_in_more_and_all_come_in_order(most: int, guests: int, leaving: set[int]) -> None:
    leaving = {number for number in leaving if number < guests}
    turns = Turns(most)
    came = asyncio.run(turns_of(turns, guests, leaving))
    assert all(len(numbers) <= most for numbers in came)
    everyone = [number for numbers in came for number in numbers]
    assert everyone == sorted(everyone)
    assert set(range(guests)) - leaving <= set(everyone)
    assert turns.waiting == 0


async def test_few_do_not_wait() -> None:
    turns = Turns(2)
    for _ in range(3):
        await turns.come()
        await turns.come()
        assert turns.waiting == 0
        await asyncio.sleep(0)
