"""The rooms behind the site: each offers its routes here, and says who may open them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from aiohttp import web

from exporter.web import alerts, api, events, live_page, openapi, ws
from exporter.web.site import Site


class Room(Protocol):
    """What is asked of a module here."""

    ROLES: Mapping[str, str | None]

    def routes(self, site: Site) -> list[web.RouteDef]:
        """What it serves."""


ROOMS: Final[tuple[Room, ...]] = (ws, api, alerts, events, openapi, live_page)
"""Modules with `routes(site)`, and `ROLES` of paths whose role is not `read` (None: the handler itself asks)."""
ROLES: Final[Mapping[str, str | None]] = {path: role for room in ROOMS for path, role in room.ROLES.items()}


def routes(site: Site, rooms: Iterable[Room] = ROOMS) -> list[web.RouteDef]:
    """All routes of all rooms."""
    return [route for room in rooms for route in room.routes(site)]
