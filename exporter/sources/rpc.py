"""Nodes over HTTP: several endpoints in order of preference, each checked, measured and left alone while it fails."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Self

import aiohttp

from exporter import log
from exporter.config import Chain, Endpoint
from exporter.log import Plain
from exporter.metrics import OTHER, Distribution
from exporter.sources import jsonrpc
from exporter.sources.jsonrpc import Call, Malformed, RateLimited, RpcError

METHODS: Final = frozenset(
    ("eth_blockNumber", "eth_call", "eth_chainId", "eth_feeHistory", "eth_getBalance", "eth_getBlockByNumber",
     "eth_getCode", "eth_getTransactionCount")
)  # fmt: skip
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0)
OUTCOMES: Final = ("ok", "rpc_error", "rate_limited", "timeout", "refused", "http", "malformed", "too_large")
TIMEOUT: Final = 5.0
LARGEST: Final = 32 << 20
MOST_CALLS: Final = 100
RETRY_FIRST, RETRY_LAST, RETRY_AFTER_LAST = 0.5, 30.0, 60.0
STANDBY_EVERY: Final = 15.0
STEADY: Final = 60.0
"""Seconds an endpoint must answer before an earlier failure is forgiven: no flapping."""

logger = log.get("rpc")


class Failed(Plain):
    """An endpoint did not answer a request; `outcome` is its class, `wait` what it asked for, in seconds."""

    def __init__(self, outcome: str, words: str, wait: float = 0.0) -> None:
        super().__init__(words)
        self.outcome, self.wait = outcome, wait


class WrongChain(Plain):
    """An endpoint serves another chain than the configured one."""


class Unreachable(Plain):
    """No endpoint answers."""


class Node:
    """One endpoint: its health, its figures, and requests to it. Its URL is never shown."""

    def __init__(self, endpoint: Endpoint, chain_id: int) -> None:
        self.name = endpoint.name
        self.requests: Counter[tuple[str, str]] = Counter()
        self.durations = Distribution(BOUNDS)
        self.usable = False
        self.reason = "not asked yet"
        self.retry_at = 0.0
        self._url, self._chain_id = endpoint.url, chain_id
        self._wait = RETRY_FIRST
        self._since = 0.0
        self._checking = asyncio.Lock()

    async def connect(self, session: aiohttp.ClientSession) -> None:
        """Check that it serves the right chain; only then is it usable.

        Raises:
            Failed, WrongChain: it is not.
        """
        async with self._checking:
            if not self.usable:
                await self.check(session)

    async def check(self, session: aiohttp.ClientSession) -> None:
        """Ask for its chain id now.

        Raises:
            Failed, WrongChain: it must not be used.
        """
        (found,) = await self.ask(session, [("eth_chainId", [])])
        try:
            right = jsonrpc.quantity(found) == self._chain_id
        except (Malformed, RpcError):
            raise Failed("malformed", "does not tell its chain id") from None
        if not right:
            raise WrongChain("serves another chain")
        if not self.usable:
            self.usable, self.reason, self._since = True, "", time.monotonic()
            logger.info("endpoint answers", endpoint=self.name)

    def failed(self, error: Plain) -> None:
        """Leave it alone for a while, longer each time, or as long as it asked."""
        now = time.monotonic()
        if self.usable and now - self._since > STEADY:
            self._wait = RETRY_FIRST
        if self.usable or self.reason != str(error):
            logger.warning("endpoint fails", endpoint=self.name, reason=str(error))
        asked = error.wait if isinstance(error, Failed) else 0.0
        self.usable, self.reason = False, str(error)
        self.retry_at = now + max(self._wait, asked)
        self._wait = min(self._wait * 2, RETRY_LAST)

    async def ask(self, session: aiohttp.ClientSession, calls: Sequence[Call]) -> list[Any]:
        """The results of one batch; errors of single calls stand in their place.

        Raises:
            Failed: there was no usable answer.
        """
        started = time.perf_counter()
        try:
            results = jsonrpc.answers(await self._post(session, jsonrpc.request(calls)), len(calls))
        except Failed as error:
            self._count(calls, error.outcome)
            raise
        except RateLimited as error:
            self._count(calls, "rate_limited")
            raise Failed("rate_limited", str(error)) from None
        except Malformed as error:
            self._count(calls, "malformed")
            raise Failed("malformed", str(error)) from None
        finally:
            self.durations.observe(time.perf_counter() - started)
        for (method, _), result in zip(calls, results, strict=True):
            self.requests[_method(method), _outcome(result)] += 1
        return results

    def _count(self, calls: Sequence[Call], outcome: str) -> None:
        for method, _ in calls:
            self.requests[_method(method), outcome] += 1

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> bytes:
        try:
            async with session.post(
                self._url, data=body, headers={"Content-Type": "application/json"}, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise _bad_status(response)
                return await _read(response)
        except TimeoutError:
            raise Failed("timeout", "does not answer in time") from None
        except aiohttp.ClientConnectorError:
            raise Failed("refused", "cannot be connected to") from None
        except (aiohttp.ClientError, OSError, ValueError):
            # Third-party texts quote the URL, so that only the kind of failure is told.
            raise Failed("malformed", "broke off or answered no HTTP") from None


def _method(method: str) -> str:
    return method if method in METHODS else OTHER


def _outcome(result: Any) -> str:
    if isinstance(result, RpcError):
        return "rpc_error"
    return "malformed" if isinstance(result, Malformed) else "ok"


def _bad_status(response: aiohttp.ClientResponse) -> Failed:
    if response.status == 429:
        return Failed("rate_limited", "limits the rate of requests", _retry_after(response))
    return Failed("http", f"answers with HTTP status {response.status}", _retry_after(response))


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """Seconds the node asks for; dates and nonsense count as nothing, for our own waiting grows anyway."""
    text = response.headers.get("Retry-After", "").strip()
    return min(float(text), RETRY_AFTER_LAST) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, as long as it is no bomb."""
    chunks, size = [], 0
    async for chunk in response.content.iter_chunked(1 << 16):
        size += len(chunk)
        if size > LARGEST:
            raise Failed("too_large", "answers with too much")
        chunks.append(chunk)
    return b"".join(chunks)


