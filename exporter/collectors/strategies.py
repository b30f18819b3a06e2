"""The bot's trades by strategy, as its events say: counts, profit, gas and what was put in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exporter import event_totals
from exporter.collector import Collector, Poll, Sources, when_moved
from exporter.event_totals import Totals
from exporter.metrics import Family, counter, gauge
from exporter.sources.event_records import OUTCOMES
from exporter.sources.records import WEI

_BY = ("bot", "strategy")
TRADES = counter("arb_bot_strategy_trades_total", "Trades by strategy; first 20 strategies, the rest is other.",
                 *_BY, "outcome")  # fmt: skip
NET = gauge("arb_bot_strategy_net_profit_ether", "Net profit after fees, summed over all trades of a strategy.",
            *_BY, lasting=True)  # fmt: skip
GAIN = counter("arb_bot_strategy_gain_ether_total", "Sum of the profits of trades that gained.", *_BY)
LOSS = counter("arb_bot_strategy_loss_ether_total", "Sum of the losses of trades that lost.", *_BY)
GAS = counter("arb_bot_strategy_gas_cost_ether_total", "Gas paid by a strategy.", *_BY)
AMOUNT = counter("arb_bot_strategy_amount_ether_total", "What a strategy traded, in ether's worth.", *_BY)
GAS_USED = counter("arb_bot_strategy_gas_used_total", "Units of gas that a strategy used.", *_BY)

SUMS: Final = (
    (NET, "strategy_net_wei", WEI),
    (GAIN, "strategy_gain_wei", WEI),
    (LOSS, "strategy_loss_wei", WEI),
    (GAS, "strategy_gas_wei", WEI),
    (AMOUNT, "strategy_amount_wei", WEI),
    (GAS_USED, "strategy_gas_used", 1),
)
COUNTS: Final = "strategy_trades"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Totals of events, by strategy."""

    bot: str
    totals: Totals


async def read(sources: Sources) -> Snapshot:
    """The ledger's totals."""
    bot = sources.settings.bot.name
    wanted = (COUNTS, *(what for _, what, _ in SUMS))
    return Snapshot(bot, await sources.ledger.read(lambda db: event_totals.totals(db, bot, wanted)))


def render(snapshot: Snapshot) -> Iterator[Family]:
    """Both outcomes of every strategy; sums that were never told stay away."""
    bot, totals = snapshot.bot, snapshot.totals
    counts = totals.get(COUNTS, {})
    names = {name for name, _ in counts}
    yield TRADES.each(
        ((bot, name, outcome), counts.get((name, outcome), 0)) for name in sorted(names) for outcome in OUTCOMES
    )
    for metric, what, unit in SUMS:
        yield metric.each(((bot, name), amount / unit) for (name, _), amount in totals.get(what, {}).items())


def _open(sources: Sources) -> Poll:
    return when_moved(sources, read)


COLLECTOR = Collector(
    name="strategies",
    metrics=(TRADES, *(metric for metric, _, _ in SUMS)),
    open=_open,
    render=render,
    timeout=10.0,
    max_age=60.0,
)
