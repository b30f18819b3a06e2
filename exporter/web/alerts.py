"""`/api/v1/alerts`: takes Alertmanager's webhook messages, and tells what is known of each alert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs, web

from exporter.live import alerts
from exporter.web import parameters, schemas
from exporter.web.answers import JSON, page
from exporter.web.bodies import read_json
from exporter.web.operations import Operation, route
from exporter.web.parameters import PAGED
from exporter.web.site import SITE, Site

PATH: Final = "/api/v1/alerts"
LARGEST: Final = 1 << 20
TOPIC: Final = "alerts"


async def take(request: web.Request) -> web.Response:
    """Takes a message of Alertmanager's webhook; news go to the live feed's topic `alerts`."""
    parameters.read(request, ())
    site = await _admit(request, "write")
    try:
        told = alerts.read(await read_json(request, LARGEST))
    except alerts.Malformed as malformed:
        raise web.HTTPBadRequest(text=str(malformed)) from None
    news = site.alerts.take(told)
    for alert in news:
        site.hub.event(TOPIC, alert.item())
    return web.json_response({"alerts": len(told), "news": len(news)})


async def show(request: web.Request) -> web.Response:
    """The newest state of each alert, the last heard of first."""
    site = await _admit(request, "read")
    return page(request, "alerts", site.alerts.items(), parameters.read(request, PAGED))


async def _admit(request: web.Request, role: str) -> Site:
    """The site, for whoever has the role; the two methods need different ones."""
    site = request.app[SITE]
    await site.access.check(request.headers.get(hdrs.AUTHORIZATION), role)
    return site


OPERATIONS: Final = (
    Operation(
        "GET", PATH, "read", "The newest state of each alert, the last heard of first.",
        {200: {JSON: schemas.reference("Alerts")}}, show, PAGED,
    ),
    Operation(
        "POST", PATH, "write", "Takes a message of Alertmanager's webhook (version 4).",
        {200: {JSON: schemas.reference("Accepted")}}, take,
        body={JSON: schemas.reference("AlertmanagerMessage")}, errors=(408, 413, 415),
    ),
)  # fmt: skip
ROLES: Final[Mapping[str, str | None]] = {PATH: None}


def routes(site: Site) -> list[web.RouteDef]:
    """Both operations."""
    return [route(operation) for operation in OPERATIONS]
