"""Opportunities as the bot's records and events name them: each step counted once, why not, what for, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from exporter import books, event_totals
from exporter.books import OpportunityTotals
from exporter.collector import Collector, Poll, Sources, when_moved
from exporter.event_totals import EVENTS, HOURS, Totals
from exporter.metrics import Family, counter
from exporter.sources.event_records import DETECTED, STAGES
from exporter.sources.reasons import REJECTIONS
from exporter.sources.records import WEI

TOTAL = counter(
    "arb_bot_opportunities_total",
    "Opportunities the source names, by route and what became of them.",
    "bot", "source", "pair", "dex_buy", "dex_sell", "stage",
)  # fmt: skip
BY_STAGE = counter(
    "arb_bot_opportunities_by_stage_total",
    "Opportunities the source names, by the stages it can tell; there from 0 on.",
    "bot", "source", "stage",
)  # fmt: skip
REJECTIONS_TOTAL = counter(
    "arb_bot_opportunity_rejections_total", "Opportunities rejected, by why.", "bot", "source", "reason"
)
EXPECTED = counter(
    "arb_bot_opportunity_expected_profit_ether_total",
    "Profit expected of opportunities that promised any, by stage.",
    "bot", "source", "stage",
)  # fmt: skip
BY_HOUR = counter(
    "arb_bot_opportunities_by_hour_total", "Opportunities detected, by hour of the day in bot.timezone.",
    "bot", "source", "hour",
)  # fmt: skip

WANTED: Final = ("rejections", "stage_expected_wei", "hours")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Opportunities counted so far, of sources whose first read is complete; `events` if that is one of them."""

    bot: str
    totals: OpportunityTotals
    sources: frozenset[str] = frozenset()
    events: Totals = field(default_factory=dict)


async def read(sources: Sources) -> Snapshot:
    """The ledger's totals."""
    bot = sources.settings.bot.name
    totals, complete, events = await sources.ledger.read(
        lambda db: (books.opportunities(db, bot), books.complete(db, bot), event_totals.totals(db, bot, WANTED))
    )
    return Snapshot(bot, {key: count for key, count in totals.items() if key[0] in complete}, complete, events)


def render(snapshot: Snapshot) -> Iterator[Family]:
    """Counts of every source; reasons, hours and expectations of events, which alone tell them."""
    bot, told = snapshot.bot, EVENTS in snapshot.sources
    yield TOTAL.each(((bot, *key), count) for key, count in snapshot.totals.items())
    yield BY_STAGE.each(((bot, *key), count) for key, count in _by_stage(snapshot).items())
    for metric, label_values, what, unit in (
        (REJECTIONS_TOTAL, REJECTIONS, "rejections", 1),
        (EXPECTED, STAGES, "stage_expected_wei", WEI),
        (BY_HOUR, HOURS, "hours", 1),
    ):
        found = snapshot.events.get(what, {})
        yield metric.each(((bot, EVENTS, value), found.get((value, ""), 0) / unit) for value in label_values * told)


def _by_stage(snapshot: Snapshot) -> dict[tuple[str, str], int]:
    """Files name opportunities only; what became of them, events say."""
    found = {(EVENTS, stage): 0 for stage in STAGES if EVENTS in snapshot.sources}
    if "memory_bank" in snapshot.sources:
        found["memory_bank", DETECTED] = 0
    for (source, _, _, _, stage), count in snapshot.totals.items():
        found[source, stage] = found.get((source, stage), 0) + count
    return found


def _open(sources: Sources) -> Poll:
    return when_moved(sources, read)


COLLECTOR = Collector(
    name="opportunities",
    metrics=(TOTAL, BY_STAGE, REJECTIONS_TOTAL, EXPECTED, BY_HOUR),
    open=_open,
    render=render,
    timeout=10.0,
    max_age=60.0,
)
