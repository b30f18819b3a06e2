"""Programs that ask for the live feed by the first bytes of their connection: let in without an HTTP server's help.

After a fall of the network thousands come back at once. Whatever is not plainly a handshake that may come in is left to
the HTTP server, untouched: all refusals are its own.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import hdrs
from multidict import CIMultiDict

from exporter.live.session import Session
from exporter.live.wire import Wire
from exporter.web import ws
from exporter.web.access import Refused, is_loopback
from exporter.web.doors import Full
from exporter.web.site import Site, host

LONGEST: Final = 4 << 10
"""Bytes of a head that is looked at here."""
FIRST_LINE: Final = b"GET /ws HTTP/1.1\r\n"
END: Final = b"\r\n\r\n"
_LINE: Final = re.compile(r"([A-Za-z0-9-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)[ \t]*")
_BODY: Final = (hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING, hdrs.EXPECT, hdrs.TRAILER)


@dataclass(frozen=True, slots=True)
class Knock:
    """A request for the live feed, as far as the door looks at it."""

    headers: CIMultiDict[str]
    remote: str
    scheme: str = "http"
    body_exists: bool = False

    @property
    def host(self) -> str:
        """The host that was asked."""
        return self.headers[hdrs.HOST]

    @property
    def query(self) -> Mapping[str, str]:
        """It has none."""
        return {}


def read(head: bytes, remote: str) -> Knock | None:
    """A request for the feed; None if it is another one, is not whole, or is unusual in any way."""
    if not head.startswith(FIRST_LINE) or not head.endswith(END) or head.count(END) != 1 or not head.isascii():
        return None
    headers = CIMultiDict[str]()
    for line in head[len(FIRST_LINE) : -len(END)].decode("ascii").split("\r\n"):
        found = _LINE.fullmatch(line)
        if found is None or found[1] in headers:
            return None
        headers[found[1]] = found[2]
    return Knock(headers, remote) if hdrs.HOST in headers and not any(name in headers for name in _BODY) else None


def answer(site: Site, sock: socket.socket, remote: str) -> bool:
    """Let in who knocks here and may come in; False: nothing has been read, said or counted."""
    try:
        head = sock.recv(LONGEST, socket.MSG_PEEK)
        knock = read(head, remote)
        return knock is not None and _let_in(site, knock, sock, len(head))
    except OSError:  # nothing has come yet, or it is gone
        return False


def _let_in(site: Site, knock: Knock, sock: socket.socket, size: int) -> bool:
    try:
        if site.loopback_only and not is_loopback(host(knock)):
            return False
        ws.check_origin(knock, site)
        who = site.access.known(knock.headers.get(hdrs.AUTHORIZATION), ws.ROLE)
        agreed = ws.handshake(knock)
        if who is None or not isinstance(agreed, dict):
            return False
        network = ws.enter(site, knock)
    except (Refused, Full):
        return False
    may_stay, leave = partial(site.access.still, who, ws.ROLE), partial(site.doors.leave, network)
    sock.recv(size)
    Session(site.hub, Wire(sock), may_stay, leave).begin(ws.answer(agreed, site))
    return True
