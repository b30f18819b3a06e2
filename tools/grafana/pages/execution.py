"""Execution: do trades get through, how fast, and at what cost?"""

from tools.grafana.looks import (
    AGE,
    AMBER,
    ETH,
    ETH_HOUR,
    GREEN,
    GWEI,
    MINUTE,
    NONE_FAILS,
    NONE_IS_FINE,
    NUMBER,
    PURPLE,
    RATIO,
    RED,
    SECONDS,
    SHARE,
    SIGNED,
    falling,
)
from tools.grafana.page import Page, row
from tools.grafana.panels import bars, lines, stack, stat
from tools.grafana.queries import (
    Query,
    by_congestion,
    highest,
    increase,
    lowest,
    per_hour,
    per_minute,
    quantile,
    share,
    succeeded,
    succeeded_ever,
    total,
)
from tools.grafana.tables import Column, table

SENT, FEES = "arb_wallet_transactions_total", "arb_wallet_fees_ether_total"
REVERTED = "reverted"

THROUGH = [
    stat(
        "Succeeded on the chain",
        "Share of the wallets' and contracts' final transactions of the last hour that succeeded, by the chain.",
        RATIO,
        share(increase(SENT, window="1h", outcome="success"), increase(SENT, window="1h")),
        decimals=0, steps=SHARE, no_value="none sent",
    ),
    stat(
        "Fees of a transaction",
        "All fees of the last hour's final transactions, each: L2 execution, L1 data and operator.",
        GWEI, f"1e9 * {share(increase(FEES, window='1h'), increase(SENT, window='1h'))}", decimals=0, no_value="none sent",
    ),
    stat(
        "Lost to reverts, last hour",
        "Fees of transactions that were reverted, of all fees: what failing costs.",
        RATIO, share(increase(FEES, window="1h", outcome=REVERTED), increase(FEES, window="1h")),
        decimals=0, steps=((None, GREEN), (0.3, AMBER), (0.6, RED)), no_value="none sent",
    ),
    stat(
        "Waiting",
        "Transactions sent and not mined yet.",
        NUMBER, total("arb_wallet_pending_transactions"), decimals=0, no_value="not known",
    ),
    stat(
        "Stuck",
        "Transactions that wait though none was mined for a minute, or 30 blocks if that is longer.",
        NUMBER, total("arb_wallet_stuck_transactions"), texts=NONE_FAILS, steps=NONE_IS_FINE, no_value="not known",
    ),
    stat(
        "Nonces missing",
        "Nonces missing below transactions that the node has queued: these wait for ever.",
        NUMBER, total("arb_wallet_nonce_gap"), texts=NONE_FAILS, steps=NONE_IS_FINE, no_value="not known",
    ),
]  # fmt: skip

WALLETS = [
    table(
        "Wallets",
        "Each wallet and contract: what it has, how long that lasts at the pace of up to the last day, what it sent and what reorgs took back within the shown time.",
        "wallet",
        Column("Ether", total("arb_wallet_balance_ether", "wallet"), ETH, 4, falling(0.05, 0.15)),
        Column("Runway", lowest("arb_wallet_runway_seconds", "wallet"), AGE, None, falling(86_400, 259_200)),
        Column("Waiting", total("arb_wallet_pending_transactions", "wallet"), NUMBER, 0),
        Column("Sent", increase(SENT, "wallet"), NUMBER, 0),
        Column("Not final yet", total("arb_wallet_transactions_provisional", "wallet"), NUMBER, 0),
        Column("Taken back", increase("arb_wallet_transactions_reverted_by_reorg_total", "wallet"), NUMBER, 0),
        sort="Wallet", order="up", height=6,
    ),
]  # fmt: skip

