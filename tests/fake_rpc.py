"""A JSON-RPC server that speaks the protocol and can be told to misbehave, for tests of what reads it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.config import Chain, Endpoint
from exporter.settings import Secret

CHAIN_ID = 8453
KEY = "k3y-Canary-9f8e7d6c"
type Fault = Callable[[web.Request, Any], Awaitable[web.StreamResponse]]


class Node:
    """Answers by method from `answers`: a value, or a function of the parameters; `fault` replaces the whole answer."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"eth_chainId": hex(CHAIN_ID)}
        self.fault: Fault | None = None
        self.calls: list[tuple[str, list[Any]]] = []
        self.requests = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One POST."""
        body = await request.json()
        self.requests += 1
        if self.fault is not None:
            return await self.fault(request, body)
        return web.json_response(self.reply(body))

    def reply(self, body: Any) -> Any:
        """The right answer to a batch or a single request."""
        return [self._one(part) for part in body] if isinstance(body, list) else self._one(body)

    def _one(self, part: dict[str, Any]) -> dict[str, Any]:
        method, params = part["method"], part.get("params", [])
        self.calls.append((method, params))
        head = {"jsonrpc": "2.0", "id": part["id"]}
        if method not in self.answers:
            return head | {"error": {"code": -32601, "message": f"no such method; key {KEY}"}}
        answer = self.answers[method]
        answer = answer(*params) if callable(answer) else answer
        return head | (answer if isinstance(answer, dict) and "error" in answer else {"result": answer})


@asynccontextmanager
async def node() -> AsyncIterator[Node]:
    """A running node; its URL has a key in every part."""
    made = Node()
    app = web.Application(client_max_size=8 << 20)
    app.router.add_post("/{path:.*}", made.handle)
    async with TestServer(app, host="127.0.0.1", shutdown_timeout=0.1) as server:
        made.url = f"http://user:{KEY}@127.0.0.1:{server.port}/v2/{KEY}?apikey={KEY}"
        yield made


def chain(*nodes: Node, **more: Any) -> Chain:
    """A chain with these nodes, named first, second …"""
    names = ("first", "second", "third")
    endpoints = tuple(Endpoint(name, Secret(n.url)) for name, n in zip(names, nodes, strict=False))
    return Chain(chain_id=CHAIN_ID, endpoints=endpoints, **more)


def word(*numbers: int) -> str:
    """ABI words."""
    return "0x" + "".join(f"{number:064x}" for number in numbers)


# --- faults -------------------------------------------------------------------------------------------------------


def status(code: int, **headers: str) -> Fault:
    """Any HTTP status with a body that names the key."""

    async def fault(request: web.Request, body: Any) -> web.StreamResponse:
        headers_ = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, text=f"<h1>{KEY} is not welcome</h1>", headers=headers_)

    return fault


def text(content: str | bytes) -> Fault:
    """A 200 with any body."""

    async def fault(request: web.Request, body: Any) -> web.StreamResponse:
        return web.Response(body=content if isinstance(content, bytes) else content.encode())

    return fault


def changed(change: Callable[[Any, Any], Any], own: Node) -> Fault:
    """The right answer, changed."""

    async def fault(request: web.Request, body: Any) -> web.StreamResponse:
        return web.Response(text=json.dumps(change(own.reply(body), body)))

    return fault


async def silent(request: web.Request, body: Any) -> web.StreamResponse:
    """Never answers."""
    await asyncio.sleep(30)
    return web.Response()


async def reset(request: web.Request, body: Any) -> web.StreamResponse:
    """Promises more than it sends, and breaks off."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'[{"jsonrpc"')
    assert request.transport is not None
    request.transport.abort()
    return response


@cache
def _packed() -> bytes:
    return gzip.compress(bytes(64 << 20))


async def bomb(request: web.Request, body: Any) -> web.StreamResponse:
    """A small body that becomes 64 MiB."""
    return web.Response(body=_packed(), headers={"Content-Encoding": "gzip"})


async def trickle(request: web.Request, body: Any) -> web.StreamResponse:
    """A byte now and then, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


async def hang_up(request: web.Request, body: Any) -> web.StreamResponse:
    """Closes the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def once(fault: Fault, own: Node) -> Fault:
    """A fault that is over after one request."""

    async def first(request: web.Request, body: Any) -> web.StreamResponse:
        own.fault = None
        return await fault(request, body)

    return first


def batches_up_to(most: int, own: Node, refusal: Callable[[Any], web.Response]) -> Fault:
    """Right answers to small batches; `refusal` of the others."""

    async def fault(request: web.Request, body: Any) -> web.StreamResponse:
        return refusal(body) if len(body) > most else web.json_response(own.reply(body))

    return fault


async def flood(request: web.Request, body: Any) -> web.StreamResponse:
    """A body without end."""
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for _ in range(48):
        await response.write(b" " * (1 << 20))
    return response
