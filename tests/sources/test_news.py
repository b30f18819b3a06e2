"""What comes from heads and logs, gathered for whoever looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from exporter.sources import news
from exporter.sources.blocks import Header
from exporter.sources.news import News
from tests.running import eventually


def header(number: int) -> Header:
    return Header(number, "0x" + f"{number:064x}", "0x" + f"{number - 1:064x}", number, 1, 1, 1)


class Heads:
    """As much of heads as news needs, by hand."""

    def __init__(self) -> None:
        self.newest: Header | None = header(1)
        self.version = 0
        self.batches: asyncio.Queue[list[dict[str, Any]]] = asyncio.Queue()
        self.closed = False
        self._moved = asyncio.Event()

    def move(self, newest: Header | None) -> None:
        self.newest, self.version = newest, self.version + 1
        self._moved.set()

    async def changed(self, version: int) -> int:
        while self.version == version:
            await self._moved.wait()
            self._moved.clear()
        return self.version

    async def logs(self) -> AsyncGenerator[list[dict[str, Any]]]:
        try:
            while True:
                yield await self.batches.get()
        finally:
            self.closed = True


async def test_it_begins_with_a_look() -> None:
    async with News.of(None) as own:
        await own.wait(5)
        assert own.take() == ([], True)


async def test_without_anything_time_makes_a_look_due() -> None:
    async with News.of(None) as own:
        own.take()
        await own.wait(0.001)
        assert own.take() == ([], True)


async def test_logs_are_gathered_and_an_empty_batch_asks_for_a_look() -> None:
    heads = Heads()
    async with News.of(heads) as own:  # type: ignore[arg-type]
        own.take()
        for batch in ([{"n": 1}], [{"n": 2}, {"n": 3}]):
            heads.batches.put_nowait(batch)
        await eventually(lambda: len(own.entries) == 3)
        await own.wait(5)
        assert own.take() == ([{"n": 1}, {"n": 2}, {"n": 3}], False)
        heads.batches.put_nowait([])
        await own.wait(5)
        assert own.take() == ([], True)
    assert heads.closed


async def test_a_new_head_asks_for_a_look_and_another_final_one_does_not() -> None:
    heads = Heads()
    async with News.of(heads) as own:  # type: ignore[arg-type]
        await asyncio.sleep(0)
        own.take()
        heads.move(heads.newest)  # only the finalized one
        for _ in range(5):
            await asyncio.sleep(0)
        assert own.take() == ([], False)
        heads.move(header(2))
        await own.wait(5)
        assert own.take() == ([], True)


async def test_what_is_asked_for_is_due_at_once() -> None:
    async with News.of(None) as own:
        own.take()
        own.ask()
        await own.wait(5)
        assert own.take() == ([], True)


async def test_a_flood_becomes_a_look() -> None:
    own = News()
    own.take()
    own.put([{}] * news.MOST)
    assert own.take() == ([{}] * news.MOST, False)
    own.put([{}] * news.MOST)
    own.put([{}])
    assert own.take() == ([], True)
