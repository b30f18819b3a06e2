"""Opportunities: what is there to earn, and what becomes of it?"""

from tools.grafana.looks import ETH, NUMBER, PAYS, RATIO, SIGNED
from tools.grafana.page import Page, row
from tools.grafana.panels import lines, stat, timeline
from tools.grafana.queries import Query, highest, total

MARKET = [
    stat(
        "Pairs that pay now",
        "Pairs whose best trade through two pools leaves more than its gas costs, by the chain's own prices.",
        NUMBER, total("arb_price_spread_profitable"), decimals=0, no_value="no pools",
    ),
    stat(
        "Best trade now",
        "What the best trade through two pools would leave before gas, at its best size.",
        ETH, highest("arb_price_spread_profit_ether"), decimals=6, no_value="none",
    ),
    stat(
        "Best spread net of fees",
        "What one base brings at the best venue over what it costs at another, less one.",
        RATIO, highest("arb_price_net_spread_ratio"), decimals=3, steps=SIGNED, no_value="no pools",
    ),
]  # fmt: skip

SPREADS = [
    lines(
        "Spread net of fees",
        "What one base brings at the best venue over what it costs at another, less one; above zero there is something to earn before gas.",
        RATIO, Query(highest("arb_price_net_spread_ratio", "pair"), "{{pair}}"), centred=True,
    ),
    lines(
        "What the best trade would leave",
        "Before gas, at its best size, through two pools of the pair.",
        ETH, Query(highest("arb_price_spread_profit_ether", "pair"), "{{pair}}"), low=0, no_value="none",
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
        row("What is there to earn?", MARKET),
        row("The market, by the chain's own prices", SPREADS),
    ),
)
