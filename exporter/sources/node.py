"""One endpoint: its health and figures, what it may be asked and how fast, and how far its chain is. Never its URL."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from exporter import log
from exporter.config import Endpoint
from exporter.metrics import OTHER, Distribution
from exporter.sources import endpoint, jsonrpc
from exporter.sources.endpoint import Failed
from exporter.sources.genesis import Genesis
from exporter.sources.jsonrpc import Call, Malformed, RateLimited, Refused, RpcError, TooMany, field, quantity
from exporter.sources.pace import Pace

METHODS: Final = frozenset(
    ("eth_blockNumber", "eth_call", "eth_chainId", "eth_estimateGas", "eth_feeHistory", "eth_getBalance",
     "eth_getBlockByHash", "eth_getBlockByNumber", "eth_getBlockReceipts", "eth_getCode", "eth_getLogs",
     "eth_getTransactionByHash", "eth_getTransactionCount", "eth_getTransactionReceipt", "eth_subscribe",
     "txpool_contentFrom", "txpool_status")
)  # fmt: skip
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0)
OUTCOMES: Final = (
    "ok", "rpc_error", "rate_limited", "timeout", "refused", "http", "malformed", "too_large", "wrong_chain",
)  # fmt: skip
MOST_CALLS: Final = 100
RETRY_FIRST, RETRY_LAST = 0.5, 30.0
RETRY_ALONE: Final = 1.0
"""Seconds between two tries of an endpoint that was well in this run, while none serves."""
STANDBY_EVERY: Final = 5.0
STEADY: Final = 60.0
"""Seconds an endpoint must answer before an earlier failure is forgiven: no flapping."""
HESITATION: Final = 1.0
"""Seconds without an answer after which it is looked whether the endpoint is there at all."""
HEAVY: Final = frozenset(("eth_getBlockByHash", "eth_getBlockByNumber", "eth_getBlockReceipts", "eth_getLogs"))
LATEST: Final[Call] = ("eth_getBlockByNumber", ["latest", False])

logger = log.get("rpc")


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest block an endpoint told of: its number, its own time, and when it was told (monotonic)."""

    number: int
    timestamp: int
    told: float


