"""A node whose stream lies: the head is the true one all the same, and no false one is ever shown."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from exporter.config import Chain, Pool
from exporter.config import Endpoint as Configured
from exporter.settings import Secret
from exporter.sources import canonical, feed, heads, subscription
from exporter.sources.blocks import Header
from exporter.sources.heads import Heads
from exporter.sources.rpc import Rpc
from tests.model import story
from tests.model.orders import name
from tests.model.server import Endpoint, served
from tests.model.story import POOLS, Story
from tests.running import eventually

SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Lie:
    """`tell` begins it; `during` says something more while it is told."""

    name: str
    tell: Callable[[Endpoint], Any]
    during: Callable[[Endpoint], Awaitable[Any]] | None = None


def set_stream(**fields: Any) -> Callable[[Endpoint], None]:
    def tell(own: Endpoint) -> None:
        for field, value in fields.items():
            setattr(own.stream, field, value)

    return tell


def notified(**fields: Any) -> Callable[[Endpoint], None]:
    """Other values in everything that is pushed."""

    def tell(own: Endpoint) -> None:
        own.lie = lambda method, params, result: result | fields if method == "subscription" else result

    return tell


def answered(method: str, result: Any) -> Callable[[Endpoint], None]:
    """Another answer to what is asked by WebSocket, where it is asked first; over HTTP all is well."""

    def tell(own: Endpoint) -> None:
        own.stream.answers[method] = result

    return tell


def sent(text: str) -> Callable[[Endpoint], Awaitable[None]]:
    async def during(own: Endpoint) -> None:
        await own.stream.send(text)

    return during


async def closed(own: Endpoint) -> None:
    await own.stream.close()


def handshake(status: int, **headers: str) -> Callable[[Endpoint], None]:
    def tell(own: Endpoint) -> None:
        own.stream.refusal = lambda: web.Response(status=status, headers=headers)

    return tell


def pushed(own: Endpoint, **fields: Any) -> str:
    """A head that nobody mined."""
    result = {
        "number": hex(own.world.head.number + 1), "hash": name("forged"), "parentHash": name("nobody"),
        "timestamp": "0x1", "baseFeePerGas": "0x1", "gasUsed": "0x0", "gasLimit": "0x1",
    }  # fmt: skip
    params = {"subscription": f"0x{1:032x}", "result": result | fields}
    return json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


def forged(**fields: Any) -> Callable[[Endpoint], Awaitable[None]]:
    async def during(own: Endpoint) -> None:
        await own.stream.send(pushed(own, **fields))

    return during


def nothing(own: Endpoint) -> None:
    """All else is as it should be."""


LIES = (
    Lie("subscriptions without events", set_stream(silent=True)),
    Lie("a half-open socket", set_stream(frozen=True)),
    Lie("every message three times", set_stream(repeats=3)),
    Lie("one head of three", set_stream(skips=3)),
    Lie("no word of removed logs", set_stream(tells_removed=False)),
    Lie("a frame of 20 MB", nothing, sent(json.dumps("x" * (20 << 20)))),
    Lie("a frame that is no JSON", nothing, sent("{")),
    Lie("a frame of lists in lists", nothing, sent("[" * 100_000)),
    Lie("closed again and again", nothing, closed),
    Lie("a head without parent here", nothing, forged()),
    Lie("a head far above", nothing, forged(number=hex(10**9))),
    Lie("a head beyond all numbers", nothing, forged(number=hex(2**256 - 1))),
    Lie("a head of text", nothing, forged(number="high")),
    Lie("a head of null", nothing, forged(number=None)),
    Lie("heads of long ago", notified(number="0x1")),
    Lie("heads with another hash", notified(hash="0x12")),
    Lie("heads of the future", notified(timestamp=hex(2**40))),
    Lie("logs of nobody", notified(address=None, topics="none")),
    Lie("another chain", answered("eth_chainId", "0x1")),
    Lie("a chain id of null", answered("eth_chainId", None)),
    Lie("subscriptions of null", answered("eth_subscribe", None)),
    Lie("subscriptions with spoilt names", answered("eth_subscribe", "\x00" * 200)),
    Lie("no WebSocket", handshake(400)),
    Lie("no more WebSockets now", handshake(429, **{"Retry-After": "0"})),
    Lie("a redirect to this machine", handshake(302, Location="http://127.0.0.1:1/")),
)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience of a tenth."""
    for module, names in (
        (feed, ("RETRY_FIRST", "RETRY_LAST")),
        (heads, ("POLL_LONGEST",)),
        (canonical, ("BEHIND_SECONDS", "STUCK_SECONDS")),
        (subscription, ("HEARTBEAT",)),
    ):
        for constant in names:
            monkeypatch.setattr(module, constant, 0.2)
    monkeypatch.setattr(feed, "SHORTEST_PATIENCE", 0.5)
    monkeypatch.setattr(feed, "INTERVALS", 0)


