"""Families as text: Prometheus 0.0.4 and OpenMetrics 1.0.0, identical in value to client_python's `generate_latest`.

Text is made and compressed per collector, so that a scrape redoes only what has changed since the last one:
the pieces of one gzip member are independent deflate blocks behind one header.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache

from exporter.metrics import Family, Metric, float_text

GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
LAST_BLOCK = b"\x03\x00"  # an empty final block ends the deflate stream


class Format(Enum):
    """The text formats that `Accept` can choose."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    @property
    def end(self) -> bytes:
        """What closes a body."""
        return b"# EOF\n" if self is Format.OPENMETRICS else b""


def negotiate(accept: str) -> Format:
    """The format a client prefers; text unless it names OpenMetrics with no smaller weight."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0, "text/*": 0.0, "*/*": 0.0}
    for part in accept.lower().split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        if media in weights and _speaks(media, parameters):
            weights[media] = max(weights[media], _weight(parameters))
    text = max(weights["text/plain"], weights["text/*"], weights["*/*"])
    openmetrics = weights["application/openmetrics-text"]
    return Format.OPENMETRICS if openmetrics > 0 and openmetrics >= text else Format.TEXT


def _speaks(media: str, parameters: list[str]) -> bool:
    versions = [p.removeprefix("version=") for p in parameters if p.startswith("version=")]
    return media != "application/openmetrics-text" or not versions or versions[0] in ("0.0.1", "1.0.0")


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(max(float(parameter[2:]), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def encode(families: Iterable[Family], form: Format) -> bytes:
    """The text of some families, without the end mark."""
    lines: list[str] = []
    for family in families:
        lines.append(_head(family.metric, form))
        for suffix, labels, value in family.samples:
            lines.append(f"{_series(family.metric, suffix, labels)} {float_text(value)}\n")
    return "".join(lines).encode()


@lru_cache(maxsize=1024)
def _head(metric: Metric, form: Format) -> str:
    openmetrics = form is Format.OPENMETRICS
    name = metric.name.removesuffix("_total") if openmetrics and metric.kind == "counter" else metric.name
    text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        text = text.replace('"', r"\"")
    return f"# HELP {name} {text}\n# TYPE {name} {metric.kind}\n"


@lru_cache(maxsize=8192)
def _series(metric: Metric, suffix: str, labels: tuple[str, ...]) -> str:
    if not labels:
        return metric.name + suffix
    pairs = sorted(zip(metric.label_names(suffix), labels, strict=True))
    return f"{metric.name}{suffix}{{{','.join(f'{name}="{_escape(value)}"' for name, value in pairs)}}}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def deflate(text: bytes) -> bytes:
    """One piece of a gzip body: whole blocks that refer to nothing outside the piece."""
    press = zlib.compressobj(level=1, wbits=-15)
    return press.compress(text) + press.flush(zlib.Z_FULL_FLUSH)


def join(pieces: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """The plain and the gzip body of (text, deflated text) pieces."""
    texts, blocks = zip(*pieces, strict=True)
    body = b"".join(texts)
    trailer = struct.pack("<II", zlib.crc32(body), len(body) & 0xFFFFFFFF)
    return body, b"".join((GZIP_HEADER, *blocks, LAST_BLOCK, trailer))
