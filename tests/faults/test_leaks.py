"""Nothing adds up in a whole exporter: after cycles of all that comes and goes it holds what it held before."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import connect

from exporter.config import read
from tests.faults.proxy import between
from tests.faults.stage import Stage
from tests.model import story
from tests.model.server import serving
from tests.model.story import Story
from tests.running import PATIENCE
from tests.test_app import Started, started
from tests.tiers import FULL

CYCLES = 100 if FULL else 25
WARM = 6
"""Cycles until everything that is made once and kept has been made."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    own = Story(random.Random(41), story.world(depth=5, interval=0.2))
    own.mine(20)
    with serving(own.world) as endpoint, between(endpoint.door.port) as proxy:
        made = Stage(tmp_path, endpoint, own, proxy)
        made.pidfile.write_text(str(os.getpid()))
        yield made
    gc.unfreeze()


def held() -> dict[str, int]:
    """Descriptors, tasks and threads of this process."""
    gc.collect()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
    }


async def rested() -> dict[str, int]:
    """The least that it holds within some seconds: looks at files come and go, and what was closed takes a moment."""
    found = [held()]
    for _ in range(100):
        await asyncio.sleep(0.05)
        found.append(held())
    return {name: min(one[name] for one in found) for name in found[0]}


async def at_rest(wanted: dict[str, int] | None = None) -> dict[str, int]:
    """What it holds when it rests: what was wanted, or what two rests in a row have found; the last after a while."""
    deadline = time.monotonic() + PATIENCE / 2  # a busy machine has not closed everything yet: a leak stays
    found = await rested()
    while time.monotonic() < deadline:
        before, found = wanted or found, await rested()
        if found == before:
            break
    return found


class Cycle:
    """Connect, scrape, reload, rotate, reorg."""

    def __init__(self, stage: Stage, exporter: Started, settings: dict[str, Any]) -> None:
        self.stage, self.exporter, self.settings = stage, exporter, settings

    async def turn(self, number: int) -> None:
        """One of each, and all of them seen."""
        self.stage.act()
        await self._listen(politely=number % 2 == 0)
        await self.exporter.page()
        await self._reload(number)
        self.stage.log.rename(self.stage.log.with_suffix(".log.1"))
        await asyncio.to_thread(self.stage.own.reorg, 1, 2)

    async def held(self, wanted: dict[str, int] | None = None) -> dict[str, int]:
        """What it holds without a chain: how many connections to a node are kept depends on what was asked at once."""
        await self._load({name: part for name, part in self.settings.items() if name != "chain"})
        await self.exporter.shows_not("arb_chain_head_block")
        await self.exporter.shows('arb_storage_up{store="store"} 1.0')
        return await at_rest(wanted)

    async def _listen(self, politely: bool) -> None:
        async with connect(f"ws://127.0.0.1:{self.exporter.port}/ws") as client:
            await client.recv()
            await client.send(json.dumps({"op": "subscribe", "topics": ["prices", "trades", "system"]}))
            await client.recv()
            if not politely:
                client.transport.abort()

    async def _reload(self, number: int) -> None:
        """Another store, and every fourth time another chain, of which nothing of before stays."""
        more = {"name": f"store-{number % 2}", "path": str(self.stage.folder / "store")}
        made = self.settings | {"storage": [more]}
        if number % 4 == 0:
            fewer = self.settings["chain"]["pools"][number // 4 % 2 :]
            made |= {"chain": self.settings["chain"] | {"pools": fewer}}
        await self._load(made)
        await self.exporter.shows(f'arb_storage_up{{store="store-{number % 2}"}} 1.0')
        await self.exporter.shows("arb_chain_head_block")

    async def _load(self, settings: dict[str, Any]) -> None:
        self.exporter.loaded = read(yaml.safe_dump(settings), self.stage.folder, {})
        assert self.exporter.loaded.settings is not None, self.exporter.loaded.problems
        os.kill(os.getpid(), signal.SIGHUP)


async def test_descriptors_tasks_and_threads_are_what_they_were(stage: Stage) -> None:
    settings = stage.settings(stage.endpoint.door.port)
    loaded = read(yaml.safe_dump(settings), stage.folder, {})
    assert loaded.settings is not None
    async with started(loaded.settings) as exporter:
        cycle = Cycle(stage, exporter, settings)
        for number in range(WARM):
            await cycle.turn(number)
        before = await cycle.held()
        opened = open_now()
        for number in range(WARM, WARM + CYCLES):
            await cycle.turn(number)
        after = await cycle.held(before)
        print(f"{CYCLES} cycles: {before} before, {after} after")
        assert after == before, f"more: {open_now() - opened}, fewer: {opened - open_now()}"


def open_now() -> Counter[str]:
    """What the descriptors are, for whoever looks for the one too many: numbers of sockets and pipes left out."""
    return Counter(re.sub("[0-9]+", "N", _target(descriptor)) for descriptor in os.listdir("/proc/self/fd"))


def _target(descriptor: str) -> str:
    """What a descriptor is, for whoever looks for the one too many."""
    try:
        return str(Path("/proc/self/fd", descriptor).readlink())
    except OSError:  # the listing's own
        return ""
