"""Settings while running: what a signal or a changed file makes anew, and what only a restart can change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from exporter import log
from exporter.config import Settings
from exporter.serving import Options
from exporter.web import renewal
from exporter.web.site import Site
from exporter.worker import Busy, Workers
from exporter.yaml12 import Problem

TIMEOUT: Final = 2.0

logger = log.get("app")


class Running(Protocol):
    """Who takes new settings over: the exporter's crew, or a gateway."""

    @property
    def site(self) -> Site:
        """What it serves."""

    @property
    def workers(self) -> Workers:
        """Who reads files for it."""

    def possible(self, new: Settings) -> Settings | None:
        """The new settings with what only a restart can change kept as it was, and said so; None: refused."""

    async def take_over(self, settings: Settings) -> None:
        """Go on with these settings."""


def needs_restart(key: str) -> None:
    """Say that this setting was changed, and stays as it was."""
    logger.warning("a changed setting takes effect after a restart", key=key)


async def everything(running: Running, options: Options) -> None:
    """Take the settings and the web configuration as they are now."""
    read = await _read_anew(running, lambda: (options.reload(), _load_web(running, options)))
    if read is None:
        return
    loaded, (web_config, problems, context) = read
    if loaded.settings is None or web_config is None:
        _refuse([*loaded.problems, *problems])
        return
    wanted = running.possible(loaded.settings)
    if wanted is not None:
        renewal.admit(running.site, web_config, context, options.loopback_only(web_config.basic_auth_users))
        await running.take_over(wanted)
        logger.info("settings read anew")


async def watch_web(running: Running, options: Options) -> None:
    """Take the web configuration as it is whenever its files change, for ever."""
    if options.web_file is not None:
        site, worker = running.site, running.workers("web")
        await renewal.watch(options.web_file, lambda: site.web_config, worker, lambda: _reload_web(running, options))


async def _reload_web(running: Running, options: Options) -> None:
    read = await _read_anew(running, lambda: _load_web(running, options))
    if read is None:
        return
    web_config, problems, context = read
    if web_config is None:
        _refuse(problems)
        return
    renewal.admit(running.site, web_config, context, options.loopback_only(web_config.basic_auth_users))
    running.site.hub.review()
    logger.info("web configuration read anew")


def _load_web(running: Running, options: Options) -> renewal.Renewed:
    gate = running.site.gate
    return renewal.load(options.reload_web, gate.context if gate else None)


async def _read_anew[T](running: Running, read: Callable[[], T]) -> T | None:
    try:
        async with asyncio.timeout(TIMEOUT):
            return await running.workers("settings").run(read)
    except (TimeoutError, Busy) as error:
        logger.warning("settings cannot be read, the old ones stay", error=log.describe(error))
        return None


def _refuse(problems: Sequence[Problem]) -> None:
    for problem in problems:
        logger.warning("settings refused, the old ones stay", key=problem.path, problem=problem.message)
