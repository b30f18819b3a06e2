"""Settings while running: what a signal or a changed file makes anew, and what only a restart can change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from exporter import log
from exporter.config import Settings
from exporter.web import renewal
from exporter.worker import Busy
from exporter.yaml12 import Problem

if TYPE_CHECKING:
    from exporter.app import Crew, Options

TIMEOUT: Final = 2.0
FIXED: Final = ("state", "log")
"""Sections that a reload does not change; so do the listen address and the chain id."""

logger = log.get("app")


async def everything(crew: Crew, options: Options) -> None:
    """Take the settings and the web configuration as they are now."""
    read = await _read_anew(crew, lambda: (options.reload(), crew.load_web(options)))
    if read is None:
        return
    loaded, (web_config, problems, context) = read
    if loaded.settings is None or web_config is None:
        _refuse([*loaded.problems, *problems])
        return
    wanted = _restart_only(crew.settings, loaded.settings)
    if wanted is not None:
        crew.admit(web_config, context, options)
        await crew.take_over(wanted)
        logger.info("settings read anew")


async def _reload_web(crew: Crew, options: Options) -> None:
    read = await _read_anew(crew, lambda: crew.load_web(options))
    if read is None:
        return
    web_config, problems, context = read
    if web_config is None:
        _refuse(problems)
        return
    crew.admit(web_config, context, options)
    crew.review()
    logger.info("web configuration read anew")


async def watch_web(crew: Crew, options: Options) -> None:
    """Take the web configuration as it is whenever its files change, for ever."""
    if options.web_file is not None:
        await renewal.watch(
            options.web_file, lambda: crew.web_config, crew.workers("web"), lambda: _reload_web(crew, options)
        )


async def _read_anew[T](crew: Crew, read: Callable[[], T]) -> T | None:
    try:
        async with asyncio.timeout(TIMEOUT):
            return await crew.workers("settings").run(read)
    except (TimeoutError, Busy) as error:
        logger.warning("settings cannot be read, the old ones stay", error=log.describe(error))
        return None


def _refuse(problems: Sequence[Problem]) -> None:
    for problem in problems:
        logger.warning("settings refused, the old ones stay", key=problem.path, problem=problem.message)


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
