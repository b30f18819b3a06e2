"""One kept HTTP connection to the exporter; every request ends in time, whatever the other side does."""

from __future__ import annotations

import base64
import contextlib
import encodings.idna  # noqa: F401 - needed to connect: a fork in the middle of importing it would break the child
import http.client
import io
import json
import socket
import ssl
import zlib
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from exporter.client.options import Route

SMALL_BYTES: Final = 2048
"""A smaller body is not worth the time of compressing it."""
LONGEST_ANSWER: Final = 64 << 10
PATIENCE: Final = 10.0
"""Seconds for a whole request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the exporter said. `retry_after` is in seconds."""

    status: int
    retry_after: float | None = None
    rejected: int | None = None


class Late(TimeoutError):
    """The whole request took too long."""


class Connection:
    """Sends bodies, one at a time; used by one thread."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._open: http.client.HTTPConnection | None = None

    def post(self, body: bytes, patience: float = PATIENCE) -> Answer:
        """Send lines of NDJSON.

        A connection that the exporter has closed meanwhile is opened anew at once: ids make repeating harmless.

        Raises:
            OSError: it cannot be reached, does not answer in time, or the password file cannot be read.
            http.client.HTTPException: its answer is none.
        """
        deadline = monotonic() + patience
        headers = {"Content-Type": "application/x-ndjson", **self._authorization()}
        if len(body) > SMALL_BYTES:
            body, headers["Content-Encoding"] = _gzip(body), "gzip"
        try:
            if self._open is not None:
                with contextlib.suppress(ConnectionError, http.client.BadStatusLine):
                    return self._ask(self._open, body, headers, deadline)
                self.close()
            self._open = self._connect(deadline)
            return self._ask(self._open, body, headers, deadline)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _connect(self, deadline: float) -> http.client.HTTPConnection:
        host, port, left = self._route.host, self._route.port, _left(deadline)
        if not self._route.tls:
            return http.client.HTTPConnection(host, port, timeout=left)
        context = ssl.create_default_context(cafile=self._route.ca_file)
        return http.client.HTTPSConnection(host, port, timeout=left, context=context)

    def _authorization(self) -> dict[str, str]:
        if self._route.user is None:
            return {}
        pair = f"{self._route.user}:{self._route.password()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    def _ask(
        self, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str], deadline: float
    ) -> Answer:
        connection.timeout = _left(deadline)
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(_left(deadline))
        connection.response_class = _in_time(deadline)
        connection.request("POST", self._route.path, body, headers)
        with connection.getresponse() as response:
            content = response.read(LONGEST_ANSWER + 1)
            if not response.isclosed():
                self.close()  # the rest of a long answer would be taken for the next one
            return _answer(response.status, response.getheader("Retry-After"), content)


def _answer(status: int, retry_after: str | None, content: bytes) -> Answer:
    wait = float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
    return Answer(status, wait, _rejected(content) if status == 422 else None)


def _rejected(content: bytes) -> int | None:
    """How many records the exporter refused, if it says so."""
    try:
        count: Any = json.loads(content)["invalid"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return count if isinstance(count, int) and count > 0 else None


def _gzip(body: bytes) -> bytes:
    squeeze = zlib.compressobj(1, wbits=31)
    return squeeze.compress(body) + squeeze.flush()


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise Late
    return left


def _in_time(deadline: float) -> Any:
    """A response class whose reads end at the deadline: one byte a second would satisfy a plain time-out for ever."""

    def response(sock: socket.socket, *arguments: Any, **named: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_Door(sock, deadline), *arguments, **named)  # type: ignore[arg-type]

    return response


@dataclass(frozen=True, slots=True)
class _Door:
    """What a response needs of a socket."""

    sock: socket.socket
    deadline: float

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_Bytes(self.sock, self.deadline))


class _Bytes(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._sock, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)
