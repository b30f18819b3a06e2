"""The composition root: ledger, sources, collectors, board and web, wired in one task group."""

from __future__ import annotations

import asyncio
import errno
import gc
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Final

from exporter import __version__, collectors, log
from exporter.board import METRICS, Board, follow, poll
from exporter.collector import Collector, Follow, Poll, Progress, Sources
from exporter.config import Loaded, Settings
from exporter.event_intake import Intake
from exporter.ledger import InUse, Ledger, Unusable
from exporter.live.feeds import Feeds
from exporter.live.grafana import Grafana
from exporter.live.hub import Hub
from exporter.sources.contracts import Contracts
from exporter.sources.costs import Costs
from exporter.sources.genesis import Genesis
from exporter.sources.heads import Heads
from exporter.sources.rpc import Rpc
from exporter.web import access
from exporter.web.access import Access, WebConfig
from exporter.web.server import Runner, application, open_door
from exporter.web.site import Site
from exporter.worker import Busy, Workers
from exporter.yaml12 import Problem

PROGRESS_EVERY: Final = 2.0
RELOAD_TIMEOUT: Final = 2.0
SWITCH: Final = 0.0005
"""Seconds for which a thread may keep the interpreter when the loop wants it; 0.005 by default."""
FIXED: Final = ("state", "log")
"""Sections that a reload does not change; so do the listen address and the chain id."""

logger = log.get("app")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line decides."""

    host: str
    port: int
    web_config: WebConfig
    reload: Callable[[], Loaded]
    reload_web: Callable[[], tuple[WebConfig | None, list[Problem]]]

    def loopback_only(self, users: Mapping[str, str]) -> bool:
        """Whether the Host header must name this machine: that is all that keeps strangers' pages out."""
        return not users and access.is_loopback(self.host)


class Unstartable(log.Plain):
    """Something that was configured keeps the exporter from starting; the words start with its key."""


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
        site = _site(settings, options, board)
        site.keep(ledger)
        intake = Intake(ledger, lambda: site.settings)
        site.report_to(intake, workers("event bodies"))
        signals = _listen(stack)
        await _serve(stack, site, options)
        logger.info("listening", version=__version__, address=f"{options.host}:{options.port}")
        async with asyncio.TaskGroup() as group:
            crew = Crew(group, board, ledger, workers, site, intake)
            feeding = group.create_task(Feeds(board, ledger, site.hub, lambda: site.settings.bot.name).run())
            pushing = group.create_task(Grafana(site.hub, lambda: site.settings.live.grafana).run())
            await crew.take_over(settings)
            gc.collect()
            gc.freeze()
            await _until_stopped(signals, crew, options)
            await crew.leave()
            feeding.cancel()
            pushing.cancel()
    logger.info("stopped")


def _site(settings: Settings, options: Options, board: Board) -> Site:
    web_config = options.web_config
    users = web_config.basic_auth_users
    loopback_only = options.loopback_only(users)
    headers = web_config.http_server_config.headers
    return Site(board, Access(users, settings.access), loopback_only, headers, hub=Hub(), settings=settings)


async def _serve(stack: AsyncExitStack, site: Site, options: Options) -> None:
    runner = Runner(application(site), access_log=None, handle_signals=False, shutdown_timeout=0.5)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    stack.push_async_callback(site.hub.close)
    tls = options.web_config.tls_server_config
    try:
        await open_door(runner, options.host, options.port, tls.context() if tls else None)
    except OSError as error:
        reason = "is taken by another program" if error.errno == errno.EADDRINUSE else "cannot be listened on"
        raise Unstartable(f"--web.listen-address: {options.host}:{options.port} {reason}") from None


def _listen(stack: AsyncExitStack) -> asyncio.Queue[signal.Signals]:
    """From here on signals wait in a queue; whoever can see the exporter serve can already end it well."""
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, signals.put_nowait, number)
        stack.callback(loop.remove_signal_handler, number)
    return signals


