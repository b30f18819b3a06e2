"""One request to a node over HTTP: bounded in time and size, never redirected, every failure of a known class."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from exporter import lean
from exporter.log import Plain
from exporter.sources.jsonrpc import Refused
from exporter.sources.packed import ASKED, Unpacker
from exporter.worker import Busy, Workers

TIMEOUT: Final = 5.0
LARGEST: Final = 8 << 20
"""Bytes of an answer to several calls: parsed it takes three times as much memory; smaller batches help."""
LARGEST_BLOCK: Final = 32 << 20
"""Bytes of an answer about one full block, its receipts, or very many logs."""
ALWAYS: Final = 1 << 20
DENSEST: Final = 50
"""What is packed so many times smaller than it is, beyond the first `ALWAYS` bytes, is a bomb: JSON never is."""
RETRY_AFTER_LAST: Final = 60.0
_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


class Failed(Plain):
    """An endpoint did not answer a request; `outcome` is its class, `wait` what it asked for, in seconds."""

    def __init__(self, outcome: str, words: str, wait: float = 0.0) -> None:
        super().__init__(words)
        self.outcome, self.wait = outcome, wait


class Resolver(AbstractResolver):
    """Looks hosts up in threads of our own: the loop's are waited for at the end, and a look-up can hang for long."""

    def __init__(self) -> None:
        self._workers = Workers()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host.

        Raises:
            OSError: there are none, or an earlier look-up of it still hangs.
        """
        try:
            return await self._workers(f"dns {host}").run(_look_up, host, port, family)
        except Busy:
            raise OSError(errno.EAGAIN, "an earlier look-up hangs") from None

    async def close(self) -> None:
        """Let the threads end."""
        self._workers.close()


def _look_up(host: str, port: int, family: int) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=proto, flags=numeric)
        for kind, _, proto, _, address in found
    ]


def session(*middlewares: aiohttp.ClientMiddlewareType, secure: bool = False) -> aiohttp.ClientSession:
    """Connections that are kept alive; no proxy, cookie or password of the environment is used.

    Only if `secure` can they be to https and wss.
    """
    tls = lean.authorities() if secure else True
    return aiohttp.ClientSession(
        middlewares=middlewares,
        timeout=aiohttp.ClientTimeout(total=None),  # `post` bounds each request, with its second try
        connector=aiohttp.TCPConnector(limit=16, ttl_dns_cache=60, resolver=Resolver(), ssl=tls),
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def post(connections: aiohttp.ClientSession, url: str, body: bytes, most: int = LARGEST) -> bytes:
    """The body of the answer, of so many bytes at most.

    Third parties' texts quote URLs, so that only the kind of a failure is told.

    Raises:
        Failed: there is no answer. Refused: the batch is too large for the node.
    """
    try:
        async with asyncio.timeout(TIMEOUT):
            try:
                return await _exchange(connections, url, body, most)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError):
                # A kept connection that the node closed just now; all that we ask may be asked twice.
                return await _exchange(connections, url, body, most)
    except TimeoutError:
        raise Failed("timeout", "does not answer in time") from None
    except aiohttp.ClientConnectorError:
        raise Failed("refused", "cannot be connected to") from None
    except (aiohttp.ClientError, OSError, ValueError):
        raise Failed("malformed", "broke off or answered no HTTP") from None


async def _exchange(connections: aiohttp.ClientSession, url: str, body: bytes, most: int) -> bytes:
    headers = {"Content-Type": "application/json", "Accept-Encoding": ASKED}
    async with connections.post(
        url, data=body, headers=headers, allow_redirects=False, auto_decompress=False
    ) as response:
        if response.status != 200:
            raise _bad_status(response)
        return await _read(response, most)


def _bad_status(response: aiohttp.ClientResponse) -> Plain:
    wait = retry_after(response.headers.get("Retry-After", ""))
    if response.status == 413:
        return Refused("the batch is too large for the node")
    if response.status == 429:
        return Failed("rate_limited", "limits the rate of requests", wait)
    return Failed("http", f"answers with HTTP status {response.status}", wait)


def retry_after(text: str) -> float:
    """Seconds the node asks for, given as a number or a date; nonsense counts as nothing, for our waiting grows."""
    text = text.strip()
    try:
        number = _SECONDS.fullmatch(text)
        wanted = float(text) if number else (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(wanted, 0.0), RETRY_AFTER_LAST)


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, as long as it is no bomb; in one piece, for thousands of small ones would leave the heap in shreds."""
    unpacker, found, packed = Unpacker(response.headers.get("Content-Encoding", "")), bytearray(), 0
    try:
        async for chunk in response.content.iter_chunked(1 << 16):
            packed += len(chunk)
            for piece in unpacker.feed(chunk):
                found += piece
                if len(found) > min(most, ALWAYS + DENSEST * packed):
                    raise Failed("too_large", "answers with too much")
                await asyncio.sleep(0)
        if not unpacker.complete:
            raise ValueError("cut off")
        return bytes(found)
    finally:
        found.clear()  # an error that somebody keeps would keep this frame, and megabytes with it
