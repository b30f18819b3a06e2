"""A gateway's end of the bus: fills its hub with the events that the bus keeps and the values it hears."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable
from typing import Any, Final

from exporter import log
from exporter.bus import link
from exporter.bus.link import HEARTBEAT, Broken, Heard, Link, Missing, understood
from exporter.bus.names import EVENTS, STATES, Names
from exporter.bus.publisher import FIRST_WAIT, LAST_WAIT, first_of
from exporter.bus.states import KEYS
from exporter.collectors.bus import Direction, Figures
from exporter.live.echo import Echo
from exporter.live.hub import Hub
from exporter.live.shapes import Item

SILENT: Final = 10.0
"""Seconds without a word of the exporter after which its values are no longer shown."""
DEAF: Final = 3 * HEARTBEAT
"""Seconds without a sign of life of a replay after which it is begun anew."""
ASK_AGAIN: Final = 0.25
RETRY: Final = 0.5

logger = log.get("bus")


class Relay:
    """One gateway's end of the bus; `ready` is told whether everything that the bus keeps has been heard."""

    def __init__(self, hub: Echo, names: Names, figures: Figures, ready: Callable[[bool], None]) -> None:
        self._hub, self._names, self._figures, self._ready = hub, names, figures, ready
        self._session, self._number, self._goal = "", 0, 0
        self._values = Values(hub, figures)
        self._works: bool | None = None
        self.link: Link | None = None

    async def run(self, url: str) -> None:
        """Listen for ever; after a break it goes on where it was."""
        wait = FIRST_WAIT
        while True:
            began = time.monotonic()
            try:
                async with link.connect(url) as found:
                    self._figures.connections += 1
                    self.link = found
                    await first_of(found.lost(), self._events(found), self._values.run(found, self._names))
            except Broken as error:
                self._turn(False, error=log.describe(error))
            finally:
                self.link = None
                self._say_ready(False)
            wait = FIRST_WAIT if time.monotonic() - began > LAST_WAIT else min(wait * 2, LAST_WAIT)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  so that not all come back together

    def _turn(self, works: bool, **more: str) -> None:
        if works is not self._works:
            (logger.info if works else logger.warning)(f"the bus {'works' if works else 'fails'}", **more)
        self._works = works

    def _say_ready(self, ready: bool) -> None:
        self._figures.up = ready
        self._ready(ready)

    async def _events(self, found: Link) -> None:
        stream = await self._stream(found)
        with understood():
            self._meet(stream)
        alive = await found.replay(self._names.stream, self._number + 1, self._hear)
        if self._number >= self._goal:
            self._arrive()
        while True:
            alive.clear()
            try:
                async with asyncio.timeout(DEAF):
                    await alive.wait()
            except TimeoutError:
                raise Broken("the bus has fallen silent") from None

    async def _stream(self, found: Link) -> dict[str, Any]:
        """The stream, once an exporter has made it."""
        while True:
            try:
                return await found.stream(self._names.stream)
            except Missing:
                self._turn(False, error="no exporter has published for this bot yet")
                await asyncio.sleep(RETRY)

    def _meet(self, stream: dict[str, Any]) -> None:
        """Go on with the stream that was there before, or begin with another: its life is the session."""
        name = f"{self._names.stream} {stream['created']}"
        session, last = hashlib.blake2b(name.encode(), digest_size=8).hexdigest(), int(stream["state"]["last_seq"])
        if session != self._session or last < self._number:
            if self._session:
                logger.warning("the bus has lost what it kept; listeners begin anew")
            self._hub.begin(session)
            self._values.forget()
            self._session, self._number = session, 0
        self._goal = last if stream["state"]["messages"] else 0

    def _hear(self, heard: Heard) -> None:
        with understood():
            self._take(heard)

    def _take(self, heard: Heard) -> None:
        topic = heard.subject.rpartition(".")[2]
        self._figures.messages[Direction.RECEIVED] += 1
        if topic in EVENTS:
            message = json.loads(heard.data)
            self._hub.relay(topic, message["seq"], message["ts"], message["items"])
        self._number = max(self._number, heard.number)
        if self._number >= self._goal and not self._figures.up:
            self._arrive()

    def _arrive(self) -> None:
        self._turn(True)
        self._say_ready(True)


class Values:
    """The newest values as the exporter tells them; a message that does not follow the last one is reason to ask."""

    def __init__(self, hub: Hub, figures: Figures) -> None:
        self._hub, self._figures = hub, figures
        self._run, self._count = "", 0
        self._lost = asyncio.Event()
        self._heard = time.monotonic()
        self._silent = True

    async def run(self, found: Link, names: Names) -> None:
        """Listen, ask where something is missing, and take everything back when the exporter has fallen silent.

        Raises:
            Broken: the connection is over.
        """
        self._run = ""
        self._lost.set()
        await found.listen(names.state, self._hear)
        await first_of(self._ask(found, names), self._watch())

    def forget(self) -> None:
        """The hub has forgotten everything: ask for it."""
        self._run = ""
        self._lost.set()

    async def _ask(self, found: Link, names: Names) -> None:
        while True:
            await self._lost.wait()
            self._lost.clear()
            try:
                answer = await found.ask(names.ask)
            except link.Silent:
                continue  # what it says first, once it is back, is everything
            with understood():
                self._take(json.loads(answer))
            await asyncio.sleep(ASK_AGAIN)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            if not self._silent and time.monotonic() - self._heard > SILENT:
                self._silent, self._run = True, ""
                logger.warning("nothing is heard of the exporter; its values are no longer shown")
                self._replace({})

    def _hear(self, heard: Heard) -> None:
        self._figures.messages[Direction.RECEIVED] += 1
        with understood():
            self._take(json.loads(heard.data))

    def _take(self, message: dict[str, Any]) -> None:
        self._note()
        run, count = message["run"], message["n"]
        if "all" in message:
            if run != self._run or count >= self._count:
                self._run, self._count = run, count
                self._replace(message["all"])
        elif run == self._run and count == self._count + 1:
            self._count = count
            for topic, items in message["topics"].items():
                self._say(topic, items)
        elif run != self._run or count > self._count:
            self._lost.set()

    def _note(self) -> None:
        self._heard, self._figures.heard = time.monotonic(), time.time()
        if self._silent:
            self._silent = False
            logger.info("the exporter is heard")

    def _say(self, topic: str, items: list[Item]) -> None:
        values = [(_key(topic, item), None if item.get("gone") else item) for item in items]
        self._hub.states(topic, values, min((item["ts"] for item in items if item.get("ts")), default=None))

    def _replace(self, every: dict[str, list[Item]]) -> None:
        """All there is: what is not among it is gone."""
        for topic in STATES:
            items = every.get(topic, [])
            here = {_key(topic, item) for item in items}
            gone = [(key, None) for key in self._hub.present(topic).held() if key not in here]
            if gone:
                self._hub.states(topic, gone)
            if items:
                self._say(topic, items)


def _key(topic: str, item: Item) -> tuple[str, ...]:
    return tuple(item[part] for part in KEYS[topic])
