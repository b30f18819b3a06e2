"""A node that lies: noticed, or harmless; nothing false is ever counted, and all is exact once it stops."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from exporter import wallet_reading
from exporter.ledger import fetch
from exporter.sources import endpoint, node, pace, states
from tests import fake_rpc
from tests.model import lies, receipt_lies, story, watch
from tests.model.lies import DETECTED, HARMLESS, Lie
from tests.model.orders import Rules
from tests.model.server import Endpoint, served
from tests.model.story import EXECUTOR, ME, SPARE, Story
from tests.model.truth import truth
from tests.model.watch import Watch

LOOKS = 2
"""Steps while a lie is told."""


def told_as(fault: Any) -> Any:
    """A fault of the whole answer."""

    def tell(own: Endpoint) -> None:
        own.fault = fault

    return tell


def changed(change: Any) -> Any:
    """The right answers to a batch, changed as a whole."""

    def tell(own: Endpoint) -> None:
        own.fault = fake_rpc.changed(change, own)  # type: ignore[arg-type]

    return tell


async def short(request: web.Request, body: Any) -> web.StreamResponse:
    """Fewer bytes are announced than come."""
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + b'[{"jsonrpc":"2.0","id":0}]' * 9)
    request.transport.close()
    return web.Response()


def reconnecting(lie: Any) -> Any:
    """What is told by the node that answers after the connection broke off."""

    def tell(own: Endpoint) -> None:
        lie(own)
        left = 3

        async def fault(request: web.Request, body: Any) -> web.StreamResponse:
            nonlocal left
            left -= 1
            return web.json_response(own.reply(body)) if left < 0 else await fake_rpc.hang_up(request, body)

        own.fault = fault

    return tell


def limited(body: Any) -> list[dict[str, Any]]:
    return [{"jsonrpc": "2.0", "id": p["id"], "error": {"code": -32005, "message": "limit"}} for p in body]


def shut(own: Endpoint) -> None:
    """The port is closed; opened again when the lie ends."""
    own.wants_shut = True  # type: ignore[attr-defined]


ANSWERS = (
    Lie("connections are refused", shut),
    Lie("silence", told_as(fake_rpc.silent)),
    Lie("broken off in the middle", told_as(fake_rpc.reset)),
    Lie("hung up at once", told_as(fake_rpc.hang_up)),
    Lie("a wrong length", told_as(short)),
    Lie("a byte now and then", told_as(fake_rpc.trickle)),
    Lie("a gzip bomb", told_as(fake_rpc.bomb)),
    Lie("a body without end", told_as(fake_rpc.flood)),
    Lie("HTML with status 200", told_as(fake_rpc.text("<html><body>Welcome</body></html>"))),
    Lie("nothing with status 200", told_as(fake_rpc.text(""))),
    Lie("numbers that JSON does not have", told_as(fake_rpc.text('[{"jsonrpc":"2.0","id":0,"result":NaN}]'))),
    Lie("lists in lists in lists", told_as(fake_rpc.text("[" * 100_000))),
    Lie("text that is no UTF-8", told_as(fake_rpc.text(b"\xff\xfe[]"))),
    Lie("status 429 and an odd time", told_as(fake_rpc.status(429, Retry_After="soon"))),
    Lie("status 429 and a negative time", told_as(fake_rpc.status(429, Retry_After="-5"))),
    Lie("status 403 that names the key", told_as(fake_rpc.status(403))),
    Lie("status 500", told_as(fake_rpc.status(500))),
    Lie("a redirect to this machine", told_as(fake_rpc.status(307, Location="http://127.0.0.1:1/"))),
    Lie("ids of somebody else", changed(lambda own, body: [part | {"id": 10**6 + part["id"]} for part in own])),
    Lie("one id for all", changed(lambda own, body: [part | {"id": 0} for part in own])),
    Lie("half of the answers", changed(lambda own, body: own[: len(own) // 2])),
    Lie("the answers of other questions", changed(lambda own, body: [
        part | {"id": other["id"]} for part, other in zip(own, own[1:] + own[:1], strict=True)])),
    Lie("one answer for all", changed(lambda own, body: own[0])),
    Lie("errors of a limit with status 200", changed(lambda own, body: limited(body))),
    Lie("neither result nor error", changed(lambda own, body: [{"jsonrpc": "2.0", "id": p["id"]} for p in body])),
    Lie("another chain at the next connection", reconnecting(lies.results("eth_chainId", lambda own: "0x1"))),
    Lie("no chain id at the next connection", reconnecting(lies.results("eth_chainId", lambda own: None))),
    Lie("another genesis at the next connection", reconnecting(lies.results(
        lies.BLOCK, lies.replaced(hash="0x" + "9" * 64), lambda params: params[0] == "0x0"))),
)  # fmt: skip
EVERY = (*ANSWERS, *lies.BLOCKS, *receipt_lies.RECEIPTS, *receipt_lies.ACCOUNTS)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience of a tenth: what is proved does not depend on it."""
    monkeypatch.setattr(endpoint, "TIMEOUT", 0.5)
    monkeypatch.setattr(node, "HESITATION", 0.2)
    monkeypatch.setattr(pace, "LONGEST", 0.01)
    for name in ("RETRY_FIRST", "RETRY_LAST", "RETRY_ALONE"):
        monkeypatch.setattr(node, name, 0.01)


