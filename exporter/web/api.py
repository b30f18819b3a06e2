"""The read API: what is on the board and in the ledger as JSON; no request reaches a file, a node or the bot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from aiohttp import web

from exporter import __version__, history
from exporter.history import NEWEST, Slice, Wanted
from exporter.live import chain_shapes, rows, shapes
from exporter.live.provenance import provenance
from exporter.live.shapes import Item
from exporter.web import parameters, schemas
from exporter.web.answers import JSON, answer, answer_encoded, encode, page, unavailable
from exporter.web.desk import Closed, Desk
from exporter.web.export import CSV, export
from exporter.web.operations import Operation, route
from exporter.web.parameters import DEFAULT, PAGED, TRADES
from exporter.web.redacted import redacted
from exporter.web.site import SITE, Site

ENOUGH: Final = 1.0
"""Seconds after which a page is handed out as far as it is filled."""
PART: Final = 100
"""Rows that are read and made JSON of at once."""
ROLE: Final = "read"


async def status(request: web.Request) -> web.Response:
    """How the exporter and each of its collectors fare."""
    parameters.read(request, ())
    site = request.app[SITE]
    states = site.board.states
    body = {
        "version": __version__,
        "bot": site.settings.bot.name,
        "chain_id": site.settings.chain.chain_id if site.settings.chain else None,
        "ready": all(state.success is not None for state in states.values()) and not site.board.progress,
        "ledger_degraded": site.ledger.degraded if site.ledger else None,
        "live_clients": len(site.hub.sessions),
        "collectors": {name: _collector(site, name) for name in states},
        "not_configured": {name: words for name, words in site.unset.items() if words},
        "provenance": provenance(site.board),
    }
    return answer(request, body)


def _collector(site: Site, name: str) -> dict[str, Any]:
    state, progress = site.board.states[name], site.board.progress.get(name)
    return {
        "success": state.success,
        "last_success": state.last_success,
        "duration_seconds": None if state.success is None else state.duration,
        "error": state.error or None,
        "first_read": None if progress is None else {"done": progress[0], "total": progress[1]},
    }


async def prices(request: web.Request) -> web.Response:
    """Pools with a price, and the spread of each pair."""
    asked, board = parameters.read(request, PAGED), request.app[SITE].board
    return page(
        request, "prices", list(chain_shapes.prices(board).values()), asked, spreads=chain_shapes.price_spreads(board)
    )


async def pools(request: web.Request) -> web.Response:
    """The configured pools."""
    asked, site = parameters.read(request, PAGED), request.app[SITE]
    return page(request, "pools", chain_shapes.pools(site.board, site.settings.chain), asked)


async def wallets(request: web.Request) -> web.Response:
    """The configured wallets."""
    asked, site = parameters.read(request, PAGED), request.app[SITE]
    return page(request, "wallets", chain_shapes.wallets(site.board, site.settings.chain), asked)


async def gas(request: web.Request) -> web.Response:
    """What gas costs; null until that is known."""
    parameters.read(request, ())
    return answer(request, {"gas": chain_shapes.gas(request.app[SITE].board).get(())})


async def storage(request: web.Request) -> web.Response:
    """The stores, and the directories of the memory bank."""
    asked, board = parameters.read(request, PAGED), request.app[SITE].board
    bank = list(shapes.memory_bank(board).values())
    return page(request, "stores", list(shapes.storage(board).values()), asked, memory_bank=bank)


async def config(request: web.Request) -> web.Response:
    """The settings in use, without secrets."""
    parameters.read(request, ())
    return answer(request, {"config": redacted(request.app[SITE].settings)})


async def trades(request: web.Request) -> web.StreamResponse:
    """Trades, the last learned of first."""
    asked, site = parameters.read(request, TRADES), request.app[SITE]
    wanted = Wanted(**{name: asked.get(name) for name in Wanted.__slots__})
    query = partial(history.trades, bot=site.settings.bot.name, wanted=wanted)
    before = asked.get("before", NEWEST)
    try:
        if asked.get("format") == "csv":
            return await export(request, _desk(site), query, before, asked.get("limit"))
        async with _desk(site).table():
            found = await _filled(_desk(site), query, rows.trade, before, asked.get("limit", DEFAULT))
            return _answer_rows(request, "trades", found)
    except Closed as closed:
        return unavailable(closed)


async def opportunities(request: web.Request) -> web.Response:
    """Opportunities, the last learned of first."""
    asked, site = parameters.read(request, PAGED), request.app[SITE]
    query = partial(history.opportunities, bot=site.settings.bot.name)
    try:
        async with _desk(site).table():
            found = await _filled(
                _desk(site), query, rows.opportunity, asked.get("before", NEWEST), asked.get("limit", DEFAULT)
            )
            return _answer_rows(request, "opportunities", found)
    except Closed as closed:
        return unavailable(closed)


def _desk(site: Site) -> Desk:
    if site.desk is None:
        raise Closed("there is no ledger")
    return site.desk


async def _filled(desk: Desk, query: Any, shape: Callable[[Any], Item], before: int, limit: int) -> Slice[bytes]:
    """A page that is full, or all there is, or what was found in `ENOUGH` seconds: `next` goes on from there.

    It is put together from parts, between which others have their turn.
    """
    loop = asyncio.get_running_loop()
    until, cursor = loop.time() + ENOUGH, before
    parts: list[bytes] = []
    while True:
        found = await desk.read(partial(query, before=cursor, limit=min(PART, limit)))
        parts += [encode(shape(row)) for row in found.rows]
        limit -= len(found.rows)
        if found.next is None or not limit or loop.time() >= until:
            return Slice(parts, found.next)
        cursor = found.next


def _answer_rows(request: web.Request, name: str, found: Slice[bytes]) -> web.Response:
    text = b'{"%b":[%b],"next":%b}' % (name.encode(), b",".join(found.rows), encode(found.next))
    return answer_encoded(request, text)


def _get(path: str, handler: Any, schema: str, *given: parameters.Parameter, **also: Any) -> Operation:
    answers = {200: {JSON: schemas.reference(schema), **also.pop("media", {})}}
    return Operation("GET", f"/api/v1/{path}", ROLE, handler.__doc__, answers, handler, given, **also)


OPERATIONS: Final = (
    _get("status", status, "Status"),
    _get("prices", prices, "Prices", *PAGED),
    _get("trades", trades, "Trades", *TRADES, media={CSV: {"type": "string"}}, errors=(503,)),
    _get("opportunities", opportunities, "Opportunities", *PAGED, errors=(503,)),
    _get("gas", gas, "Gas"),
    _get("pools", pools, "Pools", *PAGED),
    _get("wallets", wallets, "Wallets", *PAGED),
    _get("storage", storage, "Storage", *PAGED),
    _get("config", config, "Config"),
)
ROLES: Final[Mapping[str, str | None]] = {operation.path: operation.role for operation in OPERATIONS}


def routes(site: Site) -> list[web.RouteDef]:
    """The read API."""
    return [route(operation) for operation in OPERATIONS]
