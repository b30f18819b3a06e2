"""Trading: is it earning, what came of each trade, and does the chain agree?"""

from tools.grafana.feeds import Answer, Field
from tools.grafana.looks import (
    AGE,
    AMBER,
    BLUE,
    ETH,
    ETH_HOUR,
    GREEN,
    GWEI,
    MINUTE,
    NONE_FAILS,
    NONE_IS_FINE,
    NUMBER,
    OUTCOMES,
    RATIO,
    RED,
    SHARE,
    SIGNED,
    rising,
)
from tools.grafana.money import BOT_AND_SOURCE, BY_OUTCOME, NET, freshness, net_profit, success, truth
from tools.grafana.page import WORD, Page, row
from tools.grafana.panels import bars, lines, stack, stat
from tools.grafana.queries import (
    Query,
    age,
    earned,
    failed_ever,
    highest,
    increase,
    per_hour,
    per_minute,
    share,
    succeeded,
    succeeded_ever,
    total,
)
from tools.grafana.tables import Column, table

CHOSEN = "$source"
CLAIMED, REALISED = "arb_reconcile_claimed_profit_ether", "arb_reconcile_realised_profit_ether"

EARNING = [
    stat(
        "Net profit, all time",
        "Since each source's first trade, after all fees that it knows of, read from the exporter's totals. Sources of "
        "the same trades are never added together.",
        ETH, Query(total(NET, "source"), "{{source}}"),
        decimals=5, steps=SIGNED, no_value="no trade", listed=True,
    ),
    net_profit(),
    stat(
        "Trades, shown time",
        "Trades within the shown time, by source.",
        NUMBER, Query(increase(BY_OUTCOME, "source"), "{{source}}"), decimals=0, listed=True,
    ),
    success(),
    freshness(),
    truth(),
]  # fmt: skip

PERFORMANCE = [
    lines(
        "Net profit over time",
        "The sum over all trades since each source's first.",
        ETH, Query(total(NET, "bot, source"), BOT_AND_SOURCE), dashed="recent", last=False, no_value="no trade",
    ),
    lines(
        "Gain, loss and gas",
        "Per hour, by the chosen source: profits of trades that gained, losses of those that lost, and gas, which the "
        "net already contains.",
        ETH_HOUR,
        Query(per_hour("arb_bot_gain_ether_total", "bot", source=CHOSEN), "gain · {{bot}}"),
        Query(per_hour("arb_bot_loss_ether_total", "bot", source=CHOSEN), "loss · {{bot}}"),
        Query(per_hour("arb_bot_gas_cost_ether_total", "bot", source=CHOSEN), "gas · {{bot}}"),
        low=0, colors={"gain": GREEN, "loss": RED, "gas": AMBER}, last=False, no_value="no trade",
    ),
    lines(
        "Gas for each ether gained",
        "What gas takes of the gross profit over the shown time's last hour, by source. Near 100 % the bot works for "
        "the validators.",
        RATIO,
        Query(share(increase("arb_bot_gas_cost_ether_total", "bot, source", "1h"),
                    increase("arb_bot_gain_ether_total", "bot, source", "1h")), BOT_AND_SOURCE),
        low=0, dashed="recent", last=False, no_value="no trade",
    ),
]  # fmt: skip

FALLEN = [
    lines(
        "Drawdown",
        "How far each source's net profit is below the highest it ever was, on a scale of a thousandth of an ether at least.",
        ETH, Query(total("arb_bot_drawdown_ether", "bot, source"), BOT_AND_SOURCE), decimals=4, low=0, dashed="recent",
        last=False, no_value="no trade",
    ),
    stat(
        "Drawdown now",
        "How far net profit is below its peak, as a part of the peak, by source; 10 % is worth a look, 20 % is an alarm.",
        RATIO,
        Query(share(highest("arb_bot_drawdown_ether", "source"), highest("arb_bot_peak_net_profit_ether", "source")), "{{source}}"),
        decimals=1, steps=rising(0.1, 0.2), no_value="no profit yet", listed=True,
    ),
    lines(
        "Made of the expected",
        "Over the last hour, by source: what trades made, for each ether that the bot expected of them.",
        RATIO,
        Query(
            share(f"({increase('arb_bot_gain_ether_total', 'bot, source', '1h', source='~memory_bank|events')} - "
                  f"{increase('arb_bot_loss_ether_total', 'bot, source', '1h', source='~memory_bank|events')})",
                  increase("arb_bot_expected_profit_ether_total", "bot, source", "1h", source="~memory_bank|events")),
            BOT_AND_SOURCE,
        ),
        last=False, no_value="no trade",
    ),
]  # fmt: skip

