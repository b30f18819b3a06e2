"""`/api/v1/events`: a bot reports what only it knows; answered once that is durable."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import hdrs, web

from exporter.event_intake import Delivery, Receipt
from exporter.sources import event_schema
from exporter.sources.event_fields import BadEvent
from exporter.web import parameters, schemas
from exporter.web.access import Identity, Refused
from exporter.web.answers import JSON, answer, unavailable
from exporter.web.bodies import media_type, read
from exporter.web.desk import Closed
from exporter.web.doors import Full
from exporter.web.event_bodies import LINES, NotJson, Records, records
from exporter.web.event_door import LARGEST, EventDoor
from exporter.web.limits import network
from exporter.web.operations import Operation, route
from exporter.web.site import SITE, Site, problem
from exporter.worker import Busy

PATH: Final = "/api/v1/events"
SCHEMA_PATH: Final = "/api/v1/events/schema.json"
PORTION: Final = 500
"""Records that are parsed, and then made durable, together."""
PATIENCE: Final = 10.0
"""Seconds that a portion may take to become durable."""
OUTCOMES: Final[Mapping[int, str]] = {
    202: "accepted", 422: "invalid", 400: "malformed", 408: "malformed", 415: "malformed", 413: "too_large",
    429: "throttled", 401: "refused", 403: "refused", 503: "unavailable",
}  # fmt: skip
"""What answers are called in the metrics."""


async def take(request: web.Request) -> web.StreamResponse:
    """Takes events; each is counted once by its id."""
    door = request.app[SITE].event_door
    try:
        response = await _take(request, door)
    except web.HTTPException as error:
        _note(door, error.status)
        raise
    except Refused as refused:
        _note(door, refused.status)
        raise
    _note(door, response.status)
    return response


def _note(door: EventDoor | None, status: int) -> None:
    if door is not None and status in OUTCOMES:
        door.intake.requests[OUTCOMES[status]] += 1


async def _take(request: web.Request, door: EventDoor | None) -> web.Response:
    who = await request.app[SITE].access.check(request.headers.get(hdrs.AUTHORIZATION), "write")
    parameters.read(request, ())
    # A page of another origin can send a body of these types only after asking, which nobody here allows.
    if media_type(request) not in (JSON, *LINES):
        raise web.HTTPUnsupportedMediaType
    if door is None:
        return unavailable(Closed("there is no ledger"))
    client = _client(request, who)
    try:
        door.admit(client)
        with door.purse() as purse:
            body = await read(request, LARGEST, purse)
            found = await _Taking(door, client).all(records(body, media_type(request)))
    except Full as full:
        return _wait(full)
    except NotJson as broken:
        raise web.HTTPBadRequest(text=str(broken)) from None
    except (web.HTTPServiceUnavailable, sqlite3.Error, OSError, Busy, TimeoutError):
        return unavailable(Closed("events cannot be made durable now; send them again"))
    return found.answer()


def _client(request: web.Request, who: Identity) -> str:
    return f"user {who.user}" if who.user else network(request.remote or "")


def _wait(full: Full) -> web.Response:
    response = problem(full.status, "too_many_requests", str(full))
    response.headers[hdrs.RETRY_AFTER] = str(int(full.retry_after))
    return response


@dataclass(slots=True)
class _Taking:
    """One body on its way in: what became of its records so far, and the first that is none."""

    door: EventDoor
    client: str
    receipt: Receipt = field(default_factory=Receipt)
    seen: int = 0
    invalid: int = 0
    first: tuple[int, BadEvent] | None = None

    async def all(self, found: Records) -> _Taking:
        """Portion by portion, each durable before the next; an empty body tells that there is a bot."""
        while True:
            portion = await self.door.portion(found, PORTION)
            self.door.charge(self.client, len(portion))
            events = [record for record in portion if not isinstance(record, BadEvent)]
            delivery = Delivery(events, self._faults(portion))
            async with asyncio.timeout(PATIENCE):
                self.receipt = self.receipt.plus(await self.door.intake.put(delivery))
            self.seen += len(portion)
            if len(portion) < PORTION:
                return self

    def _faults(self, portion: list[Any]) -> Counter[str]:
        bad = [(number, record) for number, record in enumerate(portion, self.seen) if isinstance(record, BadEvent)]
        self.first = self.first or (bad[0] if bad else None)
        self.invalid += len(bad)
        return Counter(record.reason for _, record in bad)

    def answer(self) -> web.Response:
        """202, or 422 if there was a record that could not be used."""
        counts = {
            "accepted": self.receipt.accepted,
            "duplicates": self.receipt.duplicates,
            "conflicts": self.receipt.conflicts,
        }
        if self.first is None:
            return web.json_response(counts, status=202)
        index, bad = self.first
        words = f"record {index}: {bad}" if bad.field else f"record {index} {str(bad).removeprefix('the record ')}"
        error = {"code": "invalid_record", "message": words, "index": index, "field": bad.field}
        return web.json_response({"error": error, **counts, "invalid": self.invalid}, status=422)


async def describe(request: web.Request) -> web.Response:
    """What an event looks like."""
    parameters.read(request, ())
    return answer(request, event_schema.document())


OPERATIONS: Final = (
    Operation(
        "POST", PATH, "write", "Takes events of the bot; answers once they are durable.",
        {202: {JSON: schemas.reference("EventsTaken")}, 422: {JSON: schemas.reference("EventsInvalid")}}, take,
        body={JSON: schemas.reference("Events")} | dict.fromkeys(LINES, schemas.reference("EventLines")),
        errors=(408, 413, 415, 429, 503),
    ),
    Operation(
        "GET", SCHEMA_PATH, "read", "What an event looks like, as JSON Schema.",
        {200: {JSON: {"type": "object"}}}, describe,
    ),
)  # fmt: skip
ROLES: Final[Mapping[str, str | None]] = {PATH: None, SCHEMA_PATH: "read"}


def routes(site: Site) -> list[web.RouteDef]:
    """Both operations."""
    return [route(operation) for operation in OPERATIONS]