class Scene:
    """A chain that was read until now, and goes on while its only node lies."""

    def __init__(self, own: Endpoint, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.endpoint, self.world = own, own.world
        self.story = Story(random.Random(11), own.world)
        self.watch = Watch(watch.settings(folder, [own]))
        self.now = 0.0
        for module in (wallet_reading, states):
            clock = SimpleNamespace(monotonic=lambda: self.now, time=lambda: 2e9)
            monkeypatch.setattr(module, "time", clock)
        self.noticed: list[str] = []

    async def step(self) -> None:
        """One step, and what can be noticed after it."""
        self.now += 2.0
        failure = await self.watch.step()
        if failure is not None:
            self.noticed.append(str(failure))
        if self.watch.state is not None and self.watch.state.frozen:
            self.noticed.append("frozen")

    async def begin(self) -> None:
        """Read until now, however long an honest node on a busy machine takes."""
        for _ in range(100):
            await self.settle()
            if self.watch.final == self.world.final:
                return
            await asyncio.sleep(0.1)

    async def settle(self) -> None:
        """Steps until everything that is final is read."""
        for _ in range(12):
            await self.step()
            if self.watch.final == self.world.final and self.watch.scanned == self.world.head.number:
                return

    async def goes_on(self) -> None:
        """The life of a chain between two steps: our transactions, and a reorg."""
        self.story.mine(5)
        self.story.reorg(2, 3)
        self.story.mine(2)

    async def false_rows(self) -> list[Any]:
        """What was counted, and is not true."""
        assert self.watch.ledger is not None
        told = truth(self.world, (ME, SPARE), (EXECUTOR,), 1, self.world.head.number)
        query = "SELECT hash, net_wei, unvalued FROM wallet_transaction WHERE confirmed>0"
        rows = await self.watch.ledger.read(lambda db: fetch(db, query))
        final = {entry.order.hash for number in range(self.world.final + 1)
                 for block in [self.world.head.at(number)] if block for entry in block.entries}  # fmt: skip
        odd: list[Any] = [own for own, _, _ in rows if own not in final]
        odd += [row for row in rows if row[1] is not None and not row[2] and told.nets.get(row[0]) != int(row[1])]
        facts = await self.watch.facts()
        up_to = truth(self.world, (ME, SPARE), (EXECUTOR,), 1, self.watch.final)
        odd += [(key, fees) for key, fees in facts.fees.items() if fees != up_to.fees[key]]
        return odd


@asynccontextmanager
async def scene(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    world = story.world(depth=6)
    async with served(world) as own:
        made = Scene(own, folder, monkeypatch)
        made.story.mine(7)
        async with made.watch.run():
            await made.begin()
            assert await made.watch.mistakes(world) == []
            made.noticed.clear()
            yield made


async def begin(made: Scene, lie: Lie) -> None:
    lie.tell(made.endpoint)
    if getattr(made.endpoint, "wants_shut", False):
        await made.endpoint.door.shut()


async def end(made: Scene) -> None:
    own = made.endpoint
    own.lie = own.fault = own.before = None
    own.backend.lag, own.backend.stuck, own.backend.branch = 0, None, None
    await own.door.open()


@pytest.mark.parametrize("lie", EVERY, ids=lambda lie: lie.name.replace(" ", "-"))
async def test_a_lie_is_noticed_or_harmless_and_never_counted(
    lie: Lie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path, monkeypatch) as made:
        await begin(made, lie)
        for _ in range(LOOKS):
            await made.goes_on()
            await made.step()
            assert await made.false_rows() == []
        noticed = sorted(set(made.noticed))
        await end(made)
        await made.goes_on()
        await made.settle()
        assert await made.watch.mistakes(made.world) == []
    assert lie.expected == HARMLESS or noticed, f"nobody noticed {lie.name}"


@pytest.mark.parametrize("lie", receipt_lies.BELIEVED, ids=lambda lie: lie.name.replace(" ", "-"))
async def test_what_one_node_alone_can_make_us_believe(
    lie: Lie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No promise: what is written down as believed is, until somebody finds a way to notice it."""
    world = story.world(Rules(l1="receipt"), depth=6)
    async with served(world) as own:
        made = Scene(own, tmp_path, monkeypatch)
        made.story.mine(60)
        lie.tell(own)
        async with made.watch.run():
            await made.settle()
            made.noticed.clear()
            await made.settle()
            assert made.noticed == []
            assert await made.watch.mistakes(world) != []


def test_there_are_enough_lies() -> None:
    assert len({lie.name for lie in EVERY}) == len(EVERY) >= 100
    assert {lie.expected for lie in EVERY} == {DETECTED, HARMLESS}
