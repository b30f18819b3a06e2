"""Questions about money that several pages ask, each with its provenance and its freshness."""

from __future__ import annotations

from typing import Final

from tools.grafana.looks import AGE, ETH, PROVENANCE, RATIO, SHARE, SIGNED
from tools.grafana.panels import Panel, stat
from tools.grafana.queries import Query, age, earned, state, succeeded

NET: Final = "arb_bot_net_profit_ether"
BY_OUTCOME: Final = "arb_bot_trades_by_outcome_total"
TRUTH: Final = state("arb_bot_data_provenance", "provenance", PROVENANCE, "bot, source")
"""The provenance of each bot's sources, as the number that `PROVENANCE` names."""
BOT_AND_SOURCE: Final = "{{bot}} · {{source}}"


def net_profit(link: str = "") -> Panel:
    """What was earned, by source."""
    return stat(
        "Net profit, shown time",
        "Earned within the shown time after all fees that the source knows of. Sources of the same trades are never "
        "added together: where they differ, one of them is wrong.",
        ETH,
        Query(f"sum by (source) ({earned(NET, 'bot, source')})", "{{source}}"),
        decimals=5, steps=SIGNED, no_value="no trade", link=link, listed=True,
    )  # fmt: skip


def success(link: str = "") -> Panel:
    """How many succeeded, by source."""
    return stat(
        "Succeeded, last hour",
        "Share of the last hour's trades that succeeded, by source.",
        RATIO,
        Query(succeeded("source", "1h"), "{{source}}"),
        decimals=0, steps=SHARE, no_value="no trade", link=link, listed=True,
    )  # fmt: skip


def truth(link: str = "") -> Panel:
    """Whether it is true, by source."""
    return stat(
        "Is it true?",
        "Real: the source's trades were found on the chain. Unverified: nobody has compared them with the chain, so "
        "profits are the bot's word. Simulated: they are known to be made up. Of several bots the worst is shown.",
        "none",
        Query(f"max by (source) ({TRUTH})", "{{source}}"),
        texts=PROVENANCE, no_value="no source", link=link, listed=True,
    )  # fmt: skip


def freshness(link: str = "") -> Panel:
    """How old the newest trade is, by source."""
    return stat(
        "Newest trade",
        "Time since the newest trade, by source. A source that lags behind the others has stopped telling.",
        AGE,
        Query(age("arb_bot_last_trade_timestamp_seconds", "source"), "{{source}}"),
        no_value="none yet", link=link, listed=True,
    )  # fmt: skip
