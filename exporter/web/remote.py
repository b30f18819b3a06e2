"""A gateway's read API: the exporter's own answers, asked for over the bus, and each only once a second."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from aiohttp import hdrs, web

from exporter.log import Plain
from exporter.web import alerts, api
from exporter.web.answers import unavailable
from exporter.web.site import SITE, Site, problem

LIFE: Final = 1.0
"""Seconds for which an answer is handed out again."""
MOST: Final = 200
"""Answers that are remembered."""
HEAVIEST: Final = 8 << 20
"""Bytes of them."""
HEADERS: Final = (hdrs.CONTENT_TYPE, hdrs.CACHE_CONTROL, hdrs.ETAG, hdrs.RETRY_AFTER)
_STATUS: Final = re.compile(r"[2-5][0-9]{2}")
PATHS: Final = tuple(dict.fromkeys(row.path for row in (*api.OPERATIONS, *alerts.OPERATIONS) if row.method == "GET"))

type Ask = Callable[[bytes], Awaitable[bytes]]


class Answer(NamedTuple):
    """An answer of the exporter's."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Malformed(Plain):
    """What came is no answer."""


class Remote:
    """The exporter's answers; those who ask for the same at the same time get the same."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: OrderedDict[bytes, tuple[float, asyncio.Task[Answer]]] = OrderedDict()

    async def get(self, target: bytes) -> Answer:
        """The answer to a path with its query.

        Raises:
            Plain: there is none now.
        """
        known = self._known.get(target)
        if known is None or known[0] < time.monotonic():
            task = asyncio.create_task(self._fetch(target))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # somebody may have gone away
            known = self._known[target] = time.monotonic() + LIFE, task
            self._known.move_to_end(target)
            self._forget()
        return await asyncio.shield(known[1])

    def _forget(self) -> None:
        while len(self._known) > MOST or self._weight() > HEAVIEST:
            self._known.popitem(last=False)

    def _weight(self) -> int:
        done = (task for _, task in self._known.values() if task.done() and not task.cancelled())
        return sum(len(task.result().body) for task in done if task.exception() is None)

    async def _fetch(self, target: bytes) -> Answer:
        return parsed(await self._ask(target))


def parsed(text: bytes) -> Answer:
    """An HTTP answer, head and body.

    Raises:
        Malformed: it is none.
    """
    head, end, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if not end or len(words) < 2 or not _STATUS.fullmatch(words[1]):
        raise Malformed("the exporter's answer makes no sense")
    found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(words[1]), {name: found[name.lower()] for name in HEADERS if name.lower() in found}, body)


REMOTE: Final = web.AppKey("remote", Remote)


async def forward(request: web.Request) -> web.StreamResponse:
    """What the exporter answers."""
    await request.app[SITE].access.check(request.headers.get(hdrs.AUTHORIZATION), "read")
    target = request.rel_url.raw_path_qs.encode("ascii", "replace")
    if len(target) > 2_000 or b"format=csv" in target:
        return problem(400, "bad_request", "a gateway has no exports; ask the exporter itself")
    try:
        found = await request.app[REMOTE].get(target)
    except Plain as error:
        return unavailable(error)
    tag = found.headers.get(hdrs.ETAG, "").strip('"')
    if tag and any(known.value == tag for known in request.if_none_match or ()):
        kept = {name: value for name, value in found.headers.items() if name != hdrs.CONTENT_TYPE}
        return web.Response(status=304, headers=kept)
    return web.Response(status=found.status, headers=found.headers, body=found.body)


ROLES: Final[Mapping[str, str | None]] = dict.fromkeys(PATHS)


def routes(site: Site) -> list[web.RouteDef]:
    """Whatever can be read of the exporter."""
    return [web.get(path, forward) for path in PATHS]
