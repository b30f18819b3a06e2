"""The hub: takes news of every topic and hands finished frames to whoever listens, without ever waiting for anyone."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from exporter import log
from exporter.collectors import live
from exporter.live import frames, messages, topics
from exporter.live.figures import Figures, Left
from exporter.live.groups import SLICE, Channel, Group, Item, Place, Tap
from exporter.live.parts import Key, Opening, Part
from exporter.live.streams import State

if TYPE_CHECKING:
    from exporter.live.session import Session

SWEEP: Final = 0.05
RUSH: Final = 20
"""Listeners who have come since the last slice, from which on the next one waits: whoever is in can, for a moment."""
BREATH: Final = 0.02
"""Seconds that it waits."""

logger = log.get("live")


class Hub:
    """Topics and listeners of one run of the exporter; used in one event loop."""

    def __init__(self) -> None:
        self.session = secrets.token_hex(8)
        self.hello = messages.hello(self.session)
        self.closed = False
        self.early = False
        """Nobody may listen yet."""
        self.figures = Figures()
        self.sessions: dict[Session, None] = {}
        self._channels = {topic.name: Channel(topic) for topic in topics.ALL}
        self._turns: deque[tuple[Group, Channel]] = deque()
        self._turning = False
        self._came = 0
        self._watched: dict[Session, None] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    # --- for those who have news -----------------------------------------------------------------------------------

    def state(self, topic: str, key: Key, value: Mapping[str, Any] | None, learned: float | None = None) -> None:
        """The newest value of a key, None if it is gone; `learned` (epoch seconds) is now if not given.

        Raises:
            ValueError, TypeError: the key does not fit the topic, or the value cannot be said in JSON.
        """
        self.states(topic, [(key, value)], learned)

    def states(
        self, topic: str, items: Iterable[tuple[Key, Mapping[str, Any] | None]], learned: float | None = None
    ) -> None:
        """The newest values of several keys, in one message.

        Raises:
            ValueError, TypeError: as `state`.
        """
        channel = self._channels[topic]
        for key, value in items:
            channel.stream.put(key, value)
        self._speak(channel, learned)

    def event(self, topic: str, value: Mapping[str, Any], learned: float | None = None) -> None:
        """Something happened; nobody who keeps up misses it.

        Raises:
            ValueError, TypeError: the value cannot be said in JSON.
        """
        channel = self._channels[topic]
        channel.stream.put((), value)
        self._speak(channel, learned)

    def present(self, topic: str) -> State:
        """The memory of a state topic."""
        stream = self._channels[topic].stream
        assert isinstance(stream, State)  # noqa: S101
        return stream

    def tap(self, topic: str, callback: Tap) -> None:
        """Call back with the items of every message of a topic, as they are published."""
        self._channels[topic].taps.append(callback)

    def snapshot(self) -> live.Snapshot:
        """The feed's figures."""
        return self.figures.snapshot(len(self.sessions))

    # --- from news to frames ---------------------------------------------------------------------------------------

    def _speak(self, channel: Channel, learned: float | None) -> None:
        if channel.learned is None:
            channel.learned = time.time() if learned is None else learned
        if channel.timer is None:
            early = channel.allowance.take(time.monotonic())
            if early:
                channel.timer = _loop().call_later(early, self._on_time, channel)
            else:
                self._commit(channel)

    def _on_time(self, channel: Channel) -> None:
        channel.timer = None
        channel.allowance.take(time.monotonic())
        self._commit(channel)

    def _commit(self, channel: Channel) -> None:
        now = time.time()
        while items := channel.stream.commit(now):
            self._announce(channel, items)
        self._serve(channel)

    def _announce(self, channel: Channel, items: list[Item]) -> None:
        for tap in channel.taps:
            self._tell(tap, items)

    def _serve(self, channel: Channel) -> None:
        """Write what is new to everyone who listens to a topic."""
        if not channel.groups:
            channel.learned = None
        self._turns.extend((group, channel) for groups in channel.groups.values() for group in groups)
        if not self._turning:
            self._turn()

    def _tell(self, tap: Tap, items: list[Item]) -> None:
        try:
            tap(items)
        except Exception as error:
            logger.error("a listener inside fails", error)

    def _turn(self) -> None:
        """Serve groups until a slice of listeners is written to; the rest gets the loop's next turns."""
        self._turning, left = False, SLICE
        while self._turns:
            group, channel = self._turns[0]
            if left < len(group.ready):
                self._turning = True
                self._go_on_soon()
                return
            self._turns.popleft()
            left -= self._settle(group)
            if not self._turns or self._turns[0][1] is not channel:
                self._written(channel)

    def _go_on_soon(self) -> None:
        came, self._came = self._came, 0
        if came < RUSH:
            _loop().call_soon(self._turn)
        else:
            _loop().call_later(BREATH, self._turn)

    def _written(self, channel: Channel) -> None:
        if channel.learned is not None:
            self.figures.latency.observe(max(0.0, time.time() - channel.learned))
            channel.learned = None

    def _settle(self, group: Group) -> int:
        """Write what is new to all of a group that keep up, and say to how many; who ceases to stands aside at once."""
        written = 0
        while (part := group.stream.since(group.last, group.wanted)).count:
            group.last = part.last
            listeners = tuple(group.ready)
            for session in listeners:
                session.write(part.frames)
            written += len(listeners)
            self.figures.messages[group.stream.topic.name] += part.count * len(listeners)
        return written

    # --- for sessions ----------------------------------------------------------------------------------------------

    def enter(self, session: Session) -> None:
        """A connection begins."""
        self.sessions[session] = None
        self._came += 1
        if self._beat is None:
            self._beat = _loop().call_later(messages.HEARTBEAT, self._heartbeat)

    def subscribe(self, session: Session, wish: messages.Subscribe) -> None:
        """Serve these topics from now on."""
        foreign = wish.session is not None and wish.session != self.session
        for name in wish.topics:
            self.unsubscribe(session, (name,))
            channel = self._channels[name]
            pairs = wish.pairs if channel.stream.topic.paired else None
            group = channel.join(pairs)
            place = session.places[name] = Place(group, Opening(wish.since.get(name), foreign))
            if not session.lagging:
                self.catch_up(session, place)

    def unsubscribe(self, session: Session, names: Iterable[str]) -> None:
        """Serve these topics no longer."""
        for name in names:
            place = session.places.pop(name, None)
            if place is not None:
                place.group.ready.pop(session, None)
                self._channels[name].part(place.group)

    def catch_up(self, session: Session, place: Place) -> None:
        """Give a listener that stands aside what it has not had, and let it stand with its group again."""
        group = place.group
        self._settle(group)
        if place.opening is not None:
            self._give(session, place, group.stream.opening(place.opening, group.wanted, group.last))
            place.opening = None
        while not session.lagging:
            part = group.stream.since(place.last, group.wanted)
            if not part.count:
                group.ready[session] = None
                break
            self._give(session, place, part)

    def _give(self, session: Session, place: Place, part: Part) -> None:
        place.last = part.last
        self.figures.messages[place.group.stream.topic.name] += part.count
        session.write(part.frames)

    def watch(self, session: Session) -> None:
        """Look after a connection that lags or is closing until its time is over."""
        self._watched[session] = None
        if self._sweeper is None:
            self._sweeper = _loop().call_later(SWEEP, self._sweep)

    def _sweep(self) -> None:
        now = time.monotonic()
        self._watched = {session: None for session in self._watched if session.look(now)}
        self._sweeper = _loop().call_later(SWEEP, self._sweep) if self._watched else None

    def leave(self, session: Session, reason: Left) -> None:
        """A connection is over."""
        if session in self.sessions:
            del self.sessions[session]
            self.unsubscribe(session, tuple(session.places))
            self.figures.disconnects[reason] += 1
            if self._empty is not None and not self.sessions:
                self._empty.set()
        self._watched.pop(session, None)

    # --- for all sessions ------------------------------------------------------------------------------------------

    def _heartbeat(self) -> None:
        self._beat = _loop().call_later(messages.HEARTBEAT, self._heartbeat) if self.sessions else None
        waiting = deque(self.sessions)
        self._beat_some(waiting, messages.heartbeat(time.time()) + frames.frame(frames.Op.PING, b""))

    def _beat_some(self, waiting: deque[Session], beat: bytes) -> None:
        now = time.monotonic()
        for _ in range(min(len(waiting), SLICE)):
            waiting.popleft().beat(beat, now)
        if waiting:
            _loop().call_soon(self._beat_some, waiting, beat)

    def review(self) -> None:
        """Close the connections whose right to listen has ended."""
        for session in [session for session in self.sessions if not session.may_stay()]:
            session.close(frames.Code.SESSION_ENDED, Left.SESSION_ENDED, "session ended")

    async def close(self, patience: float = 0.5) -> None:
        """Say good-bye to everybody, and cut off whoever has not left after `patience` seconds."""
        self.closed = True
        if self._beat is not None:
            self._beat.cancel()
        for channel in self._channels.values():
            if channel.timer is not None:
                channel.timer.cancel()
        for session in tuple(self.sessions):
            session.close(frames.Code.GOING_AWAY, Left.SHUTDOWN, "shutting down")
        if self.sessions:
            self._empty = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), patience)
        for session in tuple(self.sessions):
            session.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.sleep(0)  # for what is told that it has been cut off


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()
