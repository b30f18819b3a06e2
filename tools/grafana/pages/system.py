"""System: does the bot run, and has it what it needs?"""

from tools.grafana.looks import (
    AGE,
    AMBER,
    BYTES,
    HEARD,
    LEVELS,
    MINUTE,
    NONE_DOWN,
    NONE_IS_BETTER,
    NONE_IS_FINE,
    NUMBER,
    RATIO,
    REACHES,
    RUNS,
    SECONDS,
    SELF,
    STATUS,
    UP,
    rising,
)
from tools.grafana.page import Page, row
from tools.grafana.panels import lines, stat, timeline
from tools.grafana.queries import (
    Query,
    age,
    down,
    highest,
    increase,
    lowest,
    per_minute,
    rate,
    running,
    series,
    share,
    state,
    total,
    unless_old,
)
from tools.grafana.tables import Column, table

LOG = "arb_bot_log_messages_total"
PARTS, SILENT_SECONDS = "bot, component", 600
SPOKEN = age("arb_bot_component_last_report_timestamp_seconds", PARTS)
COMPONENT = unless_old(state("arb_bot_component_status", "status", STATUS, PARTS), SPOKEN, SILENT_SECONDS, 4)
RUNNING = running("arb_bot_process_up", "arb_bot_process_cpu_seconds_total", "bot")
SAYS = state("arb_bot_status", "status", SELF, "bot")
BEHIND = f"min by (bot) ({series('arb_chain_head_block')} - on (job, instance) group_right () {series('arb_bot_reported_block')})"
MEMORY = f"{series('arb_host_memory_used_bytes')} / {series('arb_host_memory_total_bytes')}"

EXISTS = [
    stat(
        "Bot process",
        "Whether the bot's process runs, of several the worst. One that stands still is there, but used no processor time "
        "lately: it was stopped, hangs, or has nothing to do.",
        NUMBER, f"min({RUNNING})", texts=RUNS,
    ),
    stat(
        "Running for",
        "Time since the bot's process was started, of several the last one.",
        AGE, age("arb_bot_process_start_timestamp_seconds"), no_value="not running",
    ),
    stat(
        "Errors in logs, last hour",
        "Records of level error or critical.",
        NUMBER, increase(LOG, window="1h", level="~error|critical"), decimals=0, steps=NONE_IS_BETTER,
    ),
    stat(
        "Logs silent for",
        "Time since the bot last wrote to its quietest log.",
        AGE, f"time() - {lowest('arb_bot_log_last_write_timestamp_seconds')}", steps=rising(300, 1800), no_value="no log",
    ),
    stat(
        "Processor of the host",
        "Share of all processors' time in use; of several hosts the busiest.",
        RATIO, highest("arb_host_cpu_usage_ratio"), decimals=0, steps=rising(0.75, 0.95),
    ),
    stat(
        "Memory of the host",
        "Share in use, without what can be freed at once; of several hosts the fullest.",
        RATIO, f"max({MEMORY})", decimals=0, steps=rising(0.8, 0.95),
    ),
]  # fmt: skip

OWN_WORD = [
    stat(
        "Status, by its own word",
        "What the bot's state.json says it is doing, of several bots the worst.",
        NUMBER, f"max({SAYS})", texts=SELF, no_value="not said",
    ),
    stat(
        "Reaches its node",
        "Whether every bot says that it reaches its node.",
        NUMBER, lowest("arb_bot_web3_connected"), texts=REACHES, no_value="not said",
    ),
    stat(
        "Blocks behind",
        "How far the newest block that the bot knows of is behind the chain's, of several bots the furthest.",
        NUMBER, f"max({BEHIND})",
        decimals=0, steps=rising(10, 60), no_value="not said",
    ),
    stat(
        "Its API",
        "Whether every bot's own API answered the last request (bot.api).",
        NUMBER, lowest("arb_bot_api_up"), texts=UP, no_value="not configured",
    ),
    stat(
        "Its API takes",
        "How long the last request to the bot's own API took.",
        SECONDS, highest("arb_bot_api_request_duration_seconds"), no_value="not configured",
    ),
    stat(
        "Parts down",
        "Parts of the bot that do not run, by its system_state.json.",
        NUMBER, down("arb_bot_reported_component_up"), texts=NONE_DOWN, steps=NONE_IS_FINE, no_value="not said",
    ),
]  # fmt: skip

EACH = [
    table(
        "Bots, one by one",
        "What the figures above say, bot by bot, those that need somebody first.",
        "bot",
        Column("Process", RUNNING, texts=RUNS),
        Column("Running for", age("arb_bot_process_start_timestamp_seconds", "bot"), AGE),
        Column("Its own word", SAYS, texts=SELF),
        Column("Its node", lowest("arb_bot_web3_connected", "bot"), texts=REACHES),
        Column("Blocks behind", BEHIND, NUMBER, 0, rising(10, 60)),
        Column("Its API", lowest("arb_bot_api_up", "bot"), texts=UP),
        sort="Process", order="up", height=5,
    ),
]  # fmt: skip

