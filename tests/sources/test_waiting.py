from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.waiting import IDLE, Queue, Wait, nonce_gap


class Watch:
    """A queue and the time, in seconds since its beginning."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queue = Queue(lambda: 1e9 + self.now, lambda: self.now)

    def look(self, mined: int, pending: int, after: float = 2.0, block_seconds: float | None = None) -> Wait | None:
        self.now += after
        return self.queue.look(mined, pending, block_seconds)


def test_what_waits_a_minute_is_stuck_until_one_is_mined() -> None:
    watch = Watch()
    assert watch.look(5, 0) is None
    assert watch.look(5, 2) == Wait(1e9 + 4, 0)
    assert watch.look(5, 2, after=60) == Wait(1e9 + 4, 0)
    assert watch.look(5, 3) == Wait(1e9 + 4, 3)
    assert watch.look(6, 2) == Wait(1e9 + 68, 0)
    assert watch.look(6, 2, after=61) == Wait(1e9 + 68, 2)
    assert watch.look(8, 0) is None


def test_on_a_slow_chain_a_minute_is_nothing() -> None:
    watch = Watch()
    watch.look(5, 1, block_seconds=12)
    assert watch.look(5, 1, after=360, block_seconds=12) == Wait(1e9 + 2, 0)
    assert watch.look(5, 1, after=1, block_seconds=12) == Wait(1e9 + 2, 1)


def test_a_node_that_lags_or_has_no_pool_ends_no_wait() -> None:
    watch = Watch()
    watch.look(5, 1)
    for _ in range(20):
        watch.look(4, 2)  # behind by a block
        for _ in range(IDLE - 1):
            watch.look(5, 0)  # knows of nothing that waits
    assert watch.look(5, 1) == Wait(1e9 + 2, 1)


def test_a_transaction_that_was_dropped_is_not_the_next_ones_wait() -> None:
    watch = Watch()
    watch.look(5, 1)
    for _ in range(IDLE):
        last = watch.look(5, 0)
    assert last is None
    assert watch.look(5, 1, after=100) == Wait(1e9 + 2 + 2 * IDLE + 100, 0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.floats(0.1, 90)), max_size=40))
def test_nothing_is_stuck_that_did_not_wait(looks: list[tuple[int, int, float]]) -> None:
    watch = Watch()
    best, progress = -1, 0.0
    for mined, pending, after in looks:
        wait = watch.look(mined, pending, after=after)
        if mined > best:
            best, progress = mined, watch.now
        if wait is not None:
            assert 1e9 + progress <= wait.since <= 1e9 + watch.now
            assert wait.stuck == 0 or watch.now - (wait.since - 1e9) > 59.9


@pytest.mark.parametrize(
    ("pending", "queued", "gap"),
    [
        ([], [], 0),
        ([42, 43], [], 0),
        ([42], [43], 0),  # queued for another reason, such as its price
        ([], [43], 1),
        ([42], [45, 46], 2),
        ([42], [44, 47], 3),
        ([41], [40], 0),  # mined meanwhile
        ([42], [42, 44], 1),
        ([40, 41, 42], [44], 1),
    ],
)
def test_nonces_missing_below_what_is_queued(pending: list[int], queued: list[int], gap: int) -> None:
    content = {"pending": dict.fromkeys(map(str, pending)), "queued": dict.fromkeys(map(str, queued))}
    assert nonce_gap(42, content) == gap


@pytest.mark.parametrize(
    "content",
    [None, [], {}, {"pending": {}}, {"pending": [], "queued": {"5": {}}}, {"queued": {"x": {}}},
     {"queued": {"٣": {}}}, {"queued": {"9" * 19: {}}}, {"queued": {str(n): 0 for n in range(10_001)}},
     {"queued": {"5": {}}}],
)  # fmt: skip
def test_what_is_no_pool(content: Any) -> None:
    with pytest.raises((Malformed, RpcError)):
        nonce_gap(0, content)
