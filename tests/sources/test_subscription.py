import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporter.ledger import Ledger
from exporter.log import describe
from exporter.sources import endpoint, subscription
from exporter.sources.blocks import Header, header
from exporter.sources.endpoint import Failed
from exporter.sources.genesis import Genesis
from exporter.sources.subscription import Log, Message, Opened, Subscription
from tests.fake_chain import Place, freeze, log, place
from tests.fake_rpc import CHAIN_ID, KEY
from tests.running import eventually

POOL, OTHER = "0x" + "ab" * 20, "0x" + "cd" * 20


@pytest.fixture
async def own() -> AsyncIterator[Place]:
    async with place() as made:
        yield made


class Following:
    """Everything a subscription says, until it ends."""

    def __init__(self, made: Subscription) -> None:
        self.subscription = made
        self.heard: list[Message] = []
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async with aclosing(self.subscription.messages()) as messages:
            async for message in messages:
                self.heard.append(message)

    async def hears(self, count: int) -> list[Message]:
        await eventually(lambda: len(self.heard) >= count or self.task.done())
        if self.task.done():
            await self.task
        return self.heard


@asynccontextmanager
async def following(
    own: Place,
    addresses: tuple[str, ...] = (),
    interval: Callable[[], float | None] = lambda: None,
    genesis: Genesis | None = None,
) -> AsyncIterator[Following]:
    async with endpoint.session(subscription.refuse_redirects) as connections:
        async with subscription.connect(connections, own.ws_url) as socket:
            made = Following(Subscription(socket, CHAIN_ID, addresses, interval, genesis))
            try:
                yield made
            finally:
                made.task.cancel()
                await asyncio.gather(made.task, return_exceptions=True)


async def test_heads_and_logs_arrive(own: Place) -> None:
    async with following(own, (POOL, OTHER)) as found:
        assert await found.hears(1) == [Opened()]
        assert own.socket.asked == [
            ("eth_chainId", []),
            ("eth_subscribe", ["newHeads"]),
            ("eth_subscribe", ["logs", {"address": [POOL, OTHER]}]),
        ]
        (block,) = await own.mine()
        await own.socket.push("logs", log(POOL.upper().replace("X", "x"), block))
        _, head, event = await found.hears(3)
        assert head == header(block)
        assert event == Log(log(POOL, block))


async def test_without_pools_there_are_heads_only(own: Place) -> None:
    async with following(own) as found:
        await found.hears(1)
        await own.mine(3)
        await found.hears(4)
        assert [type(message) for message in found.heard] == [Opened, Header, Header, Header]
        assert [what for method, what in own.socket.asked if method == "eth_subscribe"] == [["newHeads"]]


