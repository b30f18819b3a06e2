import math

from hypothesis import given
from hypothesis import strategies as st

from exporter.sources.fee_window import LARGEST, LEAST, MOST, SECONDS, FeeWindow


def test_nothing_is_said_of_a_few_samples() -> None:
    window = FeeWindow(lambda: 0.0)
    for _ in range(LEAST - 1):
        window.add(7)
    assert (window.percentile(50), window.trend()) == (None, None)
    window.add(14)
    assert (window.percentile(50), window.trend()) == (7, 1.0)


def test_a_chain_whose_gas_is_free_has_no_trend() -> None:
    window = FeeWindow(lambda: 0.0)
    for _ in range(LEAST):
        window.add(0)
    assert (window.percentile(90), window.trend()) == (0, None)


def test_a_fee_that_no_chain_has_is_not_noted() -> None:
    window = FeeWindow(lambda: 0.0)
    for _ in range(LEAST - 1):
        window.add(5)
    window.add(LARGEST + 1)
    assert window.percentile(90) is None
    window.add(LARGEST)
    assert window.percentile(100) == LARGEST


def test_memory_is_bounded_however_often_fees_are_read() -> None:
    window = FeeWindow(lambda: 0.0)
    for fee in range(MOST + 100):
        window.add(fee)
    assert window.percentile(1) == 100 + MOST // 100 - 1
    assert window.percentile(100) == MOST + 99


@given(st.lists(st.tuples(st.floats(0, SECONDS / 2), st.integers(0, 9)), min_size=1, max_size=200), st.integers(1, 100))
def test_percentiles_are_those_of_the_last_hours_samples(steps: list[tuple[float, int]], percent: int) -> None:
    now, seen = 0.0, []
    window = FeeWindow(lambda: now)
    for wait, fee in steps:
        now += wait
        window.add(fee)
        seen.append((now, fee))
    fees = sorted(fee for at, fee in seen if now - at <= SECONDS)
    expected = fees[max(math.ceil(len(fees) * percent / 100), 1) - 1] if len(fees) >= LEAST else None
    assert window.percentile(percent) == expected
