"""Bundles that the bot sent to relays, as its events say, by what happened to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter import event_totals
from exporter.collector import Collector, Poll, Sources, when_moved
from exporter.event_totals import Totals
from exporter.metrics import Family, counter
from exporter.sources.event_records import BUNDLE_OUTCOMES

BUNDLES = counter("arb_bot_bundles_total", "Steps of bundles; first 20 relays, the rest is other.",
                  "bot", "relay", "outcome")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Totals of bundles."""

    bot: str
    totals: Totals


async def read(sources: Sources) -> Snapshot:
    """The ledger's totals."""
    bot = sources.settings.bot.name
    return Snapshot(bot, await sources.ledger.read(lambda db: event_totals.totals(db, bot, ("bundles",))))


def render(snapshot: Snapshot) -> Iterator[Family]:
    """Every outcome of every relay."""
    counts = snapshot.totals.get("bundles", {})
    relays = sorted({relay for relay, _ in counts})
    yield BUNDLES.each(
        ((snapshot.bot, relay, outcome), counts.get((relay, outcome), 0))
        for relay in relays
        for outcome in BUNDLE_OUTCOMES
    )


def _open(sources: Sources) -> Poll:
    return when_moved(sources, read)


COLLECTOR = Collector(
    name="bundles",
    metrics=(BUNDLES,),
    open=_open,
    render=render,
    timeout=10.0,
    max_age=60.0,
)
