"""The error boundary, the change of state in the log, ages, and the cached page."""

import asyncio
import gzip
import logging
import math
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter import board as board_module
from exporter import log
from exporter.board import Board, TooManySeries, follow, poll
from exporter.collector import Collector, Kept, pause
from exporter.exposition import Format
from exporter.metrics import Distribution, Family, counter, gauge, histogram
from tests.running import eventually

SIZE = gauge("arb_x_bytes", "An observed size.", "name")
THINGS = counter("arb_x_things_total", "Things counted.")
SEEN = gauge("arb_x_last_thing_timestamp_seconds", "When a thing was seen.")
UP = gauge("arb_x_up", "1 if there.")
PROFIT = gauge("arb_x_profit_ether", "A sum.", lasting=True)
TIMES = histogram("arb_x_seconds", "Times.", buckets=(1.0,))


def render(snapshot: dict[str, float]) -> Iterator[Family]:
    if "raises" in snapshot:
        yield THINGS(999)
        raise ValueError("a secret text of a third party")
    yield SIZE.each(((name,), value) for name, value in snapshot.items())
    yield THINGS(3)
    yield SEEN(1000)
    yield UP(1)
    yield PROFIT(-2)
    yield TIMES.distributions([((), Distribution(TIMES.buckets))])


def collector(name: str = "x", timeout: float = 20.0, draw: Callable[[Any], Iterator[Family]] = render) -> Collector:
    metrics = (SIZE, THINGS, SEEN, UP, PROFIT, TIMES)
    return Collector(name=name, metrics=metrics, open=lambda _: None, render=draw, timeout=timeout, max_age=10.0)


class Clock:
    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    made = Board(clock=clock, monotonic=clock)
    made.declare("x", max_age=10.0)
    return made


def lines(board: Board) -> set[str]:
    text = board.page(Format.TEXT).body.decode()
    return {line for line in text.splitlines() if not line.startswith("#")}


def success(board: Board, name: str = "x") -> str:
    start = f'arb_scrape_collector_success{{collector="{name}"}} '
    return next(line.removeprefix(start) for line in lines(board) if line.startswith(start))


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


# --- what is shown -------------------------------------------------------------------------------------------------


def test_before_the_first_read_only_success_zero_is_known(board: Board) -> None:
    assert lines(board) == {
        'arb_scrape_collector_success{collector="x"} 0.0',
        'arb_exporter_dropped_samples_total{collector="x"} 0.0',
    }


def test_a_snapshot_is_shown_with_how_its_read_went(board: Board) -> None:
    board.publish(collector(), {"a": 7, "b": math.nan}, duration=0.25)
    shown = lines(board)
    assert {
        'arb_x_bytes{name="a"} 7.0',
        'arb_scrape_collector_success{collector="x"} 1.0',
        'arb_scrape_collector_duration_seconds{collector="x"} 0.25',
        'arb_scrape_collector_last_success_timestamp_seconds{collector="x"} 5000.0',
        'arb_exporter_dropped_samples_total{collector="x"} 1.0',
    } <= shown
    assert not any("NaN" in line for line in shown)
    assert [f.metric.name for f in board.families()][-1] == TIMES.name


@pytest.mark.parametrize("form", Format)
def test_a_page_is_valid_and_equal_to_its_gzip_body(board: Board, form: Format) -> None:
    board.publish(collector(), {"a": 7}, 0.1)
    page = board.page(form)
    assert gzip.decompress(page.gzipped) == page.body
    if form is Format.OPENMETRICS:
        assert len(list(text_string_to_metric_families(page.body.decode()))) == 4 + 6


def test_what_vanished_from_a_snapshot_vanishes_from_the_page(board: Board) -> None:
    board.publish(collector(), {"a": 7, "b": 8}, 0.1)
    board.publish(collector(), {"b": 8}, 0.1)
    assert [line for line in lines(board) if line.startswith("arb_x_bytes")] == ['arb_x_bytes{name="b"} 8.0']


