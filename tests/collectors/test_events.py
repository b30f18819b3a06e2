"""Events as samples: nothing before the source is known, the file to its end, and what came by HTTP beside it."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.backlog import Backlog
from exporter.board import Board
from exporter.collector import Follow, Sources
from exporter.collectors import events, trades
from exporter.collectors.events import COLLECTOR, OUTCOMES, Snapshot
from exporter.config import Bot, Settings
from exporter.event_intake import Delivery, totals
from exporter.sources.event_fields import FAULTS
from exporter.sources.event_records import parse
from exporter.web.events import OUTCOMES as ANSWERS
from tests.running import eventually
from tests.sources.event_documents import TYPES, event
from tests.sources_for_tests import settings, shown, sources


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "EVERY", 0.01)


def configured(folder: Path, file: Path | None = None) -> Settings:
    return settings(folder, bot=Bot(name="b", events=file))


def lines(*keys: str, kind: str = "pool") -> bytes:
    return b"".join(json.dumps(event(kind, key)).encode() + b"\n" for key in keys)


def append(file: Path, data: bytes) -> None:
    with file.open("ab") as opened:
        opened.write(data)


@contextlib.asynccontextmanager
async def following(s: Sources) -> AsyncIterator[Callable[[], Any]]:
    opened = COLLECTOR.open(s)
    assert isinstance(opened, Follow)
    async with contextlib.aclosing(opened.stream()) as stream:
        yield stream.__anext__


async def counted(take: Callable[[], Any], **expected: int) -> dict[str, float]:
    """The samples once so many events of these types are shown."""
    for _ in range(500):
        samples = shown(COLLECTOR, await take())
        if all(samples.get(f'arb_events_total{{bot="b",type="{kind}"}}') == n for kind, n in expected.items()):
            return samples
    raise AssertionError(samples)


async def test_nothing_but_requests_is_shown_before_anything_was_reported(tmp_path: Path) -> None:
    async with sources(configured(tmp_path)) as s, following(s) as take:
        first = await take()
        assert shown(COLLECTOR, first) == {f'arb_events_requests_total{{outcome="{o}"}}': 0 for o in OUTCOMES}
        assert await take() is first


async def test_from_the_first_delivery_on_everything_is_there_at_zero(tmp_path: Path) -> None:
    async with sources(configured(tmp_path)) as s, following(s) as take:
        await s.intake.put(Delivery())
        samples = await counted(take, trade=0)
        names = {f'arb_events_total{{bot="b",type="{kind}"}}' for kind in TYPES}
        names |= {f'arb_events_simulated_total{{bot="b",type="{kind}"}}' for kind in TYPES}
        names |= {f'arb_events_invalid_total{{bot="b",reason="{reason}"}}' for reason in FAULTS}
        names |= {'arb_events_duplicates_total{bot="b"}', 'arb_events_conflicts_total{bot="b"}'}
        assert {name for name, value in samples.items() if value == 0} >= names
        assert not any("timestamp" in name for name in samples)


async def test_what_came_in_is_told(tmp_path: Path) -> None:
    async with sources(configured(tmp_path)) as s, following(s) as take:
        told = [parse(event("trade", "1")), parse(event("trade", "1")), parse(event("pool", "1"))]
        await s.intake.put(Delivery([*told, parse(event("pool", "2", simulated=True))], {"json": 3}))
        s.intake.requests["accepted"] += 2
        samples = await counted(take, trade=1, pool=1)
        assert samples['arb_events_simulated_total{bot="b",type="pool"}'] == 1
        assert samples['arb_events_duplicates_total{bot="b"}'] == 1
        assert samples['arb_events_conflicts_total{bot="b"}'] == 1
        assert samples['arb_events_invalid_total{bot="b",reason="json"}'] == 3
        assert samples['arb_events_last_timestamp_seconds{bot="b",type="trade"}'] == 1_767_225_600
        assert samples['arb_events_requests_total{outcome="accepted"}'] == 2


async def test_a_file_is_read_to_its_end_before_anything_of_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PORTION", 1)  # and so the least there is: 64 KiB
    monkeypatch.setattr(events, "EVERY", 0.0)
    file, progress = tmp_path / "events.ndjson", {}
    keys = list(map(str, range(1_500)))
    file.write_bytes(lines(*keys) + b"bad\n" + b'{"torn')
    async with sources(configured(tmp_path, file), progress=progress) as s, following(s) as take:
        seen = []
        while not seen or seen[-1].totals is None:
            seen.append(await take())
            assert len(seen) < 50
        assert len(seen) > 2, "it was not read in portions"
        samples = shown(COLLECTOR, seen[-1])
        assert samples['arb_events_total{bot="b",type="pool"}'] == 1_500
        assert samples['arb_events_invalid_total{bot="b",reason="json"}'] == 1
        steps = progress["events"]
        assert all(done < total for done, total in steps[:-1])
        await take()
        assert progress["events"][-1] == (1, 1)


async def test_by_http_and_by_file_an_event_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(lines("1", "2", "3"))
    async with sources(configured(tmp_path, file)) as s:
        await s.intake.put(Delivery([parse(event("pool", key)) for key in "234"]))
        assert not (await s.ledger.read(lambda db: totals(db, "b"))).known, "its history is not read yet"
        async with following(s) as take:
            samples = await counted(take, pool=4)
            assert samples['arb_events_duplicates_total{bot="b"}'] == 2
            append(file, lines("4", "5"))
            samples = await counted(take, pool=5)
            assert samples['arb_events_duplicates_total{bot="b"}'] == 3


async def test_a_file_that_comes_later_is_caught_up_with(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    async with sources(configured(tmp_path, file)) as s, following(s) as take:
        assert (await take()).totals is None
        await s.intake.put(Delivery())
        await counted(take, pool=0)
        file.write_bytes(lines("1"))
        await counted(take, pool=1)


async def test_rotation_truncation_and_recreation_lose_and_double_nothing(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(lines("1"))
    async with sources(configured(tmp_path, file)) as s, following(s) as take:
        await counted(take, pool=1)
        append(file, lines("2"))
        file.rename(file.with_name("events.ndjson.1"))
        file.write_bytes(lines("3"))
        await counted(take, pool=3)
        file.write_bytes(lines("4"))
        await counted(take, pool=4)
        file.unlink()
        await take()
        file.write_bytes(lines("5", "6"))
        samples = await counted(take, pool=6)
        assert samples['arb_events_duplicates_total{bot="b"}'] == 0


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(lines("1", "2") + b"bad\n")
    async with sources(configured(tmp_path, file)) as s, following(s) as take:
        await counted(take, pool=2)
    append(file, lines("3"))
    async with sources(configured(tmp_path, file)) as s, following(s) as take:
        samples = await counted(take, pool=3)
        assert samples['arb_events_duplicates_total{bot="b"}'] == 0
        assert samples['arb_events_invalid_total{bot="b",reason="json"}'] == 1


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "directory"])
async def test_what_is_no_file_holds_nobody_up(tmp_path: Path, make: Callable[[Path], None]) -> None:
    file = tmp_path / "events.ndjson"
    make(file)
    async with sources(configured(tmp_path, file)) as s, following(s) as take:
        await take()
        await s.intake.put(Delivery([parse(event("pool", "1"))]))
        await counted(take, pool=1)


async def test_a_link_to_a_file_is_that_file_and_a_huge_line_costs_only_itself(tmp_path: Path) -> None:
    file, link = tmp_path / "elsewhere", tmp_path / "events.ndjson"
    file.write_bytes(lines("1") + b"x" * 3_000_000 + b"\n" + lines("2"))
    link.symlink_to(file)
    async with sources(configured(tmp_path, link)) as s, following(s) as take:
        samples = await counted(take, pool=2)
        assert samples['arb_events_invalid_total{bot="b",reason="size"}'] == 1


async def test_catching_up_is_told_with_the_trades(tmp_path: Path) -> None:
    async with sources(configured(tmp_path)) as s:
        opened = trades.COLLECTOR.open(s)
        assert isinstance(opened, Follow)
        async with contextlib.aclosing(opened.stream()) as stream:
            assert shown(trades.COLLECTOR, await anext(stream))['arb_bot_backfill_active{bot="b"}'] == 0
            s.backlog.tell("events", True)
            assert shown(trades.COLLECTOR, await anext(stream))['arb_bot_backfill_active{bot="b"}'] == 1


async def test_more_than_a_portion_of_the_file_is_a_backlog_and_news_are_not(
    tmp_path: Path,
) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"")
    async with sources(configured(tmp_path, file), backlog=Recorded()) as s, following(s) as take:
        await counted(take, pool=0)
        append(file, lines("1", "2"))
        await counted(take, pool=2)
        assert not any(s.backlog.told), "what is written now is no past"
        append(file, b"".join(lines(str(key)) for key in range(10, 2_010)))
        await counted(take, pool=2_002)
        assert any(s.backlog.told)
        assert not s.backlog.told[-1]


class Recorded(Backlog):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[bool] = []

    def tell(self, source: str, behind: bool) -> None:
        self.told.append(behind)
        super().tell(source, behind)


async def test_old_ids_are_let_go_also_while_nothing_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FORGET_EVERY", 0.0)
    async with sources(configured(tmp_path)) as s, following(s) as take:
        await s.intake.put(Delivery([parse(event("pool", "1"))]))
        await s.ledger.write(lambda db: db.execute("UPDATE event SET seen = 1"))
        await counted(take, pool=1)
        await take()
        assert await s.ledger.read(lambda db: db.execute("SELECT count(*) FROM event").fetchone()) == (0,)


async def test_news_are_shown_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "EVERY", 3600.0)
    async with sources(configured(tmp_path)) as s, following(s) as take:
        await take()
        waiting = asyncio.create_task(asyncio.wait_for(events._news(s), 30))
        monkeypatch.setattr(events, "EVERY", 0.01)
        await s.intake.put(Delivery())
        await eventually(waiting.done)


def test_answers_and_outcomes_are_one_set() -> None:
    assert set(ANSWERS.values()) == set(OUTCOMES)


def test_a_snapshot_fits_on_the_board() -> None:
    board = Board()
    board.declare("events", 60.0)
    board.publish(COLLECTOR, Snapshot("b", None, dict.fromkeys(OUTCOMES, 0)), 0.0)
    assert board.states["events"].series == len(OUTCOMES)
