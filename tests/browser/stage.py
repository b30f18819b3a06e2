"""A served site on a thread of its own, so that a test can say what happens while a browser looks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

from aiohttp import web

from exporter.board import Board
from exporter.web.access import Access
from exporter.web.server import Runner, application
from exporter.web.site import Site
from tests.running import free_port


def price(pool: str = "aero-1", value: str = "3003.42", pair: str = "WETH/USDC", **more: Any) -> dict[str, Any]:
    item = {"pair": pair, "dex": "aero", "pool": pool, "address": f"0x{pool}", "price": value, "liquidity": "12000000"}
    return item | {"block": 7, "ts": None} | more


class Thread:
    """An event loop on a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self.begin())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(20)
        self.loop.close()

    def run[T](self, made: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(made, self.loop).result(30)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async def called() -> Any:
            return function(*arguments)

        return self.run(called())

    async def begin(self) -> None: ...

    async def end(self) -> None: ...


class Stage(Thread):
    """A site with nothing on its board; whoever is in `users` has the right password."""

    def __init__(self, users: dict[str, str] | None = None, port: int | None = None) -> None:
        super().__init__()
        self._users, self.port = users or {}, port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    async def begin(self) -> None:
        self.site = Site(Board(), Access(self._users, {}), loopback_only=not self._users)
        self.hub = self.site.hub
        self._runner = Runner(application(self.site), access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def end(self) -> None:
        await self.hub.close()
        await self._runner.cleanup()

    def prices(self, *items: dict[str, Any]) -> None:
        """Prices, or that they are gone."""
        found = [((i["pair"], i["dex"], i["pool"]), None if i.get("gone") else i) for i in items]
        self.call(self.hub.states, "prices", found)

    def event(self, topic: str, **item: Any) -> None:
        """Something happened."""
        self.call(self.hub.event, topic, item)


class Line(Thread):
    """A line to a server that can be cut, or go silent, and be mended."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self.down = False
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    async def begin(self) -> None:
        self.clear = asyncio.Event()
        self.clear.set()
        self._server = await asyncio.start_server(self._joined, "127.0.0.1", self.port)

    async def end(self) -> None:
        self._server.close()
        self.clear.set()
        self._cut()
        await asyncio.sleep(0.05)

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        self.down = True
        self.call(self._cut)

    def _cut(self) -> None:
        for writer in tuple(self._open):
            writer.transport.abort()

    def mend(self) -> None:
        """Let through what comes."""
        self.down = False
        self.call(self.clear.set)

    def hush(self) -> None:
        """Let nothing through, and tell nobody."""
        self.call(self.clear.clear)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, back}
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        self._open -= {writer, back}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await self.clear.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
