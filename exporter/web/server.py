"""The HTTP routes: what is on the board as `/metrics`, and whether the exporter lives, is ready, and knows its bot."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, cast

from aiohttp import hdrs, web, web_protocol
from aiohttp.web_protocol import RequestHandler

from exporter import __version__, log
from exporter.exposition import negotiate
from exporter.web import knock, landing, origins, routes, ws
from exporter.web.access import Refused, is_loopback
from exporter.web.answers import Shared
from exporter.web.crowd import Crowd, waiting
from exporter.web.gate import Gate, bound
from exporter.web.limits import TooMany
from exporter.web.site import SITE, Site, host, problem
from exporter.web.tls import may_come

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
ALWAYS: Final = frozenset({"/metrics", "/healthz", "/readyz"})
"""What has room when nothing else has, and may be asked for at any rate."""
OWN_RATE: Final = (hdrs.METH_GET, ws.PATH)
"""Has a rate of its own, which thousands who come back at once may need; who is refused there counts as elsewhere."""
PIPELINED: Final = 0.1
"""Seconds between the answers to requests that one connection sends all at once, as no usual client does."""
LINGERING: Final = 1.0
"""Seconds that the rest of a body is still read for after its answer."""
AHEAD: Final = 2
"""Requests of one connection that are read while another one is answered: each that waits takes kilobytes."""
web_protocol.MAX_MSG_QUEUE_SIZE = AHEAD  # which aiohttp lets nobody say otherwise


type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(site: Site, rooms: Iterable[routes.Room] = routes.ROOMS) -> web.Application:
    """The aiohttp application with the routes of these rooms beside its own."""
    app = web.Application(middlewares=[_guard], client_max_size=64 << 10)
    app[SITE] = site
    app.on_response_prepare.append(_add_headers)
    for path, handler in ROUTES.items():
        app.router.add_get(path, handler)
    app.router.add_routes(routes.routes(site, rooms))
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
        return Shared(body=page.gzipped, headers={**headers, hdrs.CONTENT_ENCODING: "gzip"})
    return Shared(body=page.body, headers=headers)


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
        if site.loopback_only and not is_loopback(host(request)):
            return problem(403, "forbidden", "the Host header must name a loopback address")
        own_rate = (request.method, request.path) == OWN_RATE
        if request.path not in ALWAYS and not own_rate:
            site.limits.ask(request.remote or "")
        if (answer := origins.preflight(request)) is not None:
            return answer
        origins.check(request)
        if not own_rate:
            site.guess(request)
        role = ROLES.get(request.path, "read")
        if role is not None:
            await site.access.check(request.headers.get(hdrs.AUTHORIZATION), role)
        return await handler(request)
    except Refused as refused:
        return _refusal(refused)
    except TooMany as many:
        return _come_again(429, "too_many", str(many), many.retry_after)
    except web.HTTPException as error:
        return _http_problem(error)
    except Exception as error:
        logger.error("request failed", error, route=_route(request))
        return problem(500, "internal", "something went wrong here; see the log")


def _route(request: web.Request) -> str:
    """The pattern of the route, which is our own text, not the path, which is the client's."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "other"


def _refusal(refused: Refused) -> web.Response:
    response = problem(refused.status, "unauthorized" if refused.status == 401 else "forbidden", str(refused))
    if refused.status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = f'Basic realm="arb-exporter {__version__}", charset="UTF-8"'
    return response


def _come_again(status: int, code: str, words: str, wait: float) -> web.Response:
    response = problem(status, code, words)
    response.headers[hdrs.RETRY_AFTER] = str(max(1, math.ceil(wait)))
    return response


class _Connection(RequestHandler):
    """A connection in a crowd; what is not HTTP it answers in the API's shape: aiohttp would quote it, and log each."""

    __slots__ = ("_crowd", "_is_plain")

    def __init__(self, crowd: Crowd, is_plain: bool, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._crowd, self._is_plain = crowd, is_plain

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._crowd.wait(self)
        super().connection_made(transport)
        if not may_come(transport, self._is_plain):
            self.force_close()  # and hear nothing of what it has said already

    def data_received(self, data: bytes) -> None:
        if self._crowd.rests(self):
            self._crowd.wait(self)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._crowd.leave(self)
        super().connection_lost(exc)

    def unsent(self) -> int:
        """Bytes of an answer that the client has not taken."""
        return waiting(self.transport) if self.transport is not None else 0

    def abort(self) -> None:
        """End it without another word."""
        if self.transport is not None:
            self.transport.abort()

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


async def _taken(guest: _Connection) -> None:
    """A while after the answer before has left this program, which keeps one answer at most for each connection."""
    await asyncio.sleep(PIPELINED)
    while guest.unsent():  # noqa: ASYNC110  # aiohttp tells nobody
        await asyncio.sleep(PIPELINED)


class _Server(web.Server):
    def __init__(self, runner: Runner, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._runner = runner

    def __call__(self) -> RequestHandler:
        is_plain = all(gate.context is None for gate in self._runner.gates)
        return _Connection(self._runner.crowd, is_plain, self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs the application so that every error, even one found before any route, has the API's shape."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        own = {"access_log": None, "shutdown_timeout": 0.5, "lingering_time": LINGERING, "auto_decompress": False}
        super().__init__(app, **own | options)

    @property
    def crowd(self) -> Crowd:
        """Who is connected."""
        return self.app[SITE].crowd

    @property
    def gates(self) -> list[Gate]:
        """All doors."""
        return [site for site in self.sites if isinstance(site, Gate)]

    @property
    def addresses(self) -> list[Any]:
        """(host, port) of all doors."""
        return [address for gate in self.gates for address in gate.addresses]

    async def _make_server(self) -> web.Server:
        made, crowd = await super()._make_server(), self.crowd

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            guest = cast(_Connection, request.protocol)
            if crowd.rests(guest) or guest.unsent():
                await _taken(guest)
            if guest.transport is not None:  # else it has left meanwhile, and nobody would see it off again
                crowd.work(guest)
            try:
                await crowd.turns.come()
                if crowd.crowded and request.path not in ALWAYS:
                    return _come_again(503, "busy", "as many requests as may be are being answered", 1)
                return await made.request_handler(request)
            except web.HTTPException as error:  # of aiohttp's own, such as an Expect that it does not know
                return _http_problem(error)
            finally:
                crowd.rest(guest)

        return _Server(self, handle, request_factory=made.request_factory, loop=made._loop, **made._kwargs)


async def open_door(runner: Runner, address: str, port: int, context: ssl.SSLContext | None = None) -> Gate:
    """Listen; after a fall of the network thousands come back at once, and wait in the kernel, not in our loop's way.

    Raises:
        OSError: the address cannot be had.
    """
    gate = Gate(runner, bound(address, port), runner.crowd, context, partial(knock.answer, runner.app[SITE]))
    await gate.start()
    return gate


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
    origins.allow(request, response)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
