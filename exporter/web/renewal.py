"""The web configuration anew, on demand and whenever one of its files changes: users, headers, certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from exporter import log
from exporter.web.access import WebConfig
from exporter.web.site import Site
from exporter.web.tls import Context
from exporter.worker import Busy, Worker
from exporter.yaml12 import Problem

EVERY: Final = 2.0
"""Seconds between two looks at the files."""

logger = log.get("web")

type Read = Callable[[], tuple[WebConfig | None, list[Problem]]]
type Renewed = tuple[WebConfig | None, list[Problem], ssl.SSLContext | None]
type Marks = tuple[tuple[int, int, int] | None, ...]
"""Of each file its time, size and inode, None for one that cannot be looked at."""


def load(read: Read, old: ssl.SSLContext | None) -> Renewed:
    """The configuration, what is wrong with it, and the TLS of who comes next; blocks."""
    found, problems = read()
    if found is None or found.tls_server_config is None or old is None:
        return found, problems, None
    try:
        return found, problems, found.tls_server_config.context()
    except OSError:
        return None, [Problem("tls_server_config", "its files changed while they were being read")], None


def admit(site: Site, new: WebConfig, context: ssl.SSLContext | None, loopback_only: bool) -> None:
    """Let these users in from now on, and greet newcomers with this certificate; say what is asked for no longer."""
    before = _asked(site)
    if site.gate is not None:
        if (site.gate.context is None) is not (new.tls_server_config is None):
            logger.warning("a changed setting takes effect after a restart", key="tls_server_config")
        elif context is not None:
            site.gate.context = context
    site.access.users, site.loopback_only = new.basic_auth_users, loopback_only
    site.headers, site.web_config = new.http_server_config.headers, new
    for key in sorted(before - _asked(site)):
        logger.warning("whoever comes is no longer asked for this", key=key)


def _asked(site: Site) -> set[str]:
    """What keeps strangers out now, by the settings that say so."""
    context = site.gate.context if site.gate is not None else None
    asked = {
        "basic_auth_users": bool(site.access.users),
        "tls_server_config.client_auth_type": context is not None and context.verify_mode is ssl.CERT_REQUIRED,
        "tls_server_config.client_allowed_sans": isinstance(context, Context) and bool(context.client_allowed_sans),
    }
    return {key for key, is_asked in asked.items() if is_asked}


def marks(file: Path, config: WebConfig) -> Marks:
    """What tells whether one of the configuration's files is another than before; blocks."""
    tls = config.tls_server_config
    files = [file] if tls is None else [file, tls.cert_file, tls.key_file, tls.client_ca_file]
    return tuple(_mark(path) for path in files if path is not None)


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


async def watch(
    file: Path, current: Callable[[], WebConfig], worker: Worker, renew: Callable[[], Awaitable[None]]
) -> None:
    """Renew whenever a file has changed and stayed the same for one look, for ever."""
    settled = seen = await worker.run(marks, file, current())
    while True:
        await asyncio.sleep(EVERY)
        try:
            now = await worker.run(marks, file, current())
        except Busy:
            continue
        if now == seen != settled:  # who writes certificate and key one after the other shall not be caught between
            await renew()
            now = await worker.run(marks, file, current())
            settled = now
        seen = now
