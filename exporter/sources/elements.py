"""The elements of a JSON array one by one, so that one that cannot be used costs only itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from exporter.sources.files import DECODER, Unreadable

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_LENIENT: Final = json.JSONDecoder(parse_int=len, parse_float=len)


def elements(text: str) -> Iterator[Any]:
    """The elements of a JSON array that is all of a text, one by one, each as strict as `document`.

    An element that cannot be used comes as the error that says why; so does, as the last, what is no array any more.
    """
    end = _blank(text, 1)
    if text[end : end + 1] != "]":
        while True:
            found, end = _element(text, end)
            yield found
            if text[end : end + 1] != ",":
                break
            end = _blank(text, end + 1)
    if text[end : end + 1] != "]" or text[end + 1 :].strip(" \t\r\n"):
        yield Unreadable("json")


def _element(text: str, start: int) -> tuple[Any, int]:
    """What is at a place, and where that ends."""
    found: Any
    try:
        found, end = DECODER.raw_decode(text, start)
    except (json.JSONDecodeError, StopIteration, RecursionError):
        return Unreadable("json"), len(text)
    except Unreadable as unusable:
        found, end = unusable, _end(text, start)
    return found, _blank(text, end)


def _end(text: str, start: int) -> int:
    """Where something ends that is JSON, but not usable."""
    try:
        return _LENIENT.raw_decode(text, start)[1]
    except (ValueError, StopIteration, RecursionError):
        return len(text)


def _blank(text: str, start: int) -> int:
    """Where white space from `start` on ends."""
    found = _BLANK.match(text, start)
    return found.end() if found else start
