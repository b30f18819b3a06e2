"""Memory bank: is what the bot writes there, fresh and whole?"""

from tools.grafana.looks import (
    AGE,
    AMBER,
    BLUE,
    BYTES,
    CLOCK,
    ETH,
    GWEI,
    MINUTE,
    NONE_DOWN,
    NONE_FAILS,
    NONE_IS_BETTER,
    NONE_IS_FINE,
    NUMBER,
    RATIO,
    VALID,
    rising,
)
from tools.grafana.money import NET
from tools.grafana.page import Page, row
from tools.grafana.panels import bars, lines, stat, timeline
from tools.grafana.queries import Query, age, down, highest, increase, lowest, oldest, per_minute, series, total
from tools.grafana.tables import Column, table

BANK = "arb_memory_bank_"
UP_NOW = lowest(f"{BANK}up", "bot")

SOUND = [
    stat(
        "Memory banks",
        "Memory banks that are not there or cannot be read.",
        "suffix: down", down(f"{BANK}up"), texts=NONE_DOWN, steps=NONE_IS_FINE,
    ),
    stat(
        "State last written",
        "Time since anything in state/ was written, of several bots the longest; the supported bot writes every 10 s.",
        AGE, oldest(f"{BANK}last_write_timestamp_seconds", "bot", directory="state"), steps=rising(120, 600),
    ),
    stat(
        "Trades last written",
        "Time since anything in trades/ was written, of several bots the longest; that a bot without a chance writes nothing "
        "is no fault.",
        AGE, oldest(f"{BANK}last_write_timestamp_seconds", "bot", directory="trades"), no_value="not known",
    ),
    stat(
        "Broken documents",
        "Documents of state/ and metrics/ that have settled as something else than whole JSON.",
        NUMBER, f"sum({series(f'{BANK}document_valid')} == bool 0)", texts=NONE_FAILS, steps=NONE_IS_BETTER,
    ),
    stat(
        "Invalid records, shown time",
        "Files and rows of the bank that could not be used, each once for each content.",
        NUMBER, f"({increase(f'{BANK}invalid_files_total')} or 0 * {lowest(f'{BANK}up')}) and {highest(f'{BANK}up')} > 0",
        decimals=0, texts=NONE_FAILS, steps=NONE_IS_BETTER,
    ),
    stat(
        "Backups",
        "Backups in the bank's own folder .backups, of several bots those of the one that has fewest.",
        NUMBER, lowest(f"{BANK}backups"), decimals=0,
    ),
]  # fmt: skip

SIZE = [
    lines(
        "Files",
        "Files in each directory. A bank that shrinks was pruned, or somebody deleted it.",
        NUMBER, Query(total(f"{BANK}files", "bot, directory"), "{{directory}} · {{bot}}"), low=0, decimals=0,
    ),
    lines(
        "Bytes",
        "Size of each directory.",
        BYTES, Query(total(f"{BANK}bytes", "bot, directory"), "{{directory}} · {{bot}}"), low=0,
    ),
    lines(
        "Not written since",
        "How long nothing in a directory has been written. Saw teeth are the bot's rhythm; a slope is silence.",
        CLOCK, Query(age(f"{BANK}last_write_timestamp_seconds", "bot, directory"), "{{directory}} · {{bot}}"), low=0,
    ),
]  # fmt: skip

DOCUMENTS = [
    table(
        "Documents",
        "Each document that the bot keeps in state/ and metrics/: whether it is whole, and how old.",
        "bot, directory, document",
        Column("Whole?", lowest(f"{BANK}document_valid", "bot, directory, document"), texts=VALID),
        Column("Written", age(f"{BANK}document_last_write_timestamp_seconds", "bot, directory, document"), AGE, None, rising(120, 600)),
        sort="Written", width=15, height=12, no_value="no bank",
    ),
    timeline(
        "Documents over time",
        "When each document was whole JSON. A torn one for a moment is how some bots write, and is not shown; what is red has stayed so.",
        VALID, Query(lowest(f"{BANK}document_valid", "directory, document"), "{{directory}}/{{document}}"),
    ),
]  # fmt: skip

FAULTS = [
    bars(
        "Invalid records, all time",
        "What could not be used, by kind and reason, from totals since the exporter's first look. `conflict` is the same "
        "trade told in two ways.",
        NUMBER, Query(total(f"{BANK}invalid_files_total", "kind, reason"), "{{kind}}: {{reason}}"),
        decimals=0, no_value="none", width=10,
    ),
    lines(
        "Invalid records over time",
        "Records per minute that could not be used; empty as long as there were none.",
        MINUTE, Query(per_minute(f"{BANK}invalid_files_total", "kind, reason"), "{{kind}}: {{reason}}"), low=0, no_value="none", shade=AMBER,
    ),
]  # fmt: skip

SAYS = "arb_bot_reported_"

CLAIMS = [
    table(
        "What the bot's own totals say",
        "Each document with totals of the bot, beside each other: they do not agree among themselves, and none is the chain's "
        "word. What a document does not say is empty.",
        "bot, document",
        Column("Trades", total(f"{SAYS}trades", "bot, document"), NUMBER, 0, width=70),
        Column("Succeeded", highest(f"{SAYS}success_ratio", "bot, document"), RATIO, 0),
        Column("Net ETH", total(f"{SAYS}net_profit_ether", "bot, document"), NUMBER, 5),
        Column("in dollars", total(f"{SAYS}net_profit_usd", "bot, document"), "prefix:$", 2),
        Column("Gas", f"1e9 * {total(f'{SAYS}gas_cost_ether', 'bot, document')}", GWEI, 0),
        Column("Balance ETH", highest(f"{SAYS}balance_ether", "bot, document"), NUMBER, 4),
        sort="Document", order="up", no_value="not said",
    ),
]  # fmt: skip

COMPARED = [
    lines(
        "Net profit by the bot's totals, and the chain",
        "The bot's documents against what its transactions brought on the chain, after every fee: lines that part are a claim "
        "that is not true, or a total that began at another time.",
        ETH,
        Query(total(f"{SAYS}net_profit_ether", "document"), "{{document}}"),
        Query(total(NET, "source", source="chain"), "{{source}}"), colors={"chain": BLUE},
    ),
    table(
        "Venues, as the bot says",
        "Trades and success by venue, from dex_performance.json.",
        "bot, dex",
        Column("Trades", total(f"{SAYS}dex_trades", "bot, dex"), NUMBER, 0),
        Column("Succeeded", highest(f"{SAYS}dex_success_ratio", "bot, dex"), RATIO, 0),
        sort="Trades", width=12, no_value="not said",
    ),
]  # fmt: skip

PAGE = Page(
    "memory-bank",
    "memory bank",
    "Is what the bot writes there, fresh and whole?",
    rows=(
        row("Is it there, fresh and whole?", SOUND),
        row("Directories", SIZE),
        row("Documents", DOCUMENTS),
        row("What the bot says of itself", CLAIMS, COMPARED),
        row("What could not be used", FAULTS),
    ),
)
