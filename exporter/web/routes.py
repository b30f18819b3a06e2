"""The rooms behind the site: each offers its routes here, and says who may open them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from exporter.web import alerts, api, events, live_page, openapi, ws
from exporter.web.site import Site

ROOMS: Final = (ws, api, alerts, events, openapi, live_page)
"""Modules with `routes(site)`, and `ROLES` of paths whose role is not `read` (None: the handler itself asks)."""
ROLES: Final[Mapping[str, str | None]] = {path: role for room in ROOMS for path, role in room.ROLES.items()}


def routes(site: Site) -> list[web.RouteDef]:
    """All routes of all rooms."""
    return [route for room in ROOMS for route in room.routes(site)]
