import pytest

from exporter.sources import preconfirmations
from exporter.sources.jsonrpc import Malformed
from exporter.sources.preconfirmations import Preconfirmations

PENDING = ("eth_subscribe", ["pendingLogs", {"address": ["0xa"]}])
FLASHBLOCKS = ("eth_subscribe", ["newFlashblockTransactions", True])
SLOW, QUICK = 2.0, 0.2


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("interval", [None, 0.2, 1.0])
def test_quick_blocks_need_none(clock: Clock, interval: float | None) -> None:
    assert Preconfirmations(["0xa"], clock).requests(interval) == []


def test_without_addresses_there_is_nothing_to_wait_for(clock: Clock) -> None:
    assert Preconfirmations([], clock).requests(SLOW) == []


def test_one_kind_is_tried_after_the_other_and_then_none_for_a_while(clock: Clock) -> None:
    made = Preconfirmations(["0xa"], clock)
    assert made.requests(SLOW) == [PENDING]
    assert made.requests(SLOW) == []  # until it is answered
    made.answered(None)
    assert made.requests(SLOW) == [FLASHBLOCKS]
    made.answered(None)
    assert made.requests(SLOW) == []
    assert not made.active
    clock.now += preconfirmations.AGAIN + 1
    assert made.requests(SLOW) == [PENDING]


def test_a_subscription_counts_once_something_arrives(clock: Clock) -> None:
    made = Preconfirmations(["0xa"], clock)
    made.requests(SLOW)
    made.answered("0x1")
    assert not made.active
    assert made.logs({"address": "0xa"}) == [{"address": "0xa"}]
    assert made.active
    assert made.requests(SLOW) == []


def test_one_that_delivers_nothing_is_given_up_for_the_other(clock: Clock) -> None:
    made = Preconfirmations(["0xa"], clock)
    made.requests(SLOW)
    made.answered("0x1")
    clock.now += preconfirmations.PATIENCE + 1
    assert made.requests(SLOW) == [("eth_unsubscribe", ["0x1"])]
    assert made.requests(SLOW) == [FLASHBLOCKS]
    made.answered("0x2")
    made.logs({"logs": []})
    for _ in range(5):
        clock.now += preconfirmations.PATIENCE - 1
        made.logs({"logs": []})
        assert made.requests(SLOW) == []
    clock.now += preconfirmations.PATIENCE + 1
    assert made.requests(SLOW) == [("eth_unsubscribe", ["0x2"])]
    assert not made.active
    assert made.requests(SLOW) == []


def test_once_blocks_are_quick_it_is_dropped_and_taken_up_again_when_they_are_slow(clock: Clock) -> None:
    made = Preconfirmations(["0xa"], clock)
    made.requests(SLOW)
    made.answered("0x1")
    made.logs({"address": "0xa"})
    assert made.requests(QUICK) == [("eth_unsubscribe", ["0x1"])]
    assert not made.active
    assert made.requests(QUICK) == []
    assert made.requests(SLOW) != []


def test_a_transaction_has_logs_and_other_things_none() -> None:
    made = Preconfirmations(["0xa"])
    assert made.logs({"hash": "0x1", "logs": [{"address": "0xa"}]}) == [{"address": "0xa"}]
    assert made.logs({"hash": "0x1"}) == []
    for value in ("0x1", None, [], {"logs": "x"}):
        with pytest.raises(Malformed):
            made.logs(value)
