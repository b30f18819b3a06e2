"""Who listens to a topic: groups of those with the same wishes, and how often the topic may speak."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from exporter.live import topics
from exporter.live.pace import Allowance
from exporter.live.parts import Opening, Pairs
from exporter.live.streams import Stream, open_stream

if TYPE_CHECKING:
    from exporter.live.session import Session

type Item = dict[str, Any]
type Tap = Callable[[list[Item]], None]

SLICE: Final = 500
"""Listeners written to before the loop turns: a few milliseconds, so that whoever comes meanwhile is let in."""
BURST: Final = 10
PER_SECOND: Final = 40
"""Messages of one topic: so many at once; in the long run what comes within 25 ms is one message."""


class Group:
    """Listeners with the same wishes who have everything up to `last`; those who lag stand aside until they have."""

    __slots__ = ("last", "members", "ready", "stream", "wanted")

    def __init__(self, stream: Stream, wanted: Pairs) -> None:
        self.stream, self.wanted = stream, wanted
        self.last = stream.base(wanted)
        self.ready: dict[Session, None] = {}
        self.members = 0


class Place:
    """One listener's place in a group; `last` and `opening` count only while it stands aside."""

    __slots__ = ("group", "last", "opening")

    def __init__(self, group: Group, opening: Opening) -> None:
        self.group = group
        self.opening: Opening | None = opening
        self.last = 0

    @property
    def ahead(self) -> bool:
        """Whether this listener has been told more of this session's events than there are here."""
        opening, stream = self.opening, self.group.stream
        known = 0 if opening is None or opening.foreign else opening.since or 0
        return stream.topic.events and known > stream.seq


class Channel:
    """A topic's stream, its listeners, and when it may speak next."""

    def __init__(self, topic: topics.Topic) -> None:
        self.stream = open_stream(topic)
        self.groups: dict[Pairs, list[Group]] = {}
        self.taps: list[Tap] = []
        self.allowance = Allowance(BURST, PER_SECOND)
        self.timer: asyncio.TimerHandle | None = None
        self.learned: float | None = None  # of the oldest news that are not written yet

    def join(self, wanted: Pairs) -> Group:
        """One more listener with these wishes; its group."""
        groups = self.groups.setdefault(wanted, [])
        if not groups or groups[-1].members >= SLICE:
            groups.append(Group(self.stream, wanted))
        groups[-1].members += 1
        return groups[-1]

    def part(self, group: Group) -> None:
        """One listener less; an empty group is dropped."""
        group.members -= 1
        if not group.members:
            groups = self.groups[group.wanted]
            groups.remove(group)
            if not groups:
                del self.groups[group.wanted]
