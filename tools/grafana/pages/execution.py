"""Execution: do trades get through, how fast, and at what cost?"""

from tools.grafana.looks import (
    AGE,
    AMBER,
    ETH,
    GREEN,
    GWEI,
    MINUTE,
    NONE_FAILS,
    NONE_IS_FINE,
    NUMBER,
    RATIO,
    RED,
    SHARE,
    falling,
)
from tools.grafana.page import Page, row
from tools.grafana.panels import Column, lines, stack, stat, table
from tools.grafana.queries import Query, increase, lowest, per_minute, series, share, total

SENT, FEES = "arb_wallet_transactions_total", "arb_wallet_fees_ether_total"
REVERTED = "reverted"

THROUGH = [
    stat(
        "Transactions that succeeded",
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
        "Each wallet and contract: what it has, how long that lasts at the pace of up to the last day, and what it sent.",
        "wallet",
        Column("Ether", total("arb_wallet_balance_ether", "wallet"), ETH, 4, falling(0.05, 0.15)),
        Column("Runway", lowest("arb_wallet_runway_seconds", "wallet"), AGE, None, falling(86_400, 259_200)),
        Column("Waiting", total("arb_wallet_pending_transactions", "wallet"), NUMBER, 0),
        Column("Sent, shown time", increase(SENT, "wallet"), NUMBER, 0),
        Column("Not final yet", total("arb_wallet_transactions_provisional", "wallet"), NUMBER, 0),
        Column("Taken back by reorgs, shown time", increase("arb_wallet_transactions_reverted_by_reorg_total", "wallet"), NUMBER, 0),
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
        MINUTE, Query(per_minute("arb_wallet_reverts_total", "reason"), "{{reason}}"), low=0, no_value="none reverted",
    ),
    lines(
        "Fees by kind",
        "Per hour, in gwei: a billion are an ether.",
        "suffix: gwei/h",
        Query(f"3600e9 * sum by (kind, outcome) (rate({series(FEES)}[$__rate_interval]))", "{{kind}} · {{outcome}}"), low=0,
    ),
]  # fmt: skip

BALANCES = [
    lines(
        "Ether in wallets",
        "Balance of each wallet at the newest block.",
        ETH, Query(total("arb_wallet_balance_ether", "wallet"), "{{wallet}}"), decimals=4,
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

PAGE = Page(
    "execution",
    "execution",
    "Do trades get through, how fast, and at what cost?",
    rows=(
        row("Do trades get through, and at what cost?", THROUGH, WALLETS),
        row("On the chain", CHAIN),
        row("Wallets over time", BALANCES),
    ),
)
