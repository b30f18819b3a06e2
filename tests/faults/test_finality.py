"""A reorg below what was final: nothing is counted, it shows, and it heals by itself, whichever chain stays."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from exporter import wallet_books, wallet_reading
from exporter.collectors import wallet_transactions
from exporter.collectors.wallet_transactions import Snapshot
from exporter.ledger import fetch
from tests.model import story, watch
from tests.model.server import served
from tests.model.story import EXECUTOR, ME, SPARE, Story
from tests.model.truth import by_hash
from tests.model.watch import Watch
from tests.sources_for_tests import shown

NAMES = {ME: "trader", SPARE: "spare", EXECUTOR: "executor"}


class Scene:
    """A chain that is read, and time that passes two seconds a step."""

    def __init__(self, own: Story, made: Watch) -> None:
        self.story, self.watch, self.world = own, made, own.world
        self.now = 0.0

    async def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += 2.0
            await self.watch.step()

    def figures(self) -> dict[str, float]:
        assert self.watch.state is not None
        return shown(wallet_transactions.COLLECTOR, Snapshot(NAMES, self.watch.state))

    def counters(self) -> dict[str, float]:
        return {key: value for key, value in self.figures().items() if "_total{" in key and "by_reorg" not in key}


@asynccontextmanager
async def scene(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    world = story.world(depth=5)
    async with served(world) as endpoint:
        made = Scene(Story(random.Random(21), world), Watch(watch.settings(folder, [endpoint])))
        clock = SimpleNamespace(monotonic=lambda: made.now, time=lambda: 2e9)
        monkeypatch.setattr(wallet_reading, "time", clock)
        made.story.mine(40)
        async with made.watch.run():
            await made.step(6)
            assert await made.watch.mistakes(world) == []
            assert made.figures()["arb_wallet_transactions_frozen"] == 0
            yield made


async def test_it_freezes_shows_and_heals_when_the_old_chain_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path, monkeypatch) as made:
        old, before = made.world.head, made.counters()
        made.story.reorg(15, 20, below=True)
        await made.step(10)
        made.story.mine(8)
        await made.step(10)
        assert made.figures()["arb_wallet_transactions_frozen"] == 1
        assert made.counters() == before
        made.world.switch(old, below=True)
        made.story.mine(12)
        await made.step(12)
        assert made.figures()["arb_wallet_transactions_frozen"] == 0
        assert made.figures()["arb_wallet_transactions_orphaned"] == 0
        assert await made.watch.mistakes(made.world) == []


@pytest.mark.parametrize("restart", [False, True])
async def test_it_heals_when_the_new_chain_stays(
    restart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path, monkeypatch) as made:
        counted = await confirmed(made.watch)
        made.story.reorg(15, 20, below=True)
        await made.step(10)
        assert made.figures()["arb_wallet_transactions_frozen"] == 1
        if restart:
            assert made.watch.ledger is not None
            await made.watch.ledger.__aexit__()
            async with made.watch.run():
                await accepted(made, counted)
        else:
            await accepted(made, counted)


async def accepted(made: Scene, counted: dict[str, int]) -> None:
    """After a minute the other chain is believed: what was counted stays, what is new is counted once."""
    made.story.mine(8)
    await made.step(40)
    made.story.mine(8)
    await made.step(8)
    assert made.figures()["arb_wallet_transactions_frozen"] == 0
    assert made.watch.final == made.world.final
    on_chain = by_hash(made.world, (ME, SPARE), (EXECUTOR,), 1, made.world.final)
    rows = await confirmed(made.watch)
    assert rows.keys() == counted.keys() | on_chain.keys()
    orphans = {own for own, state in rows.items() if state == wallet_books.ORPHANED}
    assert orphans == counted.keys() - on_chain.keys() != set()
    assert made.figures()["arb_wallet_transactions_orphaned"] == len(orphans)
    assert made.watch.state is not None
    totals = made.watch.state.books.totals.values()
    assert sum(total.count for of in totals for total in of.values()) == len(rows)


async def confirmed(made: Watch) -> dict[str, int]:
    assert made.ledger is not None
    query = "SELECT hash, confirmed FROM wallet_transaction WHERE confirmed>0"
    return dict(await made.ledger.read(lambda db: fetch(db, query)))