class Node:
    """One endpoint. `usable` says whether it answers and serves the right chain, `reason` why not."""

    def __init__(self, settings: Endpoint, chain_id: int, genesis: Genesis | None = None) -> None:
        self.name = settings.name
        self.requests: Counter[tuple[str, str]] = Counter()
        self.durations = Distribution(BOUNDS)
        self.usable = False
        self.reason = "not asked yet"
        self.look_at = 0.0
        self.tip: Tip | None = None
        self.lag_seconds: float | None = None
        """How much older its newest block is than the newest any endpoint told of, by the blocks' own times."""
        self.pace = Pace()
        self._url, self._chain_id, self._genesis = settings.url, chain_id, genesis
        self._most = MOST_CALLS
        self._fits: dict[str, int] = {}
        self._wait = RETRY_FIRST
        self._since = 0.0
        self._failures = 0
        self._alone_at: float | None = None
        self._well = False
        self._checking = asyncio.Lock()

    async def results(self, session: aiohttp.ClientSession, calls: Sequence[Call]) -> list[Any]:
        """The results of calls, after a check of the chain if it has failed before; single errors in their place.

        Raises:
            Failed: there was no usable answer, or it serves another chain; it is left alone for a while.
        """
        failures, started = self._failures, time.monotonic()
        try:
            if not self.usable:
                await self._connect(session, failures)
            return await self._ask(session, calls)
        except Failed as error:
            self._failed(error, failures, started)
            raise

    async def probe(self, session: aiohttp.ClientSession) -> bool:
        """See how it fares, and how far it is, while another endpoint is in use; whether it is well."""
        failures, started = self._failures, time.monotonic()
        try:
            await (self._check(session) if self.usable else self._connect(session, failures))
            await self._ask(session, [LATEST])
        except Failed as error:
            self._failed(error, failures, started)
            return False
        return True

    def carry_on(self, other: Node) -> None:
        """Go on counting where another left off: after a reload of the settings nothing falls."""
        self.requests, self.durations = other.requests.copy(), other.durations.copy()

    def due(self, *, alone: bool = False) -> bool:
        """Whether it is time to look after it: long after it was well, soon after it failed.

        While it would be `alone`, because none answers, one that was well is not left alone for long.
        """
        now = time.monotonic()
        return now >= self.look_at or (alone and self._alone_at is not None and now >= self._alone_at)

    async def _connect(self, session: aiohttp.ClientSession, failures: int) -> None:
        """Check it once for all who wait to use it."""
        async with self._checking:
            if self._failures != failures:
                raise Failed("", self.reason)
            if not self.usable:
                await self._check(session)
                await self._check_genesis(session)
                self.usable, self.reason, self._since, self._well = True, "", time.monotonic(), True
                self._most = MOST_CALLS
                logger.info("endpoint answers", endpoint=self.name)

    async def _check(self, session: aiohttp.ClientSession) -> None:
        (found,) = await self._ask(session, [("eth_chainId", [])], self._chain_outcome)
        outcome = self._chain_outcome(found)
        if outcome != "ok":
            raise Failed(outcome, "serves another chain" if outcome == "wrong_chain" else "does not tell its chain id")
        self.look_at = time.monotonic() + STANDBY_EVERY

    def _chain_outcome(self, found: Any) -> str:
        try:
            return "ok" if quantity(found) == self._chain_id else "wrong_chain"
        except (Malformed, RpcError) as error:
            return error.outcome

    async def _check_genesis(self, session: aiohttp.ClientSession) -> None:
        if self._genesis is None:
            return
        (block,) = await self._ask(session, [("eth_getBlockByNumber", ["0x0", False])], self._genesis.outcome)
        if not await self._genesis.agrees(block):
            raise Failed("wrong_chain", "serves a chain with another genesis")

    def _failed(self, error: Failed, failures: int, started: float) -> None:
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
        self.tip = self.lag_seconds = None
        self.look_at = now + max(self._wait, error.wait)
        self._alone_at = None
        if self._well:
            self._alone_at = max(now + error.wait, started + min(RETRY_ALONE, self._wait))
        self._wait = min(self._wait * 2, RETRY_LAST)

    async def _ask(
        self, session: aiohttp.ClientSession, calls: Sequence[Call], judge: Callable[[Any], str] = jsonrpc.outcome
    ) -> list[Any]:
        """The results of calls, in as many batches as the node and the size of its answers want."""
        results: list[Any] = []
        while len(results) < len(calls):
            method = calls[len(results)][0]
            part = calls[len(results) : len(results) + min(self._most, self._fits.get(method, MOST_CALLS))]
            try:
                results += await self._batch(session, part, judge)
                self._fitted(method, len(part))
            except Refused as error:
                if len(part) == 1:
                    raise Failed(error.outcome, str(error)) from None
                # Nodes allow 3 to 1000 calls in a batch and word their limits in many ways: find it out.
                self._most = len(part) // 2
                logger.info("endpoint takes smaller batches only", endpoint=self.name, calls=self._most)
            except (Failed, TooMany) as error:
                if len(part) == 1 or not (isinstance(error, TooMany) or error.outcome == "too_large"):
                    raise error if isinstance(error, Failed) else Failed(error.outcome, str(error)) from None
                self._fits[method] = len(part) // 2
        return results

    def _fitted(self, method: str, calls: int) -> None:
        """Answers get smaller too: try a little more each time."""
        if calls == self._fits.get(method):
            self._fits[method] = calls + 1

    async def _batch(
        self, session: aiohttp.ClientSession, calls: Sequence[Call], judge: Callable[[Any], str]
    ) -> list[Any]:
        await self.pace.turn(len(calls))
        started = time.perf_counter()
        try:
            body = await self._exchange(session, jsonrpc.request(calls), _room(calls))
            results = jsonrpc.answers(body, len(calls))
        except (Failed, RateLimited, Malformed) as error:
            self._count(calls, [error.outcome] * len(calls))
            if isinstance(error, Failed | Refused | TooMany):
                raise
            raise Failed(error.outcome, str(error)) from None
        finally:
            self.durations.observe(time.perf_counter() - started)
        self._count(calls, map(judge, results))
        self._note_tip(calls, results)
        return results

    async def _exchange(self, session: aiohttp.ClientSession, body: bytes, largest: int) -> bytes:
        """The answer to a request; asked for anew if it is long in coming although the endpoint answers by now.

        What was sent while an endpoint was stuck is often lost: nobody waits for that longer than needed.
        """
        first = asyncio.create_task(endpoint.post(session, self._url, body, largest))
        second: asyncio.Task[bytes] | None = None
        try:
            await asyncio.wait((first,), timeout=HESITATION)
            if not first.done():
                second = asyncio.create_task(self._ask_anew(session, body, largest))
                await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
                if not first.done() and second.exception() is None:
                    return second.result()
            return await first
        finally:
            first.cancel()
            if second is not None:
                second.cancel()
            await asyncio.gather(first, *((second,) if second else ()), return_exceptions=True)

    async def _ask_anew(self, session: aiohttp.ClientSession, body: bytes, largest: int) -> bytes:
        sign_of_life = jsonrpc.request([("eth_chainId", [])])
        while True:
            with suppress(Failed, Refused, TimeoutError):
                async with asyncio.timeout(HESITATION):
                    await endpoint.post(session, self._url, sign_of_life, endpoint.LARGEST)
                break
            await asyncio.sleep(HESITATION / 4)
        return await endpoint.post(session, self._url, body, largest)

    def _count(self, calls: Sequence[Call], outcomes: Iterable[str]) -> None:
        seen = set()
        for (method, _), outcome in zip(calls, outcomes, strict=True):
            self.requests[method if method in METHODS else OTHER, outcome] += 1
            seen.add(outcome)
        if "ok" in seen:
            self.pace.served()
        if "rate_limited" in seen:
            self.pace.limited()

    def _note_tip(self, calls: Sequence[Call], results: Sequence[Any]) -> None:
        for call, result in zip(calls, results, strict=True):
            if call == LATEST:
                with suppress(Malformed, RpcError):
                    number, timestamp = quantity(field(result, "number")), quantity(field(result, "timestamp"))
                    self.tip = Tip(number, timestamp, time.monotonic())


def _room(calls: Sequence[Call]) -> int:
    """Bytes that the answer may have: several calls can be asked again one by one, a single full block cannot."""
    (method, params), *others = calls
    light = method not in HEAVY or params[1:] == [False]
    return endpoint.LARGEST if others or light else endpoint.LARGEST_BLOCK
