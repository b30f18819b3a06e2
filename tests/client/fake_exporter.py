"""A server that answers `POST /api/v1/events` as the contract says, or misbehaves when told to."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

type Deed = Callable[["Request"], None]


class Exporter(ThreadingHTTPServer):
    """Keeps every good record once, in order; `deeds` are done to the next requests in place of the usual answer."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, user: tuple[str, str] | None = None, most_bytes: int = 8 << 20) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.deeds: deque[Deed] = deque()
        self.records: list[dict[str, Any]] = []
        self.repeated = 0
        self.connections = 0
        self.requests: list[dict[str, str]] = []
        self.user, self.most_bytes = user, most_bytes
        self.let_go = threading.Event()
        self._ids: set[str] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def keep(self, record: dict[str, Any]) -> None:
        with self._lock:
            if record["id"] in self._ids:
                self.repeated += 1
            else:
                self._ids.add(record["id"])
                self.records.append(record)

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()

    def handle_error(self, *_: Any) -> None:
        """Clients that leave are part of the tests."""


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Exporter
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append({**dict(self.headers), "path": self.path})
        self.body = gzip.decompress(sent) if self.headers["Content-Encoding"] == "gzip" else sent
        (self.server.deeds.popleft() if self.server.deeds else usual)(self)

    def answer(self, status: int, document: Any = None, **headers: str) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def usual(request: Request) -> None:
    """What the contract says."""
    server = request.server
    if server.user is not None:
        expected = base64.b64encode(":".join(server.user).encode()).decode()
        if request.headers["Authorization"] != f"Basic {expected}":
            return request.answer(401, {"error": {"code": "unauthorized", "message": "credentials"}})
    if len(request.body) > server.most_bytes:
        return request.answer(413, {"error": {"code": "too_large", "message": "too large"}})
    bad = 0
    for line in request.body.splitlines():
        record = json.loads(line)
        if record.get("pair") == "BAD":
            bad += 1
        else:
            server.keep(record)
    if bad:
        error = {"code": "invalid", "message": "a record is bad"}
        return request.answer(422, {"error": error, "invalid": bad})
    return request.answer(202, {"accepted": len(request.body.splitlines())})


def says(status: int, document: Any = None, **headers: str) -> Deed:
    return lambda request: request.answer(status, document, **headers)


def resets(request: Request) -> None:
    """The records are kept, the answer is lost."""
    for line in request.body.splitlines():
        request.server.keep(json.loads(line))
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.close_connection = True
    request.connection.close()


def hangs(request: Request) -> None:
    request.server.let_go.wait(60)
    request.close_connection = True


def trickles(request: Request) -> None:
    """One byte of the answer at a time: never silent, never done."""
    request.close_connection = True
    for byte in b"HTTP/1.1 202 Accepted\r\nX-Long: " + b"x" * 10_000:
        request.connection.sendall(bytes([byte]))
        if request.server.let_go.wait(0.02):
            return


@contextmanager
def running(user: tuple[str, str] | None = None, most_bytes: int = 8 << 20) -> Iterator[Exporter]:
    server = Exporter(user, most_bytes)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
