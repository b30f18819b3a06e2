"""Trades as a CSV file of any length, sent page by page, with nothing in it that a spreadsheet takes for a formula."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, Callable, Iterable
from functools import partial
from typing import Any, Final

from aiohttp import hdrs, web

from exporter.history import Slice, TradeRow
from exporter.live.rows import trade
from exporter.web.desk import Closed, Desk

type Query = Callable[..., Slice[TradeRow]]
"""Called with the ledger's connection, `before` and `limit`."""

CSV: Final = "text/csv"
COLUMNS: Final = (
    "id", "source", "time", "pair", "dex_buy", "dex_sell", "outcome", "reason",
    "net_profit_eth", "gas_cost_eth", "expected_profit_eth", "tx_hash", "claim",
)  # fmt: skip
_TOLD: Final = frozenset(("pair", "dex_buy", "dex_sell", "reason"))
"""Columns with words of others; all else is numbers and words of our own."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
PAGE: Final = 200
SLOWEST: Final = 30.0
"""Seconds that a client may take for one page."""


async def export(request: web.Request, desk: Desk, query: Query, before: int, limit: int | None) -> web.StreamResponse:
    """All trades that fit, or the first `limit`; the first page is read before anything is said.

    Raises:
        Closed: the ledger does not answer. If that comes in the middle, the connection is cut: a whole file ends well.
    """
    pages = _pages(desk, query, before, limit)
    first = await anext(pages)
    response = web.StreamResponse(headers={hdrs.CONTENT_DISPOSITION: 'attachment; filename="trades.csv"'})
    response.content_type, response.charset = CSV, "utf-8"
    try:
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        await _send(response, table([COLUMNS, *map(_cells, first)]))
        async for rows in pages:
            await _send(response, table(map(_cells, rows)))
    except (TimeoutError, Closed):
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # the client has left
    return response


async def _pages(desk: Desk, query: Query, before: int, limit: int | None) -> AsyncGenerator[list[TradeRow]]:
    cursor: int | None = before
    left = limit
    while cursor is not None and left != 0:
        found = await desk.read(partial(query, before=cursor, limit=PAGE if left is None else min(PAGE, left)))
        cursor = found.next
        left = None if left is None else left - len(found.rows)
        yield found.rows


async def _send(response: web.StreamResponse, data: bytes) -> None:
    if data:
        async with asyncio.timeout(SLOWEST):
            await response.write(data)


def table(rows: Iterable[Iterable[str]]) -> bytes:
    """Rows as in RFC 4180."""
    import csv  # half a megabyte that few runs of the exporter ever need

    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cells(row: TradeRow) -> list[str]:
    item = trade(row)
    return [_cell(column, item[column]) for column in COLUMNS]


def _cell(column: str, value: Any) -> str:
    """A value; what is unknown is empty, and a text that a spreadsheet would calculate is marked as text."""
    shown = "" if value is None else str(value)
    return f"'{shown}" if column in _TOLD and shown.startswith(_FORMULA) else shown
