"""What the exporter and its gateways have in common: how they listen, what signals mean, how settings are read anew."""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from exporter import log
from exporter.board import Board
from exporter.config import Loaded, Settings
from exporter.live.hub import Hub
from exporter.web.access import Access, WebConfig, is_loopback
from exporter.web.crowd import shares
from exporter.web.server import Runner, open_door
from exporter.web.site import Site
from exporter.yaml12 import Problem


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line decides."""

    host: str
    port: int
    web_config: WebConfig
    reload: Callable[[], Loaded]
    reload_web: Callable[[], tuple[WebConfig | None, list[Problem]]]
    web_file: Path | None = None

    def loopback_only(self, users: Mapping[str, str]) -> bool:
        """Whether the Host header must name this machine: that is all that keeps strangers' pages out."""
        return not users and is_loopback(self.host)


class Unstartable(log.Plain):
    """Something that was configured keeps the exporter from starting; the words start with its key."""


def make_site(settings: Settings, options: Options, board: Board, hub: Hub) -> Site:
    """The site, with nobody let in whom the web configuration does not name."""
    web_config = options.web_config
    users = web_config.basic_auth_users
    loopback_only = options.loopback_only(users)
    headers = web_config.http_server_config.headers
    access = Access(users, settings.access)
    return Site(board, access, loopback_only, headers, hub=hub, settings=settings, web_config=web_config)


async def serve(stack: AsyncExitStack, site: Site, options: Options, application: web.Application) -> None:
    """Listen until the stack is closed.

    Raises:
        Unstartable: the address cannot be listened on.
    """
    runner = Runner(application)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    stack.push_async_callback(site.hub.close)
    tls = options.web_config.tls_server_config
    try:
        site.gate = await open_door(runner, options.host, options.port, tls.context() if tls else None)
    except OSError as error:
        reason = "is taken by another program" if error.errno == errno.EADDRINUSE else "cannot be listened on"
        raise Unstartable(f"--web.listen-address: {options.host}:{options.port} {reason}") from None


def listen(stack: AsyncExitStack) -> asyncio.Queue[signal.Signals]:
    """From here on signals wait in a queue; whoever can see the exporter serve can already end it well."""
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, signals.put_nowait, number)
        stack.callback(loop.remove_signal_handler, number)
    return signals


def open_doors(site: Site, settings: Settings) -> None:
    """Let in as these settings say, and end what they no longer allow."""
    site.access.roles, site.doors.limits, site.settings = settings.access, settings.live, settings
    site.limits.change(settings.limits.requests_per_second)
    site.crowd.most, site.doors.room = shares(settings.limits.connections, settings.live.max_clients)
    site.hub.review()
