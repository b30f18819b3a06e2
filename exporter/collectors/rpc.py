"""The chain's endpoints: how often they are asked, how fast and with what outcome they answer. Names, never URLs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from exporter.collector import Collector, Poll, Sources
from exporter.metrics import Distribution, Family, counter, gauge, histogram
from exporter.sources.heads import Heads
from exporter.sources.rpc import BOUNDS, Rpc

REQUESTS = counter(
    "arb_rpc_requests_total", "Calls to the endpoint, by method and outcome.", "endpoint", "method", "outcome"
)
DURATION = histogram(
    "arb_rpc_request_duration_seconds", "How long the endpoint took for a batch of calls.", "endpoint", buckets=BOUNDS
)
UP = gauge("arb_rpc_up", "1 if the endpoint answers and serves the right chain.", "endpoint")
ACTIVE = gauge("arb_rpc_active", "1 for the endpoint in use.", "endpoint")
WEBSOCKET = gauge("arb_rpc_websocket_up", "1 if heads arrive by WebSocket from the endpoint.", "endpoint")


@dataclass(frozen=True, slots=True)
class EndpointState:
    """One endpoint's figures."""

    name: str
    up: bool
    active: bool
    requests: Mapping[tuple[str, str], int]
    durations: Distribution


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All endpoints, in order of preference; `websockets` has those with a WebSocket."""

    endpoints: tuple[EndpointState, ...]
    websockets: Mapping[str, bool] = field(default_factory=dict)


async def read(rpc: Rpc, heads: Heads | None = None) -> Snapshot:
    """The figures so far."""
    return Snapshot(
        tuple(
            EndpointState(n.name, n.usable, n is rpc.active, dict(n.requests), n.durations.copy()) for n in rpc.nodes
        ),
        {line.name: line.up for line in heads.feed.lines} if heads is not None else {},
    )


def render(snapshot: Snapshot) -> Iterator[Family]:
    """All of it."""
    endpoints = snapshot.endpoints
    yield REQUESTS.each(((e.name, *key), count) for e in endpoints for key, count in sorted(e.requests.items()))
    yield DURATION.distributions(((e.name,), e.durations) for e in endpoints)
    yield UP.each(((e.name,), e.up) for e in endpoints)
    yield ACTIVE.each(((e.name,), e.active) for e in endpoints)
    yield WEBSOCKET.each(((name,), up) for name, up in snapshot.websockets.items())


def _open(sources: Sources) -> Poll | None:
    rpc = sources.rpc
    return None if rpc is None else Poll(lambda: read(rpc, sources.heads), every=1.0)


COLLECTOR = Collector(
    name="rpc",
    metrics=(REQUESTS, DURATION, UP, ACTIVE, WEBSOCKET),
    open=_open,
    render=render,
    timeout=5.0,
    max_age=30.0,
    uses=("chain",),
    unset="chain: the nodes, and with them gas, wallets and prices",
)