def test_old_gauges_vanish_and_what_lasts_stays(board: Board, clock: Clock) -> None:
    board.publish(collector(), {"a": 7}, 0.1)
    clock.now += 10
    assert 'arb_x_bytes{name="a"} 7.0' in lines(board)
    clock.now += 0.5
    assert not any(line.startswith("arb_x_bytes") for line in lines(board))
    assert SIZE not in [f.metric for f in board.families()]
    lasting = {"arb_x_things_total 3.0", "arb_x_last_thing_timestamp_seconds 1000.0", "arb_x_up 1.0"}
    assert lasting | {"arb_x_profit_ether -2.0", "arb_x_seconds_count 0.0"} <= lines(board)


def test_the_same_snapshot_again_is_made_young_without_rendering_anew(board: Board, clock: Clock) -> None:
    calls: list[Any] = []

    def counting(snapshot: Any) -> Iterator[Family]:
        calls.append(snapshot)
        return render(snapshot)

    snapshot = {"a": 7.0}
    board.publish(collector(draw=counting), snapshot, 0.1)
    clock.now += 9
    board.publish(collector(draw=counting), snapshot, 0.1)
    clock.now += 9
    assert 'arb_x_bytes{name="a"} 7.0' in lines(board)
    assert len(calls) == 1


def test_a_first_snapshot_of_none_is_rendered(board: Board) -> None:
    board.publish(collector(draw=lambda _: iter([UP(0)])), None, 0.1)
    assert "arb_x_up 0.0" in lines(board)


# --- the cached page -----------------------------------------------------------------------------------------------


def test_a_page_is_the_same_object_until_something_changes(board: Board, clock: Clock) -> None:
    snapshot = {"a": 7.0}
    changes: list[Callable[[], None]] = [
        lambda: board.publish(collector(), snapshot, 0.1),
        lambda: board.publish(collector(), snapshot, 0.2),
        lambda: board.publish(collector(), {"a": 8.0}, 0.2),
        lambda: board.fail("x", OSError(), 0.2),
        lambda: setattr(clock, "now", clock.now + 11),
        lambda: board.publish(collector(), {"a": 9.0}, 0.2),
        lambda: board.declare("y", 10.0),
        lambda: board.retire("y"),
        lambda: board.retire("x"),
    ]
    before = board.page(Format.TEXT)
    for number, change in enumerate(changes):
        change()
        after = board.page(Format.TEXT)
        assert after.body != before.body, number
        assert board.page(Format.TEXT) is after
        assert board.page(Format.TEXT).body is after.body
        fresh = {form: Board._assemble(board, [board._own_pieces(), *_pieces(board)], form) for form in Format}
        assert board.page(Format.TEXT) == fresh[Format.TEXT]
        assert board.page(Format.OPENMETRICS) == fresh[Format.OPENMETRICS]
        before = after


def _pieces(board: Board) -> list[Any]:
    return [state.pieces(board._monotonic()) for state in board.states.values()]


