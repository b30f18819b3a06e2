"""Answers requests of the read API that come over the bus: whoever sends them has asked who may read already."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Final

from exporter.web import alerts, api
from exporter.web.access import Access
from exporter.web.server import Runner, application
from exporter.web.site import Site

LARGEST: Final = 1_000_000
"""Bytes of an answer; NATS takes messages of 1 MiB unless told otherwise."""
PATIENCE: Final = 4.0
"""Seconds that an answer may take; whoever asks waits a little longer."""
PATHS: Final = frozenset(row.path for row in (*api.OPERATIONS, *alerts.OPERATIONS) if row.method == "GET")
TARGET: Final = re.compile(rb"(/api/v1/[a-z]+)(\?[!-~]{0,2000})?")


class Inside:
    """The site's API without a socket; it is made when first asked."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._twin = replace(site, access=Access({}, {}), loopback_only=False)
        self._runner: Runner | None = None

    async def answer(self, target: bytes) -> bytes:
        """The HTTP answer to a GET of a path with its query, head and body; errors are answers, too."""
        found = TARGET.fullmatch(target)
        if found is None or found[1].decode() not in PATHS or b"format=csv" in target:
            return _refusal(404, "not_found")
        self._twin.settings = self._site.settings  # which a reload replaces
        pipe = _Pipe()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._ask(target, pipe)
        except TimeoutError:
            return _refusal(503, "unavailable")
        return bytes(pipe.written) if len(pipe.written) <= LARGEST else _refusal(503, "too_large")

    async def _ask(self, target: bytes, pipe: _Pipe) -> None:
        if self._runner is None:
            runner = Runner(application(self._twin, (api, alerts)), access_log=None, handle_signals=False)
            await runner.setup()
            self._runner = runner
        assert self._runner.server is not None  # noqa: S101  it is set up
        protocol = self._runner.server()
        protocol.connection_made(pipe)
        try:
            protocol.data_received(b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % target)
            await pipe.done.wait()
        finally:
            protocol.connection_lost(None)

    async def close(self) -> None:
        """End it."""
        if self._runner is not None:
            await self._runner.cleanup()


def _refusal(status: int, code: str) -> bytes:
    body = b'{"error":{"code":"%b","message":"the exporter has no answer that fits"}}' % code.encode()
    head = b"HTTP/1.1 %d Refused\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


class _Pipe(asyncio.Transport):
    """A connection that leads nowhere: it only keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.done = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        if len(self.written) <= LARGEST:
            self.written += data

    def close(self) -> None:
        """The answer is complete."""
        self.done.set()

    abort = close

    def get_write_buffer_size(self) -> int:
        """Nothing waits for anybody."""
        return 0

    def is_closing(self) -> bool:
        """Whether it is."""
        return self.done.is_set()

    def pause_reading(self) -> None:
        """Nothing more comes."""

    resume_reading = pause_reading
