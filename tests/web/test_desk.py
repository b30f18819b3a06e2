"""Readers of the ledger: few at once, none for ever, and a slow one never makes the ledger look broken."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exporter.ledger import Ledger, fetch
from exporter.web import desk
from exporter.web.desk import Closed, Desk
from tests.running import eventually


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with Ledger(tmp_path) as made:
        yield made


def one(db: sqlite3.Connection) -> Any:
    return fetch(db, "SELECT 1")


async def test_what_is_read_is_given(ledger: Ledger) -> None:
    assert await Desk(ledger).read(one) == [(1,)]


async def test_no_more_than_the_seats_wait_for_the_ledger(ledger: Ledger) -> None:
    waiting, most, real = 0, 0, ledger.read

    async def read(query: Any) -> Any:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        try:
            return await real(query)
        finally:
            waiting -= 1

    ledger.read = read  # type: ignore[method-assign]
    made = Desk(ledger)
    assert await asyncio.gather(*(made.read(one) for _ in range(50))) == [[(1,)]] * 50
    assert most == desk.SEATS


async def test_a_hanging_ledger_turns_readers_away_and_is_not_disturbed(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "PATIENCE", 0.05)
    made, go = Desk(ledger), threading.Event()

    def hang(db: sqlite3.Connection) -> Any:
        assert go.wait(20)
        return one(db)

    for _ in range(desk.SEATS):
        with pytest.raises(Closed, match="the ledger does not answer now"):
            await made.read(hang)
    with pytest.raises(Closed, match="too many are reading the ledger"):
        await made.read(one)
    writing = asyncio.create_task(ledger.write(one))
    go.set()
    assert await writing == [(1,)]
    assert not ledger.degraded
    assert await made.read(one) == [(1,)]
    assert made._readers == set()


async def test_a_reader_that_leaves_gives_its_seat_back(ledger: Ledger) -> None:
    made, go = Desk(ledger), threading.Event()
    readers = [asyncio.create_task(made.read(lambda db: go.wait(20))) for _ in range(desk.SEATS)]
    await eventually(lambda: len(made._readers) == desk.SEATS)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    go.set()
    assert await asyncio.gather(*(made.read(one) for _ in range(2 * desk.SEATS))) == [[(1,)]] * 2 * desk.SEATS


@pytest.mark.parametrize("error", [sqlite3.OperationalError("x"), OSError(5, "x")])
async def test_what_the_ledger_suffers_from_stays_inside(ledger: Ledger, error: Exception) -> None:
    def fail(db: sqlite3.Connection) -> None:
        raise error

    made = Desk(ledger)
    for _ in range(desk.SEATS + 1):
        with pytest.raises(Closed, match="the ledger does not answer now"):
            await made.read(fail)


async def test_a_mistake_of_ours_is_not_hidden(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError):
        await Desk(ledger).read(lambda db: 1 // 0)
