"""The parameters of the API's queries: what each may be, read strictly and described in the same place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from exporter.history import NEWEST

MOST: Final = 1_000
DEFAULT: Final = 100
_WHOLE: Final = re.compile(r"[0-9]{1,19}")
_SECONDS: Final = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,9})?")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: `parse` makes a value of its text, or None of a text that is none; `needs` says what it must be."""

    name: str
    doc: str
    schema: Mapping[str, Any]
    parse: Callable[[str], Any]
    needs: str


def read(request: web.Request, known: Iterable[Parameter]) -> dict[str, Any]:
    """The values of the query's parameters, by name; those that are not given are absent.

    Raises:
        HTTPBadRequest: one is unknown, given twice or not what it must be; the words never repeat what was sent.
    """
    parameters = {parameter.name: parameter for parameter in known}
    found: dict[str, Any] = {}
    for name, text in request.query.items():
        if (parameter := parameters.get(name)) is None:
            raise web.HTTPBadRequest(text=f"unknown parameter; there are: {', '.join(parameters) or 'none'}")
        if name in found:
            raise web.HTTPBadRequest(text=f"{name} is given twice")
        if (value := parameter.parse(text)) is None:
            raise web.HTTPBadRequest(text=f"{name} must be {parameter.needs}")
        found[name] = value
    return found


def whole(name: str, doc: str, least: int, most: int, **more: Any) -> Parameter:
    """A whole number."""

    def parse(text: str) -> int | None:
        return int(text) if _WHOLE.fullmatch(text) and least <= int(text) <= most else None

    schema = {"type": "integer", "minimum": least, "maximum": most, **more}
    return Parameter(name, doc, schema, parse, f"a whole number from {least} to {most}")


def choice(name: str, doc: str, *values: str) -> Parameter:
    """One of a few words."""
    schema = {"type": "string", "enum": list(values)}
    return Parameter(name, doc, schema, lambda text: text if text in values else None, f"one of {', '.join(values)}")


def label(name: str, doc: str) -> Parameter:
    """A label as it is shown elsewhere."""
    pattern = r"^[ -~]{1,64}$"
    schema = {"type": "string", "minLength": 1, "maxLength": 64}

    def parse(text: str) -> str | None:
        return text if 0 < len(text) <= 64 and text.isprintable() else None

    return Parameter(name, doc, schema | {"pattern": pattern}, parse, "1 to 64 printable characters")


def moment(name: str, doc: str) -> Parameter:
    """A time: RFC 3339 or epoch seconds."""
    rfc3339 = {"type": "string", "format": "date-time"}
    schema = {"oneOf": [{"type": "number", "minimum": 0, "maximum": 99_999_999_999}, rfc3339]}
    return Parameter(name, doc, schema, seconds, "RFC 3339 with a zone, or epoch seconds")


def seconds(text: str) -> float | None:
    """Epoch seconds of a time in either form; None if it is none."""
    if _SECONDS.fullmatch(text):
        return float(text)
    if not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


LIMIT: Final = whole("limit", "How many items at most.", 1, MOST, default=DEFAULT)
BEFORE: Final = whole("before", "Goes on where another answer ended: its `next`.", 1, NEWEST)
PAGED: Final = (LIMIT, BEFORE)
TRADES: Final = (
    *PAGED,
    choice("source", "Who told of the trade.", "memory_bank", "recent", "events", "chain"),
    label("pair", "The pair, such as `WETH/USDC`."),
    label("dex", "The venue that was bought or sold at."),
    choice("outcome", "What became of it.", "success", "failed"),
    moment("since", "Not made before this time."),
    moment("until", "Made before this time."),
    choice("format", "`csv` is a file of all trades that fit, unless `limit` is given.", "json", "csv"),
)