MALFORMED: dict[str, Any] = {
    "no JSON": "<html>",
    "not finite": '{"a": 1e999}',
    "deep": "[" * 100_000,
    "a bomb": "[" + "[]," * 250_000 + "0]",
    "a list": "[]",
    "text": '"x"',
    "an unknown answer": '{"id": 77, "result": "0x1"}',
    "an answer to nobody": '{"id": null, "error": {"code": 1}}',
    "an id of another kind": '{"id": [], "result": 1}',
    "no parameters": '{"method": "eth_subscription"}',
    "no subscription": '{"method": "eth_subscription", "params": {"result": {}}}',
    "another subscription": '{"method": "eth_subscription", "params": {"subscription": "0xff", "result": {}}}',
    "a subscription of another kind": '{"method": "eth_subscription", "params": {"subscription": [1], "result": 1}}',
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_message_costs_only_itself(own: Place, name: str) -> None:
    async with following(own) as found:
        await found.hears(1)
        await own.socket.send(MALFORMED[name])
        (block,) = await own.mine()
        assert (await found.hears(2))[1:] == [header(block)]


@pytest.mark.parametrize("what", ["newHeads", "logs"])
@pytest.mark.parametrize(
    "value", [None, {}, [], "0x1", 5, {"number": "x"}, {"address": POOL}, {"address": 7, "topics": []}]
)
async def test_a_malformed_head_or_log_costs_only_itself(own: Place, what: str, value: Any) -> None:
    async with following(own, (POOL,)) as found:
        await found.hears(1)
        await own.socket.push(what, value)
        (block,) = await own.mine()
        assert (await found.hears(2))[1:] == [header(block)]


async def test_binary_frames_are_read_too(own: Place) -> None:
    async with following(own) as found:
        await found.hears(1)
        (block,) = own.chain.mine()
        name = own.socket.subscriptions["newHeads"][0]
        message = {"method": "eth_subscription", "params": {"subscription": name, "result": block}}
        await own.socket.open[0].send_bytes(json.dumps(message).encode())
        assert (await found.hears(2))[1:] == [header(block)]


@pytest.mark.parametrize("answer", ["0x1", None, "8453", [], "0x" + "f" * 65])
async def test_another_chain_is_of_no_use(own: Place, answer: Any) -> None:
    own.socket.answers["eth_chainId"] = answer
    async with following(own) as found:
        with pytest.raises(Failed) as caught:
            await found.hears(1)
        assert caught.value.outcome == ("wrong_chain" if answer == "0x1" else "malformed")
    assert [method for method, _ in own.socket.asked] == ["eth_chainId"]


async def test_a_chain_with_another_genesis_is_of_no_use(own: Place, tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        genesis = Genesis(CHAIN_ID, ledger)
        own.socket.answers["eth_getBlockByNumber"] = own.chain.blocks[0]
        async with following(own, genesis=genesis) as found:
            await found.hears(1)
        own.socket.answers["eth_getBlockByNumber"] = None  # which is no other one
        async with following(own, genesis=genesis) as found:
            await found.hears(1)
        own.socket.answers["eth_getBlockByNumber"] = own.chain.blocks[1]
        async with following(own, genesis=genesis) as found:
            with pytest.raises(Failed, match="another genesis"):
                await found.hears(1)


@pytest.mark.parametrize("what", ["newHeads", "logs"])
async def test_a_node_without_subscriptions_is_of_no_use(own: Place, what: str) -> None:
    own.socket.refused[what] = -32601
    async with following(own, (POOL,)) as found:
        with pytest.raises(Failed, match="takes no subscription to") as caught:
            await found.hears(9)
    assert KEY not in str(caught.value)


async def test_a_frame_that_is_too_large_ends_the_connection(own: Place) -> None:
    async with following(own) as found:
        await found.hears(1)
        await own.socket.send("[" + " " * 20_000_000 + "]")
        with pytest.raises(Failed, match="closes"):
            await found.hears(2)


async def test_a_connection_that_is_closed_is_noticed(own: Place) -> None:
    async with following(own) as found:
        await found.hears(1)
        await own.socket.close()
        with pytest.raises(Failed, match="closes"):
            await found.hears(2)


async def test_a_connection_that_breaks_is_noticed(own: Place) -> None:
    async with following(own) as found:
        await found.hears(1)
        transport = own.socket.open[0]._req.transport  # type: ignore[union-attr]
        transport.abort()  # type: ignore[union-attr]
        with pytest.raises(Failed):
            await found.hears(2)


async def test_a_half_open_connection_is_noticed_by_its_missing_pong(
    own: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "HEARTBEAT", 0.2)
    async with following(own) as found:
        await found.hears(1)
        transport = own.socket.open[0]._req.transport  # type: ignore[union-attr]
        transport.pause_reading()  # type: ignore[union-attr]
        with pytest.raises(Failed):
            await found.hears(2)
        transport.abort()  # type: ignore[union-attr]


HANDSHAKES: dict[str, tuple[Any, str]] = {
    "403 naming the key": (lambda: web.Response(status=403, text=KEY), "http"),
    "429": (lambda: web.Response(status=429, headers={"Retry-After": "7"}), "rate_limited"),
    "429 for ever": (lambda: web.Response(status=429, headers={"Retry-After": "9" * 30}), "rate_limited"),
    "500": (lambda: web.Response(status=500), "http"),
    "200": (lambda: web.Response(text="<html>"), "http"),
    "a redirect": (lambda: web.Response(status=302, headers={"Location": "/elsewhere"}), "http"),
}


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_a_handshake_that_fails_is_classed_and_hides_the_key(own: Place, name: str) -> None:
    made, outcome = HANDSHAKES[name]

    async def handshake(_: web.Request) -> web.StreamResponse:
        answer: web.StreamResponse = made()
        return answer

    own.socket.handshake = handshake
    with pytest.raises(Failed) as caught:
        async with following(own):
            pass
    assert (caught.value.outcome, caught.value.__cause__) == (outcome, None)
    assert caught.value.wait == (7 if name == "429" else 0)
    assert KEY not in describe(caught.value)
    assert own.socket.connections == 1  # a redirect is not followed


async def test_a_handshake_that_never_ends_and_one_that_is_refused(own: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "TIMEOUT", 0.2)
    own.socket.handshake = freeze
    with pytest.raises(Failed, match="in time"):
        async with following(own):
            pass
    own.ws_url = "ws://127.0.0.1:1/"
    with pytest.raises(Failed, match="cannot be connected to"):
        async with following(own):
            pass
    own.ws_url = "ws://[::1"
    with pytest.raises(Failed, match="broke off"):
        async with following(own):
            pass


async def test_preconfirmed_logs_are_marked_where_blocks_are_slow(own: Place) -> None:
    interval = 2.0
    del own.socket.refused["pendingLogs"]
    async with following(own, (POOL,), lambda: interval) as found:
        await found.hears(1)
        await eventually(lambda: own.socket.subscribed("pendingLogs"))
        assert not found.subscription.preconfirmations.active
        await own.socket.push("pendingLogs", log(POOL, own.chain.head), log(OTHER, own.chain.head), "0x77")
        assert (await found.hears(2))[1] == Log(log(POOL, own.chain.head) | {"preconfirmed": True})
        assert found.subscription.preconfirmations.active
        interval = 0.2
        await own.mine()
        await eventually(lambda: ("eth_unsubscribe", [own.socket.subscriptions["pendingLogs"][0]]) in own.socket.asked)
        await own.socket.push("pendingLogs", log(POOL, own.chain.head, 1))
        await own.mine()
        assert [type(message) for message in await found.hears(4)] == [Opened, Log, Header, Header]
        assert not found.subscription.preconfirmations.active


async def test_logs_of_flashblocks_are_taken_where_there_are_no_pending_ones(own: Place) -> None:
    del own.socket.refused["newFlashblockTransactions"]
    async with following(own, (POOL,), lambda: 2.0) as found:
        await found.hears(1)
        await eventually(lambda: own.socket.subscribed("newFlashblockTransactions"))
        logs = [log(POOL, own.chain.head), log(OTHER, own.chain.head)]
        await own.socket.push("newFlashblockTransactions", {"hash": "0x1", "logs": logs}, "0x1")
        assert (await found.hears(2))[1] == Log(logs[0] | {"preconfirmed": True})


async def test_nobody_else_can_mark_a_log_as_preconfirmed(own: Place) -> None:
    async with following(own, (POOL,)) as found:
        await found.hears(1)
        await own.socket.push("logs", log(POOL, own.chain.head, preconfirmed=True))
        assert (await found.hears(2))[1] == Log(log(POOL, own.chain.head))