CHAIN = [
    stack(
        "Final transactions",
        "Per minute, by outcome: counted once, when they are final.",
        MINUTE, Query(per_minute(SENT, "outcome"), "{{outcome}}"), colors={"success": GREEN, REVERTED: RED},
    ),
    lines(
        "Reverts by reason",
        "Reverted transactions per minute, by what the chain answers when they are tried again; empty as long as there are none.",
        MINUTE, Query(per_minute("arb_wallet_reverts_total", "reason"), "{{reason}}"), low=0, no_value="none reverted", shade=RED,
    ),
    lines(
        "Fees by kind",
        "Per hour, of final transactions.",
        ETH_HOUR, Query(per_hour(FEES, "kind"), "{{kind}}"), low=0, last=False,
    ),
]  # fmt: skip

BALANCES = [
    lines(
        "Ether in wallets",
        "Balance of each wallet at the newest block.",
        ETH, Query(total("arb_wallet_balance_ether", "wallet"), "{{wallet}}"), decimals=5,
    ),
    lines(
        "Tokens in wallets",
        "Balance of each token, in its own unit.",
        NUMBER, Query(total("arb_wallet_token_balance", "wallet, token"), "{{token}} · {{wallet}}"),
    ),
    lines(
        "Waiting and stuck",
        "Transactions sent and not mined, and those of them that are stuck.",
        NUMBER,
        Query(total("arb_wallet_pending_transactions", "wallet"), "waiting · {{wallet}}"),
        Query(total("arb_wallet_stuck_transactions", "wallet"), "stuck · {{wallet}}"),
        low=0, decimals=0, colors={"stuck": RED},
    ),
]  # fmt: skip

PHASES, SLIPPAGE = "arb_bot_trade_duration_seconds", "arb_bot_slippage_ratio"
PATHS, LOANS, BUNDLES = "arb_bot_path_trades_total", "arb_bot_flash_loans_total", "arb_bot_bundles_total"
FULLNESS = highest("arb_gas_block_used_ratio")
TOLD = " By the bot's events."

TIMING = [
    lines(
        "From seeing to being in a block",
        "How long each phase takes for half of the trades of the last hour, and for nine of ten." + TOLD,
        SECONDS,
        Query(quantile(0.5, PHASES, "phase", "1h"), "p50 · {{phase}}"),
        Query(quantile(0.9, PHASES, "phase", "1h"), "p90 · {{phase}}"), low=0, no_value="none told by events", dashed="p50",
    ),
    lines(
        "Slippage by venue",
        "By how much less came out than was quoted: half of the trades of the last hour, and nine of ten. More than was "
        "quoted counts as none." + TOLD,
        RATIO,
        Query(quantile(0.5, SLIPPAGE, "dex", "1h"), "p50 · {{dex}}"),
        Query(quantile(0.9, SLIPPAGE, "dex", "1h"), "p90 · {{dex}}"), low=0, no_value="none told by events", dashed="p50",
    ),
]  # fmt: skip

SPENT = [
    lines(
        "Fees by kind, as the bot says",
        "Per hour. The L1 data fee is a part of gas; venues' fees are part of the price." + TOLD,
        ETH_HOUR, Query(per_hour("arb_bot_fees_ether_total", "kind"), "{{kind}}"), low=0, no_value="none told by events",
    ),
    lines(
        "Gas of a trade by strategy",
        "Mean units of gas of the last hour's trades, by strategy." + TOLD,
        "locale",
        Query(share(increase("arb_bot_strategy_gas_used_total", "strategy", "1h"), increase("arb_bot_strategy_trades_total", "strategy", "1h")), "{{strategy}}"),
        low=0, decimals=0, no_value="none told by events",
    ),
]  # fmt: skip

LENGTHS = [
    table(
        "Path length against success, all time",
        "Trades by the number of swaps on their way, from totals since the first: does the longer way pay?" + TOLD,
        "path_length",
        Column("Trades", f"{total(PATHS, 'path_length')} > 0", NUMBER, 0),
        Column("Succeeded", succeeded_ever(PATHS, "path_length"), RATIO, 0, SHARE),
        Column("Net ETH", total("arb_bot_path_net_profit_ether", "path_length"), NUMBER, 5, SIGNED),
        names={"path_length": "Swaps"}, sort="Swaps", order="up", width=12, no_value="none told by events",
    ),
    lines(
        "Success by path length",
        "Share of the last hour's trades that succeeded, by the number of swaps." + TOLD,
        RATIO, Query(succeeded("path_length", "1h", PATHS), "{{path_length}} swaps"), low=0, high=1, no_value="none told by events",
    ),
]  # fmt: skip

