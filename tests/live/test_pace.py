"""How often something may happen."""

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
