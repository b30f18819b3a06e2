"""How often something may happen."""

import pytest

from exporter.live.pace import Allowance


def test_so_many_at_once_and_then_in_its_time() -> None:
    turns = Allowance(burst=3, per_second=2)
    assert [turns.take(100.0) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert turns.take(100.25) == 0.25
    assert turns.take(100.5) == 0
    assert turns.take(100.5) == 0.5
    assert [turns.take(200.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_wait_that_is_kept_is_enough() -> None:
    turns, now = Allowance(burst=1, per_second=40), 0.0
    for _ in range(1_000):
        now += turns.take(now)
    assert turns.take(now + 1e-9) <= 1 / 40


def test_what_was_taken_without_asking_is_paid_by_time() -> None:
    turns = Allowance(burst=10, per_second=10)
    assert turns.wait(100.0) == 0
    turns.charge(25)
    assert turns.wait(100.0) == 1.6
    assert turns.take(101.0) == pytest.approx(0.6)
    assert turns.wait(101.6) == pytest.approx(0, abs=1e-9)
