"""One request to the bot's own HTTP API: does it answer, and how fast; what it answers is neither read nor shown."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import aiohttp

TIMEOUT: Final = 5.0
HEADERS: Final = {"Connection": "close", "Accept-Encoding": "identity"}
"""A connection of its own for every request, so that one that is still open cannot speak for a server that is not."""


async def probe(connections: aiohttp.ClientSession, url: str) -> float | None:
    """Seconds from asking until the status of the answer; None unless that is a 2xx in time.

    No redirect is followed: where it leads is not the bot. A body is not waited for and not unpacked.
    """
    started = time.perf_counter()
    try:
        async with asyncio.timeout(TIMEOUT):
            response = await connections.get(url, headers=HEADERS, allow_redirects=False, auto_decompress=False)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
        return None
    answered = time.perf_counter() - started
    response.close()
    return answered if 200 <= response.status < 300 else None
