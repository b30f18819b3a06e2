"""Nodes over HTTP: several endpoints in order of preference, each checked, measured and left alone while it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, Self

import aiohttp

from exporter import log
from exporter.config import Chain
from exporter.log import Plain
from exporter.sources import endpoint
from exporter.sources.endpoint import Failed
from exporter.sources.genesis import Genesis
from exporter.sources.jsonrpc import Call
from exporter.sources.node import BOUNDS as BOUNDS
from exporter.sources.node import Node as Node
from exporter.sources.node import Tip

PROBES: Final = 3
RETURN_EVERY, RETURN_AFTER = 1.0, 3.0
"""Seconds between probes of an endpoint that is preferred to the one in use, and for how long all must be good."""
BEHIND: Final = 1
"""Blocks by which an endpoint may be behind another and still be in step: both are asked at different moments."""
FAR_SECONDS, FAR_INTERVALS = 10.0, 5
"""An endpoint that is further behind than the larger of these is left, if another is in step."""
FRESH: Final = 30.0
"""Seconds for which it counts what an endpoint told of the head."""
CLOCKS_DIFFER: Final = 60

logger = log.get("rpc")


class Unreachable(Plain):
    """No endpoint answers."""


class Rpc:
    """All endpoints of a chain; use as an async context manager.

    `interval_seconds` is the time between blocks as others have measured it; until then no endpoint is too far behind.
    """

    def __init__(self, chain: Chain, genesis: Genesis | None = None) -> None:
        self.nodes = [Node(settings, chain.chain_id, genesis) for settings in chain.endpoints]
        self.interval_seconds: float | None = None
        self._secure = chain.secure
        self._session: aiohttp.ClientSession | None = None
        self._probes: dict[Node, asyncio.Task[None]] = {}
        self._proofs: dict[Node, list[float]] = {}
        self._used: Node | None = None

    async def __aenter__(self) -> Self:
        self._session = endpoint.session(secure=self._secure)
        return self

    async def __aexit__(self, *_: object) -> None:
        probes = list(self._probes.values())
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def carry_on(self, other: Rpc) -> None:
        """Go on counting where another left off, for endpoints of the same name."""
        names = {node.name: node for node in other.nodes}
        for node in self.nodes:
            if node.name in names:
                node.carry_on(names[node.name])

    @property
    def active(self) -> Node | None:
        """The endpoint that the next call goes to; None while none answers.

        It stays the same until it fails, falls far behind, or one that is preferred has been well for a while.
        """
        used = self._used if self._used is not None and self._used.usable else None
        if used is None:
            return next((node for node in self.nodes if node.usable), None)
        return self._proven(used) or self._in_step(used) or used

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

        Answers that are too large together are asked for in parts, but all are held in memory in the end:
        ask for a few full blocks at a time.

        Raises:
            Unreachable: no endpoint answers.
        """
        session = self._open_session()
        self._probe_others(session)
        active = self.active
        for node in sorted(self.nodes, key=lambda node: (node is not active, not node.usable)):
            if node.usable or node.due(alone=not any(other.usable for other in self.nodes)):
                try:
                    results = await node.results(session, calls)
                except Failed:
                    self._proofs.pop(node, None)  # the next one takes over
                else:
                    self._answered(node)
                    return results
        raise Unreachable("no endpoint answers: " + "; ".join(f"{n.name} {n.reason}" for n in self.nodes))

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise Unreachable("the connection is not open")
        return self._session

    def _answered(self, node: Node) -> None:
        self._compare(node)
        if self._used is not node:
            logger.info("endpoint in use", endpoint=node.name)
            self._used = node
            self._proofs.clear()

    def _compare(self, node: Node) -> None:
        """How far an endpoint is behind the newest block that any usable one told of lately."""
        leader, tip = self._leader(), node.tip
        if tip is not None and leader is not None:
            ahead = leader.timestamp - tip.timestamp if leader.number > tip.number else 0
            node.lag_seconds = float(max(ahead, 0))

    def _leader(self) -> Tip | None:
        """The newest block; one from the future is a lie, which must not make all others look old."""
        now, latest = time.monotonic(), time.time() + CLOCKS_DIFFER
        tips = [n.tip for n in self.nodes if n.usable and n.tip and now - n.tip.told <= FRESH]
        return max((t for t in tips if t.timestamp <= latest), key=lambda tip: tip.number, default=None)

    def _proven(self, used: Node) -> Node | None:
        """An endpoint that is preferred to the one in use and has shown itself worthy of it."""
        for node in self.nodes[: self.nodes.index(used)]:
            proofs = self._proofs.get(node, [])
            if node.usable and len(proofs) >= PROBES and proofs[-1] - proofs[0] >= RETURN_AFTER:
                return node
        return None

    def _in_step(self, used: Node) -> Node | None:
        """An endpoint that is in step, if the one in use is far behind."""
        if self.interval_seconds is None or used.lag_seconds is None:
            return None
        far = max(FAR_SECONDS, FAR_INTERVALS * self.interval_seconds)
        if used.lag_seconds <= far:
            return None
        near = (n for n in self.nodes if n.usable and n.lag_seconds is not None and n.lag_seconds <= far / 2)
        return next(near, None)

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
            well = await node.probe(session)
            self._compare(node)
            self._prove(node, well)
        finally:
            self._probes.pop(node, None)

    def _prove(self, node: Node, well: bool) -> None:
        """Note a good answer of an endpoint that is preferred; a bad one, or one from behind, undoes all before."""
        used = self._used
        if used is None or self.nodes.index(node) > self.nodes.index(used):
            return
        if not well or (node.tip and used.tip and node.tip.number < used.tip.number - BEHIND):
            self._proofs.pop(node, None)
        else:
            self._proofs.setdefault(node, []).append(time.monotonic())
        if well:
            node.look_at = time.monotonic() + RETURN_EVERY