class Rpc:
    """All endpoints of a chain; use as an async context manager."""

    def __init__(self, chain: Chain) -> None:
        self.nodes = [Node(endpoint, chain.chain_id) for endpoint in chain.endpoints]
        self.active: Node | None = None
        self._session: aiohttp.ClientSession | None = None
        self._probes: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            connector=aiohttp.TCPConnector(limit=16, ttl_dns_cache=60),
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        for probe in self._probes:
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def call(self, method: str, params: list[Any]) -> Any:
        """One result.

        Raises:
            Unreachable: no endpoint answers. RpcError, Malformed: it answered, but not with a result.
        """
        (result,) = await self.batch([(method, params)])
        if isinstance(result, Plain):
            raise result
        return result

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """The results of many calls from one endpoint, the first that answers; single errors stand in their place.

        Raises:
            Unreachable: no endpoint answers.
        """
        session = self._open_session()
        self._probe_others(session)
        for node in [n for n in self.nodes if n.usable] or [n for n in self.nodes if n.retry_at <= time.monotonic()]:
            try:
                await node.connect(session)
                results = [r for part in _parts(calls) for r in await node.ask(session, part)]
            except (Failed, WrongChain) as error:
                node.failed(error)
                continue
            self._use(node)
            return results
        self.active = None
        raise Unreachable("no endpoint answers: " + "; ".join(f"{n.name} {n.reason}" for n in self.nodes))

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise Unreachable("the connection is not open")
        return self._session

    def _use(self, node: Node) -> None:
        if self.active is not node:
            logger.info("endpoint in use", endpoint=node.name)
            self.active = node

    def _probe_others(self, session: aiohttp.ClientSession) -> None:
        """Look after endpoints that are not in use, beside the calls, so that a silent one delays nobody."""
        now = time.monotonic()
        if self.active is None:
            return
        for node in self.nodes:
            if node is not self.active and node.retry_at <= now:
                node.retry_at = now + STANDBY_EVERY
                task = asyncio.create_task(_probe(node, session))
                self._probes.add(task)
                task.add_done_callback(self._probes.discard)


async def _probe(node: Node, session: aiohttp.ClientSession) -> None:
    try:
        await node.check(session)
    except (Failed, WrongChain) as error:
        node.failed(error)


def _parts(calls: Sequence[Call]) -> list[Sequence[Call]]:
    return [calls[start : start + MOST_CALLS] for start in range(0, len(calls), MOST_CALLS)]
