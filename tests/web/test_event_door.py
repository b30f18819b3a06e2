"""Who may report: each client at its own pace, all of them within one memory."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from exporter.config import Settings
from exporter.event_intake import Intake
from exporter.ledger import Ledger
from exporter.web import event_door
from exporter.web.doors import Full
from exporter.web.event_bodies import LINES, records
from exporter.web.event_door import EVENTS, MEMORY, REQUESTS, EventDoor
from exporter.worker import Worker


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(clock: Clock, tmp_path: Path) -> EventDoor:
    worker: Any = SimpleNamespace(run=None)
    return EventDoor(Intake(Ledger(tmp_path), lambda: Settings(state=tmp_path)), worker, clock)


def refused(door: EventDoor, client: str = "a") -> float:
    try:
        door.admit(client)
    except Full as full:
        assert full.status == 429
        return full.retry_after
    return 0


def test_so_many_requests_a_second_for_each_client(door: EventDoor, clock: Clock) -> None:
    assert [refused(door) for _ in range(REQUESTS)] == [0] * REQUESTS
    assert refused(door) == 1
    assert refused(door, "b") == 0
    clock.now += 0.021
    assert [refused(door), refused(door)] == [0, 1]


def test_so_many_events_a_second_and_what_is_more_is_paid_by_waiting(door: EventDoor, clock: Clock) -> None:
    door.admit("a")
    door.charge("a", EVENTS - 1)
    assert refused(door) == 0
    door.charge("a", 5 * EVENTS)
    assert refused(door) == 5
    assert refused(door, "b") == 0
    clock.now += 4.5
    assert refused(door) == 1
    clock.now += 1
    assert refused(door) == 0


def test_no_more_clients_are_remembered_than_fit(door: EventDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_door, "CLIENTS", 3)
    for client in "abcd":
        door.admit(client)
    assert list(door._paces) == ["b", "c", "d"]


def test_all_bodies_share_one_memory(door: EventDoor) -> None:
    with door.purse() as one, door.purse() as other:
        one.spend(MEMORY // 2)
        other.spend(MEMORY // 2)
        with pytest.raises(web.HTTPServiceUnavailable):
            one.spend(1)
    with door.purse() as again:
        again.spend(MEMORY)


async def test_bodies_are_parsed_beside_the_loop_one_after_the_other(door: EventDoor) -> None:
    door.worker = Worker("bodies")
    many = [records(b'{"id":1}\n' * 50, LINES[0]) for _ in range(5)]
    portions = await asyncio.gather(*(door.portion(each, 20) for each in many))
    assert [len(portion) for portion in portions] == [20] * 5
    assert [len(portion) for portion in await asyncio.gather(*(door.portion(each, 40) for each in many))] == [30] * 5
    door.worker.close()
