"""The HTTP routes: what is on the board as `/metrics`, and whether the exporter lives, is ready, and knows its bot."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from exporter import __version__, log
from exporter.exposition import negotiate
from exporter.web import landing, routes
from exporter.web.access import Refused, is_loopback
from exporter.web.site import SITE, Site, problem

logger = log.get("web")

SECURITY: Final = {
    "Content-Security-Policy": landing.POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Server": "arb-exporter",
}
MAX_NAMES: Final = 200
ACCEPTED_AT_ONCE: Final = 64
"""Connections accepted in one turn of the loop."""
WAITING: Final = 4096
"""Connections that the kernel holds until their turn; it may allow fewer."""


type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(site: Site) -> web.Application:
    """The aiohttp application with all routes."""
    app = web.Application(middlewares=[_guard], client_max_size=64 << 10)
    app[SITE] = site
    app.on_response_prepare.append(_add_headers)
    for path, handler in ROUTES.items():
        app.router.add_get(path, handler)
    app.router.add_routes(routes.routes(site))
    return app


async def metrics(request: web.Request) -> web.Response:
    """The exposition in the format and encoding that the client asks for."""
    names = request.query.getall("name[]", [])
    if len(names) > MAX_NAMES:
        raise web.HTTPBadRequest(text=f"at most {MAX_NAMES} name[] parameters")
    form = negotiate(_all(request, hdrs.ACCEPT))
    page = request.app[SITE].board.page(form, frozenset(names))
    headers = {hdrs.CONTENT_TYPE: form.value, hdrs.VARY: "Accept, Accept-Encoding"}
    if _accepts_gzip(_all(request, hdrs.ACCEPT_ENCODING)):
        return web.Response(body=page.gzipped, headers={**headers, hdrs.CONTENT_ENCODING: "gzip"})
    return web.Response(body=page.body, headers=headers)


def _all(request: web.Request, name: str) -> str:
    return ",".join(request.headers.getall(name, []))


def _accepts_gzip(header: str) -> bool:
    for part in header.lower().split(","):
        coding, _, weight = part.replace(" ", "").partition(";q=")
        if coding == "gzip":
            return weight.strip("0.") != "" if weight else True
    return False


async def healthz(request: web.Request) -> web.Response:
    """Alive: the ledger is open, all routes serve, and the loop turned to answer this."""
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """Ready once every configured collector has had its first read; until then why not, and how far first reads are."""
    board = request.app[SITE].board
    waiting = [f"{name}: not read yet" for name, state in board.states.items() if state.success is None]
    reading = [f"{name}: first read, {done} of {total}" for name, (done, total) in board.progress.items()]
    failing = {name: state.error for name, state in board.states.items() if state.success is False}
    body = {
        "ready": not waiting and not reading,
        "reasons": [*waiting, *reading],
        "first_reads": {name: {"done": done, "total": total} for name, (done, total) in board.progress.items()},
        "failing": failing,
    }
    return web.json_response(body, status=200 if body["ready"] else 503)


async def index(request: web.Request) -> web.Response:
    """The landing page."""
    site = request.app[SITE]
    return web.Response(text=landing.page(site.board, site.unset), content_type="text/html")


ROUTES: Final[Mapping[str, Handler]] = {"/metrics": metrics, "/healthz": healthz, "/readyz": readyz, "/": index}
ROLES: Final[Mapping[str, str | None]] = {"/metrics": "scrape", "/healthz": None, **routes.ROLES}


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse who may not ask, and answer every error in one shape, without words of third parties."""
    site = request.app[SITE]
    try:
        if site.loopback_only and not is_loopback(_host(request)):
            return problem(403, "forbidden", "the Host header must name a loopback address")
        role = ROLES.get(request.path, "read")
        if role is not None:
            await site.access.check(request.headers.get(hdrs.AUTHORIZATION), role)
        return await handler(request)
    except Refused as refused:
        return _refusal(refused)
    except web.HTTPException as error:
        return _http_problem(error)
    except Exception as error:
        logger.error("request failed", error, route=request.path if request.path in ROUTES else "other")
        return problem(500, "internal", "something went wrong here; see the log")


def _host(request: web.Request) -> str:
    host = request.headers.get(hdrs.HOST, "")
    return host.partition("]")[0] + "]" if host.startswith("[") else host.rpartition(":")[0] or host


def _refusal(refused: Refused) -> web.Response:
    response = problem(refused.status, "unauthorized" if refused.status == 401 else "forbidden", str(refused))
    if refused.status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = f'Basic realm="arb-exporter {__version__}", charset="UTF-8"'
    return response


class _Connection(RequestHandler):
    """A connection that answers what is not HTTP in the API's shape: aiohttp would quote it, and log each one."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if status >= 500:
            logger.error("request failed", exc)
            response = problem(status, "internal", "something went wrong here; see the log")
        else:
            response = problem(status, "bad_request", "this is not valid HTTP")
        response.headers.update(SECURITY)
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs the application so that every error, even one found before any route, has the API's shape."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await made.request_handler(request)
            except web.HTTPException as error:  # of aiohttp's own, such as an Expect that it does not know
                return _http_problem(error)

        return _Server(handle, request_factory=made.request_factory, loop=made._loop, **made._kwargs)


async def open_door(runner: Runner, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
    """Listen; after a fall of the network thousands come back at once, and wait in the kernel, not in our loop's way.

    Raises:
        OSError: the address cannot be had.
    """
    site = web.TCPSite(runner, host, port, ssl_context=context, backlog=ACCEPTED_AT_ONCE)
    await site.start()
    for listening in getattr(site._server, "sockets", ()):
        with listening.dup() as twin:
            twin.listen(WAITING)


def _http_problem(error: web.HTTPException) -> web.Response:
    words = {404: "there is no such page", 405: "this method is not allowed here", 413: "the body is too large"}
    text = words.get(error.status, error.text if error.status == 400 and error.text else error.reason)
    response = problem(error.status, error.reason.lower().replace(" ", "_"), text)
    if hdrs.ALLOW in error.headers:
        response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    if hdrs.CONNECTION in error.headers:
        response.force_close()
    return response


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    policy = response.headers.get("Content-Security-Policy", landing.POLICY)  # a page may need another
    response.headers.update(SECURITY | {"Content-Security-Policy": policy})
    response.headers.update(request.app[SITE].headers)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
