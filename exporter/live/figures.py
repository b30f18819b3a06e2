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


class Turned(StrEnum):
    """Why somebody was not let in: a wrong origin, no right to, too many from one address, too many in all."""

    ORIGIN = "origin"
    CREDENTIALS = "credentials"
    ADDRESS = "address"
    FULL = "full"


@dataclass(slots=True)
class Figures:
    """Counts since the start; every topic and reason exists at 0."""

    messages: dict[str, int] = field(default_factory=lambda: dict.fromkeys(topics.NAMES, 0))
    disconnects: dict[str, int] = field(default_factory=lambda: {str(reason): 0 for reason in Left})
    refused: dict[str, int] = field(default_factory=lambda: {str(reason): 0 for reason in Turned})
    push: live.Push | None = None
    latency: Distribution = field(default_factory=lambda: Distribution(live.LATENCY.buckets))

    def snapshot(self, clients: int) -> live.Snapshot:
        """A copy that later counting leaves alone."""
        counts = (dict(self.messages), dict(self.disconnects), dict(self.refused))
        return live.Snapshot(clients, *counts, self.latency.copy(), self.push)
