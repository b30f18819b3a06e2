"""Pushes prices, spreads and gas to Grafana Live: over one WebSocket, or by POST where Grafana takes none of us."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

import aiohttp
from aiohttp import hdrs

from exporter import lean, log
from exporter.collectors import live
from exporter.config import GrafanaPush
from exporter.live import line_protocol
from exporter.live.hub import Hub
from exporter.live.line_protocol import Point
from exporter.log import Plain

type Item = dict[str, Any]
type Transport = Literal["websocket", "post"]

TRANSPORTS: Final[tuple[Transport, ...]] = ("websocket", "post")
OUTCOMES: Final = ("success", "failed")
GWEI: Final = 1e9
RESTING: Final = 5.0
"""Seconds that one message may take, so that a Grafana that does not read is found out."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between two messages at least and at most, of the waits after failures, and of what else is slow."""

    shortest: float = 0.1
    longest: float = 0.25
    first_wait: float = 0.5
    last_wait: float = 30.0
    steady: float = 10.0
    upgrade_again: float = 300.0
    ping: float = 20.0


logger = log.get("grafana")


class Refused(Plain):
    """Grafana does not take what is pushed."""


class Latest:
    """The newest value of each series; what is gone is not said again."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._prices: dict[tuple[str, str, str], Item] = {}
        self._gas: Item | None = None

    def prices(self, items: list[Item]) -> None:
        """What the feed says of prices."""
        for item in items:
            key = item["pair"], item["dex"], item["pool"]
            if item.get("gone"):
                self._prices.pop(key, None)
            else:
                self._prices[key] = item
        self.changed.set()

    def gas(self, items: list[Item]) -> None:
        """What the feed says of gas."""
        self._gas = None if items[-1].get("gone") else items[-1]
        self.changed.set()

    def points(self) -> list[Point]:
        """All of it; each measurement always has the same fields, for a panel starts anew when they change."""
        gas = [] if self._gas is None else [_gas(self._gas)]
        across: dict[str, list[float]] = {}
        for item in self._prices.values():
            across.setdefault(item["pair"], []).append(float(item["price"]))
        middles = {pair: (min(prices) + max(prices)) / 2 for pair, prices in across.items()}
        prices = [_price(item, middles[item["pair"]]) for item in self._prices.values()]
        return [*prices, *_spreads(across), *gas]


def _spreads(across: dict[str, list[float]]) -> Iterator[Point]:
    """Highest price over lowest of each pair with two pools or more, less one."""
    for pair, prices in across.items():
        if len(prices) > 1 and min(prices) > 0:
            yield Point("spread", {"pair": pair}, {"ratio": max(prices) / min(prices) - 1})


def _price(item: Item, middle: float) -> Point:
    """A price, and how far it is from the middle of its pair's prices, so that all pairs fit on one axis."""
    tags = {name: item[name] for name in ("pair", "dex", "pool")}
    price = float(item["price"])
    fields = {"price": price, "from_middle_ratio": price / middle - 1 if middle > 0 else 0.0}
    if item.get("liquidity") is not None:
        fields["liquidity"] = float(item["liquidity"])
    return Point("price", tags, fields)


def _gas(item: Item) -> Point:
    fees = {f"{name}_gwei": float(item[f"{name}_wei"]) / GWEI for name in ("base_fee", "next_base_fee")}
    return Point("gas", {}, fees | {"block_used_ratio": float(item["block_used_ratio"])})


