"""What the bot's own `state/` and `metrics/` say, each document by itself: they do not agree, and are not made to."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from exporter.collector import Collector, Poll, Sources
from exporter.metrics import Family, Metric, gauge
from exporter.sources.bot_documents import STATUSES, Report, Reports, Said

UP = gauge("arb_bot_state_up", "1 if a document of the bot is there and whole.", "bot", "document")
WRITTEN = gauge(
    "arb_bot_state_last_write_timestamp_seconds",
    "When a document was last written; `opportunities` is not written while the bot has opportunities.",
    "bot", "document",
)  # fmt: skip
STATUS = gauge("arb_bot_status", "The bot's state by its own word (state.json).", "bot", "status")
CONNECTED = gauge("arb_bot_web3_connected", "1 if the bot says that it reaches its node (state.json).", "bot")
TRADES = gauge(
    "arb_bot_reported_trades",
    "Trades in the bot's own totals; `unknown` is what a document gives no outcome for.",
    "bot", "document", "outcome",
)  # fmt: skip
PROFIT = gauge("arb_bot_reported_net_profit_ether", "Profit by the bot's own totals.", "bot", "document")
PROFIT_USD = gauge("arb_bot_reported_net_profit_usd", "Profit by the bot's own totals.", "bot", "document")
GAS = gauge("arb_bot_reported_gas_cost_ether", "Gas paid by the bot's own totals.", "bot", "document")
SUCCESS = gauge(
    "arb_bot_reported_success_ratio", "Share of successful trades by the bot's own word.", "bot", "document"
)
BALANCE = gauge("arb_bot_reported_balance_ether", "The wallet's balance by the bot's own word.", "bot", "document")
BLOCK = gauge("arb_bot_reported_block", "The newest block the bot says it knows.", "bot", "document")
UPTIME = gauge("arb_bot_reported_uptime_seconds", "How long the bot says it runs (system_state.json).", "bot")
DEX_SUCCESS = gauge(
    "arb_bot_reported_dex_success_ratio", "Share of successful trades of a venue (dex_performance.json).", "bot", "dex"
)
DEX_TRADES = gauge("arb_bot_reported_dex_trades", "Trades of a venue (dex_performance.json).", "bot", "dex")
OPEN = gauge(
    "arb_bot_open_opportunities",
    "Opportunities in opportunities.json; absent when it is old, as it is exactly while there are some.",
    "bot",
)
COMPONENT = gauge(
    "arb_bot_reported_component_up", "1 if a part of the bot runs by its own word (system_state.json).", "bot",
    "component",
)  # fmt: skip

FRESH: Final = {"opportunities": 60.0}
FRESH_OTHERWISE: Final = 300.0
"""Seconds after its writing that a document is still taken for the present; opportunities come every ten seconds."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The documents as they are; `now` is when they were read, in epoch seconds."""

    bot: str
    now: float
    reports: tuple[Report, ...]


@dataclass(slots=True)
class Watch:
    """Reads the documents of one bank."""

    sources: Sources
    reports: Reports

    async def read(self) -> Snapshot:
        """One look; a bank or document that is not there is a finding, not a failure."""
        found = await self.sources.worker("bot_state").run(self.reports.read)
        return Snapshot(self.sources.settings.bot.name, time.time(), found)


def _fresh(report: Report, now: float) -> bool:
    return now - report.last_write <= FRESH.get(report.document, FRESH_OTHERWISE)


def render(snapshot: Snapshot) -> Iterator[Family]:
    """All documents; what an old one says is past and is left out."""
    bot, reports = snapshot.bot, snapshot.reports
    yield UP.each(((bot, r.document), r.whole) for r in reports)
    yield WRITTEN.each(((bot, r.document), r.last_write) for r in reports)
    now = {r.document: r.said for r in reports if _fresh(r, snapshot.now)}
    yield TRADES.each(((bot, name, o), n) for name, said in now.items() for o, n in said.trades.items())
    figures = {PROFIT: "net_profit_ether", PROFIT_USD: "net_profit_usd", GAS: "gas_cost_ether",
               SUCCESS: "success_ratio", BALANCE: "balance_ether", BLOCK: "block"}  # fmt: skip
    for metric, name in figures.items():
        yield _told(metric, (((bot, document), getattr(said, name)) for document, said in now.items()))
    yield from _state(bot, now.get("state", Said()))
    yield from _system(bot, now.get("system_state", Said()))
    yield _told(OPEN, [((bot,), now.get("opportunities", Said()).open_opportunities)])
    venues = now.get("dex_performance", Said()).venues
    yield _told(DEX_SUCCESS, (((bot, dex), venue.success_ratio) for dex, venue in venues.items()))
    yield _told(DEX_TRADES, (((bot, dex), venue.trades) for dex, venue in venues.items()))


def _told(metric: Metric, rows: Iterable[tuple[tuple[str, ...], float | None]]) -> Family:
    return metric.each((labels, value) for labels, value in rows if value is not None)


def _state(bot: str, said: Said) -> Iterator[Family]:
    yield STATUS.each(((bot, status), status == said.status) for status in STATUSES if said.status is not None)
    yield _told(CONNECTED, [((bot,), said.web3_connected)])


def _system(bot: str, said: Said) -> Iterator[Family]:
    yield _told(UPTIME, [((bot,), said.uptime_seconds)])
    yield COMPONENT.each(((bot, name), up) for name, up in said.components.items())


def _open(sources: Sources) -> Poll | None:
    path = sources.settings.bot.memory_bank
    if path is None:
        return None
    return Poll(Watch(sources, Reports(path, sources.settings.limits.file_bytes)).read, every=5.0)


COLLECTOR = Collector(
    name="bot_state",
    metrics=(UP, WRITTEN, STATUS, CONNECTED, TRADES, PROFIT, PROFIT_USD, GAS, SUCCESS, BALANCE, BLOCK, UPTIME,
             DEX_SUCCESS, DEX_TRADES, OPEN, COMPONENT),
    open=_open,
    render=render,
    timeout=15.0,
    max_age=60.0,
)  # fmt: skip
