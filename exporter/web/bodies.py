"""A request's body, read with bounds: of this type, no larger, and no slower."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Self

from aiohttp import hdrs, web

from exporter.sources.files import Unreadable, parse
from exporter.sources.packed import PIECE, Unpacker

SLOWEST: Final = 10.0
"""Seconds in which all of a body must have come."""


_LAST: Final = {"Connection": "close"}
"""Nobody knows where the next request would begin."""


class Purse:
    """What one body costs of the memory that all bodies of a kind have together; closed when it is done with."""

    def __init__(self, held: list[int], most: int) -> None:
        self._held, self._most, self._spent = held, most, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held[0] -= self._spent

    def spend(self, size: int) -> None:
        """Hold so many bytes more.

        Raises:
            HTTPServiceUnavailable: others hold too many.
        """
        self._spent += size
        self._held[0] += size
        if self._held[0] > self._most:
            raise web.HTTPServiceUnavailable


def media_type(request: web.Request) -> str:
    """What a body says it is, without parameters, in lower case; aiohttp would load mail's grammar to find out."""
    return request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()


async def read_json(request: web.Request, most: int) -> Any:
    """The JSON in a body of at most `most` bytes, read strictly: numbers are int or Decimal.

    Raises:
        HTTPUnsupportedMediaType, HTTPRequestEntityTooLarge, HTTPRequestTimeout, HTTPBadRequest
    """
    # A page of another origin can send a body of this type only after asking, which nobody here allows.
    if media_type(request) != "application/json":
        raise web.HTTPUnsupportedMediaType
    try:
        text = (await read(request, most)).decode("utf-8")
        return parse(text)
    except (UnicodeDecodeError, Unreadable):
        raise web.HTTPBadRequest(text="the body is not JSON") from None


async def read(request: web.Request, most: int, purse: Purse | None = None) -> bytes:
    """A body of at most `most` bytes after decompression, paid for out of a purse.

    Raises:
        HTTPUnsupportedMediaType, HTTPRequestEntityTooLarge, HTTPRequestTimeout, HTTPBadRequest, HTTPServiceUnavailable
    """
    if (request.content_length or 0) > most:
        raise web.HTTPRequestEntityTooLarge(most, request.content_length or 0)
    found = bytearray()
    try:
        unpacker = Unpacker(request.headers.get(hdrs.CONTENT_ENCODING, ""))
    except ValueError:
        raise web.HTTPUnsupportedMediaType from None
    try:
        async with asyncio.timeout(SLOWEST):
            async for chunk in request.content.iter_any():
                for piece in unpacker.feed(chunk):
                    found += piece
                    if len(found) > most:
                        raise web.HTTPRequestEntityTooLarge(most, len(found))
                    if purse is not None:
                        purse.spend(len(piece))
                    if len(piece) == PIECE:
                        await asyncio.sleep(0)
        if not unpacker.complete:
            raise ValueError("cut off")
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (ConnectionError, web.RequestPayloadError, ValueError):
        request.content.feed_eof()  # or aiohttp would go on to read it, and log that as an error
        raise web.HTTPBadRequest(text="the body breaks off, or is not what it is said to be", headers=_LAST) from None
    return bytes(found)
