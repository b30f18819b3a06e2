"""The sender keeps order and loses nothing, whatever the exporter and the disk do."""

import json
import logging
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import pytest

from exporter.client import sender as module
from exporter.client.buffer import Buffer, Said
from exporter.client.connection import Answer, Connection
from exporter.client.fallback import Fallback
from exporter.client.sender import BATCH, FIRST_WAIT, LONGEST_RETRY_AFTER, LONGEST_WAIT, SPREAD, Pace, Sender
from tests.client.fake_exporter import Exporter, hangs, resets, running, says
from tests.client.test_connection import to


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    with running() as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.1)


def line(said: Said) -> bytes | None:
    return None if said[1]["pair"] == "UNFIT" else json.dumps(said[1]).encode() + b"\n"


@dataclass
class Voice:
    """A buffer with a sender that runs."""

    sender: Sender
    numbers: int = 0
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self.sender.run)
        self.thread.start()

    def say(self, count: int, pair: str = "WETH/USDC") -> None:
        for _ in range(count):
            record = {"id": str(self.numbers), "type": "price", "pair": pair}
            self.numbers += 1
            if self.sender.buffer.put(("price", record)) in (1, BATCH):
                self.sender.wake()

    def settled(self, seconds: float = 120) -> bool:
        return eventually(lambda: not len(self.sender.buffer), seconds)

    def end(self, seconds: float = 5) -> None:
        self.sender.end(monotonic() + seconds)
        self.thread.join(30)
        assert not self.thread.is_alive()


def eventually(holds: Callable[[], bool], seconds: float = 120) -> bool:
    until = monotonic() + seconds
    while not holds() and monotonic() < until:
        threading.Event().wait(0.005)
    return holds()


type Start = Callable[..., Voice]


@pytest.fixture
def start(exporter: Exporter) -> Iterator[Start]:
    voices: list[Voice] = []

    def begin(file: Path | None = None, url: str | None = exporter.url, most: int = 200_000) -> Voice:
        connection = Connection(to(url)) if url else None
        pace = Pace(wait=module.FIRST_WAIT)
        voices.append(Voice(Sender(Buffer(most, line), connection, Fallback(file) if file else None, 0.01, pace)))
        return voices[-1]

    yield begin
    for voice in voices:
        voice.end(0)


def ids(exporter: Exporter) -> list[str]:
    return [record["id"] for record in exporter.records]


def numbers(count: int, first: int = 0) -> list[str]:
    return [str(number) for number in range(first, first + count)]


def test_a_hundred_thousand_events_keep_their_order(exporter: Exporter, start: Start) -> None:
    voice = start()
    voice.say(100_000)
    assert voice.settled(60)
    assert ids(exporter) == numbers(100_000)
    assert (exporter.repeated, voice.sender.buffer.stats().sent) == (0, 100_000)
    assert len(exporter.requests) >= 50


def test_every_trouble_at_once_loses_nothing_and_keeps_the_order(exporter: Exporter, start: Start) -> None:
    dice = random.Random(5)
    kinds = [says(429, Retry_After="0"), says(503), says(500), says(404), says(401), says(301), resets, says(200)]
    exporter.deeds.extend(dice.choice(kinds) for _ in range(40))
    voice = start()
    for _ in range(20):
        voice.say(500)
        threading.Event().wait(0.01)
    assert voice.settled(60)
    assert ids(exporter) == numbers(10_000)
    stats = voice.sender.buffer.stats()
    assert (stats.sent, stats.dropped, stats.rejected) == (10_000, 0, 0)
    assert stats.failures >= 20


