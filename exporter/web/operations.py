"""What an operation of the HTTP API is: one row of the tables that route and describe it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from exporter.web.parameters import Parameter

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
type Schema = Mapping[str, Any]
type Contents = Mapping[str, Schema]
"""Schemas by media type."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    `role` is what a user must have, None where nobody is asked who he is; `answers` are the answers beside errors;
    `errors` the statuses of errors beside those that every operation may answer with.
    """

    method: str
    path: str
    role: str | None
    summary: str
    answers: Mapping[int, Contents]
    handler: Handler | None = None
    parameters: tuple[Parameter, ...] = ()
    body: Contents = field(default_factory=dict)
    errors: tuple[int, ...] = ()


def route(operation: Operation) -> web.RouteDef:
    """The route of an operation that has a handler; GET answers HEAD as well."""
    assert operation.handler is not None  # noqa: S101  the tables that are routed hold handlers only
    return web.route(operation.method, operation.path, operation.handler)
