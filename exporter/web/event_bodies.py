"""The events in a request's body, one by one: a JSON object, an array of them, or one in each line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from exporter.log import Plain
from exporter.sources import event_records
from exporter.sources.elements import elements
from exporter.sources.event_fields import BadEvent
from exporter.sources.event_lines import event, paced
from exporter.sources.event_records import Event
from exporter.sources.files import Unreadable

LINES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
JSON: Final = "application/json"
_BLANK: Final = b" \t\r\n"
_AHEAD: Final = 5
"""Lines that are looked at to tell events from one document over several lines."""

type Records = Iterator[Event | BadEvent]


class NotJson(Plain):
    """The body holds nothing at all that could be an event."""


def records(body: bytes, media: str) -> Records:
    """Each record of a body of one of these media types: the event, or what is wrong with it.

    Raises:
        NotJson: at once, or at the first record.
    """
    body = body.strip(_BLANK)
    if body.startswith(b"["):
        return _array(body)
    return _lines(body) if media in LINES or _has_lines(body) else _one(body)


def portion(found: Records, most: int) -> list[Event | BadEvent]:
    """The next records; to be called in a thread."""
    return list(paced(islice(found, most)))


def _has_lines(body: bytes) -> bool:
    """Whether the first line of several is a JSON document of its own; or else one of the next an event."""
    first, *others = body.split(b"\n", _AHEAD)
    if not others or not isinstance(_record(first), NotJson):
        return bool(others)
    return any(isinstance(_record(line.strip(_BLANK)), Event) for line in others[: _AHEAD - 1])


def _one(body: bytes) -> Records:
    found = _record(body)
    if isinstance(found, NotJson):
        raise found
    yield found


def _record(line: bytes) -> Event | BadEvent | NotJson:
    try:
        return event(line)
    except BadEvent as bad:
        return NotJson("the body is not JSON") if bad.reason == "json" else bad


def _lines(body: bytes) -> Records:
    start = 0
    while start < len(body):  # one by one: a body may be eight million empty lines
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        if line := body[start:end].strip(_BLANK):
            try:
                yield event(line)
            except BadEvent as bad:
                yield bad
        start = end + 1


def _array(body: bytes) -> Records:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise NotJson("the body is not JSON") from None
    for number, element in enumerate(elements(text)):
        if isinstance(element, Unreadable):
            if number == 0 and element.reason == "json":
                raise NotJson("the body is not JSON")
            yield BadEvent(None, "is not JSON", "json")
            continue
        try:
            yield event_records.parse(element)
        except BadEvent as bad:
            yield bad
