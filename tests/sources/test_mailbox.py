import asyncio
from typing import Any

from exporter.sources.mailbox import Mailbox, Seen


async def next_of(batches: Any) -> list[dict[str, Any]]:
    return list(await asyncio.wait_for(anext(batches), 10))


async def test_a_reader_begins_anew_and_gets_what_has_come_in_one_piece() -> None:
    box = Mailbox()
    batches = box.batches()
    assert await next_of(batches) == []
    box.put({"a": 1})
    box.put({"a": 2})
    assert await next_of(batches) == [{"a": 1}, {"a": 2}]
    waiting = asyncio.create_task(next_of(batches))
    await asyncio.sleep(0)
    assert not waiting.done()
    box.put({"a": 3})
    assert await waiting == [{"a": 3}]
    await batches.aclose()


async def test_a_slow_reader_is_told_to_read_anew_and_nothing_grows() -> None:
    box = Mailbox(most=3)
    batches = box.batches()
    await next_of(batches)
    for number in range(11):
        box.put({"n": number})
    assert len(box._entries) <= 3
    assert await next_of(batches) == []
    assert [entry["n"] for entry in await next_of(batches)] == [8, 9, 10]
    await batches.aclose()


async def test_what_came_before_a_new_beginning_is_forgotten() -> None:
    box = Mailbox()
    batches = box.batches()
    await next_of(batches)
    box.put({"a": 1})
    box.anew()
    box.put({"a": 2})
    assert await next_of(batches) == []
    assert await next_of(batches) == [{"a": 2}]
    await batches.aclose()


def entry(block: str, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"blockHash": block, "transactionHash": "t", "logIndex": hex(index), **more}


def test_each_log_is_new_once() -> None:
    seen = Seen()
    assert seen.new(entry("a"))
    assert not seen.new(entry("a", removed=False))
    assert seen.new(entry("a", 1))
    assert seen.new(entry("b"))
    assert seen.new(entry("a", preconfirmed=True))
    assert seen.new({}) and not seen.new({})


def test_a_log_may_go_and_come_again() -> None:
    seen = Seen()
    for _ in range(3):
        assert seen.new(entry("a"))
        assert seen.new(entry("a", removed=True))
        assert not seen.new(entry("a", removed=True))


def test_only_the_last_are_remembered() -> None:
    seen = Seen(most=10)
    for number in range(100):
        assert seen.new(entry("a", number))
    assert len(seen._keys) == 10
    assert not seen.new(entry("a", 99))
    assert seen.new(entry("a", 0))
