"""The model over real HTTP and WebSocket, with faults and lies between the truth and what is sent."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import aiohttp
from aiohttp import web

from tests.fake_rpc import Fault
from tests.model import shapes
from tests.model.answers import Backend, Refusal, matches
from tests.model.world import Block, World, difference

type Lie = Callable[[str, list[Any], Any], Any]
"""(method, parameters, true result) -> what is said"""


class Lied(Exception):
    """A lie that is an error: its body takes the place of a result."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body


class Endpoint:
    """A served backend. `fault` replaces a whole HTTP answer, `lie` changes single results, here and in the stream."""

    def __init__(self, world: World) -> None:
        self.world, self.backend = world, Backend(world)
        self.before: Callable[[], None] | None = None
        """Called before each request is answered: the world may change between two."""
        self.fault: Fault | None = None
        self.lie: Lie | None = None
        self.stream = Stream(self)
        self.http = self.ws = ""
        self.requests = 0
        self.loop = asyncio.get_running_loop()
        self.door: Door

    def run(self, doing: Coroutine[Any, Any, None]) -> None:
        """Wait for something in the server's own loop, from another thread."""
        asyncio.run_coroutine_threadsafe(doing, self.loop).result(20)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One POST, or the upgrade to a WebSocket."""
        if request.method == "GET":
            refusal = self.stream.refusal
            return await self.stream.serve(request) if refusal is None else refusal()
        body = await request.json()
        self.requests += 1
        if self.before is not None:
            self.before()
        if self.fault is not None:
            return await self.fault(request, body)
        return web.json_response(self.reply(body))

    def reply(self, body: Any) -> Any:
        """The answer to a batch or a single request."""
        return [self.one(part) for part in body] if isinstance(body, list) else self.one(body)

    def one(self, part: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request, true or not."""
        head = {"jsonrpc": "2.0", "id": part["id"]}
        method, params = part["method"], part.get("params", [])
        try:
            result = self.backend.answer(method, params)
            return head | {"result": result if self.lie is None else self.lie(method, params, result)}
        except Refusal as refusal:
            return head | {"error": refusal.body}
        except Lied as lied:
            return head | {"error": lied.body}


class Stream:
    """The WebSocket side: subscriptions of every connection, and what is wrong with them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.silent = False
        """Subscriptions are taken, and nothing is ever delivered."""
        self.tells_removed = True
        """Logs of blocks that left the chain come again, marked as removed."""
        self.repeats = 1
        """How often each message is sent."""
        self.skips = 0
        """Of so many heads, one is sent; 0: all."""
        self.frozen = False
        """Nothing is read or written, and the connection stays."""
        self.answers: dict[str, Any] = {}
        """Other results, by method, for those who ask by WebSocket."""
        self.refusal: Callable[[], web.Response] | None = None
        """What is answered in place of an upgrade."""
        self.sockets: set[web.WebSocketResponse] = set()
        self.opened = 0

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, until it ends."""
        socket = web.WebSocketResponse(autoping=not self.frozen, max_msg_size=1 << 20)
        await socket.prepare(request)
        self.sockets.add(socket)
        self.opened += 1
        session = Session(self._endpoint, socket)
        self._endpoint.world.listeners.append(session.wake)
        pushing = asyncio.create_task(session.push())
        try:
            async for frame in socket:
                while self.frozen:  # noqa: ASYNC110  nobody tells a frozen node that it may go on
                    await asyncio.sleep(0.02)
                if frame.type is aiohttp.WSMsgType.TEXT:
                    await session.answer(json.loads(frame.data))
        finally:
            pushing.cancel()
            self._endpoint.world.listeners.remove(session.wake)
            self.sockets.discard(socket)
        return socket

    async def close(self) -> None:
        """End all connections, as a node does that restarts."""
        for socket in list(self.sockets):
            await socket.close()

    async def send(self, text: str) -> None:
        """Anything, to everybody."""
        for socket in list(self.sockets):
            with suppress(OSError, RuntimeError):
                await socket.send_str(text)


