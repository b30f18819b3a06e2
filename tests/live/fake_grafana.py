"""A stand-in for Grafana's Live push as documented: who may, what it takes, how it pings, and what it then holds."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from line_protocol_parser import LineFormatError, parse_line

LARGEST = 1 << 20
NAME, PASSWORD = "admin", "pa:ss wörd"


@dataclass
class FakeGrafana:
    """Takes pushes as an organisation's admin (WebSocket) or as any signed-in user (POST)."""

    admin: bool = True
    password: str = PASSWORD
    token: str = "glsa_token"
    ping_every: float = 25.0
    silent: bool = False  # takes a connection, and never reads from it
    lines: list[dict[str, Any]] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    bad: list[bytes] = field(default_factory=list)
    upgrades: int = 0
    posts: int = 0
    pongs: int = 0
    sockets: set[web.WebSocketResponse] = field(default_factory=set)
    url: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def knows(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        pair = base64.b64encode(f"{NAME}:{self.password}".encode()).decode()
        return given in (f"Basic {pair}", f"Bearer {self.token}")

    def take(self, body: bytes) -> bool:
        """Read every line with a parser of others; whether all were good."""
        self.messages.append(body)
        self.news.set()
        try:
            found = [parse_line(line) for line in body.decode().split("\n")]
        except (LineFormatError, UnicodeDecodeError):
            self.bad.append(body)
            return False
        self.lines += found
        return True

    async def push(self, request: web.Request) -> web.Response:
        self.posts += 1
        if not self.knows(request):
            return web.Response(status=401, text="third party says: no secret-words-of-grafana")
        return web.Response(status=200 if self.take(await request.read()) else 400)

    async def upgrade(self, request: web.Request) -> web.StreamResponse:
        self.upgrades += 1
        if not self.knows(request):
            return web.Response(status=401)
        if not self.admin:
            return web.Response(status=403)
        socket = web.WebSocketResponse(max_msg_size=LARGEST, autoping=False)
        await socket.prepare(request)
        self.sockets.add(socket)
        pinging = asyncio.create_task(self.ping(socket))
        try:
            if self.silent:
                await asyncio.sleep(3600)
            async for message in socket:
                if message.type is WSMsgType.PONG:
                    self.pongs += 1
                elif message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                else:
                    self.take(message.data.encode() if isinstance(message.data, str) else message.data)
        finally:
            pinging.cancel()
            self.sockets.discard(socket)
        return socket

    async def ping(self, socket: web.WebSocketResponse) -> None:
        while True:
            await asyncio.sleep(self.ping_every)
            await socket.ping()

    async def cut(self) -> None:
        """End every connection, as at a restart."""
        for socket in tuple(self.sockets):
            await socket.close(code=1001)


@asynccontextmanager
async def grafana(**options: Any) -> AsyncIterator[FakeGrafana]:
    fake = FakeGrafana(**options)
    app = web.Application(client_max_size=LARGEST)
    app.router.add_post("/sub/api/live/push/arb", fake.push)
    app.router.add_get("/sub/api/live/push/arb", fake.upgrade)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}/sub"
        yield fake
    finally:
        await runner.cleanup()
