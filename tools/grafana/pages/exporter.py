"""Exporter: can what the other pages show be relied on?"""

from tools.grafana.feeds import Answer, Field
from tools.grafana.looks import (
    AGE,
    AMBER,
    BYTES,
    CLOCK,
    GREEN,
    MINUTE,
    NONE_DOWN,
    NONE_FAILS,
    NONE_IS_FINE,
    NUMBER,
    PROVENANCE,
    RATIO,
    SECONDS,
    UP,
    WORKS,
    YES_IS_BAD,
    rising,
)
from tools.grafana.money import TRUTH, truth
from tools.grafana.page import Page, row
from tools.grafana.panels import lines, stat, timeline
from tools.grafana.queries import Query, age, down, highest, increase, lowest, per_minute, quantile, rate, series, total
from tools.grafana.tables import Column, table

SCRAPED = 'up{job=~"$job",instance=~"$instance"}'
LATENCY = "arb_live_publish_latency_seconds"

RELIED = [
    stat(
        "Exporters down",
        "Exporters that Prometheus cannot reach. While one is down, nothing it watches is known.",
        "suffix: down", f"count({SCRAPED}) - sum({SCRAPED})", texts=NONE_DOWN, steps=NONE_IS_FINE,
    ),
    stat(
        "Collectors failing",
        "Parts of the exporters that cannot read their source now.",
        NUMBER, down("arb_scrape_collector_success"), texts=NONE_FAILS, steps=NONE_IS_FINE,
    ),
    stat(
        "Ledger stands still",
        "Whether the ledger cannot be written: totals stand still then, rather than to be lost.",
        NUMBER, highest("arb_ledger_degraded"), texts=YES_IS_BAD,
    ),
    stat(
        "Reading the past",
        "Whether trades of the past are still being read: totals are not complete yet.",
        NUMBER, highest("arb_bot_backfill_active"), texts={"0": ("done", GREEN), "1": ("yes", AMBER)},
    ),
    stat(
        "Held back",
        "Figures that were not finite, negative counters or doubles, and did not leave the exporter, within the shown time.",
        NUMBER, increase("arb_exporter_dropped_samples_total"), decimals=0, steps=NONE_IS_FINE, texts=NONE_FAILS,
    ),
    truth(),
]  # fmt: skip

SOURCES = [
    timeline(
        "Collectors",
        "When each part of the exporters could read its source.",
        WORKS, Query(lowest("arb_scrape_collector_success", "collector"), "{{collector}}"), height=14,
    ),
    table(
        "Collectors now",
        "How each part fares, those that fail first: its last success, how long a read takes, and how many of its figures were held back within the shown time.",
        "collector",
        Column("Works", lowest("arb_scrape_collector_success", "collector"), texts=WORKS, width=56),
        Column("Last read", f"time() - {lowest('arb_scrape_collector_last_success_timestamp_seconds', 'collector')}", AGE, None, rising(60, 300), width=90),
        Column("Takes", highest("arb_scrape_collector_duration_seconds", "collector"), SECONDS, 1, width=76),
        sort="Works", order="up", width=12, height=14,
    ),
]  # fmt: skip

CONFIGURED = [
    table(
        "Whose word, and is it true?",
        "Each source of each bot, with its provenance and its newest trade.",
        "bot, source",
        Column("Is it true?", TRUTH, texts=PROVENANCE),
        Column("Newest", age("arb_bot_last_trade_timestamp_seconds", "bot, source"), AGE),
        sort="Bot", order="up", names={"source": "Whose word"}, links="trading", width=12, height=6,
    ),
    table(
        "Versions",
        "What runs, and since when.",
        "instance, version, python_version",
        Column("Runs for", f"max by (instance, version, python_version) ((time() - {series('arb_exporter_start_timestamp_seconds')}) "
               f"* on (job, instance) group_right () {series('arb_exporter_build_info')})", AGE),
        sort="Instance", order="up", names={"python_version": "Python"}, width=12,
    ),
]  # fmt: skip

WATCHED = [
    table(
        "Settings in force: what is watched",
        "How much of each kind the exporters were told to watch, and do; addresses are those of wallets and contracts. The settings themselves, without secrets, are at "
        "/api/v1/config of the exporter, and below where the Infinity data source is there.",
        "instance",
        Column("Endpoints", f"count by (instance) ({series('arb_rpc_up')})", decimals=0),
        Column("Pools", f"count by (instance) ({series('arb_pool_up')})", decimals=0),
        Column("Addresses", f"count by (instance) ({increase('arb_wallet_transactions_total', 'instance, wallet', '1h')})", decimals=0),
        Column("Logs", f"count by (instance) ({series('arb_bot_log_up')})", decimals=0),
        Column("Stores", f"count by (instance) ({series('arb_storage_up')})", decimals=0),
        Column("Collectors", f"count by (instance) ({series('arb_scrape_collector_success')})", decimals=0),
        sort="Instance", order="up", height=5,
    ),
]  # fmt: skip

ITSELF = [
    lines("Memory", "Resident memory of the exporter.", BYTES,
          Query(highest("arb_exporter_resident_memory_bytes", "instance"), "{{instance}}"), low=0),
    lines("Processor time", "What the exporter uses of one processor.", RATIO,
          Query(rate("arb_exporter_cpu_seconds_total", "instance"), "{{instance}}"), low=0),
    lines("Lateness of the event loop", "How late the loop woke a sleeper, at worst between two looks.", SECONDS,
          Query(highest("arb_exporter_loop_lag_seconds", "instance"), "{{instance}}"), low=0),
]  # fmt: skip

