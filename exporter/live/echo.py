"""A gateway's hub: its events were numbered elsewhere, and a listener may have heard more of them than it has."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from exporter.live import frames, messages, topics
from exporter.live.figures import Left
from exporter.live.groups import Channel, Item, Place
from exporter.live.hub import Hub
from exporter.live.streams import Events

if TYPE_CHECKING:
    from exporter.live.session import Session

PATIENCE = 2.0
"""Seconds for which a listener who knows more waits for this gateway to catch up."""


class Echo(Hub):
    """The hub of one gateway; nobody may listen until it knows what was told before."""

    def __init__(self, patience: float = PATIENCE) -> None:
        super().__init__()
        self.early = True
        self._patience = patience
        self._ahead: dict[Place, Session] = {}

    def relay(self, topic: str, seq: int, at: float, items: list[Item]) -> None:
        """A message of events that was numbered elsewhere, at `at` (epoch seconds).

        Raises:
            ValueError, TypeError: an item cannot be said in JSON.
        """
        channel = self._channels[topic]
        assert isinstance(channel.stream, Events)  # noqa: S101  whoever relays knows the topics
        if channel.stream.take(seq, at, items):
            channel.learned = channel.learned or at
            self._announce(channel, items)
            self._serve(channel)

    def begin(self, session: str) -> None:
        """From here on it is another session: all numbers begin anew, and whoever listens has to come back."""
        for listener in tuple(self.sessions):
            listener.close(frames.Code.GOING_AWAY, Left.SHUTDOWN, "another session begins")
        for channel in self._channels.values():
            if channel.timer is not None:
                channel.timer.cancel()
        taps = {name: channel.taps for name, channel in self._channels.items()}
        self._channels = {topic.name: Channel(topic) for topic in topics.ALL}
        for name, channel in self._channels.items():
            channel.taps = taps[name]
        self.session, self.hello = session, messages.hello(session)

    def catch_up(self, session: Session, place: Place) -> None:
        """As every hub; but who knows more waits, so that nothing is told twice."""
        if place in self._ahead:
            return
        if place.ahead and self._patience:
            self._ahead[place] = session
            asyncio.get_running_loop().call_later(self._patience, self._release, place)
        else:
            super().catch_up(session, place)

    def _serve(self, channel: Channel) -> None:
        for place in [place for place in self._ahead if not place.ahead]:
            self._release(place)
        super()._serve(channel)

    def _release(self, place: Place) -> None:
        """It is where the listener is, or will not be soon."""
        session = self._ahead.pop(place, None)
        if session is not None and place in session.places.values() and not session.lagging:
            super().catch_up(session, place)
