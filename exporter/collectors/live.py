"""The live feed: who listens, what they were sent, why they left, and how fast news travel through the exporter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exporter.collector import Collector, Poll, Sources
from exporter.metrics import Distribution, Family, counter, gauge, histogram

CLIENTS = gauge("arb_live_clients", "Connections to the live feed.")
MESSAGES = counter("arb_live_messages_total", "Messages sent to clients of the live feed.", "topic")
DISCONNECTS = counter("arb_live_disconnects_total", "Connections to the live feed that ended.", "reason")
REFUSED = counter("arb_live_refused_total", "Connections to the live feed that were not let in.", "reason")
LATENCY = histogram(
    "arb_live_publish_latency_seconds",
    "From when the exporter learned something until it was written to every client that keeps up.",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0),
)
PUSH_UP = gauge("arb_live_grafana_up", "1 if Grafana takes what is pushed to it.")
PUSHED = counter("arb_live_grafana_messages_total", "Messages pushed to Grafana.", "transport", "outcome")


@dataclass(frozen=True, slots=True)
class Push:
    """What was pushed to Grafana: whether that works now, and messages by transport and outcome."""

    up: bool
    messages: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The feed's figures since the start; `latency` in seconds."""

    clients: int
    messages: Mapping[str, int]
    disconnects: Mapping[str, int]
    refused: Mapping[str, int]
    latency: Distribution
    push: Push | None = None


def render(snapshot: Snapshot) -> Iterator[Family]:
    """All of it."""
    yield CLIENTS(snapshot.clients)
    yield MESSAGES.each(((topic,), count) for topic, count in snapshot.messages.items())
    yield DISCONNECTS.each(((reason,), count) for reason, count in snapshot.disconnects.items())
    yield REFUSED.each(((reason,), count) for reason, count in snapshot.refused.items())
    yield LATENCY.distributions([((), snapshot.latency)])
    if snapshot.push is not None:
        yield PUSH_UP(snapshot.push.up)
        yield PUSHED.each(snapshot.push.messages.items())


def _open(sources: Sources) -> Poll:
    async def read() -> Snapshot:
        return sources.live()

    return Poll(read, every=1.0)


COLLECTOR = Collector(
    name="live",
    metrics=(CLIENTS, MESSAGES, DISCONNECTS, REFUSED, LATENCY, PUSH_UP, PUSHED),
    open=_open,
    render=render,
    timeout=5.0,
    max_age=15.0,
    uses=(),
)
