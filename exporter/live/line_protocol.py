"""Influx line protocol: one line for each series, escaped, with one time for all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

LARGEST: Final = (1 << 20) - (1 << 12)
"""Bytes of one message; Grafana takes 1 MiB."""
_NAME: Final = str.maketrans({",": r"\,"} | {chr(code): r"\ " for code in (*range(33), 127)})
_KEY: Final = _NAME | str.maketrans({"=": r"\="})


@dataclass(frozen=True, slots=True)
class Point:
    """The values of one series; all fields are numbers."""

    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, float]


def line(point: Point, time_ns: int) -> str:
    """A point as a line; empty if it has no finite value. A tag without a text is left out, as the protocol has it."""
    values = ",".join(f"{_key(name)}={_number(value)}" for name, value in point.fields.items() if math.isfinite(value))
    tags = "".join(f",{_key(name)}={_key(text)}" for name, text in sorted(point.tags.items()) if text)
    return f"{_whole(point.measurement.translate(_NAME))}{tags} {values} {time_ns}" if values else ""


def _key(text: str) -> str:
    return _whole(text.translate(_KEY))


def _whole(text: str) -> str:
    """A backslash at the end would escape what follows, and there is no way to escape it."""
    return text.rstrip("\\") or "_"


def _number(value: float) -> str:
    return repr(float(value))


def messages(points: Iterable[Point], time_ns: int, largest: int = LARGEST) -> Iterator[bytes]:
    """All points in as few messages as their size allows."""
    waiting: list[bytes] = []
    size = 0
    for point in points:
        text = line(point, time_ns).encode("utf-8", "replace")
        if not text or len(text) >= largest:
            continue
        if size + len(text) + 1 > largest:
            yield b"\n".join(waiting)
            waiting, size = [], 0
        waiting.append(text)
        size += len(text) + 1
    if waiting:
        yield b"\n".join(waiting)