BORROWED = [
    table(
        "Flash loans, all time",
        "Each provider, from totals since the first loan: how dependable, and at what price, in ether, in all and of each loan." + TOLD,
        "provider",
        Column("Loans", total(LOANS, "provider"), NUMBER, 0),
        Column("Succeeded", succeeded_ever(LOANS, "provider"), RATIO, 0, SHARE),
        Column("Fees, ETH", total("arb_bot_flash_loan_fee_ether_total", "provider"), NUMBER, 5),
        Column("Each, ETH", share(total("arb_bot_flash_loan_fee_ether_total", "provider"), total(LOANS, "provider")), NUMBER, 5),
        sort="Loans", width=15, no_value="none told by events",
    ),
    table(
        "Largest loans",
        "The largest loan of each token that each provider gave with success, in tokens." + TOLD,
        "provider, token",
        Column("Largest", highest("arb_bot_flash_loan_largest_amount", "provider, token"), "locale", 4),
        sort="Provider", order="up", width=9, no_value="none told by events",
    ),
]  # fmt: skip

AT_PEAKS = [
    lines(
        "Flash loans against congestion",
        "Share of the last hour's loans that succeeded, by provider, and how full blocks are: who fails when it matters?" + TOLD,
        RATIO,
        Query(succeeded("provider", "1h", LOANS), "{{provider}}"), Query(FULLNESS, "block fullness"),
        low=0, high=1, colors={"fullness": PURPLE}, no_value="none told by events",
    ),
    bars(
        "Flash loans at peak times",
        "Share of the shown time's loans that succeeded, by provider and by how far the base fee was above its median of the last "
        "hour when they were taken: less than a tenth, less than half, or more." + TOLD,
        RATIO, Query(by_congestion("provider", LOANS), "{{level}} · {{provider}}"),
        decimals=0, steps=SHARE, high=1, no_value="none told by events",
    ),
]  # fmt: skip

PROTECTED = [
    bars(
        "Bundles, all time",
        "What became of bundles that went to MEV relays. A chain without relays, or a bot that does not use them, has none." + TOLD,
        NUMBER, Query(total(BUNDLES, "outcome"), "{{outcome}}"),
        decimals=0, no_value="no bundle was sent", colors={"included": GREEN},
    ),
    lines(
        "Bundles that got in",
        "Share of the last hour's bundles that were included, by relay. A chain without relays, or a bot that does not use "
        "them, has none." + TOLD,
        RATIO,
        Query(share(increase(BUNDLES, "relay", "1h", outcome="included"), increase(BUNDLES, "relay", "1h", outcome="submitted")), "{{relay}}"),
        low=0, high=1, no_value="no bundle was sent",
    ),
    lines(
        "Front-run and sandwiched",
        "Per minute, by relay: what protection did not prevent." + TOLD,
        MINUTE, Query(per_minute(BUNDLES, "relay, outcome", outcome="~front_run|sandwiched"), "{{outcome}} · {{relay}}"),
        low=0, no_value="no bundle was sent", shade=RED,
    ),
]  # fmt: skip

PAGE = Page(
    "execution",
    "execution",
    "Do trades get through, how fast, and at what cost?",
    rows=(
        row("Do trades get through, and at what cost?", THROUGH, WALLETS),
        row("On the chain", CHAIN),
        row("How fast, and how far from the quote", TIMING, SPENT, LENGTHS),
        row("Flash loans", BORROWED, AT_PEAKS),
        row("Protection from MEV", PROTECTED),
        row("Wallets over time", BALANCES),
    ),
)