TRADES = [
    stack(
        "Trades by outcome",
        "Trades per minute by the chosen source.",
        MINUTE, Query(per_minute(BY_OUTCOME, "outcome", source=CHOSEN), "{{outcome}}"), colors=OUTCOMES,
    ),
    lines(
        "Succeeded",
        "Share of the last hour's trades that succeeded, at each moment.",
        RATIO, Query(succeeded("bot, source", "1h"), BOT_AND_SOURCE), low=0, high=1, dashed="recent", last=False,
        no_value="no trade",
    ),
    lines(
        "Failures by reason",
        "Failed trades per minute by what their error text, or the chain's answer, means; empty as long as none failed.",
        MINUTE,
        Query(per_minute("arb_bot_trade_failures_total", "reason", source=CHOSEN), "{{reason}}"),
        low=0, no_value="none failed", shade=RED,
    ),
]  # fmt: skip

ESTIMATES = [
    lines(
        "Expected against made",
        "Per hour, by the files of single trades: what the bot expected of its trades, and what it says came of them. A "
        "lasting gap means that somebody is faster, or that the bot's estimate is wrong.",
        ETH_HOUR,
        Query(per_hour("arb_bot_expected_profit_ether_total", "bot", source="memory_bank"), "expected · {{bot}}"),
        Query(
            f"{per_hour('arb_bot_gain_ether_total', 'bot', source='memory_bank')} - "
            f"{per_hour('arb_bot_loss_ether_total', 'bot', source='memory_bank')}",
            "made · {{bot}}",
        ),
        colors={"expected": BLUE, "made": GREEN}, no_value="no trade",
    ),
    lines(
        "Profit of a trade",
        "Mean net profit of the last hour's trades, by source.",
        ETH,
        Query(
            share(f"({increase('arb_bot_gain_ether_total', 'bot, source', '1h')} - "
                  f"{increase('arb_bot_loss_ether_total', 'bot, source', '1h')})",
                  increase(BY_OUTCOME, "bot, source", "1h")),
            BOT_AND_SOURCE,
        ),
        decimals=6, dashed="recent", no_value="no trade",
    ),
]  # fmt: skip

TRUE = [
    bars(
        "Claims checked, all time",
        "Trades that the bot claims with a transaction hash, by what final blocks say of them.",
        NUMBER,
        Query(total("arb_reconcile_trades", "status"), "{{status}}"),
        Query(total("arb_reconcile_pending_trades"), "not final yet"),
        decimals=0, steps=NONE_IS_FINE, colors={"confirmed": GREEN, "not final yet": BLUE},
    ),
    stat(
        "Claims belied, all time",
        "Claims that the chain belies, by how: it was somebody else's transaction, its outcome, its gas or its profit "
        "were others.",
        NUMBER, Query(total("arb_reconcile_mismatches", "reason"), "{{reason}}"),
        texts=NONE_FAILS, steps=NONE_IS_FINE, no_value="none claimed", listed=True,
    ),
    stat(
        "Last claim checked",
        "Time since a claim was last looked up on the chain.",
        AGE, age("arb_reconcile_last_check_timestamp_seconds"), no_value="none yet",
    ),
]  # fmt: skip

REALITY = [
    lines(
        "Claimed and realised, all time",
        "Net profit of the same trades: as the bot claims it, and as it came out on the chain after every fee.",
        ETH,
        Query(total(CLAIMED, "bot, source"), "claimed · {{bot}} · {{source}}"),
        Query(total(REALISED, "bot, source"), "realised · {{bot}} · {{source}}"),
        colors={"claimed": BLUE, "realised": GREEN}, dashed="claimed", no_value="none claimed",
    ),
]  # fmt: skip

