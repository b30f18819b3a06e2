"""Distribution: where does the profit come from, and where is the money?"""

from tools.grafana.looks import ETH, MINUTE, NUMBER, RATIO, SHARE, SIGNED
from tools.grafana.money import NET, freshness, net_profit, success, truth
from tools.grafana.page import WORD, Page, row
from tools.grafana.panels import bars, lines
from tools.grafana.queries import Query, earned, failed_ever, highest, increase, per_minute, series, succeeded, total
from tools.grafana.tables import Column, table

TRADES, CHOSEN = "arb_bot_trades_total", "$source"
ROUTE = "pair, dex_buy, dex_sell"

EARNED, TRUSTED = [net_profit(), success()], [freshness(), truth()]

PROFIT = [
    bars(
        "Net profit by pair, all time",
        "Net profit of all time by the chosen source's word, since its first trade.",
        ETH, Query(total(NET, "pair", source=CHOSEN), "{{pair}}"), decimals=5, steps=SIGNED, low=None, no_value="no trade",
    ),
    bars(
        "By venue bought at",
        "Net profit of all time by the chosen source's word, since its first trade.",
        ETH, Query(total(NET, "dex_buy", source=CHOSEN), "{{dex_buy}}"), decimals=5, steps=SIGNED, low=None, no_value="no trade",
    ),
    bars(
        "By venue sold at",
        "Net profit of all time by the chosen source's word, since its first trade.",
        ETH, Query(total(NET, "dex_sell", source=CHOSEN), "{{dex_sell}}"), decimals=5, steps=SIGNED, low=None, no_value="no trade",
    ),
]  # fmt: skip

OVER_TIME = [
    lines(
        "Net profit by pair",
        "The chosen source's net profit, summed over all its trades since the first.",
        ETH, Query(total(NET, "pair", source=CHOSEN), "{{pair}}"), no_value="no trade",
    ),
    lines(
        "Trades by pair",
        "Trades per minute by the chosen source.",
        MINUTE, Query(per_minute(TRADES, "pair", source=CHOSEN), "{{pair}}"), low=0, no_value="no trade",
    ),
    lines(
        "Trades by venues",
        "Trades per minute by the chosen source, by where was bought and where sold.",
        MINUTE, Query(per_minute(TRADES, "dex_buy, dex_sell", source=CHOSEN), "{{dex_buy}} → {{dex_sell}}"), low=0, last=False, no_value="no trade",
    ),
]  # fmt: skip

ROUTES = [
    table(
        "Routes, all time",
        "A line for each pair and way through the venues, from the chosen source's totals since its first trade; the "
        "net profit is in ether, also of the shown time alone. The chain "
        "does not tell which route a reverted transaction meant: those failed by way of `unknown`, and no route's share of "
        "success can be told.",
        ROUTE,
        Column("Trades", total(TRADES, ROUTE, source=CHOSEN), NUMBER, 0, width=70),
        Column("Share", f"{total(TRADES, ROUTE, source=CHOSEN)} / scalar({total(TRADES, source=CHOSEN)})", RATIO, 1),
        Column("Failed", failed_ever(TRADES, ROUTE, source=CHOSEN), NUMBER, 0),
        Column("Net ETH", total(NET, ROUTE, source=CHOSEN), NUMBER, 5, SIGNED),
        Column("Shown ETH", earned(NET, ROUTE, source=CHOSEN), NUMBER, 5, SIGNED),
        names={"dex_buy": "Bought at", "dex_sell": "Sold at"}, sort="Net ETH", height=9, no_value="no trade",
    ),
]  # fmt: skip

STRAYED = (
    f"max by (pair) (stddev_over_time({series('arb_price_quote_per_base')}[1h]) "
    f"/ avg_over_time({series('arb_price_quote_per_base')}[1h]))"
)

AGAINST = [
    table(
        "Pairs: volatility and liquidity against success",
        "How far a pair's price strayed over the last hour, the ether in its pools, and how many of its trades of that hour "
        "succeeded by the memory bank's word, which names the route of failed trades, too.",
        "pair",
        Column("Volatility", STRAYED, RATIO, 2),
        Column("Ether in pools", total("arb_pool_reserve_tokens", "pair", token="WETH"), ETH, 2),  # noqa: S106 - of the other kind
        Column("Trades", increase(TRADES, "pair", "1h", source="memory_bank"), NUMBER, 0),
        Column("Succeeded", succeeded("pair", "1h", TRADES, source="memory_bank"), RATIO, 0, SHARE),
        sort="Volatility", height=6,
    ),
]  # fmt: skip

STRAYING = [
    lines(
        "Volatility of pairs",
        "How far a pair's price strayed over the last hour, as a part of its mean; over all its venues.",
        RATIO,
        Query(STRAYED, "{{pair}}"), low=0,
    ),
    lines(
        "Success of pairs",
        "Share of the last hour's trades that succeeded, by pair, by the memory bank's word: it names the route of failed "
        "trades, too.",
        RATIO, Query(succeeded("pair", "1h", TRADES, source="memory_bank"), "{{pair}}"), low=0, high=1, no_value="no trade",
    ),
]  # fmt: skip

LIQUIDITY = [
    table(
        "Liquidity of pools",
        "What is in each pool now, in the tokens' own units.",
        "pair, pool, token",
        Column("In the pool", total("arb_pool_reserve_tokens", "pair, pool, token"), "locale", 2),
        sort="Pair", order="up", height=9, no_value="not known",
    ),
]  # fmt: skip

WEIGHTS = [
    bars(
        "Capital by venue",
        "Share of the bot's capital at each venue, as the bot says by its events.",
        RATIO, Query(highest("arb_bot_dex_allocation_ratio", "bot, dex"), "{{dex}} · {{bot}}"), decimals=1, high=1, no_value="none told by events",
    ),
    bars(
        "Capital by pair",
        "Share of the bot's capital in each pair, as the bot says by its events.",
        RATIO, Query(highest("arb_bot_pair_allocation_ratio", "bot, pair"), "{{pair}} · {{bot}}"), decimals=1, high=1, no_value="none told by events",
    ),
    lines(
        "Ether by venue and pair",
        "What the shares are worth, as the bot says by its events.",
        ETH,
        Query(total("arb_bot_dex_allocation_ether", "dex"), "{{dex}}"),
        Query(total("arb_bot_pair_allocation_ether", "pair"), "{{pair}}"), low=0, no_value="none told by events",
    ),
]  # fmt: skip

SHARES = [
    lines(
        "Where pairs are bought",
        "Each venue's share of a pair's trades of the last hour by the chosen source: a token that moves to another venue "
        "shows here.",
        RATIO,
        Query(f"{increase(TRADES, 'pair, dex_buy', '1h', source=CHOSEN, pair='!unknown')} / on (pair) group_left () "
              f"({increase(TRADES, 'pair', '1h', source=CHOSEN)} > 0)", "{{pair}} {{dex_buy}}"),
        low=0, high=1, many=True, no_value="no trade",
    ),
]  # fmt: skip

PAGE = Page(
    "distribution",
    "distribution",
    "Where does the profit come from, and where is the money?",
    rows=(
        row("Where does the profit come from?", EARNED, TRUSTED, PROFIT),
        row("Where the capital is", WEIGHTS[:2], WEIGHTS[2:]),
        row("Pairs and venues over time", OVER_TIME, SHARES),
        row("Routes", ROUTES),
        row("Liquidity and volatility against success", AGAINST, STRAYING, LIQUIDITY),
    ),
    variables=(WORD,),
)