NAMES = {
    "arb_x_up": ["arb_x_up 1.0"],
    "arb_x_things_total": ["arb_x_things_total 3.0"],
    "arb_x_things": ["arb_x_things_total 3.0"],
    "arb_scrape_collector_success": ['arb_scrape_collector_success{collector="x"} 1.0'],
    "arb_nothing": [],
    "arb_x": [],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_shows_the_named_families_only(board: Board, name: str) -> None:
    board.publish(collector(), {"a": 7}, 0.1)
    text = board.page(Format.TEXT, [name]).body.decode()
    assert [line for line in text.splitlines() if not line.startswith("#")] == NAMES[name]


@pytest.mark.parametrize("name", ["arb_x_seconds", "arb_x_seconds_count", "arb_x_seconds_bucket", "arb_x_seconds_sum"])
def test_a_filter_shows_a_histogram_whole(board: Board, name: str) -> None:
    board.publish(collector(), {"a": 7}, 0.1)
    page = board.page(Format.OPENMETRICS, [name])
    (family,) = text_string_to_metric_families(page.body.decode())
    assert len(family.samples) == 4
    assert gzip.decompress(page.gzipped) == page.body


# --- bounds --------------------------------------------------------------------------------------------------------


def test_too_many_series_are_refused_and_the_ones_before_stay(clock: Clock) -> None:
    board = Board(max_series=20, clock=clock, monotonic=clock)
    board.declare("x", 10.0)
    board.publish(collector(), {"a": 7}, 0.1)
    with pytest.raises(TooManySeries, match="the limit is 20"):
        board.publish(collector(), {str(i): i for i in range(50)}, 0.1)
    assert 'arb_x_bytes{name="a"} 7.0' in lines(board)
    assert len(lines(board)) <= 20


def test_the_series_of_all_collectors_count_together(clock: Clock) -> None:
    board = Board(max_series=30, clock=clock, monotonic=clock)
    one = collector("one", draw=lambda n: iter([SIZE.each(((str(i),), i) for i in range(n))]))
    two = collector("two", draw=lambda n: iter([SIZE.each(((str(i),), i) for i in range(n))]))
    board.declare("one", 10.0)
    board.declare("two", 10.0)
    board.publish(one, 12, 0.1)
    with pytest.raises(TooManySeries):
        board.publish(two, 11, 0.1)
    board.retire("one")
    board.publish(two, 11, 0.1)


def test_a_retired_collector_is_forgotten_even_while_it_is_read(board: Board) -> None:
    board.publish(collector(), {"a": 7}, 0.1)
    board.progress["x"] = 1, 2
    board.retire("x")
    board.publish(collector(), {"a": 8}, 0.1)
    board.fail("x", OSError(), 0.1)
    assert lines(board) == set()
    assert board.progress == {}
    board.retire("x")


# --- the log -------------------------------------------------------------------------------------------------------


def test_only_a_change_of_state_is_logged(board: Board, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exporter")
    for error in (OSError(2, "x"), OSError(2, "x"), ValueError("y")):
        board.fail("x", error, 0.1)
    for value in (1, 2):
        board.publish(collector(), {"a": value}, 0.1)
    board.fail("x", ValueError("y"), 0.1)
    assert logged(caplog) == ["collector fails", "collector works again", "collector fails"]


def test_another_error_of_a_failing_collector_is_told_to_developers(
    board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "exporter")
    for error in (ValueError(), ValueError(), KeyError()):
        board.fail("x", error, 0.1)
    assert logged(caplog) == ["collector fails", "collector still fails"]
    assert board.states["x"].error == "KeyError"


# --- the loops -----------------------------------------------------------------------------------------------------


class Task:
    """A loop that is ended at the end of the test, and that must end by cancellation only."""

    def __init__(self, loop: Any) -> None:
        self.task = asyncio.create_task(loop)

    async def __aenter__(self) -> asyncio.Task[None]:
        return self.task

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task], timeout=20)
        assert self.task.cancelled()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "RETRY_FIRST", 0.001)
    monkeypatch.setattr(board_module, "RETRY_LAST", 0.004)


async def test_poll_reads_again_and_again(board: Board) -> None:
    async def read() -> dict[str, float]:
        return {"a": 1 + (board.states["x"].snapshot or {"a": 0})["a"]}

    async with Task(poll(board, collector(), read, every=0.001)):
        await eventually(lambda: board.states["x"].snapshot and board.states["x"].snapshot["a"] > 5)
    assert success(board) == "1.0"


async def test_a_hung_read_fails_in_its_time_and_blocks_nobody(board: Board) -> None:
    board.declare("y", 10.0)

    async def hang() -> None:
        await asyncio.Event().wait()

    async def read() -> dict[str, float]:
        return {"a": 1}

    other = collector("y", draw=lambda _: iter([UP(1)]))
    async with (
        Task(poll(board, collector(timeout=0.01), hang, every=0)),
        Task(poll(board, other, read, every=0.001)),
    ):
        await eventually(lambda: board.states["x"].success is False and board.states["y"].success)
    assert (success(board, "x"), success(board, "y")) == ("0.0", "1.0")
    assert board.states["x"].error == "timed out"


