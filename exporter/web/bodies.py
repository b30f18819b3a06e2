"""A request's body, read with bounds: of this type, no larger, and no slower."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from exporter.sources.files import Unreadable, parse

SLOWEST: Final = 10.0
"""Seconds in which all of a body must have come."""


async def read_json(request: web.Request, most: int) -> Any:
    """The JSON in a body of at most `most` bytes, read strictly: numbers are int or Decimal.

    Raises:
        HTTPUnsupportedMediaType, HTTPRequestEntityTooLarge, HTTPRequestTimeout, HTTPBadRequest
    """
    # A page of another origin can send a body of this type only after asking, which nobody here allows.
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    try:
        text = (await _read(request, most)).decode("utf-8")
        return parse(text)
    except (UnicodeDecodeError, Unreadable):
        raise web.HTTPBadRequest(text="the body is not JSON") from None


async def _read(request: web.Request, most: int) -> bytes:
    if (request.content_length or 0) > most:
        raise web.HTTPRequestEntityTooLarge(most, request.content_length or 0)
    found = bytearray()
    try:
        async with asyncio.timeout(SLOWEST):
            async for chunk in request.content.iter_any():
                found += chunk
                if len(found) > most:
                    raise web.HTTPRequestEntityTooLarge(most, len(found))
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except ConnectionError:
        raise web.HTTPBadRequest(text="the body breaks off") from None
    return bytes(found)
