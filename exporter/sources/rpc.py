"""Nodes over HTTP: several endpoints in order of preference, each checked, measured and left alone while it fails."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, Self

import aiohttp

from exporter import log
from exporter.config import Chain, Endpoint
from exporter.log import Plain
from exporter.metrics import OTHER, Distribution
from exporter.sources import endpoint, jsonrpc
from exporter.sources.endpoint import Failed
from exporter.sources.jsonrpc import Call, Malformed, RateLimited, Refused, RpcError

METHODS: Final = frozenset(
    ("eth_blockNumber", "eth_call", "eth_chainId", "eth_feeHistory", "eth_getBalance", "eth_getBlockByNumber",
     "eth_getCode", "eth_getTransactionCount")
)  # fmt: skip
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0)
OUTCOMES: Final = (
    "ok", "rpc_error", "rate_limited", "timeout", "refused", "http", "malformed", "too_large", "wrong_chain",
)  # fmt: skip
MOST_CALLS: Final = 100
RETRY_FIRST, RETRY_LAST = 0.5, 30.0
STANDBY_EVERY: Final = 15.0
STEADY: Final = 60.0
"""Seconds an endpoint must answer before an earlier failure is forgiven: no flapping."""

logger = log.get("rpc")


class Unreachable(Plain):
    """No endpoint answers."""


class Node:
    """One endpoint: its health, its figures, and requests to it. Its URL is never shown."""

    def __init__(self, settings: Endpoint, chain_id: int) -> None:
        self.name = settings.name
        self.requests: Counter[tuple[str, str]] = Counter()
        self.durations = Distribution(BOUNDS)
        self.usable = False
        self.reason = "not asked yet"
        self.look_at = 0.0
        self._url, self._chain_id = settings.url, chain_id
        self._most = MOST_CALLS
        self._wait = RETRY_FIRST
        self._since = 0.0
        self._failures = 0
        self._checking = asyncio.Lock()

    async def results(self, session: aiohttp.ClientSession, calls: Sequence[Call]) -> list[Any]:
        """The results of calls, after a check of the chain if it has failed before; single errors in their place.

        Raises:
            Failed: there was no usable answer, or it serves another chain; it is left alone for a while.
        """
        failures = self._failures
        try:
            if not self.usable:
                await self._connect(session, failures)
            return await self._ask(session, calls)
        except Failed as error:
            self._failed(error, failures)
            raise

    async def probe(self, session: aiohttp.ClientSession) -> None:
        """See how it fares while another endpoint is in use."""
        failures = self._failures
        try:
            await (self._check(session) if self.usable else self._connect(session, failures))
        except Failed as error:
            self._failed(error, failures)

    def due(self) -> bool:
        """Whether it is time to look after it: long after it was well, soon after it failed."""
        return time.monotonic() >= self.look_at

    async def _connect(self, session: aiohttp.ClientSession, failures: int) -> None:
        """Check it once for all who wait to use it."""
        async with self._checking:
            if self._failures != failures:
                raise Failed("", self.reason)
            if not self.usable:
                await self._check(session)

    async def _check(self, session: aiohttp.ClientSession) -> None:
        (found,) = await self._ask(session, [("eth_chainId", [])], self._chain_outcome)
        outcome = self._chain_outcome(found)
        if outcome != "ok":
            raise Failed(outcome, "serves another chain" if outcome == "wrong_chain" else "does not tell its chain id")
        self.look_at = time.monotonic() + STANDBY_EVERY
        if not self.usable:
            self.usable, self.reason, self._since, self._most = True, "", time.monotonic(), MOST_CALLS
            logger.info("endpoint answers", endpoint=self.name)

    def _chain_outcome(self, found: Any) -> str:
        try:
            return "ok" if jsonrpc.quantity(found) == self._chain_id else "wrong_chain"
        except (Malformed, RpcError) as error:
            return error.outcome

    def _failed(self, error: Failed, failures: int) -> None:
        """Leave it alone, longer each time, or as long as it asked; what many see at once is one failure."""
        now = time.monotonic()
        if failures != self._failures:
            self.look_at = max(self.look_at, now + error.wait)
            return
        if self.usable and now - self._since > STEADY:
            self._wait = RETRY_FIRST
        if self.usable or self.reason != str(error):
            logger.warning("endpoint fails", endpoint=self.name, reason=str(error))
        self.usable, self.reason, self._failures = False, str(error), failures + 1
        self.look_at = now + max(self._wait, error.wait)
        self._wait = min(self._wait * 2, RETRY_LAST)

    async def _ask(
        self, session: aiohttp.ClientSession, calls: Sequence[Call], judge: Callable[[Any], str] = jsonrpc.outcome
    ) -> list[Any]:
        """The results of calls, in as many batches as the node wants."""
        results: list[Any] = []
        while len(results) < len(calls):
            part = calls[len(results) : len(results) + self._most]
            try:
                results += await self._batch(session, part, judge)
            except Refused as error:
                if len(part) == 1:
                    raise Failed(error.outcome, str(error)) from None
                # Nodes allow 3 to 1000 calls in a batch and word their limits in many ways: find it out.
                self._most = len(part) // 2
                logger.info("endpoint takes smaller batches only", endpoint=self.name, calls=self._most)
        return results

    async def _batch(
        self, session: aiohttp.ClientSession, calls: Sequence[Call], judge: Callable[[Any], str]
    ) -> list[Any]:
        started = time.perf_counter()
        try:
            body = await endpoint.post(session, self._url, jsonrpc.request(calls))
            results = jsonrpc.answers(body, len(calls))
        except (Failed, RateLimited, Malformed) as error:
            self._count(calls, [error.outcome] * len(calls))
            raise error if isinstance(error, Failed | Refused) else Failed(error.outcome, str(error)) from None
        finally:
            self.durations.observe(time.perf_counter() - started)
        self._count(calls, map(judge, results))
        return results

    def _count(self, calls: Sequence[Call], outcomes: Iterable[str]) -> None:
        for (method, _), outcome in zip(calls, outcomes, strict=True):
            self.requests[method if method in METHODS else OTHER, outcome] += 1


class Rpc:
    """All endpoints of a chain; use as an async context manager."""

    def __init__(self, chain: Chain) -> None:
        self.nodes = [Node(settings, chain.chain_id) for settings in chain.endpoints]
        self._session: aiohttp.ClientSession | None = None
        self._probes: dict[Node, asyncio.Task[None]] = {}
        self._used: Node | None = None

    async def __aenter__(self) -> Self:
        self._session = endpoint.session()
        return self

    async def __aexit__(self, *_: object) -> None:
        probes = list(self._probes.values())
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    @property
    def active(self) -> Node | None:
        """The endpoint that the next call goes to; None while none answers."""
        return next((node for node in self.nodes if node.usable), None)

    async def ready(self) -> None:
        """Return if an endpoint answers, or did a moment ago.

        Raises:
            Unreachable: none does.
        """
        await self.batch([])

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
        for node in sorted(self.nodes, key=lambda node: not node.usable):  # those that answer first, as preferred
            if node.usable or node.due():
                with suppress(Failed):  # the next one takes over
                    results = await node.results(session, calls)
                    self._tell(node)
                    return results
        raise Unreachable("no endpoint answers: " + "; ".join(f"{n.name} {n.reason}" for n in self.nodes))

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise Unreachable("the connection is not open")
        return self._session

    def _tell(self, node: Node) -> None:
        if self._used is not node and node is self.active:
            logger.info("endpoint in use", endpoint=node.name)
            self._used = node

    def _probe_others(self, session: aiohttp.ClientSession) -> None:
        """Look after endpoints that are not in use, beside the calls, so that a silent one delays nobody."""
        active = self.active
        if active is None:
            return
        for node in self.nodes:
            if node is not active and node.due() and node not in self._probes:
                self._probes[node] = asyncio.create_task(self._probe(node, session))

    async def _probe(self, node: Node, session: aiohttp.ClientSession) -> None:
        try:
            await node.probe(session)
        finally:
            self._probes.pop(node, None)
