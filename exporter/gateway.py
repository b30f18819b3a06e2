"""The composition root of a gateway: `/ws`, `/live` and the read API of one bot, fed by the bus; it keeps nothing."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from exporter import __version__, heap, log, reload
from exporter.board import Board, poll
from exporter.bus.link import Broken
from exporter.bus.names import Names
from exporter.bus.relay import Relay
from exporter.collector import Collector
from exporter.collectors import bus, live
from exporter.collectors import exporter as own
from exporter.config import Settings
from exporter.live.echo import Echo
from exporter.serving import Options, Unstartable, listen, make_site, open_doors, serve
from exporter.web import live_page, openapi, remote, ws
from exporter.web.server import application
from exporter.web.site import Site
from exporter.worker import Workers

WAITING: Final = "bus"

logger = log.get("app")


async def run(settings: Settings, options: Options) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the settings anew.

    Raises:
        Unstartable: there is no bus in the settings, or the address cannot be listened on.
    """
    url = settings.live.bus_url
    if url is None:
        raise Unstartable("live.bus: is missing, and a gateway has nothing else to listen to")
    async with AsyncExitStack() as stack:
        board, workers = Board(settings.limits.series), Workers()
        stack.callback(workers.close)
        hub = Echo()
        site = make_site(settings, options, board, hub)
        site.doors.limits = settings.live
        figures = bus.Figures()
        relay = Relay(hub, Names(settings.bot.name), figures, lambda ready: _note(site, ready))
        app = application(site, (ws, remote, openapi, live_page))
        app[remote.REMOTE] = remote.Remote(lambda target: _ask(relay, settings.bot.name, target))
        signals = listen(stack)
        _note(site, False)
        await serve(stack, site, options, app)
        logger.info("listening", version=__version__, address=f"{options.host}:{options.port}", gateway=True)
        post = Post(site, workers)
        async with asyncio.TaskGroup() as group:
            own_calls = (reload.watch_web(post, options), heap.give_back_now_and_then())
            calls = (relay.run(url), *own_calls, *_polls(site, figures))
            tasks = [group.create_task(call) for call in calls]
            gc.collect()
            gc.freeze()
            while await signals.get() is signal.SIGHUP:
                await reload.everything(post, options)
            for task in tasks:
                task.cancel()
    logger.info("stopped")


def _note(site: Site, ready: bool) -> None:
    """Whoever listens already stays, whatever becomes of the bus; nobody else comes in until all is known."""
    if ready:
        site.hub.early = False
        site.board.progress.pop(WAITING, None)
    else:
        site.board.progress[WAITING] = 0, 1


async def _ask(relay: Relay, bot: str, target: bytes) -> bytes:
    if relay.link is None:
        raise Broken("there is no connection to the bus")
    return await relay.link.ask(Names(bot).http, target)


def _polls(site: Site, figures: bus.Figures) -> list[Coroutine[Any, Any, None]]:
    """What a gateway shows of itself."""

    async def heard() -> bus.Snapshot:
        return figures.snapshot()

    async def served() -> live.Snapshot:
        return site.hub.snapshot()

    table: tuple[tuple[Collector, Any, float], ...] = (
        (own.COLLECTOR, own.Own(None).read, 2.0),
        (live.COLLECTOR, served, 1.0),
        (bus.COLLECTOR, heard, 1.0),
    )
    for collector, _, _ in table:
        site.board.declare(collector.name, collector.max_age)
    return [poll(site.board, collector, read, every) for collector, read, every in table]


@dataclass(frozen=True, slots=True)
class Post:
    """A running gateway, to which new settings may come."""

    site: Site
    workers: Workers

    def possible(self, new: Settings) -> Settings:
        """The new settings with what only a restart can change kept as it was, and said so."""
        old = self.site.settings
        for key, changed in (
            ("bot.name", new.bot.name != old.bot.name),
            ("live.bus", new.live.bus_url != old.live.bus_url),
            ("log", new.log != old.log),
        ):
            if changed:
                reload.needs_restart(key)
        return replace(new, bot=old.bot, log=old.log)

    async def take_over(self, settings: Settings) -> None:
        """Go on with these settings."""
        open_doors(self.site, settings)
