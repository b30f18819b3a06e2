"""The buffer is bounded, and every event has one fate."""

import signal
import threading
from types import FrameType

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter.client.buffer import Buffer, Said
from tests.tiers import lives


def line(said: Said) -> bytes | None:
    """The event's type stands for its line; an empty one cannot be sent."""
    return said[0].encode() or None


class Fates(RuleBasedStateMachine):
    """Against plain lists: nothing is lost but the oldest, nothing is reordered, all is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = Buffer(5, line)
        self.waiting: list[str] = []
        self.taken: list[str] = []
        self.number = self.dropped = self.settled = self.invalid = 0

    @rule(length=st.integers(0, 20))
    def put(self, length: int) -> None:
        text = f"{self.number}".ljust(length, ".") if length else ""
        self.number += 1
        self.waiting.append(text)
        if len(self.waiting) > 5:
            self.waiting.pop(0)
            self.dropped += 1
        assert self.buffer.put((text, {})) == len(self.waiting) + len(self.taken)

    @rule(most=st.integers(1, 4), most_bytes=st.integers(1, 40))
    def take(self, most: int, most_bytes: int) -> None:
        count = max(0, most - len(self.taken))
        chosen, self.waiting = self.waiting[:count], self.waiting[count:]
        self.invalid += chosen.count("")
        self.taken += filter(None, chosen)
        expected = self.taken[:most]
        while len(expected) > 1 and sum(map(len, expected)) > most_bytes:
            expected.pop()
        assert self.buffer.take(most, most_bytes) == [text.encode() for text in expected]

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
        decided = stats.invalid + stats.sent + stats.rejected + stats.written + stats.dropped
        assert stats.reported == self.number == decided + stats.waiting


TestFates = Fates.TestCase
TestFates.settings = settings(max_examples=lives(60), deadline=None)


def test_after_the_end_nothing_gets_in_and_the_sender_decides_nothing() -> None:
    buffer = Buffer(10, line)
    for text in ("0", "1", "", "2", "3"):
        buffer.put((text, {}))
    assert buffer.take(2, 100) == [b"0", b"1"]
    assert buffer.end() == [b"0", b"1", b"2", b"3"]
    buffer.settle(2, "sent")  # by somebody who comes too late
    buffer.decide(3, "written")
    buffer.decide(1, "dropped")
    assert buffer.put(("late", {})) == 0
    stats = buffer.stats()
    assert (stats.sent, stats.written, stats.dropped, stats.invalid, stats.waiting, stats.reported) == (
        0,
        3,
        2,
        1,
        0,
        6,
    )


def test_the_end_may_come_while_lines_are_made() -> None:
    def late(said: Said) -> bytes | None:
        if said[0] == "1" and not left:
            left.append(b"")  # once only: `end` makes this line, too
            left.extend(buffer.end())
        return line(said)

    left: list[bytes] = []
    buffer = Buffer(10, late)
    for text in ("0", "1", "2"):
        buffer.put((text, {}))
    assert buffer.take(10, 100) == []
    assert left == [b"", b"0", b"1", b"2"]
    assert buffer.stats().waiting == 0


def test_many_threads_lose_nothing() -> None:
    buffer = Buffer(100_000, line)

    def report() -> None:
        for _ in range(2_000):
            buffer.put(("x", {}))

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
    buffer, handled = Buffer(1_000_000, line), 0

    def report(_: int, __: FrameType | None) -> None:
        nonlocal handled
        handled += 1
        buffer.put(("signal", {}))

    before = signal.signal(signal.SIGALRM, report)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        puts = 0
        while handled < 100:
            buffer.put(("plain", {}))
            puts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert buffer.stats().reported == len(buffer) == puts + handled