async def _until_stopped(signals: asyncio.Queue[signal.Signals], crew: Crew, options: Options) -> None:
    while await signals.get() is signal.SIGHUP:
        await _reload(crew, options)


async def _reload(crew: Crew, options: Options) -> None:
    try:
        async with asyncio.timeout(RELOAD_TIMEOUT):
            loaded, (web_config, problems) = await crew.workers("settings").run(
                lambda: (options.reload(), options.reload_web())
            )
    except (TimeoutError, Busy) as error:
        logger.warning("settings cannot be read, the old ones stay", error=log.describe(error))
        return
    if loaded.settings is None or web_config is None:
        for problem in (*loaded.problems, *problems):
            logger.warning("settings refused, the old ones stay", key=problem.path, problem=problem.message)
        return
    wanted = _restart_only(crew.settings, loaded.settings)
    if wanted is not None:
        crew.admit(web_config, options)
        await crew.take_over(wanted)
        logger.info("settings read anew")


def _restart_only(old: Settings, new: Settings) -> Settings | None:
    """The new settings with what only a restart can change kept as it was, and said so."""
    for section in FIXED:
        if getattr(old, section) != getattr(new, section):
            logger.warning("a changed setting takes effect after a restart", key=section)
    if old.limits.series != new.limits.series:
        logger.warning("a changed setting takes effect after a restart", key="limits.series")
    if old.chain is not None and new.chain is not None and old.chain.chain_id != new.chain.chain_id:
        logger.warning("settings refused: another chain id takes effect after a restart", key="chain.chain_id")
        return None
    return replace(new, state=old.state, log=old.log, limits=replace(new.limits, series=old.limits.series))


class Crew:
    """The running collectors, one task each; new settings replace only those that depend on what changed."""

    settings: Settings

    def __init__(
        self, group: asyncio.TaskGroup, board: Board, ledger: Ledger, workers: Workers, site: Site, intake: Intake
    ) -> None:
        self._group, self._board, self._ledger, self.workers, self._site = group, board, ledger, workers, site
        self._intake = intake
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._rpc: Rpc | None = None
        self._heads: Heads | None = None
        self._contracts: Contracts | None = None
        self._told: dict[str, float] = {}
        self._costs = Costs()

    async def take_over(self, settings: Settings) -> None:
        """Open every collector that these settings ask for, and end those they do not."""
        old = getattr(self, "settings", None)
        changed = {c.name for c in collectors.ALL if old is None or any(_differs(old, settings, u) for u in c.uses)}
        await self._end(changed)
        if old is None or old.chain != settings.chain:
            await self._connect(settings)
        self.settings = settings
        self._open_doors(settings)
        sources = self._sources()
        for collector in collectors.ALL:
            if collector.name in changed or old is None:
                self._start(collector, sources)

    def admit(self, web_config: WebConfig, options: Options) -> None:
        """Let these users in from now on; `take_over` ends what others have begun."""
        if web_config.tls_server_config != options.web_config.tls_server_config:
            logger.warning("a changed setting takes effect after a restart", key="tls_server_config")
        self._site.access.users = web_config.basic_auth_users
        self._site.loopback_only = options.loopback_only(web_config.basic_auth_users)
        self._site.headers = web_config.http_server_config.headers

    def _open_doors(self, settings: Settings) -> None:
        site = self._site
        site.access.roles, site.doors.limits, site.settings = settings.access, settings.live, settings
        site.hub.review()

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
            self._site.hub.snapshot, costs=self._costs, heads=self._heads, intake=self._intake,
        )  # fmt: skip

    def _start(self, collector: Collector, sources: Sources) -> None:
        try:
            opened = collector.open(sources)
        except Exception as error:
            self._board.declare(collector.name, collector.max_age)
            self._board.fail(collector.name, error, 0.0)
            return
        if opened is None:
            self._site.unset[collector.name] = collector.unset
            self._board.retire(collector.name)
            return
        self._site.unset.pop(collector.name, None)
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
