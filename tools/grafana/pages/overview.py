"""The overview: is it healthy, is it earning, is it true?"""

from tools.grafana.looks import (
    AGE,
    ETH,
    GWEI,
    MINUTE,
    NONE_DOWN,
    NONE_FAILS,
    NONE_IS_BETTER,
    NONE_IS_FINE,
    NUMBER,
    OUTCOMES,
    PLAIN,
    PROVENANCE,
    RATIO,
    SHARE,
    SIGNED,
    UP,
    falling,
    rising,
)
from tools.grafana.money import BOT_AND_SOURCE, BY_OUTCOME, NET, TRUTH, net_profit, success, truth
from tools.grafana.page import FIRING, WATCHDOG, Page, row
from tools.grafana.panels import lines, stat, timeline
from tools.grafana.queries import (
    Query,
    age,
    down,
    earned,
    highest,
    increase,
    lowest,
    oldest,
    per_minute,
    series,
    succeeded_ever,
    total,
)
from tools.grafana.tables import Column, table

SCRAPED = 'up{job=~"$job",instance=~"$instance"}'

HEALTHY = [
    stat(
        "Exporters down",
        "Exporters that Prometheus cannot reach. Of what they watch nothing is known meanwhile.",
        "suffix: down", f"count({SCRAPED}) - sum({SCRAPED})",
        texts=NONE_DOWN, steps=NONE_IS_FINE, link="exporter",
    ),
    stat(
        "Collectors failing",
        "Parts of the exporters that cannot read their source now.",
        NUMBER, down("arb_scrape_collector_success"),
        texts=NONE_FAILS, steps=NONE_IS_FINE, link="exporter",
    ),
    stat(
        "Bots down",
        "Bots whose process does not run.",
        "suffix: down", down("arb_bot_process_up"),
        texts=NONE_DOWN, steps=NONE_IS_FINE, link="system",
    ),
    stat(
        "Alerts",
        "Alerts that fire now. Without the rules of alerting/rules nothing can, so nothing is said then.",
        "suffix: firing", f"count({FIRING}) or 0 * count({WATCHDOG})",
        texts=NONE_FAILS, steps=NONE_IS_FINE, no_value="no rules",
    ),
]  # fmt: skip

BOTS = table(
    "Bots, by each source's word, all time",
    "A line for each source of each bot, with its net profit of the shown time and of all time, in ether; all time is since the source's first trade, read from totals that the exporter "
    "keeps, so it holds what happened before Prometheus looked. A click opens the bot's trading.",
    "bot, source",
    Column("Is it true?", TRUTH, texts=PROVENANCE),
    Column("Shown ETH", earned(NET, "bot, source"), NUMBER, 5, SIGNED),
    Column("Net ETH", total(NET, "bot, source"), NUMBER, 5, SIGNED),
    Column("Trades", total(BY_OUTCOME, "bot, source"), NUMBER, 0, width=70),
    Column(
        "Succeeded",
        succeeded_ever(BY_OUTCOME, "bot, source"),
        RATIO, 0, SHARE,
    ),
    Column("Newest", age("arb_bot_last_trade_timestamp_seconds", "bot, source"), AGE),
    names={"source": "Whose word"}, links="trading", sort="Bot", order="up", height=7,
)  # fmt: skip

EARNING = [
    lines(
        "Net profit, all time",
        "The sum over all trades since each source's first, after all fees that the source knows of.",
        ETH, Query(total(NET, "bot, source"), BOT_AND_SOURCE), dashed="recent", last=False, no_value="no trade",
    ),
    lines(
        "Trades",
        "Trades per minute by outcome and source; the recent list tells of the same trades as the files.",
        MINUTE, Query(per_minute(BY_OUTCOME, "source, outcome", source="!recent"), "{{outcome}} · {{source}}"),
        low=0, colors=OUTCOMES, dashed="chain", last=False,
    ),
    lines(
        "Best spreads, net of fees",
        "Of each pair: what one base brings at the best venue over what it costs at another, less one. Above zero there is something "
        "to earn before gas.",
        RATIO, Query(highest("arb_price_net_spread_ratio", "pair"), "{{pair}}"), centred=True,
    ),
]  # fmt: skip

