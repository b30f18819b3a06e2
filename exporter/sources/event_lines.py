"""Events line by line (NDJSON): bytes in, events and what was wrong with the rest out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from exporter.sources import files
from exporter.sources.event_fields import BadEvent
from exporter.sources.event_records import Event, parse
from exporter.sources.files import Unreadable
from exporter.sources.log_files import PAUSE
from exporter.sources.log_lines import START, Place

LONG: Final = 32 << 10
"""Bytes of one record; what is longer is none. Less than what the follower of a file parses at a time."""
AT_ONCE: Final = 20
"""Records parsed before the event loop may have the interpreter."""


@dataclass(slots=True)
class Heard:
    """What lines said: events, and how many records were none, by what is wrong with them."""

    events: list[Event] = field(default_factory=list)
    invalid: Counter[str] = field(default_factory=Counter)


def paced[T](items: Iterable[T]) -> Iterator[T]:
    """The same items, in a thread: now and then the interpreter is somebody else's."""
    for number, item in enumerate(items, 1):
        yield item
        if number % AT_ONCE == 0:
            time.sleep(PAUSE)


def event(line: bytes) -> Event:
    """The event in a line.

    Raises:
        BadEvent: there is none.
    """
    if len(line) > LONG:
        raise BadEvent(None, f"is longer than {LONG >> 10} KiB", "size")
    try:
        document = files.parse(line.decode("utf-8"))
    except (UnicodeDecodeError, Unreadable):
        raise BadEvent(None, "is not JSON", "json") from None
    return parse(document)


def read(data: bytes, place: Place, heard: Heard) -> tuple[int, Place]:
    """Hear the lines in `data` that have ended; how many bytes are done with, and where reading stands after them.

    The rest, at most `LONG` bytes of a line without an end, has to be given again with what follows it.
    """
    start = 0
    if place.skipping:
        if (start := data.find(b"\n") + 1) == 0:
            return len(data), place
        heard.invalid["size"] += 1
    end = data.rfind(b"\n") + 1
    for line in paced(data[start:end].split(b"\n")):
        _hear(line.strip(b"\0 \t\r"), heard)  # NULs: a hole that a truncated file was left with
    rest = data[max(start, end) :].lstrip(b"\0")
    if len(rest) <= LONG:
        return len(data) - len(rest), START
    return len(data), Place(skipping=True)


def _hear(line: bytes, heard: Heard) -> None:
    if not line:
        return
    try:
        heard.events.append(event(line))
    except BadEvent as bad:
        heard.invalid[bad.reason] += 1
