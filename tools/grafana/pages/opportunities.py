"""Opportunities: what is there to earn, and what becomes of it?"""

from tools.grafana.looks import AGE, AMBER, BLUE, ETH, ETH_HOUR, GREEN, MINUTE, NUMBER, PAYS, RATIO, RED
from tools.grafana.page import Page, choice, row
from tools.grafana.panels import bars, lines, stat, timeline
from tools.grafana.queries import Query, age, highest, increase, per_hour, per_minute, series, share, total
from tools.grafana.tables import Column, table

STAGES, CHOSEN = "arb_bot_opportunities_by_stage_total", "$source"
EXPECTED = "arb_bot_opportunity_expected_profit_ether_total"
ROUTED = "arb_bot_opportunities_total"
REJECTED = "arb_bot_opportunity_rejections_total"
SOURCE = choice("source", series(STAGES), "Whose word", several=False)


def step(stage: str) -> Query:
    """How many got to a stage within the shown time."""
    return Query(increase(STAGES, "stage", source=CHOSEN, stage=stage), "{{stage}}")


THERE = [
    stat(
        "Pairs that pay now",
        "Pairs whose best trade through two pools leaves more than its gas costs, by the chain's own prices.",
        NUMBER, total("arb_price_spread_profitable"), decimals=0,
    ),
    stat(
        "Best trade now",
        "What the best trade through two pools would leave before gas, at its best size, by the chain's own prices.",
        ETH, highest("arb_price_spread_profit_ether"), decimals=6,
    ),
    stat(
        "Detected, last hour",
        "Opportunities that the bot saw, by the chosen source. Opportunities on the market and none here: the bot is blind.",
        NUMBER, increase(STAGES, window="1h", source=CHOSEN, stage="detected"), decimals=0, no_value="nobody tells",
    ),
    stat(
        "Taken, last hour",
        "Share of what was detected that was executed, by the chosen source. Many detected and none taken deserves a look.",
        RATIO,
        share(increase(STAGES, window="1h", source=CHOSEN, stage="executed"), increase(STAGES, window="1h", source=CHOSEN, stage="detected")),
        decimals=0, steps=((None, AMBER), (0.05, GREEN)), no_value="none detected",
    ),
    stat(
        "Missed, last hour",
        "Profit expected of opportunities that were rejected or missed: the most there was to gain, if all had come true.",
        ETH, increase(EXPECTED, window="1h", source=CHOSEN, stage="~rejected|missed"), decimals=5, no_value="nobody tells",
    ),
    stat(
        "Newest trade",
        "Time since the newest trade by any source: opportunities without trades are the point of this page.",
        AGE, age("arb_bot_last_trade_timestamp_seconds"), no_value="none yet",
    ),
]  # fmt: skip

FUNNEL = [
    bars(
        "Stages, shown time",
        "How many were detected, executed, rejected and missed within the shown time. Stages are counted as they are reported: "
        "a source that only lists what it sees knows the first.",
        NUMBER, step("detected"), step("executed"), step("rejected"), step("missed"),
        decimals=0, no_value="nobody tells", colors={"executed": GREEN}, width=7,
    ),
    lines(
        "Opportunities by stage",
        "Per minute, by the chosen source.",
        MINUTE, Query(per_minute(STAGES, "stage", source=CHOSEN), "{{stage}}"),
        low=0, colors={"detected": BLUE, "executed": GREEN, "rejected": AMBER, "missed": RED}, no_value="nobody tells",
    ),
    lines(
        "Expected profit by stage",
        "Per hour: what was expected of what was executed, and of what was rejected or missed.",
        ETH_HOUR, Query(per_hour(EXPECTED, "stage", source=CHOSEN), "{{stage}}"),
        low=0, colors={"detected": BLUE, "executed": GREEN, "rejected": AMBER, "missed": RED}, no_value="nobody tells",
    ),
]  # fmt: skip

WHY = [
    bars(
        "Why rejected, shown time",
        "Reasons that the bot gave within the shown time.",
        NUMBER, Query(f"{increase(REJECTED, 'reason', source=CHOSEN)} > 0", "{{reason}}"), decimals=0, no_value="none rejected", width=8,
    ),
    lines(
        "Why rejected over time",
        "Rejected opportunities per minute, by the reason that the bot gave.",
        MINUTE, Query(f"{per_minute(REJECTED, 'reason', source=CHOSEN)} > 0", "{{reason}}"), low=0, no_value="none rejected", many=True, shade=AMBER,
    ),
]  # fmt: skip

WHEN = [
    bars(
        "By hour of the day, all time",
        "Opportunities detected since the source's first, by the hour in the bot's own time zone.",
        NUMBER, Query(total("arb_bot_opportunities_by_hour_total", "hour", source=CHOSEN), "{{hour}}"),
        decimals=0, no_value="nobody tells", upright=True,
    ),
]  # fmt: skip

PAIRS = [
    table(
        "Routes, all time",
        "How often each pair and way through the venues came up since the source's first, from its totals: recurring patterns "
        "stand on top.",
        "pair, dex_buy, dex_sell",
        Column("Detected", total(ROUTED, "pair, dex_buy, dex_sell", source=CHOSEN, stage="detected"), NUMBER, 0),
        Column("Executed", total(ROUTED, "pair, dex_buy, dex_sell", source=CHOSEN, stage="executed"), NUMBER, 0),
        Column("Rejected", total(ROUTED, "pair, dex_buy, dex_sell", source=CHOSEN, stage="rejected"), NUMBER, 0),
        Column("Missed", total(ROUTED, "pair, dex_buy, dex_sell", source=CHOSEN, stage="missed"), NUMBER, 0),
        names={"dex_buy": "Buy at", "dex_sell": "Sell at"}, sort="Detected", no_value="none detected",
    ),
]  # fmt: skip

PAIRS_OVER_TIME = [
    lines(
        "Detected by pair",
        "Per minute, over all venues.",
        MINUTE, Query(per_minute(ROUTED, "pair", source=CHOSEN, stage="detected"), "{{pair}}"), low=0, no_value="none detected",
    ),
]  # fmt: skip

SPREADS = [
    lines(
        "Spread net of fees",
        "What one base brings at the best venue over what it costs at another, less one; above zero there is something to earn before gas.",
        RATIO, Query(highest("arb_price_net_spread_ratio", "pair"), "{{pair}}"), centred=True,
    ),
    lines(
        "What the best trade leaves",
        "What the best trade would leave before gas, at its best size, through two pools of the pair.",
        ETH, Query(highest("arb_price_spread_profit_ether", "pair"), "{{pair}}"), low=0,
    ),
    timeline(
        "When it paid",
        "When the best trade of a pair left more than its gas cost.",
        PAYS, Query(highest("arb_price_spread_profitable", "pair"), "{{pair}}"),
    ),
]  # fmt: skip

PAGE = Page(
    "opportunities",
    "opportunities",
    "What is there to earn, and what becomes of it?",
    rows=(
        row("What is there to earn, and is it taken?", THERE),
        row("From seen to done", FUNNEL, WHY),
        row("When and where", WHEN, PAIRS, PAIRS_OVER_TIME),
        row("The market, by the chain's own prices", SPREADS),
    ),
    variables=(SOURCE,),
)
