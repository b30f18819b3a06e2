"""What the API's answers have in common: JSON with a tag to ask again by, pages of lists, and refusals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import ETag, hdrs, web

from exporter.web.parameters import DEFAULT
from exporter.web.site import problem

CACHE: Final = "private, no-cache"
"""Keep it, but ask each time whether it is still so."""
JSON: Final = "application/json"


def encode(value: Any) -> bytes:
    """A value as compact JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def answer(request: web.Request, body: Mapping[str, Any]) -> web.Response:
    """A body as JSON, or 304 to whoever has it already."""
    return answer_encoded(request, encode(body))


def answer_encoded(request: web.Request, text: bytes) -> web.Response:
    """As `answer`, of a body that is JSON already."""
    tag = hashlib.blake2b(text, digest_size=12).hexdigest()
    asked = request.if_none_match or ()
    if any(known.value in (tag, "*") for known in asked):
        response = web.Response(status=304)
    else:
        response = Shared(body=text, content_type=JSON, charset="utf-8")
    response.etag = ETag(tag)
    response.headers[hdrs.CACHE_CONTROL] = CACHE
    return response


def page(request: web.Request, name: str, items: Sequence[Any], asked: Mapping[str, Any], **more: Any) -> web.Response:
    """One page of a list that is all there; `next` counts what has been shown."""
    begin, limit = asked.get("before", 0), asked.get("limit", DEFAULT)
    end = begin + limit
    following = end if end < len(items) else None
    return answer(request, {name: list(items[begin:end]), "next": following, **more})


def unavailable(error: Exception) -> web.Response:
    """503: the ledger cannot be read now."""
    response = problem(503, "unavailable", str(error))
    response.headers[hdrs.RETRY_AFTER] = "1"
    return response


class Shared(web.Response):
    """A body that is kept once, however many wait for it: joined to its head, as usual, it would be a copy for each."""

    async def write_eof(self, data: bytes = b"") -> None:
        if self._payload_writer is not None:
            self._payload_writer.send_headers()
        await super().write_eof(data)