async def test_a_read_or_render_that_raises_costs_only_its_own_success(
    board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes: list[Any] = [
        {"a": 1},
        OSError(13, "no"),
        {"raises": 1},
        TimeoutError(),
        ExceptionGroup("g", [KeyError()]),
    ]
    seen: list[tuple[bool | None, str]] = []

    async def read() -> Any:
        seen.append((board.states["x"].success, board.states["x"].error))
        if not outcomes:
            await asyncio.Event().wait()
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async with Task(poll(board, collector(), read, every=0)):
        await eventually(lambda: len(seen) == 6)
    assert seen == [
        (None, ""),
        (True, ""),
        (False, "PermissionError: Permission denied"),
        (False, "ValueError"),
        (False, "timed out"),
        (False, "KeyError"),
    ]
    assert 'arb_x_bytes{name="a"} 1.0' in lines(board)
    assert "arb_x_things_total 3.0" in lines(board), "half a snapshot was shown"
    assert "third party" not in caplog.text


async def test_follow_shows_each_snapshot_and_opens_a_failed_stream_again(board: Board) -> None:
    opened: list[int] = []

    async def stream() -> AsyncGenerator[Any]:
        opened.append(len(opened))
        yield {"a": opened[-1]}
        if len(opened) == 1:
            raise OSError(5, "x")
        if len(opened) == 2:
            return
        if len(opened) == 3:
            yield {"raises": 1}
        yield {"b": 1}
        await asyncio.Event().wait()

    async with Task(follow(board, collector(), stream)):
        await eventually(lambda: 'arb_x_bytes{name="b"} 1.0' in lines(board))
    assert opened == [0, 1, 2, 3]


async def test_what_the_ledger_holds_is_shown_and_makes_no_success_of_a_failure(
    board: Board, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    opened: list[int] = []
    waits = asyncio.Event()

    async def stream() -> AsyncGenerator[Any]:
        opened.append(len(opened))
        if len(opened) == 1:
            yield {"a": 1}
            clock.now += 20
            raise OSError(5, "x")
        yield Kept({"a": len(opened)})
        if len(opened) == 3:
            await waits.wait()
            yield {"b": 1}
            await asyncio.Event().wait()
        raise OSError(5, "x")

    async with Task(follow(board, collector(timeout=60), stream)):
        await eventually(lambda: 'arb_x_bytes{name="a"} 3.0' in lines(board))
        assert success(board) == "0.0"
        assert 'arb_scrape_collector_last_success_timestamp_seconds{collector="x"} 5000.0' in lines(board)
        waits.set()
        await eventually(lambda: 'arb_x_bytes{name="b"} 1.0' in lines(board))
    assert success(board) == "1.0"
    assert 'arb_scrape_collector_last_success_timestamp_seconds{collector="x"} 5020.0' in lines(board)
    assert [words for words in logged(caplog) if "works again" in words] == ["collector works again"]


async def test_a_silent_stream_is_closed_and_opened_again(board: Board) -> None:
    closed: list[str] = []

    async def stream() -> AsyncGenerator[Any]:
        try:
            yield {"a": 1}
            await asyncio.Event().wait()
        finally:
            closed.append("closed")

    async with Task(follow(board, collector(timeout=0.01), stream)):
        await eventually(lambda: len(closed) > 1)
    assert board.states["x"].error in ("", "timed out")


async def test_a_stream_that_cannot_be_opened_or_closed_does_not_end_the_loop(board: Board) -> None:
    opened: list[int] = []

    async def bad_at_its_end() -> AsyncGenerator[Any]:
        try:
            yield {"raises": 1}
        finally:
            raise OSError(9, "while closing")

    async def good() -> AsyncGenerator[Any]:
        yield {"a": 1}
        await asyncio.Event().wait()

    def stream() -> AsyncGenerator[Any]:
        opened.append(1)
        if len(opened) == 1:
            raise OSError(24, "cannot be opened")
        return bad_at_its_end() if len(opened) == 2 else good()

    async with Task(follow(board, collector(), stream)):
        await eventually(lambda: 'arb_x_bytes{name="a"} 1.0' in lines(board))


async def test_the_pause_before_opening_again_grows_to_its_last(monkeypatch: pytest.MonkeyPatch, board: Board) -> None:
    pauses: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real(0)

    async def stream() -> AsyncGenerator[Any]:
        raise OSError(5, "x")
        yield

    monkeypatch.setattr(board_module.asyncio, "sleep", sleep)
    async with Task(follow(board, collector(), stream)):
        while len(pauses) < 5:
            await real(0)
    assert pauses[:5] == [0.001, 0.002, 0.004, 0.004, 0.004]


async def test_cancellation_passes_even_if_cleaning_up_raises(board: Board) -> None:
    reading = asyncio.Event()

    async def read() -> None:
        try:
            reading.set()
            await asyncio.Event().wait()
        finally:
            raise OSError(5, "while cleaning up")

    async with Task(poll(board, collector(), read, every=0)):
        await asyncio.wait_for(reading.wait(), 20)
    assert board.states["x"].success is None


async def test_cancellation_passes_even_while_a_stream_is_closed(board: Board) -> None:
    closing = asyncio.Event()

    async def stream() -> AsyncGenerator[Any]:
        try:
            yield {"raises": 1}
        finally:
            closing.set()
            try:
                await asyncio.Event().wait()
            finally:
                raise OSError(5, "while closing")

    async with Task(follow(board, collector(), stream)):
        await asyncio.wait_for(closing.wait(), 20)
    assert board.states["x"].error == "ValueError"


def test_errors_are_described_in_safe_words(board: Board) -> None:
    board.fail("x", log.Plain("our own words at https://key@host/"), 0.1)
    assert board.states["x"].error == "our own words at <url>"


async def test_pauses_of_a_stream_are_not_part_of_its_reads(board: Board) -> None:
    async def stream() -> AsyncGenerator[dict[str, float]]:
        while True:
            await pause(0.3)
            yield {"a": 1.0}

    board.declare("x", 60)
    task = asyncio.create_task(follow(board, collector(), stream))
    await eventually(lambda: board.states["x"].success)
    task.cancel()
    await asyncio.wait([task])
    assert 0 < board.states["x"].duration < 0.3


def test_listeners_hear_of_every_read_after_it_is_shown(board: Board, clock: Clock) -> None:
    heard: list[tuple[str, object, bool | None]] = []

    def listener(name: str) -> None:
        state = board.states.get(name)
        heard.append((name, board.current(name), None if state is None else state.success))

    board.listen(listener)
    board.declare("x", 10.0)
    snapshot = {"a": 1.0}
    board.publish(collector(), snapshot, 0.1)
    board.publish(collector(), snapshot, 0.1)
    board.fail("x", TimeoutError(), 0.1)
    with pytest.raises(ValueError, match="secret"):
        board.publish(collector(), {"raises": 1}, 0.1)
    board.retire("x")
    board.publish(collector(), snapshot, 0.1)
    assert heard == [("x", snapshot, True), ("x", snapshot, True), ("x", snapshot, False), ("x", None, None)]


def test_what_is_current_is_what_is_young_enough(board: Board, clock: Clock) -> None:
    assert board.current("x") is None
    board.declare("x", 10.0)
    assert board.current("x") is None
    snapshot = {"a": 1.0}
    board.publish(collector(), snapshot, 0.1)
    clock.now += 10
    assert board.current("x") is snapshot
    clock.now += 0.1
    assert board.current("x") is None
    board.fail("x", TimeoutError(), 0.1)
    assert board.current("x") is None
