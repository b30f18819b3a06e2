"""A test-only echo: `/ws` with all of its own code, whose sessions send back what they hear instead of obeying it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from unittest.mock import patch

from exporter.board import Board
from exporter.config import Live
from exporter.live import frames
from exporter.live.figures import Left
from exporter.live.frames import Code, Op, Parser
from exporter.live.pace import Allowance
from exporter.live.session import Session
from exporter.web import knock, ws
from exporter.web.access import Access
from exporter.web.doors import Doors
from exporter.web.server import Runner, application, open_door
from exporter.web.site import Site

LARGEST: Final = 16 << 20
"""Bytes of the largest message of the Autobahn suite."""


class Echo(Session):
    """A listener who hears what it said itself, within the bounds of `/ws`."""

    def begin(self, answer: bytes) -> None:
        """Shake hands without a greeting: a client of an echo does not expect any."""
        self._hub.hello = b""
        super().begin(answer)

    def beat(self, beat: bytes, now: float) -> None:
        """Nor does it expect heartbeats."""

    def _take(self, op: Op | None, payload: bytes) -> None:
        if op not in (Op.TEXT, Op.BINARY) or self._closing:
            super()._take(op, payload)
        elif self._allowance.take(time.monotonic()):
            self.close(Code.POLICY, Left.POLICY, "too many messages")
        else:
            if op is Op.TEXT:
                frames.decoded(payload)
            self.write(frames.frame(op, payload))


class Unbounded(Echo):
    """The same for messages of any pace and of up to 16 MiB."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._parser, self._allowance = Parser(LARGEST), Allowance(1e12, 1e12)


@asynccontextmanager
async def echoing(kind: type[Echo]) -> AsyncIterator[str]:
    """Serve such an echo on loopback; its URL. One at a time: meanwhile every `/ws` of this process is one."""
    doors = Doors(Live(handshakes_per_second=10_000))
    site = Site(Board(), Access({}, {}), True, doors=doors)
    runner = Runner(application(site), handle_signals=False)
    await runner.setup()
    try:
        with patch.object(ws, "Session", kind), patch.object(knock, "Session", kind):
            await open_door(runner, "127.0.0.1", 0)
            yield f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
    finally:
        await site.hub.close(0.2)
        await runner.cleanup()
