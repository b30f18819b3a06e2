"""What a bot's subjects and its stream on the bus are called."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from exporter.live import topics

EVENTS: Final = tuple(topic.name for topic in topics.ALL if topic.events)
STATES: Final = tuple(topic.name for topic in topics.ALL if not topic.events)
MOST_MESSAGES: Final = 1_000
"""Messages of a topic that the bus remembers: as many as a gateway's own memory of it."""


@dataclass(frozen=True, slots=True)
class Names:
    """One bot's names; a bot's dots would divide subjects, so each bot has exactly one other spelling."""

    bot: str
    stream: str = field(init=False)
    state: str = field(init=False)
    """Where the newest values are told; nothing is kept there."""
    ask: str = field(init=False)
    """Who asks here is told all newest values by the exporter itself."""
    http: str = field(init=False)
    """Where requests of the read API are answered."""
    cursor: str = field(init=False)
    """How far the exporter's ledger has been published."""

    def __post_init__(self) -> None:
        spelled = self.bot.replace("_", "__").replace(".", "_-")
        for name, value in (
            ("stream", f"arb-{spelled}"),
            ("state", f"arb.{spelled}.state"),
            ("ask", f"arb.{spelled}.ask"),
            ("http", f"arb.{spelled}.http"),
            ("cursor", f"arb.{spelled}.event.cursor"),
        ):
            object.__setattr__(self, name, value)

    def event(self, topic: str) -> str:
        """Where a topic's events are kept."""
        return f"{self.cursor.rpartition('.')[0]}.{topic}"

    @property
    def all_events(self) -> str:
        """The subjects that the stream keeps."""
        return self.event("*")
