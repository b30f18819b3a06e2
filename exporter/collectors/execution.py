"""How the bot's trades were carried out, as its events say: path length, timing, slippage and fees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter import event_totals
from exporter.collector import Collector, Poll, Sources, when_moved
from exporter.event_totals import MICROSECONDS, PATHS, PHASES, SECONDS, SLIPPAGES, Totals
from exporter.metrics import Family, counter, gauge, histogram
from exporter.sources.event_records import OUTCOMES
from exporter.sources.records import WEI

PATH_TRADES = counter("arb_bot_path_trades_total", "Trades by the number of swaps on their way.",
                      "bot", "path_length", "outcome")  # fmt: skip
PATH_NET = gauge("arb_bot_path_net_profit_ether", "Net profit after fees, summed over all trades of a path length.",
                 "bot", "path_length", lasting=True)  # fmt: skip
DURATION = histogram("arb_bot_trade_duration_seconds", "From seeing an opportunity to sending to being in a block.",
                     "bot", "phase", buckets=SECONDS)  # fmt: skip
SLIPPAGE = histogram(
    "arb_bot_slippage_ratio",
    "By how much less came out than was quoted, at both venues of a trade; what came out more counts as 0. First 10"
    " venues, the rest is other.",
    "bot", "dex", buckets=SLIPPAGES,
)  # fmt: skip
FEES = counter("arb_bot_fees_ether_total", "Fees of trades by kind; l1 is a part of gas.", "bot", "kind")
GAS_USED = counter("arb_bot_gas_used_total", "Units of gas used, as far as trades say.", "bot")

WANTED = ("path_trades", "path_net_wei", "duration", "duration_us", "slippage", "slippage_wei", "fee_wei", "gas_used")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Totals of trades told in events."""

    bot: str
    totals: Totals


async def read(sources: Sources) -> Snapshot:
    """The ledger's totals."""
    bot = sources.settings.bot.name
    return Snapshot(bot, await sources.ledger.read(lambda db: event_totals.totals(db, bot, WANTED)))


def render(snapshot: Snapshot) -> Iterator[Family]:
    """Once there was a trade every path length and phase from 0 on; of the rest what was told."""
    bot, totals = snapshot.bot, snapshot.totals
    paths = totals.get("path_trades", {})
    known = bool(paths)
    yield PATH_TRADES.each(
        ((bot, path, outcome), paths.get((path, outcome), 0)) for path in PATHS for outcome in OUTCOMES if known
    )
    yield PATH_NET.each(((bot, path), net / WEI) for (path, _), net in totals.get("path_net_wei", {}).items())
    phases = event_totals.distributions(totals, "duration", "duration_us", SECONDS, MICROSECONDS, PHASES * known)
    yield DURATION.distributions(((bot, phase), found) for phase, found in phases)
    venues = event_totals.distributions(totals, "slippage", "slippage_wei", SLIPPAGES, WEI)
    yield SLIPPAGE.distributions(((bot, dex), found) for dex, found in venues)
    yield FEES.each(((bot, kind), fee / WEI) for (kind, _), fee in totals.get("fee_wei", {}).items())
    yield GAS_USED.each(((bot,), gas) for gas in totals.get("gas_used", {}).values())


def _open(sources: Sources) -> Poll:
    return when_moved(sources, read)


COLLECTOR = Collector(
    name="execution",
    metrics=(PATH_TRADES, PATH_NET, DURATION, SLIPPAGE, FEES, GAS_USED),
    open=_open,
    render=render,
    timeout=10.0,
    max_age=60.0,
)