class Session:
    """One connection's subscriptions."""

    def __init__(self, endpoint: Endpoint, socket: web.WebSocketResponse) -> None:
        self._endpoint, self._socket = endpoint, socket
        self._subscriptions: dict[str, tuple[str, dict[str, Any]]] = {}
        self._told: Block = endpoint.backend.head
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._heads = 0

    def wake(self) -> None:
        """The world has changed; it may have been changed by another thread."""
        self._loop.call_soon_threadsafe(self._news.set)

    async def answer(self, body: Any) -> None:
        """A request, or a batch."""
        parts = body if isinstance(body, list) else [body]
        replies = [self._one(part) for part in parts]
        await self._socket.send_str(json.dumps(replies if isinstance(body, list) else replies[0]))

    def _one(self, part: dict[str, Any]) -> dict[str, Any]:
        head, params = {"jsonrpc": "2.0", "id": part["id"]}, part.get("params", [])
        if part["method"] in self._endpoint.stream.answers:
            return head | {"result": self._endpoint.stream.answers[part["method"]]}
        if part["method"] == "eth_subscribe":
            if params[0] not in ("newHeads", "logs"):
                return head | {"error": {"code": -32602, "message": f'unsupported subscription type "{params[0]}"'}}
            own = f"0x{len(self._subscriptions) + 1:032x}"
            self._subscriptions[own] = params[0], params[1] if len(params) > 1 else {}
            return head | {"result": own}
        if part["method"] == "eth_unsubscribe":
            return head | {"result": self._subscriptions.pop(params[0], None) is not None}
        return self._endpoint.one(part)

    async def push(self) -> None:
        """Tell of every change, in its order."""
        while True:
            await self._news.wait()
            self._news.clear()
            now, stream = self._endpoint.backend.head, self._endpoint.stream
            removed, added = difference(self._told, now)
            self._told = now
            if stream.silent or stream.frozen:
                continue
            for block in removed if stream.tells_removed else ():
                await self._logs(block, True)
            for block in added:
                await self._block(block)

    async def _block(self, block: Block) -> None:
        self._heads += 1
        if not self._endpoint.stream.skips or self._heads % self._endpoint.stream.skips == 0:
            for own, (what, _) in list(self._subscriptions.items()):
                if what == "newHeads":
                    await self._notify(own, what, shapes.header(block))
        await self._logs(block, False)

    async def _logs(self, block: Block, removed: bool) -> None:
        for own, (what, wanted) in list(self._subscriptions.items()):
            if what == "logs":
                for entry in block.entries:
                    for log in shapes.logs(self._endpoint.world, block, entry, removed):
                        if matches(log, wanted):
                            await self._notify(own, what, log)

    async def _notify(self, own: str, what: str, result: Any) -> None:
        lie = self._endpoint.lie
        said = result if lie is None else lie("subscription", [what], result)
        message = {"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": own, "result": said}}
        for _ in range(self._endpoint.stream.repeats):
            with suppress(OSError, RuntimeError):
                await self._socket.send_str(json.dumps(message))


class Door:
    """The listening socket: shut, it refuses connections, and those that were open break off."""

    def __init__(self, runner: web.AppRunner, port: int) -> None:
        self._runner, self.port = runner, port
        self._site: web.TCPSite | None = None

    async def open(self) -> None:
        """Listen, at the same port as before."""
        if self._site is None:
            self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
            await self._site.start()
            self.port = self._runner.addresses[0][1]

    async def shut(self) -> None:
        """Be gone, as a node that was killed."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()


@asynccontextmanager
async def served(world: World, port: int = 0) -> AsyncIterator[Endpoint]:
    """An endpoint over a world, in this loop."""
    endpoint = Endpoint(world)
    app = web.Application(client_max_size=8 << 20)
    app.router.add_route("*", "/{path:.*}", endpoint.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        endpoint.door = Door(runner, port)
        await endpoint.door.open()
        endpoint.http, endpoint.ws = (f"{scheme}://127.0.0.1:{endpoint.door.port}/v2" for scheme in ("http", "ws"))
        yield endpoint
        await endpoint.stream.close()
    finally:
        await runner.cleanup()


@contextmanager
def serving(world: World) -> Iterator[Endpoint]:
    """An endpoint in a thread of its own, for exporters that run in another process."""
    ready: list[tuple[Endpoint, asyncio.Event]] = []
    started = threading.Event()

    async def run() -> None:
        stopped = asyncio.Event()
        async with served(world) as endpoint:
            ready.append((endpoint, stopped))
            started.set()
            await stopped.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="model")
    thread.start()
    assert started.wait(20), "the model could not be served"
    endpoint, stopped = ready[0]
    try:
        yield endpoint
    finally:
        endpoint.loop.call_soon_threadsafe(stopped.set)
        thread.join(20)
