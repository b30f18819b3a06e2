"""One WebSocket connection to a node: subscriptions, and what comes by them. What is malformed costs only itself."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from exporter.sources import endpoint, jsonrpc
from exporter.sources.blocks import Header, header
from exporter.sources.endpoint import Failed
from exporter.sources.genesis import Genesis
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.preconfirmations import Preconfirmations

LARGEST: Final = 1 << 20
"""A header or a log is a few kilobytes; what is larger than this is a bomb, and ends the connection."""
HEARTBEAT: Final = 5.0
PRECONFIRMED: Final = "preconfirmed"
"""Key of ours in a log that is not in a block yet, only promised for the next one."""
_SUBSCRIPTION: Final = re.compile(r"[ -~]{1,100}")
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Opened:
    """All subscriptions stand: what happened before has to be read by other means."""


@dataclass(frozen=True, slots=True)
class Log:
    """A log of a watched contract, as the node wrote it, its address in lower case; preconfirmed ones are marked."""

    entry: dict[str, Any]


type Message = Opened | Header | Log


@asynccontextmanager
async def connect(connections: aiohttp.ClientSession, url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A connection that notices when the other side is dead. Only the kind of a failure is told, never its text.

    Raises:
        Failed: the node does not take it.
    """
    socket = await _open(connections, url)
    try:
        yield socket
    finally:
        await socket.close()


async def _open(connections: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    closing = aiohttp.ClientWSTimeout(ws_receive=None, ws_close=0.5)
    try:
        async with asyncio.timeout(endpoint.TIMEOUT):
            return await connections.ws_connect(url, timeout=closing, heartbeat=HEARTBEAT, max_msg_size=LARGEST)
    except TimeoutError:
        raise Failed("timeout", "does not answer in time") from None
    except aiohttp.WSServerHandshakeError as error:
        wait = endpoint.retry_after(error.headers.get("Retry-After", "") if error.headers else "")
        raise Failed("rate_limited" if error.status == 429 else "http", "takes no WebSocket", wait) from None
    except aiohttp.ClientConnectorError:
        raise Failed("refused", "cannot be connected to") from None
    except (aiohttp.ClientError, OSError, ValueError):
        raise Failed("malformed", "broke off or answered no WebSocket") from None


async def refuse_redirects(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """A redirect is not followed: it could lead anywhere, and would take the key along."""
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise Failed("http", "takes no WebSocket")
    return response


class Subscription:
    """Subscriptions of one connection to heads, to logs of these addresses, and to pre-confirmed logs if wanted."""

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        chain_id: int,
        addresses: Sequence[str],
        interval: Callable[[], float | None],
        genesis: Genesis | None = None,
    ) -> None:
        self._genesis = genesis
        self._socket, self._chain_id, self._addresses, self._interval = socket, chain_id, frozenset(addresses), interval
        self._asked: dict[int, str] = {}
        self._subscribed: dict[str, str] = {}
        self._missing: set[str] = set()
        self._last_id = 0
        self.preconfirmations = Preconfirmations(sorted(self._addresses))

    async def messages(self) -> AsyncGenerator[Message]:
        """Everything of interest that arrives, until the connection ends; `Opened` comes once.

        Raises:
            Failed: the connection ended, or is of no use: another chain, or no subscriptions.
        """
        await self._ask("chain", "eth_chainId", [])
        async for frame in self._socket:
            if frame.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                break
            try:
                raw = frame.data.encode() if frame.type is aiohttp.WSMsgType.TEXT else frame.data
                for message in await self._read(jsonrpc.parse(raw)):
                    yield message
            except (Malformed, RpcError):
                continue
            await self._seek_preconfirmations()
        raise Failed("malformed", "closes the connection")

    async def _ask(self, what: str, method: str, params: list[Any]) -> None:
        self._last_id += 1
        self._asked[self._last_id] = what
        body = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        try:
            await self._socket.send_str(json.dumps(body, separators=(",", ":")))
        except (aiohttp.ClientError, OSError):
            raise Failed("malformed", "closes the connection") from None

    async def _read(self, message: Any) -> list[Message]:
        if not isinstance(message, dict):
            raise Malformed("the message is no object")
        if "method" in message:
            return self._notified(message.get("params"))
        what = self._asked.pop(message["id"], "") if isinstance(message.get("id"), int) else ""
        return await self._answered(what, jsonrpc.result(message))

    async def _answered(self, what: str, result: Any) -> list[Message]:
        if what == "chain":
            await self._check_chain(result)
        elif what == "genesis":
            await self._check_genesis(result)
        elif what == "preconfirmed":
            self._take_preconfirmations(result)
        elif what:
            if not isinstance(result, str) or not _SUBSCRIPTION.fullmatch(result):
                raise Failed("rpc_error", f"takes no subscription to {what}")
            self._subscribed[result] = what
            self._missing.discard(what)
            return [] if self._missing else [Opened()]
        return []

    async def _check_chain(self, result: Any) -> None:
        try:
            own = jsonrpc.quantity(result) == self._chain_id
        except (Malformed, RpcError) as error:
            raise Failed(error.outcome, "does not tell its chain id") from None
        if not own:
            raise Failed("wrong_chain", "serves another chain")
        if self._genesis is None:
            await self._subscribe()
        else:
            await self._ask("genesis", "eth_getBlockByNumber", ["0x0", False])

    async def _check_genesis(self, block: Any) -> None:
        if self._genesis is not None and not await self._genesis.agrees(block):
            raise Failed("wrong_chain", "serves a chain with another genesis")
        await self._subscribe()

    async def _subscribe(self) -> None:
        self._missing = {"heads", "logs"} if self._addresses else {"heads"}
        await self._ask("heads", "eth_subscribe", ["newHeads"])
        if self._addresses:
            await self._ask("logs", "eth_subscribe", ["logs", {"address": sorted(self._addresses)}])

    def _notified(self, params: Any) -> list[Message]:
        what = self._subscribed.get(str(jsonrpc.field(params, "subscription")))
        result = jsonrpc.field(params, "result")
        if what == "heads":
            return [header(result)]
        if what == "logs":
            return [Log(self._log(result))]
        if what == "preconfirmed":
            logs = [self._log(entry) for entry in self.preconfirmations.logs(result)]
            return [Log(entry | {PRECONFIRMED: True}) for entry in logs if entry["address"] in self._addresses]
        return []

    def _log(self, entry: Any) -> dict[str, Any]:
        address, topics = jsonrpc.field(entry, "address"), jsonrpc.field(entry, "topics")
        address = address.lower() if isinstance(address, str) else ""
        if not _ADDRESS.fullmatch(address) or not isinstance(topics, list):
            raise Malformed("a log is none")
        return {key: value for key, value in entry.items() if key != PRECONFIRMED} | {"address": address}

    async def _seek_preconfirmations(self) -> None:
        if self._missing or not self._subscribed:
            return
        for method, params in self.preconfirmations.requests(self._interval()):
            if method == "eth_unsubscribe":
                self._subscribed.pop(params[0], None)
            await self._ask("preconfirmed" if method == "eth_subscribe" else "", method, params)

    def _take_preconfirmations(self, result: Any) -> None:
        name = result if isinstance(result, str) and _SUBSCRIPTION.fullmatch(result) else None
        self.preconfirmations.answered(name)
        if name is not None:
            self._subscribed[name] = "preconfirmed"
