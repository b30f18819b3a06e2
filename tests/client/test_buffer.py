"""The buffer is bounded, and every event has one fate."""

import signal
import threading
from types import FrameType

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter.client.buffer import Buffer


class Fates(RuleBasedStateMachine):
    """Against a plain list: nothing is lost but the oldest, nothing is reordered, all is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = Buffer(5, most_bytes=40)
        self.waiting: list[bytes] = []
        self.taken: list[bytes] = []
        self.number = self.dropped = self.settled = self.invalid = 0

    @rule(length=st.integers(1, 20))
    def put(self, length: int) -> None:
        line = f"{self.number}".encode().ljust(length, b".")
        self.number += 1
        self.waiting.append(line)
        while len(self.waiting) > 5 or sum(map(len, self.waiting)) > 40:
            self.waiting.pop(0)
            self.dropped += 1
        assert self.buffer.put(line) == len(self.waiting) + len(self.taken)

    @rule()
    def refuse(self) -> None:
        self.buffer.refuse()
        self.invalid += 1

    @rule(most=st.integers(1, 4), most_bytes=st.integers(1, 40))
    def take(self, most: int, most_bytes: int) -> None:
        while self.waiting and len(self.taken) < most:
            if self.taken and sum(map(len, self.taken)) + len(self.waiting[0]) > most_bytes:
                break
            self.taken.append(self.waiting.pop(0))
        assert self.buffer.take(most, most_bytes) == self.taken[:most]

    @rule(count=st.integers(0, 4))
    def settle(self, count: int) -> None:
        count = min(count, len(self.taken))
        self.buffer.settle(count, "sent")
        del self.taken[:count]
        self.settled += count

    @invariant()
    def every_event_is_counted_once(self) -> None:
        stats = self.buffer.stats()
        assert stats.waiting == len(self.buffer) == len(self.waiting) + len(self.taken)
        assert (stats.sent, stats.dropped, stats.invalid) == (self.settled, self.dropped, self.invalid)
        assert stats.reported == self.number + self.invalid
        decided = stats.invalid + stats.sent + stats.rejected + stats.written + stats.dropped
        assert stats.reported == decided + stats.waiting


TestFates = Fates.TestCase
TestFates.settings = settings(max_examples=60, deadline=None)


def test_a_line_that_is_too_long_for_a_batch_goes_alone() -> None:
    buffer = Buffer(10)
    for line in (b"x" * 100, b"y"):
        buffer.put(line)
    assert buffer.take(10, 50) == [b"x" * 100]


def test_after_the_end_nothing_gets_in_and_the_sender_decides_nothing() -> None:
    buffer = Buffer(10)
    for number in range(4):
        buffer.put(b"%d" % number)
    assert buffer.take(2, 100) == [b"0", b"1"]
    assert buffer.end() == [b"0", b"1", b"2", b"3"]
    buffer.settle(2, "sent")  # by somebody who comes too late
    buffer.decide(3, "written")
    buffer.decide(1, "dropped")
    assert buffer.put(b"late") == 0
    stats = buffer.stats()
    assert (stats.sent, stats.written, stats.dropped, stats.waiting, stats.reported) == (0, 3, 2, 0, 5)


def test_many_threads_lose_nothing() -> None:
    buffer = Buffer(100_000)

    def report() -> None:
        for _ in range(2_000):
            buffer.put(b"x")

    threads = [threading.Thread(target=report) for _ in range(8)]
    for thread in threads:
        thread.start()
    taken = 0
    while any(thread.is_alive() for thread in threads) or len(buffer):
        lines = buffer.take(100, 10_000)
        buffer.settle(len(lines), "sent")
        taken += len(lines)
    assert taken == buffer.stats().sent == buffer.stats().reported == 16_000


def test_a_signal_handler_may_report_in_the_middle_of_a_report() -> None:
    buffer, handled = Buffer(1_000_000), 0

    def report(_: int, __: FrameType | None) -> None:
        nonlocal handled
        handled += 1
        buffer.put(b"signal")

    before = signal.signal(signal.SIGALRM, report)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        puts = 0
        while handled < 100:
            buffer.put(b"plain")
            puts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert buffer.stats().reported == len(buffer) == puts + handled
