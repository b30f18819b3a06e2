"""Prices live: where is the spread, this second?"""

from tools.grafana.feeds import Stream
from tools.grafana.looks import AGE, MINUTE, NUMBER, PAYS, RATIO
from tools.grafana.page import Page, row
from tools.grafana.panels import lines
from tools.grafana.queries import Query, age, highest, increase, per_minute
from tools.grafana.tables import Column, table

POOL = "${__field.labels.pair} ${__field.labels.pool}"
PAIR = "${__field.labels.pair}"
OPENED = " As Prometheus had it when the page was opened or reloaded."

STREAMS = [
    Stream(
        "timeseries", "Distance from the middle",
        "How far each pool's price is from the middle of its pair's lowest and highest. The distance between two lines "
        "of a pair is what an arbitrage between them would gain before fees.",
        "price", ("from_middle_ratio",), "percentunit", 3, POOL, width=14,
    ),
    Stream(
        "stat", "Prices now", "The newest price of each pool, in the pair's quote token.",
        "price", ("price",), "none", 6, POOL,
    ),
]  # fmt: skip

MORE_STREAMS = [
    Stream(
        "timeseries", "Spread", "Highest price over lowest across pools, less one; fees and gas are not taken off.",
        "spread", ("ratio",), "percentunit", 3, PAIR,
    ),
    Stream(
        "timeseries", "Gas", "Base fee of the newest block, and of the one after it.",
        "gas", ("base_fee_gwei", "next_base_fee_gwei"), "suffix: gwei", 6, names=("base fee", "next block"),
    ),
]  # fmt: skip

PRICES = [
    Stream(
        "timeseries", "Prices", "Each pool's price, in the pair's quote token; a click on a name shows it alone.",
        "price", ("price",), "none", 4, POOL,
    ),
]  # fmt: skip

PAST = [
    lines(
        "Spread net of fees",
        "What one base brings at the best venue over what it costs at another, both net of fees, less one." + OPENED,
        RATIO, Query(highest("arb_price_net_spread_ratio", "pair"), "{{pair}}"), since="6h", centred=True,
    ),
    lines(
        "Changes of price",
        "How often each pool was seen to change, per minute." + OPENED,
        MINUTE, Query(per_minute("arb_price_updates_total", "pair, pool"), "{{pair}} {{pool}}"),
        since="6h", low=0, last=False,
    ),
]  # fmt: skip

POOLS = table(
    "Pools",
    "Each pool's price and freshness, and how often it changed within an hour."
    + OPENED
    + " A pool that cannot be read has no price, and says so.",
    "pair, dex, pool",
    Column("Price", highest("arb_price_quote_per_base", "pair, dex, pool"), NUMBER, 6),
    Column("Fee", highest("arb_pool_fee_ratio", "pair, dex, pool"), RATIO, 2, width=60),
    Column("Last change", age("arb_price_last_update_timestamp_seconds", "pair, dex, pool"), AGE),
    Column("Changes", increase("arb_price_updates_total", "pair, dex, pool", "1h"), NUMBER, 0, width=75),
    sort="Pair",
    order="up",
)

PAIRS = table(
    "Pairs",
    "Whether the best trade through two pools pays its gas." + OPENED,
    "pair",
    Column("Net spread", highest("arb_price_net_spread_ratio", "pair"), RATIO, 3),
    Column("Pays?", highest("arb_price_spread_profitable", "pair"), texts=PAYS),
    sort="Pair", order="up", height=6, no_value="not known",
)  # fmt: skip

PAGE = Page(
    "prices-live",
    "live prices",
    "Where is the spread, this second? Prices, spreads and gas, pushed by the exporter through Grafana Live (live.grafana).",
    rows=(
        row("Where is the spread, this second?", STREAMS, MORE_STREAMS, PRICES),
        row("Before the page was opened", PAST, [PAIRS], [POOLS]),
    ),
    span="now-1m",
    refresh="",
)
