"""The bot's own HTTP API: does it answer, and how fast."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from exporter.collector import Collector, Follow, Sources, pause
from exporter.config import BotApi
from exporter.metrics import Family, gauge
from exporter.sources.bot_api import TIMEOUT, probe
from exporter.sources.endpoint import session

UP = gauge("arb_bot_api_up", "1 if the bot's API answered the last request with a 2xx in time.", "bot")
DURATION = gauge(
    "arb_bot_api_request_duration_seconds", "How long the last request took that was answered with a 2xx.", "bot"
)
SUCCESS = gauge("arb_bot_api_last_success_timestamp_seconds", "When the bot's API last answered with a 2xx.", "bot")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last request; `duration_seconds` is None if it failed, `last_success` (epoch seconds) if all did."""

    bot: str
    duration_seconds: float | None
    last_success: float | None


async def stream(bot: str, api: BotApi) -> AsyncGenerator[Snapshot]:
    """A snapshot after every request; an API that does not answer is a finding, not a failure."""
    last: float | None = None
    async with session(secure=api.secure) as connections:
        while True:
            took = await probe(connections, api.address)
            last = last if took is None else time.time()
            yield Snapshot(bot, took, last)
            await pause(api.every)


def render(snapshot: Snapshot) -> Iterator[Family]:
    """The last request, and the last that succeeded."""
    bot = (snapshot.bot,)
    yield UP.each([(bot, snapshot.duration_seconds is not None)])
    if snapshot.duration_seconds is not None:
        yield DURATION.each([(bot, snapshot.duration_seconds)])
    if snapshot.last_success is not None:
        yield SUCCESS.each([(bot, snapshot.last_success)])


def _open(sources: Sources) -> Follow | None:
    bot = sources.settings.bot
    api = bot.api
    return None if api is None else Follow(lambda: stream(bot.name, api))


COLLECTOR = Collector(
    name="bot_api",
    metrics=(UP, DURATION, SUCCESS),
    open=_open,
    render=render,
    timeout=300.0 + 2 * TIMEOUT,
    max_age=600.0,
    uses=("bot",),
    unset="bot.api: the bot's HTTP API",
)
