"""The bus between an exporter and its gateways: whether it works, and what goes over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.collector import Collector, Poll, Sources
from exporter.metrics import Family, counter, gauge

UP = gauge("arb_bus_up", "1 while there is a connection to the bus, and everything kept there has been read.")
CONNECTIONS = counter("arb_bus_connections_total", "Connections to the bus that were begun.")
MESSAGES = counter("arb_bus_messages_total", "Messages over the bus.", "direction")
WAITING = gauge("arb_bus_waiting_events", "Errors and alerts that the bus has not taken yet.")
DROPPED = counter("arb_bus_dropped_events_total", "Errors and alerts that were too many while the bus took none.")
HEARD = gauge("arb_bus_exporter_heard_timestamp_seconds", "When a gateway last heard of its exporter.")


class Direction(StrEnum):
    """Which way a message goes."""

    PUBLISHED = "published"
    RECEIVED = "received"


@dataclass(slots=True)
class Figures:
    """What is counted since the start; `heard` (epoch seconds) is a gateway's alone."""

    up: bool = False
    connections: int = 0
    messages: dict[str, int] = field(default_factory=lambda: {str(way): 0 for way in Direction})
    waiting: int = 0
    dropped: int = 0
    heard: float | None = None

    def snapshot(self) -> Snapshot:
        """A copy that later counting leaves alone."""
        return Snapshot(self.up, self.connections, dict(self.messages), self.waiting, self.dropped, self.heard)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The figures of the bus; `heard` in epoch seconds."""

    up: bool
    connections: int
    messages: Mapping[str, int]
    waiting: int
    dropped: int
    heard: float | None


def render(snapshot: Snapshot) -> Iterator[Family]:
    """All of it."""
    yield UP(snapshot.up)
    yield CONNECTIONS(snapshot.connections)
    yield MESSAGES.each(((way,), count) for way, count in snapshot.messages.items())
    yield WAITING(snapshot.waiting)
    yield DROPPED(snapshot.dropped)
    yield HEARD.maybe(snapshot.heard)


def _open(sources: Sources) -> Poll | None:
    figures = sources.bus
    if figures is None or sources.settings.live.bus_url is None:
        return None

    async def read() -> Snapshot:
        return figures.snapshot()

    return Poll(read, every=1.0)


COLLECTOR = Collector(
    name="bus",
    metrics=(UP, CONNECTIONS, MESSAGES, WAITING, DROPPED, HEARD),
    open=_open,
    render=render,
    timeout=5.0,
    max_age=15.0,
    uses=("live",),
)
