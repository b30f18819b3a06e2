"""Which pages of browsers may ask: those of our own origin, and of origins that are configured, word for word."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from exporter.web.access import Refused
from exporter.web.site import SITE

READING: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
REMEMBERED: Final = "600"
"""Seconds that a browser may remember the answer to a preflight."""
_FOR_PAGES: Final = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, POST",
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Authorization, Content-Type",
    hdrs.ACCESS_CONTROL_MAX_AGE: REMEMBERED,
}


def check(request: web.Request) -> None:
    """Let pages of other origins write nothing: a browser may have added credentials by itself.

    Raises:
        Refused: 403.
    """
    if request.method not in READING and not _admitted(request):
        raise Refused(403, "pages of this origin may not write here; see live.allowed_origins")


def preflight(request: web.Request) -> web.Response | None:
    """The answer to a browser that asks whether a page of another origin may ask; None to everything else.

    Raises:
        Refused: 403, this origin may not.
    """
    if request.method != hdrs.METH_OPTIONS or hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers:
        return None
    if not _configured(request):
        raise Refused(403, "pages of this origin may not ask; see live.allowed_origins")
    return web.Response(status=204, headers=_FOR_PAGES)


def allow(request: web.Request, response: web.StreamResponse) -> None:
    """Let a page of a configured origin read the answer; it has to send its credentials itself."""
    if hdrs.ORIGIN in request.headers:
        response.headers[hdrs.VARY] = ", ".join([*response.headers.getall(hdrs.VARY, []), "Origin"])
        if _configured(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]


def _admitted(request: web.Request) -> bool:
    own, origins = f"{request.scheme}://{request.host}", request.headers.getall(hdrs.ORIGIN, [])
    return not origins or (len(origins) == 1 and request.app[SITE].doors.admits(origins[0], own))


def _configured(request: web.Request) -> bool:
    origins = request.headers.getall(hdrs.ORIGIN, [])
    return len(origins) == 1 and origins[0] in request.app[SITE].doors.limits.allowed_origins