PROCESS = [
    lines(
        "Bot's processor time",
        "What the bot uses of one processor; the host has more.",
        RATIO, Query(rate("arb_bot_process_cpu_seconds_total", "bot"), "{{bot}}"), low=0,
    ),
    lines(
        "Bot's memory",
        "Resident memory of the bot's process. A slope that does not end is a leak.",
        BYTES, Query(total("arb_bot_process_resident_memory_bytes", "bot"), "{{bot}}"), low=0,
    ),
    lines(
        "Bot's files and threads",
        "Open file descriptors and threads.",
        NUMBER,
        Query(total("arb_bot_process_open_fds", "bot"), "descriptors · {{bot}}"),
        Query(total("arb_bot_process_threads", "bot"), "threads · {{bot}}"), low=0, decimals=0,
    ),
]  # fmt: skip

LOGS = [
    lines(
        "Log messages",
        "Records per minute in the bot's logs, from info on.",
        MINUTE, Query(per_minute(LOG, "log, level", level="~critical|error|warning|info"), "{{level}} · {{log}}"), low=0, colors=LEVELS,
    ),
    lines(
        "Exceptions by class",
        "Tracebacks per minute, by class of the exception; empty as long as there were none.",
        MINUTE, Query(per_minute("arb_bot_log_exceptions_total", "exception"), "{{exception}}"), low=0, no_value="none", shade=AMBER,
    ),
]  # fmt: skip

READ = [
    table(
        "Logs",
        "Each log of each bot, and how much of it was read within the shown time.",
        "bot, log",
        Column("Up", lowest("arb_bot_log_up", "bot, log"), texts=UP),
        Column("Last written", age("arb_bot_log_last_write_timestamp_seconds", "bot, log"), AGE, None, rising(300, 1800)),
        Column("Read", increase("arb_bot_log_bytes_total", "bot, log"), BYTES, 0),
        sort="Bot", order="up", height=5,
    ),
]  # fmt: skip

COMPONENTS = [
    table(
        "Components",
        "Each part of the bot by its own word, and how old that is: silent after ten minutes without one, gone after an hour.",
        PARTS,
        Column("Status", COMPONENT, texts=HEARD),
        Column("Last word", SPOKEN, AGE, None, rising(120, SILENT_SECONDS)),
        sort="Component", order="up", width=12,
    ),
    timeline(
        "Components over time",
        "When each part of the bot was ok, degraded or down, by its own word; grey from ten minutes after its last one on.",
        HEARD, Query(COMPONENT, "{{component}} · {{bot}}"),
    ),
]  # fmt: skip

CAPACITY = [
    lines(
        "Connections and tasks in use",
        "Of those there may be; at 100 % work waits. By the bot's events, as it last told.",
        RATIO, Query(share(total("arb_bot_pool_in_use", "bot, pool"), total("arb_bot_pool_size", "bot, pool")), "{{pool}} · {{bot}}"),
        low=0, high=1, no_value="no events",
    ),
    lines(
        "Cache hits",
        "Share of the last hour's look-ups that a cache answered. By the bot's events, as it last told.",
        RATIO,
        Query(share(increase("arb_bot_cache_hits_total", "bot, cache", "1h"),
                    f"({increase('arb_bot_cache_hits_total', 'bot, cache', '1h')} + {increase('arb_bot_cache_misses_total', 'bot, cache', '1h')})"),
              "{{cache}} · {{bot}}"),
        low=0, high=1, no_value="no events",
    ),
    lines(
        "Size of caches",
        "Bytes in each cache. By the bot's events, as it last told.",
        BYTES, Query(total("arb_bot_cache_bytes", "bot, cache"), "{{cache}} · {{bot}}"), low=0, no_value="no events",
    ),
    lines(
        "Entries of caches",
        "Entries in each cache. By the bot's events, as it last told.",
        NUMBER, Query(total("arb_bot_cache_entries", "bot, cache"), "{{cache}} · {{bot}}"), low=0, decimals=0, no_value="no events",
    ),
]  # fmt: skip

HOST = [
    lines("Processor", "Share of all processors' time in use.", RATIO,
          Query(highest("arb_host_cpu_usage_ratio", "instance"), "{{instance}}"), low=0, high=1),
    lines("Load", "Load average of the last minute; above the number of processors work waits.", NUMBER,
          Query(highest("arb_host_load1", "instance"), "{{instance}}"), low=0, decimals=2),
    lines("Swap", "Swap space in use. A bot that swaps is late.", BYTES,
          Query(total("arb_host_swap_used_bytes", "instance"), "{{instance}}"), low=0),
]  # fmt: skip

MORE = [
    lines("Memory", "In use, without what can be freed at once, and all there is.", BYTES,
          Query(total("arb_host_memory_used_bytes", "instance"), "used · {{instance}}"),
          Query(total("arb_host_memory_total_bytes", "instance"), "all · {{instance}}"), low=0),
    lines("Network", "Bytes per second over all devices but virtual ones.", "Bps",
          Query(rate("arb_host_network_receive_bytes_total", "instance"), "received · {{instance}}"),
          Query(rate("arb_host_network_transmit_bytes_total", "instance"), "sent · {{instance}}"), low=0),
]  # fmt: skip

PAGE = Page(
    "system",
    "system",
    "Does the bot run, and has it what it needs?",
    rows=(
        row("Does it run, and has it what it needs?", EXISTS, OWN_WORD, EACH),
        row("The bot's process", PROCESS),
        row("The bot's parts, by its own word", COMPONENTS, CAPACITY[:2], CAPACITY[2:]),
        row("Logs", LOGS, READ),
        row("Host", HOST, MORE),
    ),
)
