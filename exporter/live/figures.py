"""What the live feed counts about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from exporter.collectors import live
from exporter.live import topics
from exporter.metrics import Distribution


class Left(StrEnum):
    """Why a connection ended."""

    CLIENT = "client"
    RESET = "reset"
    SLOW = "slow"
    IDLE = "idle"
    POLICY = "policy"
    PROTOCOL = "protocol"
    TOO_BIG = "too_big"
    SHUTDOWN = "shutdown"
    SESSION_ENDED = "session_ended"


@dataclass(slots=True)
class Figures:
    """Counts since the start; every topic and reason exists at 0."""

    messages: dict[str, int] = field(default_factory=lambda: dict.fromkeys(topics.NAMES, 0))
    disconnects: dict[str, int] = field(default_factory=lambda: {str(reason): 0 for reason in Left})
    push: live.Push | None = None
    latency: Distribution = field(default_factory=lambda: Distribution(live.LATENCY.buckets))

    def snapshot(self, clients: int) -> live.Snapshot:
        """A copy that later counting leaves alone."""
        return live.Snapshot(clients, dict(self.messages), dict(self.disconnects), self.latency.copy(), self.push)
