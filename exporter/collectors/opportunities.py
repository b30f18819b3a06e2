"""Opportunities the bot's records name, counted once each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter import books
from exporter.books import OpportunityTotals
from exporter.collector import Collector, Poll, Sources
from exporter.metrics import Family, counter

TOTAL = counter(
    "arb_bot_opportunities_total",
    "Opportunities the source names, by route and what became of them.",
    "bot", "source", "pair", "dex_buy", "dex_sell", "stage",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Opportunities counted so far, of sources whose first read is complete."""

    bot: str
    totals: OpportunityTotals


async def read(sources: Sources) -> Snapshot:
    """The ledger's totals."""
    bot = sources.settings.bot.name
    totals, known = await sources.ledger.read(lambda db: (books.opportunities(db, bot), books.read(db, bot)))
    complete = {name for name, total in known.sources.items() if total.first_read}
    return Snapshot(bot, {key: count for key, count in totals.items() if key[0] in complete})


def render(snapshot: Snapshot) -> Iterator[Family]:
    """One counter."""
    yield TOTAL.each(((snapshot.bot, *key), count) for key, count in snapshot.totals.items())


def _open(sources: Sources) -> Poll | None:
    if sources.settings.bot.memory_bank is None:
        return None
    newest: tuple[int, Snapshot] | None = None

    async def unless_unchanged() -> Snapshot:
        nonlocal newest
        version = sources.ledger.version
        if newest is None or newest[0] != version:
            newest = version, await read(sources)
        return newest[1]

    return Poll(unless_unchanged, every=1.0)


COLLECTOR = Collector(
    name="opportunities",
    metrics=(TOTAL,),
    open=_open,
    render=render,
    timeout=10.0,
    max_age=60.0,
)
