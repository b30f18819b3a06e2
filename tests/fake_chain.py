"""A small chain behind the fake node, by HTTP and WebSocket, that can be told to go back, fall silent, or lie."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from itertools import count
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from exporter.config import Chain
from exporter.settings import Secret
from tests import fake_rpc
from tests.fake_rpc import CHAIN_ID, KEY, Node

GENESIS_TIME = 1_750_000_000
_salt = count()
type Block = dict[str, str]
type Handshake = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeChain:
    """Blocks from 0 on; every new one has a hash of its own. `final` is how many blocks the finalized one is behind."""

    def __init__(self, length: int = 100, interval: int = 2, final: int = 10) -> None:
        self.blocks: list[Block] = []
        self.interval, self.final = interval, final
        self.mine(length + 1)

    @property
    def head(self) -> Block:
        return self.blocks[-1]

    def mine(self, blocks: int = 1) -> list[Block]:
        """More blocks; those."""
        made = []
        for _ in range(blocks):
            number = len(self.blocks)
            block = {
                "number": hex(number),
                "hash": "0x" + sha256(f"{number} {next(_salt)}".encode()).hexdigest(),
                "parentHash": self.blocks[-1]["hash"] if self.blocks else "0x" + "00" * 32,
                "timestamp": hex(GENESIS_TIME + number * self.interval),
                "baseFeePerGas": "0x64", "gasUsed": "0x10", "gasLimit": "0x20",
            }  # fmt: skip
            self.blocks.append(block)
            made.append(block)
        return made

    def rollback(self, depth: int) -> None:
        """The head falls."""
        del self.blocks[-depth:]

    def reorg(self, depth: int, longer: int = 0) -> list[Block]:
        """Other blocks in place of the last ones, and some more."""
        self.rollback(depth)
        return self.mine(depth + longer)

    def get(self, which: str, full: bool = False) -> Block | None:
        """A block by number or tag, as nodes answer."""
        head = len(self.blocks) - 1
        tags = {"latest": head, "finalized": max(head - self.final, 0), "safe": max(head - self.final // 2, 0)}
        number = tags[which] if which in tags else int(which, 16)
        return self.blocks[number] if number <= head else None

    def serve(self, node: Node) -> None:
        """Let a node answer from this chain."""
        node.answers["eth_getBlockByNumber"] = self.get
        node.answers["eth_blockNumber"] = lambda: self.head["number"]


class Socket:
    """The node's side of WebSocket connections; what it answers and pushes can be spoilt."""

    def __init__(self) -> None:
        self.handshake: Handshake | None = None
        self.answers: dict[str, Any] = {"eth_chainId": hex(CHAIN_ID), "eth_unsubscribe": True}
        self.refused: dict[str, Any] = {"pendingLogs": -32602, "newFlashblockTransactions": -32601}
        self.ignored: set[str] = set()
        self.open: list[web.WebSocketResponse] = []
        self.connections = 0
        self.subscriptions: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, list[Any]]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection."""
        self.connections += 1
        if self.handshake is not None:
            return await self.handshake(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.open.append(socket)
        self.subscriptions.clear()
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    await self._answer(socket, json.loads(frame.data))
        finally:
            self.open.remove(socket)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, request: dict[str, Any]) -> None:
        method, params = request["method"], request["params"]
        self.asked.append((method, params))
        what = params[0] if method == "eth_subscribe" else method
        if what in self.ignored:
            return
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        if what in self.refused:
            answer["error"] = {"code": self.refused[what], "message": f"no; {KEY}"}
        elif method == "eth_subscribe":
            name = answer["result"] = hex(len(self.asked))
            self.subscriptions[what] = [name, *params[1:]]
        else:
            found = self.answers[method]
            answer["result"] = found(*params) if callable(found) else found
        await socket.send_json(answer)

    def subscribed(self, *whats: str) -> bool:
        """Whether all of these subscriptions stand."""
        return bool(self.open) and all(what in self.subscriptions for what in whats)

    async def push(self, what: str, *results: Any) -> None:
        """Notifications of a subscription, if it stands."""
        for result in results:
            name = self.subscriptions.get(what, ["none"])[0]
            params = {"subscription": name, "result": result}
            await self.send({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})

    async def send(self, message: Any) -> None:
        """Any message to all who are connected."""
        text = message if isinstance(message, str) else json.dumps(message)
        for socket in list(self.open):
            with suppress(ConnectionError):  # who has had enough hangs up
                await socket.send_str(text)

    async def close(self) -> None:
        """End all connections."""
        for socket in list(self.open):
            await socket.close()


class Place:
    """A node with a chain, by HTTP and WebSocket."""

    def __init__(self, chain: FakeChain) -> None:
        self.node, self.socket, self.chain = Node(), Socket(), chain
        chain.serve(self.node)
        self.socket.answers["eth_getBlockByNumber"] = lambda *params: self.chain.get(*params)
        self.ws_url = ""

    async def mine(self, blocks: int = 1) -> list[Block]:
        """New blocks, and word of them to all who are connected."""
        made = self.chain.mine(blocks)
        await self.socket.push("newHeads", *made)
        return made


@asynccontextmanager
async def place(chain: FakeChain | None = None) -> AsyncIterator[Place]:
    """A running node; its URLs have a key in every part."""
    made = Place(chain or FakeChain())
    app = web.Application(client_max_size=8 << 20)
    app.router.add_post("/{path:.*}", made.node.handle)
    app.router.add_get("/{path:.*}", made.socket.handle)
    async with TestServer(app, host="127.0.0.1", shutdown_timeout=0.1) as server:
        made.node.url = f"http://user:{KEY}@127.0.0.1:{server.port}/v2/{KEY}?apikey={KEY}"
        made.ws_url = made.node.url.replace("http:", "ws:")
        try:
            yield made
        finally:
            await made.socket.close()


def configured(*places: Place, **more: Any) -> Chain:
    """A chain with these nodes, named first, second …, each with its WebSocket."""
    made = fake_rpc.chain(*(p.node for p in places), **more)
    endpoints = tuple(
        replace(e, ws=Secret(p.ws_url) if p.ws_url else None) for e, p in zip(made.endpoints, places, strict=True)
    )
    return replace(made, endpoints=endpoints)


def log(address: str, block: Block, index: int = 0, **more: Any) -> dict[str, Any]:
    """A log as nodes write it."""
    return {
        "address": address, "topics": ["0x" + "11" * 32], "data": "0x", "blockNumber": block["number"],
        "blockHash": block["hash"], "transactionHash": "0x" + "22" * 32, "logIndex": hex(index), "removed": False,
    } | more  # fmt: skip


async def freeze(request: web.Request) -> web.StreamResponse:
    """A handshake that never ends."""
    await asyncio.sleep(30)
    return web.Response()
