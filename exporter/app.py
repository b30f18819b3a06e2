"""The composition root: ledger, sources, collectors, board and web, wired in one task group."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from exporter import __version__, collectors, heap, log, reload
from exporter.backlog import Backlog
from exporter.board import METRICS, Board, follow, poll
from exporter.collector import Collector, Follow, Poll, Progress, Sources
from exporter.config import Settings
from exporter.event_intake import Intake
from exporter.ledger import InUse, Ledger, Unusable
from exporter.live.feeds import Feeds
from exporter.live.grafana import Grafana
from exporter.live.hub import Hub
from exporter.serving import Options, Unstartable, listen, make_site, open_doors, serve
from exporter.sources.contracts import Contracts
from exporter.sources.costs import Costs
from exporter.sources.genesis import Genesis
from exporter.sources.heads import Heads
from exporter.sources.rpc import Rpc
from exporter.web.server import application
from exporter.web.site import Site
from exporter.worker import Workers

PROGRESS_EVERY: Final = 2.0
SWITCH: Final = 0.0005
"""Seconds for which a thread may keep the interpreter when the loop wants it; Python's own is 0.005."""
FIXED: Final = ("state", "log")
"""Sections that a reload does not change; so do the listen address and the chain id."""

logger = log.get("app")


async def run(settings: Settings, options: Options) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the settings anew.

    Raises:
        Unstartable: the state directory or the listen address cannot be used.
    """
    sys.setswitchinterval(SWITCH)
    async with AsyncExitStack() as stack:
        try:
            ledger = await stack.enter_async_context(Ledger(settings.state))
        except (InUse, Unusable) as error:
            raise Unstartable(f"state: {error}") from None
        board = Board(settings.limits.series)
        workers = Workers()
        stack.callback(workers.close)
        site = make_site(settings, options, board, Hub())
        site.keep(ledger)
        intake = Intake(ledger, lambda: site.settings)
        site.report_to(intake, workers("event bodies"))
        signals = listen(stack)
        await serve(stack, site, options, application(site))
        logger.info("listening", version=__version__, address=f"{options.host}:{options.port}")
        async with asyncio.TaskGroup() as group:
            crew = Crew(group, board, ledger, workers, site, intake)
            feeding = group.create_task(Feeds(board, ledger, site.hub, lambda: site.settings.bot.name).run())
            pushing = group.create_task(Grafana(site.hub, lambda: site.settings.live.grafana).run())
            publishing = group.create_task(_publish(site, ledger))
            await crew.take_over(settings)
            watching = group.create_task(reload.watch_web(crew, options))
            giving = group.create_task(heap.give_back_now_and_then())
            gc.collect()
            gc.freeze()
            await _until_stopped(signals, crew, options)
            await crew.leave()
            feeding.cancel()
            pushing.cancel()
            publishing.cancel()
            watching.cancel()
            giving.cancel()
    logger.info("stopped")


async def _publish(site: Site, ledger: Ledger) -> None:
    """Publish over the bus from when the settings first name one; without, nothing of it is even loaded."""
    while site.settings.live.bus_url is None:  # noqa: ASYNC110  settings have no event
        await asyncio.sleep(1.0)
    from exporter.bus.publisher import Publisher, Wanted
    from exporter.web.inside import Inside

    def wanted() -> Wanted | None:
        url = site.settings.live.bus_url
        return None if url is None else Wanted(url, site.settings.bot.name)

    inside = Inside(site)
    try:
        await Publisher(site.board, ledger, site.hub, site.bus, wanted, inside.answer).run()
    finally:
        await inside.close()


async def _until_stopped(signals: asyncio.Queue[signal.Signals], crew: Crew, options: Options) -> None:
    while await signals.get() is signal.SIGHUP:
        await reload.everything(crew, options)


class Crew:
    """The running collectors, one task each; new settings replace only those that depend on what changed."""

    settings: Settings

    def __init__(
        self, group: asyncio.TaskGroup, board: Board, ledger: Ledger, workers: Workers, site: Site, intake: Intake
    ) -> None:
        self._group, self._board, self._ledger, self.workers, self.site = group, board, ledger, workers, site
        self._intake = intake
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._rpc: Rpc | None = None
        self._heads: Heads | None = None
        self._contracts: Contracts | None = None
        self._told: dict[str, float] = {}
        self._costs = Costs()
        self._backlog = Backlog()

    async def take_over(self, settings: Settings) -> None:
        """Open every collector that these settings ask for, and end those they do not."""
        old = getattr(self, "settings", None)
        changed = {c.name for c in collectors.ALL if old is None or any(_differs(old, settings, u) for u in c.uses)}
        await self._end(changed)
        if old is None or old.chain != settings.chain:
            await self._connect(settings)
        self.settings = settings
        open_doors(self.site, settings)
        sources = self._sources()
        for collector in collectors.ALL:
            if collector.name in changed or old is None:
                self._start(collector, sources)

    def possible(self, new: Settings) -> Settings | None:
        """The new settings with what only a restart can change kept as it was, and said so; None: refused."""
        old = self.settings
        for section in FIXED:
            if getattr(old, section) != getattr(new, section):
                reload.needs_restart(section)
        if old.limits.series != new.limits.series:
            reload.needs_restart("limits.series")
        if old.chain is not None and new.chain is not None and old.chain.chain_id != new.chain.chain_id:
            logger.warning("settings refused: another chain id takes effect after a restart", key="chain.chain_id")
            return None
        return replace(new, state=old.state, log=old.log, limits=replace(new.limits, series=old.limits.series))

    async def leave(self) -> None:
        """End all collectors and connections."""
        await self._end(set(self._tasks))
        await self._disconnect()

    async def _disconnect(self) -> None:
        if self._contracts is not None:
            await self._contracts.close()
        if self._heads is not None:
            await self._heads.__aexit__(None, None, None)
        if self._rpc is not None:
            await self._rpc.__aexit__(None, None, None)
        self._rpc = self._heads = self._contracts = None

    async def _connect(self, settings: Settings) -> None:
        old_rpc, old_heads = self._rpc, self._heads
        await self._disconnect()
        chain = settings.chain
        if chain is None:
            return
        genesis = Genesis(chain.chain_id, self._ledger)
        self._rpc = await Rpc(chain, genesis).__aenter__()
        self._heads = await Heads(self._rpc, chain, genesis).__aenter__()
        self._contracts = Contracts(chain, self._ledger)
        if old_rpc is not None and old_heads is not None:
            self._rpc.carry_on(old_rpc)
            self._heads.carry_on(old_heads)

    def _sources(self) -> Sources:
        return Sources(
            self.settings, self._ledger, self._rpc, self._contracts, self.workers, self._progress,
            self.site.hub.snapshot, costs=self._costs, heads=self._heads, intake=self._intake, bus=self.site.bus,
            backlog=self._backlog,
        )  # fmt: skip

    def _start(self, collector: Collector, sources: Sources) -> None:
        try:
            opened = collector.open(sources)
        except Exception as error:
            self._board.declare(collector.name, collector.max_age)
            self._board.fail(collector.name, error, 0.0)
            return
        if opened is None:
            self.site.unset[collector.name] = collector.unset
            self._board.retire(collector.name)
            return
        self.site.unset.pop(collector.name, None)
        if collector.name not in self._board.states:
            self._board.declare(collector.name, collector.max_age)
        self._tasks[collector.name] = self._group.create_task(
            _keep(self._board, collector, opened), name=collector.name
        )

    async def _end(self, names: set[str]) -> None:
        ending = [self._tasks.pop(name) for name in names if name in self._tasks]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending, timeout=1.0)
        for name in names:
            self._board.progress.pop(name, None)  # of a first read that was cut short

    def _progress(self, name: str) -> Progress:
        def tell(done: int, total: int) -> None:
            self._board.progress[name] = done, total
            if done >= total:
                self._board.progress.pop(name, None)
            now = time.monotonic()
            if done >= total or now - self._told.get(name, 0.0) >= PROGRESS_EVERY:
                self._told[name] = now
                logger.info("first read", collector=name, done=done, total=total)

        return tell


def _differs(old: Settings, new: Settings, section: str) -> bool:
    return bool(getattr(old, section) != getattr(new, section))


async def _keep(board: Board, collector: Collector, opened: Poll | Follow) -> None:
    if isinstance(opened, Poll):
        await poll(board, collector, opened.read, opened.every)
    else:
        await follow(board, collector, opened.stream)


def catalogue() -> tuple[tuple[str, tuple[object, ...]], ...]:
    """Every metric there is, by collector, for the generated documentation."""
    return (("scrape", METRICS), *((c.name, c.metrics) for c in collectors.ALL))
