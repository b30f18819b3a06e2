"""Flash loans by provider, as the bot's events say: taken and failed, their fees, and the largest that worked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter import event_totals
from exporter.collector import Collector, Poll, Sources, when_moved
from exporter.event_totals import Totals
from exporter.metrics import Family, counter, gauge
from exporter.sources.event_records import OUTCOMES
from exporter.sources.records import WEI

LOANS = counter("arb_bot_flash_loans_total", "Flash loans; first 10 providers, the rest is other.",
                "bot", "provider", "outcome")  # fmt: skip
FEES = counter("arb_bot_flash_loan_fee_ether_total", "Fees paid to a provider, in ether's worth.", "bot", "provider")
LARGEST = gauge("arb_bot_flash_loan_largest_amount", "The largest loan that succeeded, in tokens.",
                "bot", "provider", "token", lasting=True)  # fmt: skip

WANTED = ("loans", "loan_fee_wei", "loan_largest_wei")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Totals of flash loans."""

    bot: str
    totals: Totals


async def read(sources: Sources) -> Snapshot:
    """The ledger's totals."""
    bot = sources.settings.bot.name
    return Snapshot(bot, await sources.ledger.read(lambda db: event_totals.totals(db, bot, WANTED)))


def render(snapshot: Snapshot) -> Iterator[Family]:
    """Both outcomes of every provider; fees of those that told any."""
    bot, totals = snapshot.bot, snapshot.totals
    loans = totals.get("loans", {})
    providers = sorted({provider for provider, _ in loans})
    yield LOANS.each(((bot, p, outcome), loans.get((p, outcome), 0)) for p in providers for outcome in OUTCOMES)
    yield FEES.each(((bot, provider), fee / WEI) for (provider, _), fee in totals.get("loan_fee_wei", {}).items())
    yield LARGEST.each(((bot, *key), amount / WEI) for key, amount in totals.get("loan_largest_wei", {}).items())


def _open(sources: Sources) -> Poll:
    return when_moved(sources, read)


COLLECTOR = Collector(
    name="flash_loans",
    metrics=(LOANS, FEES, LARGEST),
    open=_open,
    render=render,
    timeout=10.0,
    max_age=60.0,
)
