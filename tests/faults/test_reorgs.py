"""Random lives of a chain, with reorgs, rollbacks, nodes that lag or disagree, and ends of the process at any point."""

from __future__ import annotations

import os
import random
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exporter import wallet_books, wallet_reading
from exporter.config import Named
from exporter.sources import node, states
from tests import fake_rpc
from tests.model import story, watch
from tests.model.server import Endpoint, served
from tests.model.story import ME, Story
from tests.model.watch import Watch

SEQUENCES = 300 if os.environ.get("ARB_PROOFS") == "full" else 18
FIRST_SEED = int(os.environ.get("ARB_FIRST_SEED", "0"))
"""To begin elsewhere, or to play one of them again: a failing test names its seed."""
PARTS = 6
MOVES = 14
DEEPEST = 64
CERTAIN = ("final", "counts", "fees")
"""What is exact whatever a node has forgotten."""


class Crash(Exception):
    """The end of the process inside a commit."""


class Clock:
    """Time for the reader: two seconds pass between two of its steps, as in life."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def heal(endpoint: Endpoint) -> None:
    """Let a node see the chain as it is."""
    endpoint.before = endpoint.fault = None
    endpoint.backend.lag, endpoint.backend.stuck, endpoint.backend.branch = 0, None, None


class Sequence:
    """One life: what happens is drawn from the seed."""

    def __init__(self, seed: int, clock: Clock, endpoints: list[Endpoint], folder: Path, forgetful: bool) -> None:
        self.rng, self.clock, self.endpoints = random.Random(seed), clock, endpoints
        self.world = endpoints[0].world
        self.story = Story(self.rng, self.world)
        alone = {"contracts": ()} if self.rng.random() < 0.4 else {}
        if self.rng.random() < 0.2:
            alone["wallets"] = (Named("trader", ME),)
        self.watch = Watch(watch.settings(folder, endpoints, **alone))
        self.forgetful = forgetful
        """Nodes keep the states of a few blocks only: what needs an older one cannot be told then."""
        self.crashes = 0
        self.deepest = 0

    async def live(self) -> None:
        """Moves and steps, over several runs; then let everything become final."""
        self.story.mine(self.rng.randrange(1, 30))
        for _ in range(self.rng.choice((1, 2, 3))):
            async with self.watch.run():
                for _ in range(MOVES):
                    self._move()
                    await self._step()
        async with self.watch.run():
            await self._settle()

    def _move(self) -> None:
        draw, rng = self.rng.random(), self.rng
        if draw < 0.45:
            self.story.mine(rng.choice((1, 1, 2, 3, 8)))
        elif draw < 0.55:
            self.story.mine(rng.randrange(10, 70), empty=rng.random() < 0.5)
        elif draw < 0.75:
            self._reorg()
        elif draw < 0.82 and self.story.room > 1:
            self.story.rollback(rng.randrange(1, min(self.story.room, DEEPEST)))
        else:
            self._trouble(rng.choice(self.endpoints))

    def _reorg(self) -> None:
        if self.story.room < 1:
            return
        deepest = min(self.story.room, DEEPEST)
        depth = self.rng.choice((1, 1, 2, self.rng.randint(1, deepest), deepest))
        depth = min(depth, deepest)
        self.deepest = max(self.deepest, depth)
        self.story.reorg(depth, max(1, depth + self.rng.randint(-2, 5)))

    def _trouble(self, endpoint: Endpoint) -> None:
        """A node that is down, lags, stands still, has forgotten, is two behind one name (on two branches); or well."""
        backend, rng = endpoint.backend, self.rng
        heal(endpoint)
        backend.keeps = rng.choice((None, 3, 40)) if self.forgetful else None
        match rng.randrange(6):
            case 0:
                backend.lag = rng.randrange(1, 7)
            case 1:
                backend.stuck = backend.head
            case 2:
                endpoint.before = lambda: setattr(backend, "lag", rng.choice((0, 3)))
            case 3 if self.story.room > 2:
                depth = rng.randint(1, min(self.story.room, 4))
                side = self.story.side(depth, rng.randint(1, depth + 1))
                endpoint.before = lambda: setattr(backend, "branch", rng.choice((None, side)))
            case 4 if len(self.endpoints) > 1:
                endpoint.fault = fake_rpc.status(503)

    async def _step(self) -> None:
        """One step; the chain may move, or the process may end, in the middle of it."""
        self.clock.now += 2.0
        draw = self.rng.random()
        if draw < 0.12:
            await self._crash()
        elif draw < 0.3:
            await self._moving()
        else:
            await self.watch.step()

    async def _moving(self) -> None:
        endpoint, left = self.endpoints[0], self.rng.randrange(1, 12)
        rest = endpoint.before

        def before() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self._reorg() if self.rng.random() < 0.6 else self.story.mine(2)

        endpoint.before = before
        await self.watch.step()
        endpoint.before = rest

    async def _crash(self) -> None:
        """A commit that never happens, everything it wrote being written already; the next step is another run's."""
        name = self.rng.choice(("put", "confirm", "go_back"))
        true = getattr(wallet_books, name)

        def dying(*arguments: Any) -> None:
            true(*arguments)
            raise Crash

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wallet_books, name, dying)
            try:
                await self.watch.step()
            except Crash:
                self.crashes += 1
        await self.watch.look()

    async def _settle(self) -> None:
        """All is well from now on: everything becomes final and is read."""
        for endpoint in self.endpoints:
            heal(endpoint)
        self.story.mine(self.world.depth + 3)
        for _ in range(60 if self.forgetful else 30):
            self.clock.now += 2.0
            await self.watch.step()
            if self.watch.final == self.world.final and self.watch.scanned == self.world.head.number:
                break