def test_a_silent_exporter_is_given_up_and_asked_again(
    exporter: Exporter, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    exporter.deeds.extend([hangs, hangs])
    voice = start()
    voice.say(10)
    assert voice.settled()
    assert ids(exporter) == numbers(10)
    assert voice.sender.buffer.stats().failures >= 2


def test_only_bad_records_are_refused(exporter: Exporter, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    voice = start()
    voice.say(3)
    voice.say(2, pair="BAD")
    voice.say(3)
    assert voice.settled()
    voice.say(1)
    assert voice.settled()
    assert ids(exporter) == ["0", "1", "2", "5", "6", "7", "8"]
    stats = voice.sender.buffer.stats()
    assert (stats.sent, stats.rejected, stats.failures) == (7, 2, 0)
    assert any("refused" in record.getMessage() for record in caplog.records)


def test_what_cannot_be_written_down_is_passed_over(exporter: Exporter, start: Start, tmp_path: Path) -> None:
    for voice in (start(), start(tmp_path / "events.ndjson", url=None)):
        voice.say(3, pair="UNFIT")
        assert voice.settled()
        voice.say(1)
        voice.say(1, pair="UNFIT")
        voice.say(1)
        assert voice.settled()
        stats = voice.sender.buffer.stats()
        assert (stats.invalid, stats.sent + stats.written, stats.failures) == (4, 2, 0)
    assert ids(exporter) == ["3", "5"]


def test_a_refusal_without_a_number_counts_as_one(exporter: Exporter, start: Start) -> None:
    exporter.deeds.append(says(422))
    voice = start()
    voice.say(1)
    assert voice.settled()
    assert voice.sender.buffer.stats().rejected == 1


def test_a_batch_that_is_too_large_is_halved(start: Start) -> None:
    with running(most_bytes=600) as exporter:
        voice = start(url=exporter.url)
        voice.say(300)
        assert voice.settled()
        assert ids(exporter) == numbers(300)
        assert exporter.repeated == 0


def test_a_record_that_is_too_large_by_itself_is_refused(start: Start) -> None:
    with running(most_bytes=200) as exporter:
        voice = start(url=exporter.url)
        voice.say(2)
        voice.say(1, pair="x" * 300)
        voice.say(2)
        assert voice.settled()
        assert ids(exporter) == ["0", "1", "3", "4"]
        assert voice.sender.buffer.stats().rejected == 1


def test_what_cannot_be_sent_is_written_and_what_can_again_is_sent(
    exporter: Exporter, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "events.ndjson"
    exporter.deeds.extend([says(503, Retry_After="0")] * 3)
    voice = start(file)
    voice.say(5)
    assert voice.settled()
    assert [json.loads(line)["id"] for line in file.read_bytes().splitlines()] == numbers(5)
    said = voice.sender.buffer.stats()
    assert (said.written, said.sent) == (5, 0)
    assert voice.sender.trouble == "the exporter answers 503"
    for _ in range(1000):
        voice.say(1)
        if not voice.sender.trouble:
            break
        threading.Event().wait(0.02)
    assert voice.settled()
    written = [json.loads(line)["id"] for line in file.read_bytes().splitlines()]
    assert written + ids(exporter) == numbers(voice.numbers)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [
        "events do not reach the exporter: the exporter answers 503",
        "events reach the exporter again",
    ]


def test_without_an_exporter_the_file_is_the_way(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    voice = start(file, url=None)
    voice.say(5_000)
    assert voice.settled()
    assert [json.loads(line)["id"] for line in file.read_bytes().splitlines()] == numbers(5_000)


def test_without_exporter_and_file_events_wait_until_they_work_again(
    exporter: Exporter, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "absent" / "events.ndjson"
    exporter.deeds.extend([says(503)] * 5)
    voice = start(file)
    voice.say(10)
    assert eventually(lambda: voice.sender.buffer.stats().failures >= 4)
    file.parent.mkdir()
    assert voice.settled()
    written = [json.loads(line)["id"] for line in file.read_bytes().splitlines()] if file.exists() else []
    assert written + ids(exporter) == numbers(10)
    told = [record.getMessage() for record in caplog.records if "fallback" in record.getMessage()]
    assert len(told) == 1


def test_a_full_buffer_gives_up_the_oldest(exporter: Exporter, start: Start) -> None:
    exporter.deeds.append(hangs)
    voice = start(most=100)
    voice.say(1)
    assert eventually(lambda: len(exporter.requests) == 1)
    voice.say(1_000)
    exporter.let_go.set()
    assert voice.settled()
    assert ids(exporter) == ["0", *numbers(100, first=901)]
    stats = voice.sender.buffer.stats()
    assert (stats.reported, stats.sent, stats.dropped) == (1_001, 101, 900)


def test_the_end_does_not_wait_for_company_or_for_better_times(exporter: Exporter, start: Start) -> None:
    exporter.deeds.append(says(503, Retry_After="60"))
    voice = start()
    voice.say(3)
    assert eventually(lambda: voice.sender.buffer.stats().failures == 1)
    voice.end()
    assert ids(exporter) == numbers(3)


def test_a_mistake_of_ours_does_not_end_the_sender(
    exporter: Exporter, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistakes = iter([ZeroDivisionError()] * 3)
    post = Connection.post

    def broken(connection: Connection, body: bytes, patience: float = 1) -> Answer:
        for mistake in mistakes:
            raise mistake
        return post(connection, body, patience)

    monkeypatch.setattr(Connection, "post", broken)
    voice = start()
    voice.say(2)
    assert voice.settled()
    assert eventually(lambda: voice.sender.trouble == "")
    assert voice.sender.buffer.stats().failures == 3


def test_a_mistake_with_the_file_does_not_end_it_either(
    exporter: Exporter, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError

    exporter.deeds.extend([says(503)] * 2)
    with monkeypatch.context() as patch:
        patch.setattr(Fallback, "append", broken)
        voice = start(tmp_path / "events.ndjson")
        voice.say(2)
        assert voice.settled()
    assert ids(exporter) == numbers(2)


def test_waits_double_up_to_a_longest_one_and_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pace = Pace(clock=lambda: 100.0)
    waits = []
    for _ in range(10):
        pace.failed()
        waits.append(pace.left())
    for wait, exact in zip(waits, [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30], strict=True):
        assert exact * (1 - SPREAD) <= wait <= exact * (1 + SPREAD)
    pace.succeeded()
    assert pace.left() <= 0
    pace.failed(retry_after=7)
    assert pace.left() == 7
    pace.failed(retry_after=1e9)
    assert pace.left() == LONGEST_RETRY_AFTER
    assert FIRST_WAIT < LONGEST_WAIT