ROUTES = table(
    "Routes of the chosen source, all time",
    "A line for each pair and way through the venues, from totals since the source's first trade, so that it holds what "
    "happened before Prometheus looked; the net profit is in ether, also of the shown time alone. Trades whose route is not "
    "known are in `unknown`: of the chain's, all that failed.",
    "pair, dex_buy, dex_sell",
    Column("Trades", total("arb_bot_trades_total", "pair, dex_buy, dex_sell", source=CHOSEN), NUMBER, 0, width=70),
    Column("Failed", failed_ever("arb_bot_trades_total", "pair, dex_buy, dex_sell", source=CHOSEN), NUMBER, 0),
    Column("Net ETH", total(NET, "pair, dex_buy, dex_sell", source=CHOSEN), NUMBER, 5, SIGNED),
    Column("Shown ETH", earned(NET, "pair, dex_buy, dex_sell", source=CHOSEN), NUMBER, 5, SIGNED),
    Column("Gas", f"1e9 * {total('arb_bot_gas_cost_ether_total', 'pair, dex_buy, dex_sell', source=CHOSEN)}", GWEI, 0),
    names={"dex_buy": "Bought at", "dex_sell": "Sold at"}, sort="Net ETH", height=9,
    no_value="no trade",
)  # fmt: skip

STRATEGY = "arb_bot_strategy_"
STRATEGY_NET = (
    f"({total(f'{STRATEGY}gain_ether_total', 'strategy')} - {total(f'{STRATEGY}loss_ether_total', 'strategy')})"
)

STRATEGIES = [
    table(
        "Strategies, all time",
        "By the bot's events, from totals since the first: what each kind of trade earns, on what was traded (ROI) and for each "
        "unit of gas. The net profit is in ether, of several bots the sum.",
        "strategy",
        Column("Trades", total(f"{STRATEGY}trades_total", "strategy"), NUMBER, 0),
        Column("Succeeded", succeeded_ever(f"{STRATEGY}trades_total", "strategy"), RATIO, 0, SHARE),
        Column("Net ETH", total(f"{STRATEGY}net_profit_ether", "strategy"), NUMBER, 5, SIGNED),
        Column("ROI", share(STRATEGY_NET, total(f"{STRATEGY}amount_ether_total", "strategy")), RATIO, 3, SIGNED),
        Column("Profit per gas", f"1e9 * {share(STRATEGY_NET, total(f'{STRATEGY}gas_used_total', 'strategy'))}", GWEI, 3, SIGNED),
        sort="Net ETH", height=6, no_value="no events",
    ),
]  # fmt: skip

STRATEGIES_OVER_TIME = [
    lines(
        "Net profit by strategy",
        "By the bot's events, summed over all trades since the first.",
        ETH, Query(total(f"{STRATEGY}net_profit_ether", "strategy"), "{{strategy}}"), no_value="no events",
    ),
]  # fmt: skip

HISTORY = Answer(
    "Single trades",
    "Every trade that the exporter knows, the newest first, from its API: this needs Grafana's Infinity data source. The "
    "exporter's own page /live shows the same, with filters and CSV.",
    "/api/v1/trades?limit=500", "trades",
    (
        Field("time", "Time", "timestamp_epoch_s"),
        Field("source", "Whose word"),
        Field("pair", "Pair"),
        Field("dex_buy", "Bought at"),
        Field("dex_sell", "Sold at"),
        Field("outcome", "Outcome"),
        Field("reason", "Reason"),
        Field("net_profit_eth", "Net profit", "number", ETH, 6),
        Field("gas_cost_eth", "Gas", "number", ETH, 8),
        Field("expected_profit_eth", "Expected", "number", ETH, 6),
        Field("claim", "The chain says"),
        Field("tx_hash", "Transaction"),
    ),
)  # fmt: skip

PAGE = Page(
    "trading",
    "trading",
    "Is it earning, how does it come about, and does the chain agree?",
    rows=(
        row("Is it earning?", EARNING),
        row("Performance", PERFORMANCE, FALLEN, TRADES, ESTIMATES),
        row("Does the chain agree?", TRUE, REALITY),
        row("Analytics", [ROUTES], STRATEGIES, STRATEGIES_OVER_TIME),
        row("History, trade by trade (needs the Infinity data source)", [HISTORY], folded=True),
    ),
    variables=(WORD,),
)