async def play(seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Sequence:
    """One sequence from beginning to end; the ledger is the truth then."""
    clock, rng = Clock(), random.Random(f"world {seed}")
    for module in (wallet_reading, states):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic, time=lambda: 2e9))
    for constant in ("RETRY_FIRST", "RETRY_LAST", "RETRY_ALONE"):
        monkeypatch.setattr(node, constant, 0.01)
    forgetful = rng.random() < 0.15
    rules = story.RULES[:2] if forgetful else story.RULES
    world = story.world(rng.choice(rules), depth=rng.choice((4, 8, 16, DEEPEST)), interval=rng.choice((0.2, 2)))
    async with AsyncExitStack() as stack:
        endpoints = [await stack.enter_async_context(served(world)) for _ in range(rng.choice((1, 2)))]
        sequence = Sequence(seed, clock, endpoints, folder, forgetful)
        await sequence.live()
        sequence_mistakes = await _mistakes(sequence)
    assert not sequence_mistakes, f"seed {seed}: {sequence_mistakes[:5]}"
    return sequence


async def _mistakes(sequence: Sequence) -> list[str]:
    async with sequence.watch.run():
        await sequence.watch.look()
        found = await sequence.watch.mistakes(sequence.world)
    if sequence.forgetful:
        return [mistake for mistake in found if mistake.startswith(CERTAIN)]
    return found


@pytest.mark.parametrize("part", range(PARTS))
async def test_the_ledger_ends_as_the_canonical_chain(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = range(FIRST_SEED + part, FIRST_SEED + SEQUENCES, PARTS)
    played = [await play(seed, tmp_path / str(seed), monkeypatch) for seed in seeds]
    steps, failures = sum(s.watch.steps for s in played), sum(s.watch.failures for s in played)
    crashes, deepest = sum(s.crashes for s in played), max(s.deepest for s in played)
    print(f"{len(played)} sequences, {steps} steps ({failures} failed), {crashes} crashes, deepest reorg {deepest}")
    assert steps > len(played) * MOVES