class Grafana:
    """One run's push; `wanted` gives the settings as they are now, None if nothing is to be pushed."""

    def __init__(self, hub: Hub, wanted: Callable[[], GrafanaPush | None], pace: Pace | None = None) -> None:
        self._hub, self._wanted, self._pace = hub, wanted, pace or Pace()
        self._latest = Latest()
        self._counts: dict[tuple[str, str], int] = {(t, outcome): 0 for t in TRANSPORTS for outcome in OUTCOMES}
        self._works: bool | None = None
        self._waits = 0
        hub.tap("prices", self._latest.prices)
        hub.tap("gas", self._latest.gas)

    async def run(self) -> None:
        """Push for ever, whatever the settings are by then."""
        while True:
            if (settings := self._wanted()) is None:
                self._works = self._hub.figures.push = None
                await asyncio.sleep(1.0)
                continue
            self._note()
            tls = lean.authorities() if settings.url.lower().startswith("https:") else True
            connector = aiohttp.TCPConnector(ssl=tls)
            async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
                while self._wanted() == settings:
                    await self._attempt(session, settings)

    async def _attempt(self, session: aiohttp.ClientSession, settings: GrafanaPush) -> None:
        """One connection, from its beginning to its end, and the wait after it if it failed."""
        began = time.monotonic()
        try:
            await self._connect(session, settings)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, Refused) as error:
            self._turn(False, error=log.describe(error))
            if time.monotonic() - began > self._pace.steady:
                self._waits = 0
            wait = min(self._pace.last_wait, self._pace.first_wait * 2**self._waits)
            self._waits = min(self._waits + 1, 20)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  so that not all come back together

    async def _connect(self, session: aiohttp.ClientSession, settings: GrafanaPush) -> None:
        """Push over a WebSocket; if that is refused, as it is to all but admins, by POST until it may be taken."""
        url = f"{settings.url.rstrip('/')}/api/live/push/{settings.stream}"
        headers = await asyncio.to_thread(_authorization, settings)
        try:
            upgraded = await session.ws_connect(
                url, headers=headers, heartbeat=self._pace.ping, compress=0, max_msg_size=64 << 10,
                timeout=aiohttp.ClientWSTimeout(ws_close=0.5),
            )  # fmt: skip
        except aiohttp.WSServerHandshakeError:
            until = time.monotonic() + self._pace.upgrade_again
            await self._push("post", settings, _poster(session, url, headers), until)
            return
        self._turn(True, transport="websocket")
        async with _listening(upgraded) as send:
            await self._push("websocket", settings, send)

    async def _push(
        self, transport: Transport, settings: GrafanaPush, send: Callable[[bytes], Any], until: float = float("inf")
    ) -> None:
        async with aclosing(self._turns(settings, until)) as turns:
            async for bodies in turns:
                for body in bodies:
                    await self._send(transport, send, body)

    async def _send(self, transport: Transport, send: Callable[[bytes], Any], body: bytes) -> None:
        try:
            async with asyncio.timeout(RESTING):
                await send(body)
        except Exception:
            self._counts[transport, "failed"] += body != b""
            raise
        if body:
            self._counts[transport, "success"] += 1
            self._turn(True, transport=transport)

    async def _turns(self, settings: GrafanaPush, until: float) -> AsyncGenerator[list[bytes]]:
        """What is to be said, as often as something is new, within bounds; an empty message if nothing is known."""
        changed, pace = self._latest.changed, self._pace
        while self._wanted() == settings and time.monotonic() < until:
            changed.clear()
            yield [*line_protocol.messages(self._latest.points(), time.time_ns())] or [b""]
            await asyncio.sleep(pace.shortest)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), pace.longest - pace.shortest)

    def _turn(self, works: bool, **more: str) -> None:
        """Note how it goes; only a change is logged."""
        if works is not self._works:
            (logger.info if works else logger.warning)(f"pushing to Grafana {'works' if works else 'fails'}", **more)
        self._works = works
        self._note()

    def _note(self) -> None:
        self._hub.figures.push = live.Push(self._works is True, dict(self._counts))


def _authorization(settings: GrafanaPush) -> dict[str, str]:
    """The header with the credentials as their file has them now."""
    if settings.token_file is not None:
        return {hdrs.AUTHORIZATION: f"Bearer {settings.token_file.renewed().reveal()}"}
    if settings.user is None or settings.password_file is None:
        return {}
    pair = f"{settings.user}:{settings.password_file.renewed().reveal()}".encode()
    return {hdrs.AUTHORIZATION: f"Basic {base64.b64encode(pair).decode()}"}


@asynccontextmanager
async def _listening(upgraded: aiohttp.ClientWebSocketResponse) -> AsyncGenerator[Callable[[bytes], Any]]:
    """A function that sends; what Grafana says is only listened to so that its pings are answered."""

    async def listen() -> None:
        async for _ in upgraded:
            pass

    async def send(body: bytes) -> None:
        if listening.done() or upgraded.closed:
            raise Refused("the connection was closed by Grafana")
        if body:
            await upgraded.send_str(body.decode())

    listening = asyncio.create_task(listen())
    try:
        yield send
    finally:
        await upgraded.close()
        listening.cancel()
        await asyncio.wait((listening,))


def _poster(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> Callable[[bytes], Any]:
    async def send(body: bytes) -> None:
        if not body:
            return
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            if not response.ok or response.status >= 300:
                raise Refused(f"Grafana answers with {response.status}")

    return send
