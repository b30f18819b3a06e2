"""`/ws`: who may listen, the WebSocket handshake, and the tickets of browsers, which cannot send credentials there."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

from aiohttp import hdrs, web

from exporter.live.figures import Turned
from exporter.live.messages import PROTOCOL
from exporter.live.session import Session
from exporter.web.access import Identity, Refused
from exporter.web.doors import TICKET_LIFE, Full
from exporter.web.site import SITE, Asked, Site, problem

PATH: Final = "/ws"
ROLE: Final = "live"
ROLES: Final[Mapping[str, str | None]] = {PATH: None, "/api/v1/ws-ticket": ROLE}
_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_RETRY: Final = {hdrs.SEC_WEBSOCKET_VERSION: "13", hdrs.UPGRADE: "websocket"}


def routes(site: Site) -> list[web.RouteDef]:
    """The live feed and its tickets."""
    return [web.get(PATH, listen, allow_head=False), web.post("/api/v1/ws-ticket", ticket)]


async def ticket(request: web.Request) -> web.Response:
    """A ticket for `/ws?ticket=…`."""
    site = request.app[SITE]
    check_origin(request, site)
    who = await site.access.check(request.headers.get(hdrs.AUTHORIZATION), ROLE)
    return web.json_response({"ticket": site.doors.ticket(who), "expires_in_s": int(TICKET_LIFE)})


async def listen(request: web.Request) -> web.StreamResponse:
    """Turn a request into a listener of the live feed: origin, then credentials, then limits, then the handshake."""
    site = request.app[SITE]
    with _counted(request, site, Turned.ORIGIN):
        check_origin(request, site)
    with _counted(request, site, Turned.CREDENTIALS):
        who = await _identify(request, site)
    try:
        network = enter(site, request)
    except Full as full:
        site.hub.figures.refused[Turned.ADDRESS if full.status == 429 else Turned.FULL] += 1
        return _full(full)
    session = None
    try:
        agreed = handshake(request)
        if isinstance(agreed, web.Response):
            return agreed
        session = _hand_over(request, answer(agreed, site), site, who, partial(site.doors.leave, network))
        return _Handed()
    finally:
        if session is None:
            site.doors.leave(network)


def enter(site: Site, request: Asked) -> str:
    """Take a place; the network that has it, for `Doors.leave`.

    Raises:
        Full: there is none now.
    """
    if site.hub.closed:
        raise Full(503, "shutting down", 5)
    if site.hub.early:
        raise Full(503, "what happened before has not been read yet", 1)
    return site.doors.enter(request.remote or "")


@contextmanager
def _counted(request: Asked, site: Site, reason: Turned) -> Iterator[None]:
    """Count whoever is not let in for this reason; it has made a request like any other, and not so many may be."""
    try:
        yield
    except Refused:
        site.hub.figures.refused[reason] += 1
        site.limits.ask(request.remote or "")
        raise


def check_origin(request: Asked, site: Site) -> None:
    """Let pages of other origins not listen.

    Raises:
        Refused: 403.
    """
    origins = request.headers.getall(hdrs.ORIGIN, [])
    own = f"{request.scheme}://{request.host}"
    if origins and not (len(origins) == 1 and site.doors.admits(origins[0], own)):
        raise Refused(403, "this origin may not listen; see live.allowed_origins")


async def _identify(request: web.Request, site: Site) -> Identity:
    given = request.query.get("ticket")
    if given is None:
        site.guess(request)
        return await site.access.check(request.headers.get(hdrs.AUTHORIZATION), ROLE)
    who = site.doors.redeem(given)
    if who is None or not site.access.still(who, ROLE):
        raise Refused(401, "the ticket is not, or no longer, valid")
    return who


def _full(full: Full) -> web.Response:
    response = problem(full.status, "too_many" if full.status == 429 else "full", str(full))
    response.headers[hdrs.RETRY_AFTER] = str(math.ceil(full.retry_after))
    return response


def handshake(request: Asked) -> dict[str, str] | web.Response:
    """The headers of a 101, or why there is none."""
    headers = request.headers
    upgrade = [token.strip().lower() for token in headers.get(hdrs.UPGRADE, "").split(",")]
    connection = [token.strip().lower() for token in ",".join(headers.getall(hdrs.CONNECTION, [])).split(",")]
    if "websocket" not in upgrade or "upgrade" not in connection:
        return _upgrade_first("this is a WebSocket; ask to upgrade to it")
    if headers.get(hdrs.SEC_WEBSOCKET_VERSION) != "13":
        return _upgrade_first("the WebSocket version must be 13")
    if request.body_exists:
        return problem(400, "bad_request", "a handshake has no body")
    key = headers.get(hdrs.SEC_WEBSOCKET_KEY, "")
    if not _is_key(key):
        return problem(400, "bad_request", "Sec-WebSocket-Key must be 16 bytes in base64")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _MAGIC).digest()).decode()  # noqa: S324  as RFC 6455 has it
    answer: dict[str, str] = {hdrs.UPGRADE: "websocket", hdrs.CONNECTION: "Upgrade", hdrs.SEC_WEBSOCKET_ACCEPT: accept}
    offered = [name.strip() for name in ",".join(headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])).split(",")]
    if PROTOCOL in offered:
        answer[hdrs.SEC_WEBSOCKET_PROTOCOL] = PROTOCOL
    return answer


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _upgrade_first(words: str) -> web.Response:
    response = problem(426, "upgrade_required", words)
    response.headers.update(_RETRY)
    return response


def answer(agreed: Mapping[str, str], site: Site) -> bytes:
    """The head of a 101 with these headers and those that every answer has."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**agreed, **site.headers}.items())
    return f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode()


def _hand_over(
    request: web.Request, answer: bytes, site: Site, who: Identity, leave: Callable[[], None]
) -> Session | None:
    """Answer with 101 and give the connection to a session; aiohttp is told that it has lost it. None: it is gone.

    Nothing of aiohttp's stays behind: no task, no parser, no request; a listener costs a few kilobytes.
    """
    protocol = request.protocol
    transport = protocol.transport
    if transport is None or transport.is_closing():
        return None
    early = _Early()
    protocol.set_parser(early)  # type: ignore[arg-type]  # all that is asked of a parser is `feed_data` and `feed_eof`
    session = Session(site.hub, transport, partial(site.access.still, who, ROLE), leave)
    session.begin(answer)
    protocol.transport = None  # or else it would close what is no longer its own
    protocol.connection_lost(None)
    if early.data:
        session.data_received(bytes(early.data))
    return session


class _Early:
    """Takes what a client sent right behind its handshake."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """The connection is no longer aiohttp's."""


class _Handed(web.StreamResponse):
    """Stands for an answer that has been given already."""

    async def prepare(self, request: web.BaseRequest) -> None:
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to say."""
