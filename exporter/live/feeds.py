"""Feeds the hub: changes of the board in the same turn of the loop, rows of the ledger once they are durable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, Protocol

from exporter import history, log
from exporter.board import Board
from exporter.history import News, Place
from exporter.ledger import Ledger
from exporter.live import chain_shapes, rows, shapes
from exporter.live.shapes import Item, Items

SWEEP: Final = 1.0
"""Seconds between two looks for what has grown too old to be shown."""
AT_ONCE: Final = 40
"""Rows of the ledger that are read, and told in one turn of the loop."""
RETRY: Final = 1.0
_LOUD: Final = ("error", "critical")

TOPICS: Final[Mapping[str, Callable[[Board], Items]]] = {
    "prices": chain_shapes.prices,
    "portfolio": chain_shapes.portfolio,
    "gas": chain_shapes.gas,
    "system": shapes.system,
    "storage": shapes.storage,
    "memory_bank": shapes.memory_bank,
}
FEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "prices": ("prices",),
    "wallet": ("portfolio",),
    "gas": ("gas",),
    "chain": ("gas",),
    "host": ("system",),
    "storage": ("storage",),
    "memory_bank": ("memory_bank",),
}
"""Which topics a collector's news are for; `system` follows the host, which is looked at every second."""
ALWAYS: Final = frozenset(("system",))
"""Topics that are said again also when nothing has changed."""

logger = log.get("feeds")


class Listeners(Protocol):
    """What is needed of the hub."""

    def states(
        self,
        topic: str,
        items: Iterator[tuple[tuple[str, ...], Item | None]] | list[tuple[tuple[str, ...], Item | None]],
        learned: float | None = None,
    ) -> None:
        """The newest values of keys; None for one that is gone."""

    def event(self, topic: str, value: Item, learned: float | None = None) -> None:
        """Something happened."""


class Feeds:
    """One run's feeds; `run` must be running for what comes from the ledger and for what grows too old."""

    def __init__(self, board: Board, ledger: Ledger, hub: Listeners, bot: Callable[[], str]) -> None:
        self._board, self._ledger, self._hub, self._bot = board, ledger, hub, bot
        self._shown: dict[str, Items] = {topic: {} for topic in TOPICS}
        self._seen: dict[str, Any] = {}
        self._troubles = Troubles(board)
        self._broken: set[str] = set()
        self._read = -1  # the version of the ledger that is read already
        self._of, self._place = "", Place()  # whose news are told, and how far
        self._changed = asyncio.Event()
        board.listen(self.heard)

    def heard(self, name: str) -> None:
        """A collector was read: pass on what that changed. Never raises."""
        self._attempt(name, lambda: self._hear(name))
        if self._ledger.version != self._read:
            self._changed.set()

    def _moved(self, name: str) -> bool:
        """Whether the snapshot is another one than the last time; most reads find nothing new."""
        before, self._seen[name] = self._seen.get(name), self._board.current(name)
        return before is not self._seen[name]

    def _hear(self, name: str) -> None:
        moved = self._moved(name)
        for topic in FEEDS.get(name, ()):
            if moved or topic in ALWAYS or not self._shown[topic]:
                self._pass_on(topic)
        for trouble in self._troubles.news(name):
            self._hub.event("errors", trouble)

    def _attempt(self, what: str, call: Callable[[], None]) -> None:
        """A fault here must not look like one of the collector whose news these are."""
        try:
            call()
        except Exception as error:
            self._tell(what, error)

    def _tell(self, what: str, error: Exception) -> None:
        if what not in self._broken:
            self._broken.add(what)
            logger.error("news cannot be passed on", error, of=what)

    def _pass_on(self, topic: str) -> None:
        found, shown = TOPICS[topic](self._board), self._shown[topic]
        news = [(key, item) for key, item in found.items() if topic in ALWAYS or not _same(item, shown.get(key))]
        gone = [(key, None) for key in shown if key not in found]
        if news or gone:
            self._hub.states(topic, [*news, *gone], _learned(news))
        self._shown[topic] = found

    async def run(self) -> None:
        """Pass on rows of the ledger, and take back what has grown too old, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep())
            group.create_task(self._follow())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            for topic in TOPICS:
                if self._shown[topic] and topic not in ALWAYS:
                    self._attempt(topic, partial(self._pass_on, topic))

    async def _follow(self) -> None:
        """Every trade and opportunity once, in the order in which the ledger took them in."""
        while True:
            try:
                await self._catch_up(self._bot())
                self._broken.discard("ledger")
            except Exception as error:
                self._tell("ledger", error)
                await asyncio.sleep(RETRY)
                continue
            await self._changed.wait()

    async def _catch_up(self, bot: str) -> None:
        if bot != self._of:
            self._place, self._of = await self._ledger.read(partial(history.present, bot=bot)), bot
        more = True
        while more:
            self._changed.clear()
            self._read = self._ledger.version
            news = await self._ledger.read(partial(history.news, bot=bot, place=self._place, limit=AT_ONCE))
            self._place, more = news.place, news.more
            self._attempt("ledger", partial(self._say, news))

    def _say(self, news: News) -> None:
        for trade in news.trades:
            self._hub.event("trades", rows.trade(trade))
        for opportunity in news.opportunities:
            self._hub.event("opportunities", rows.opportunity(opportunity))


def _same(item: Item, other: Item | None) -> bool:
    """Whether two items say the same, whenever it was learned."""
    return other is not None and item | {"ts": None} == other | {"ts": None}


def _learned(news: list[tuple[tuple[str, ...], Item]]) -> float | None:
    """When the oldest of these was learned; None if they do not say."""
    return min((item["ts"] for _, item in news if item.get("ts") is not None), default=None)


class Troubles:
    """Notices when a collector or an endpoint begins to fail or works again, and new errors in the bot's logs."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._known: dict[tuple[str, str], Any] = {}

    def news(self, name: str) -> list[Item]:
        """What has happened since the last time, after a read of this collector."""
        found = [*self._collector(name)]
        if name == "rpc":
            found += self._endpoints()
        if name == "logs":
            found += self._logs()
        return found

    def _moved(self, kind: str, name: str, value: Any) -> tuple[Any, bool]:
        """What was known before, and whether it is something else now."""
        before = self._known.get((kind, name))
        self._known[kind, name] = value
        return before, before != value

    def _collector(self, name: str) -> Iterator[Item]:
        state = self._board.states.get(name)
        before, moved = self._moved("collector", name, None if state is None else state.success)
        if state is not None and moved and (state.success is False or before is False):
            yield _turn("collector", name, state.success is True, state.error)

    def _endpoints(self) -> Iterator[Item]:
        snapshot = self._board.current("rpc")
        for endpoint in () if snapshot is None else snapshot.endpoints:
            before, moved = self._moved("endpoint", endpoint.name, endpoint.up)
            if moved and (before is not None or not endpoint.up):
                yield _turn("endpoint", endpoint.name, endpoint.up, "")

    def _logs(self) -> Iterator[Item]:
        snapshot = self._board.current("logs")
        for state in () if snapshot is None else snapshot.logs:
            for level in _LOUD if state.levels is not None else ():
                before, _ = self._moved(level, state.log, state.levels[level])
                if before is not None and state.levels[level] > before:
                    yield _logged(state.log, level, state.levels[level] - before)


def _turn(kind: str, name: str, works: bool, error: str) -> Item:
    state = "recovered" if works else "failing"
    return {"time": time.time(), "kind": kind, "name": name, "state": state, "message": error or None}


def _logged(name: str, level: str, count: int) -> Item:
    return {"time": time.time(), "kind": "log", "name": name, "level": level, "count": count}
