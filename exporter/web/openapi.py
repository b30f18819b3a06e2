"""`/api/v1/openapi.json`: describes every route by the tables that route them, and those that other rooms route."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from exporter import __version__
from exporter.web import alerts, api, events, parameters, schemas
from exporter.web.answers import JSON, answer_encoded, encode
from exporter.web.operations import Operation, route
from exporter.web.parameters import Parameter
from exporter.web.site import Site

_HTML: Final = {"text/html": {"type": "string"}}
_PLAIN: Final = {"text/plain": {"type": "string"}}
_NAMES: Final = Parameter(
    "name[]", "Only these metrics.", {"type": "array", "items": {"type": "string"}, "maxItems": 200}, str, "a name"
)
_TICKET: Final = Parameter("ticket", "A browser's ticket.", {"type": "string"}, str, "a ticket")
_NO_PAGE: Final[Mapping[str, schemas.Schema]] = {}


async def describe(request: web.Request) -> web.Response:
    """This description."""
    parameters.read(request, ())
    return answer_encoded(request, _text())


OWN: Final = Operation(
    "GET", "/api/v1/openapi.json", "read", "This description.", {200: {JSON: {"type": "object"}}}, describe
)
ELSEWHERE: Final = (
    Operation(
        "GET", "/metrics", "scrape", "All metrics, in the format that `Accept` asks for.",
        {200: {"text/plain": {"type": "string"}, "application/openmetrics-text": {"type": "string"}}},
        parameters=(_NAMES,),
    ),
    Operation("GET", "/healthz", None, "Alive.", {200: _PLAIN}),
    Operation(
        "GET", "/readyz", "read", "Whether everything configured has been read once; if not, why.",
        {200: {JSON: schemas.reference("Readiness")}, 503: {JSON: schemas.reference("Readiness")}},
    ),
    Operation("GET", "/", "read", "The landing page.", {200: _HTML}),
    Operation("GET", "/live", "live", "The live page.", {200: _HTML}),
    Operation(
        "GET", "/ws", "live", "The live feed, a WebSocket of the subprotocol `arb.live.v1`.",
        {101: _NO_PAGE}, parameters=(_TICKET,), errors=(426, 429, 503),
    ),
    Operation(
        "POST", "/api/v1/ws-ticket", "live", "A ticket that lets a browser into `/ws` once.",
        {200: {JSON: schemas.reference("Ticket")}},
    ),
)  # fmt: skip
"""What other rooms route; a test compares all of this with what is served."""
ROLES: Final[Mapping[str, str | None]] = {OWN.path: OWN.role}


def routes(site: Site) -> list[web.RouteDef]:
    """The description."""
    return [route(OWN)]


def operations() -> tuple[Operation, ...]:
    """Everything there is."""
    return (*ELSEWHERE, *api.OPERATIONS, *alerts.OPERATIONS, *events.OPERATIONS, OWN)


@cache
def _text() -> bytes:
    return encode(document())


def document() -> dict[str, Any]:
    """The description in OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "arb-exporter", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": paths,
        "components": {
            "schemas": schemas.ALL,
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    errors = sorted({400, 403, 429, 503, *((401,) if operation.role else ()), *operation.errors})
    answers = {str(status): _answer(status, contents) for status, contents in operation.answers.items()}
    error = {JSON: schemas.reference("Error")}
    made: dict[str, Any] = {
        "operationId": _identity(operation),
        "summary": operation.summary,
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": {str(status): _answer(status, error) for status in errors} | answers,
        "security": [{"basic": []}, {}] if operation.role else [],
    }
    if operation.role:
        made["description"] = f"For users with the role `{operation.role}`, where there are users."
    if operation.body:
        made["requestBody"] = {"required": True, "content": _content(operation.body)}
    return made


def _identity(operation: Operation) -> str:
    words = operation.path.removeprefix("/api/v1").strip("/").replace(".", "-").replace("-", "_") or "index"
    return f"{operation.method.lower()}_{words}"


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {"name": parameter.name, "in": "query", "description": parameter.doc, "schema": dict(parameter.schema)}


def _answer(status: int, contents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    return made | {"content": _content(contents)} if contents else made


def _content(contents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {media: {"schema": dict(schema)} for media, schema in contents.items()}