LEDGER = [
    lines("Rows of the ledger", "How many rows each table has; it grows with every trade.", NUMBER,
          Query(total("arb_ledger_rows", "table"), "{{table}}"), low=0, decimals=0, many=True),
    lines("How long reads take", "Each collector's last read.", SECONDS,
          Query(highest("arb_scrape_collector_duration_seconds", "collector"), "{{collector}}"), low=0, many=True),
    lines("Open files", "File descriptors of the exporter.", NUMBER,
          Query(highest("arb_exporter_open_fds", "instance"), "{{instance}}"), low=0, decimals=0),
]  # fmt: skip

LIVE = [
    lines("Live messages", "Messages per minute to all clients, by topic.", MINUTE,
          Query(per_minute("arb_live_messages_total", "topic"), "{{topic}}"), low=0, many=True),
    lines("Live connections that ended", "How many ended per minute, by reason.", MINUTE,
          Query(per_minute("arb_live_disconnects_total", "reason"), "{{reason}}"), low=0, many=True),
]  # fmt: skip

LISTENERS = [
    lines("Live clients", "Connections to the live feed.", NUMBER,
          Query(total("arb_live_clients", "instance"), "{{instance}}"), low=0, decimals=0),
    lines(
        "Publish latency",
        "From when the exporter learned something until it was written to every client that keeps up.",
        SECONDS,
        Query(quantile(0.5, LATENCY), "p50"), Query(quantile(0.99, LATENCY), "p99"), low=0, no_value="nobody listens",
    ),
    lines("Pushed to Grafana", "Messages per minute, by way and outcome.", MINUTE,
          Query(per_minute("arb_live_grafana_messages_total", "transport, outcome"), "{{transport}} {{outcome}}"),
          low=0, no_value="not configured"),
]  # fmt: skip

NODES = [
    stat("Grafana Live", "Whether Grafana takes what every exporter pushes (live.grafana).", NUMBER,
         lowest("arb_live_grafana_up"), texts=UP, no_value="not configured"),
    lines("RPC calls", "Calls per second of the exporter to its nodes, by outcome.", "reqps",
          Query(rate("arb_rpc_requests_total", "endpoint, outcome"), "{{endpoint}} {{outcome}}"), low=0),
    lines("RPC latency", "How long a node takes for a batch of calls: half of them, and the slowest hundredth.", SECONDS,
          Query(quantile(0.5, "arb_rpc_request_duration_seconds"), "p50"),
          Query(quantile(0.99, "arb_rpc_request_duration_seconds"), "p99"), low=0),
]  # fmt: skip

TOLD = [
    lines("Events taken in", "What the bot reports, per minute by type; each event counts once.", MINUTE,
          Query(per_minute("arb_events_total", "type"), "{{type}}"), low=0, many=True, no_value="the bot reports nothing"),
    lines("Events not counted", "Known already, known with other content, said to be simulated, or no events at all; per minute.", MINUTE,
          Query(per_minute("arb_events_duplicates_total", ""), "known already"),
          Query(per_minute("arb_events_conflicts_total", ""), "other content"),
          Query(per_minute("arb_events_simulated_total", ""), "simulated"),
          Query(per_minute("arb_events_invalid_total", "reason"), "{{reason}}"), low=0, many=True, no_value="the bot reports nothing", shade=AMBER),
    lines("Reports", "Requests that reported events per minute, by how they were answered.", MINUTE,
          Query(per_minute("arb_events_requests_total", "outcome"), "{{outcome}}"), low=0, no_value="the bot reports nothing"),
    lines("Age of the newest event", "By type, by the bot's own time.", CLOCK,
          Query(age("arb_events_last_timestamp_seconds", "type"), "{{type}}"), low=0, many=True, no_value="the bot reports nothing"),
]  # fmt: skip

SETTINGS = Answer(
    "Settings",
    "Some of the settings that the exporter runs with, from its API; needs Grafana's Infinity data source. All of them, "
    "without secrets and URLs, are at /api/v1/config of the exporter.",
    "/api/v1/config", "config",
    (
        Field("bot.name", "Bot"),
        Field("bot.memory_bank", "Memory bank"),
        Field("bot.timezone", "Zone"),
        Field("chain.chain_id", "Chain", "number"),
        Field("chain.finality", "Final at"),
        Field("chain.backfill_from", "From block", "number"),
        Field("state", "Ledger"),
        Field("live.max_clients", "Live clients", "number"),
        Field("limits.series", "Series at most", "number"),
        Field("limits.routes_per_source", "Routes at most", "number"),
    ),
    height=6,
)  # fmt: skip

PAGE = Page(
    "exporter",
    "exporter",
    "Can what the other pages show be relied on? Sources, provenance, settings in force, ledger, live clients and nodes.",
    rows=(
        row("Can it be relied on?", RELIED),
        row("Sources", SOURCES, CONFIGURED, WATCHED),
        row("What the bot reports", TOLD[:2], TOLD[2:]),
        row("The exporter itself", ITSELF, LEDGER),
        row("Live clients and nodes", LIVE, LISTENERS, NODES),
        row("Settings in force (needs the Infinity data source)", [SETTINGS], folded=True),
    ),
)