class Witness:
    """Sees every head that is shown."""

    def __init__(self, followed: Heads) -> None:
        self.heads: list[Header] = []
        self._final = 0
        self._task = asyncio.create_task(self._watch(followed))

    async def _watch(self, followed: Heads) -> None:
        version = 0
        while True:
            version = await followed.changed(version)
            if followed.newest is not None:
                self.heads.append(followed.newest)
            if followed.finalized is not None:
                assert followed.finalized.number >= self._final
                self._final = followed.finalized.number

    async def end(self) -> None:
        self._task.cancel()
        (ended,) = await asyncio.gather(self._task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), ended


@asynccontextmanager
async def following() -> AsyncIterator[tuple[Endpoint, Story, Heads, Witness]]:
    world = story.world(depth=5)
    own = Story(random.Random(31), world)
    own.mine(20)
    async with served(world) as endpoint:
        configured = Configured("node", http=Secret(endpoint.http), ws=Secret(endpoint.ws))
        pools = tuple(Pool(p.dex, "uniswap_v2", p.address) for p in POOLS)
        chain = Chain(chain_id=world.chain_id, endpoints=(configured,), pools=pools)
        async with Rpc(chain) as rpc, Heads(rpc, chain) as followed:
            witness = Witness(followed)
            logs = asyncio.create_task(read_logs(followed))
            await eventually(lambda: followed.newest is not None, SECONDS)
            await goes_on(own, followed)
            yield endpoint, own, followed, witness
            await witness.end()
            logs.cancel()
            (ended,) = await asyncio.gather(logs, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError), ended


async def read_logs(followed: Heads) -> None:
    async for batch in followed.logs():
        for entry in batch:
            assert entry["address"] in {pool.address for pool in POOLS}


async def goes_on(own: Story, followed: Heads) -> None:
    """Some blocks, and the head is the newest of them."""
    own.mine(2)
    await eventually(lambda: shows_head(own, followed), SECONDS)


def shows_head(own: Story, followed: Heads) -> bool:
    return followed.newest is not None and followed.newest.hash == own.world.head.hash


async def by_websocket(own: Story, followed: Heads) -> None:
    """Blocks, until heads come by themselves again."""
    async with asyncio.timeout(SECONDS):
        while not followed.by_websocket:
            own.mine()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name.replace(" ", "-"))
async def test_the_head_is_the_true_one_whatever_the_stream_says(lie: Lie) -> None:
    async with following() as (endpoint, own, followed, witness):
        await by_websocket(own, followed)
        lie.tell(endpoint)
        if endpoint.stream.answers or endpoint.stream.refusal:
            await endpoint.stream.close()
        for _ in range(3):
            if lie.during is not None:
                await lie.during(endpoint)
            await goes_on(own, followed)
        own.reorg(2, 3)
        await eventually(lambda: shows_head(own, followed), SECONDS)
        endpoint.lie, endpoint.stream.refusal = None, None
        endpoint.stream.answers.clear()
        set_stream(silent=False, frozen=False, repeats=1, skips=0, tells_removed=True)(endpoint)
        await by_websocket(own, followed)
        await goes_on(own, followed)
        false = [head for head in witness.heads if head.hash not in own.world.by_hash]
        assert false == []


def test_there_are_enough_of_them() -> None:
    assert len({lie.name for lie in LIES}) == len(LIES) >= 25