TRUE = [
    stat(
        "Claims the chain belies",
        "Trades that the bot claims with a transaction hash, and that final blocks do not have, have reverted, or have "
        "with other figures.",
        NUMBER, total("arb_reconcile_trades", status="~missing|reverted|mismatch"),
        texts=NONE_FAILS, steps=NONE_IS_FINE, no_value="none claimed", link="trading",
    ),
    stat(
        "Claimed above realised",
        "Net profit that the bot claims for its confirmed trades, less what they realised on the chain after every fee.",
        ETH, f"{total('arb_reconcile_claimed_profit_ether')} - {total('arb_reconcile_realised_profit_ether')}",
        decimals=6, no_value="none claimed", link="trading",
    ),
    stat(
        "Ether in the poorest wallet",
        "A wallet without ether cannot pay gas.",
        ETH, lowest("arb_wallet_balance_ether"), decimals=4, steps=falling(0.05, 0.15), link="execution",
    ),
    stat(
        "Shortest runway",
        "How long the ether of a wallet pays fees at the pace of up to the last day.",
        AGE, lowest("arb_wallet_runway_seconds"),
        steps=falling(86_400, 259_200), no_value="not known", link="execution",
    ),
    stat(
        "Base fee",
        "Base fee of the newest block.",
        GWEI, f"{highest('arb_gas_base_fee_wei')} / 1e9", decimals=6, steps=PLAIN, link="gas-network",
    ),
    stat(
        "Pairs that pay now",
        "Pairs whose best trade through two pools leaves more than its gas costs.",
        NUMBER, f"sum({series('arb_price_spread_profitable')})", link="opportunities",
    ),
]  # fmt: skip

BEHIND = [
    stat(
        "Memory banks",
        "Memory banks that are not there or cannot be read.",
        "suffix: down", down("arb_memory_bank_up"), texts=NONE_DOWN, steps=NONE_IS_FINE, link="memory-bank",
    ),
    stat(
        "State last written",
        "Time since anything in state/ was written, of several bots the longest; the supported bot writes every 10 s.",
        AGE, oldest("arb_memory_bank_last_write_timestamp_seconds", "bot", directory="state"),
        steps=rising(120, 600), link="memory-bank",
    ),
    stat(
        "Errors in logs, last hour",
        "Records of level error or critical.",
        NUMBER, increase("arb_bot_log_messages_total", window="1h", level="~error|critical"),
        decimals=0, steps=NONE_IS_BETTER, link="system",
    ),
    stat(
        "Oldest newest backup",
        "Time since the newest backup, of the store where it is oldest.",
        AGE, f"time() - {lowest('arb_storage_backup_last_timestamp_seconds')}",
        steps=rising(86_400, 172_800), no_value="none known", link="storage",
    ),
    stat(
        "Endpoints",
        "Nodes that do not answer, or serve another chain.",
        "suffix: down", down("arb_rpc_up"), texts=NONE_DOWN, steps=NONE_IS_FINE, link="gas-network",
    ),
    stat(
        "Head's age",
        "Time since the newest block was made, by the exporter that is furthest behind.",
        AGE, oldest("arb_chain_head_timestamp_seconds", "job, instance"), steps=rising(15, 60), link="gas-network",
    ),
]  # fmt: skip

STATES = [
    timeline(
        "Bots and collectors",
        "When each bot's process ran, when banks and nodes were there, and when each part of the exporters did its work: a part that "
        "finds no bank works.",
        UP, Query(lowest("arb_bot_process_up", "bot"), "bot {{bot}}"),
        Query(lowest("arb_memory_bank_up", "bot"), "bank {{bot}}"), Query(lowest("arb_rpc_up", "endpoint"), "node {{endpoint}}"),
        Query(lowest("arb_scrape_collector_success", "collector"), "{{collector}}"), height=14,
    ),
]  # fmt: skip

PAGE = Page(
    "overview",
    "overview",
    "Is the bot healthy, is it earning, and is it true? Every figure leads to the page that explains it.",
    rows=(
        row(
            "Is it healthy, is it earning, is it true?",
            [*HEALTHY, net_profit("trading"), success("trading"), truth("trading")],
            [BOTS],
        ),
        row("What it earns", EARNING, TRUE),
        row("What it stands on", BEHIND, STATES),
    ),
)
