"""Gas and network: what does a trade cost now, and does the chain keep up?"""

from tools.grafana.looks import (
    AGE,
    AMBER,
    BLUE,
    GREEN,
    GREY,
    GWEI,
    MINUTE,
    NONE_DOWN,
    NONE_IS_FINE,
    NUMBER,
    PLAIN,
    PURPLE,
    RATIO,
    RED,
    SECONDS,
    SHARE,
    UP,
    YES_IS_BAD,
    rising,
)
from tools.grafana.page import Page, row
from tools.grafana.panels import bars, lines, stat, timeline
from tools.grafana.queries import (
    Query,
    age,
    by_congestion,
    down,
    highest,
    increase,
    lowest,
    oldest,
    per_minute,
    quantile,
    rate,
    share,
    succeeded,
)
from tools.grafana.tables import Column, table

NOW, NEXT = "arb_gas_base_fee_wei", "arb_gas_next_base_fee_wei"
SUCCEEDED = succeeded("source", "1h", source="!recent")


def gwei(name: str, by: str = "", **labels: str) -> str:
    """Wei as gwei; the highest of the chosen exporters."""
    return f"{highest(name, by, **labels)} / 1e9"


COST = [
    stat(
        "Base fee",
        "Base fee of the newest block; on Base it is thousandths of a gwei.",
        GWEI, gwei(NOW), decimals=6, steps=PLAIN,
    ),
    stat(
        "Next block's base fee",
        "What the base fee will be in the next block, by the chain's own rule.",
        GWEI, gwei(NEXT), decimals=6, steps=PLAIN,
    ),
    stat(
        "Against the last hour",
        "The base fee now, above or below its median of the last hour.",
        RATIO, highest("arb_gas_base_fee_trend_ratio"), decimals=1, steps=((None, GREEN), (0.5, AMBER), (2, RED)),
    ),
    stat(
        "A trade costs",
        "All that one arbitrage costs in the next block: the bot's usual gas, the L1 data fee and the operator fee.",
        GWEI, f"1e9 * {highest('arb_gas_trade_cost_ether')}", decimals=0, steps=PLAIN, no_value="not known",
    ),
    stat(
        "Head's age",
        "Time since the newest block was made, by the exporter that is furthest behind.",
        AGE, oldest("arb_chain_head_timestamp_seconds", "job, instance"), steps=rising(15, 60),
    ),
    stat(
        "Endpoints",
        "Nodes that do not answer, or serve another chain; each of them is in the table below.",
        "suffix: down", down("arb_rpc_up"), texts=NONE_DOWN, steps=NONE_IS_FINE,
    ),
]  # fmt: skip

GAS = [
    lines(
        "Gas price",
        "Base fee now and in the next block, and the median priority fee that the newest block paid.",
        GWEI,
        Query(gwei(NOW), "base fee"), Query(gwei(NEXT), "next block"),
        Query(gwei("arb_gas_priority_fee_wei", percentile="50"), "priority fee"), low=0,
    ),
    lines(
        "Base fee of the last hour",
        "Percentiles of the base fee over the hour before each moment: bids above the 90th are seldom needed.",
        GWEI, Query(gwei("arb_gas_base_fee_window_wei", "percentile"), "{{percentile}} %"), low=0,
    ),
    lines(
        "Priority fees",
        "What transactions of the newest block paid on top, by percentile.",
        GWEI, Query(gwei("arb_gas_priority_fee_wei", "percentile"), "{{percentile}} %"), low=0,
    ),
]  # fmt: skip

L1 = [
    lines(
        "What a trade costs",
        "One arbitrage of the bot's usual size: all of it, and the L1 data fee within. A billion gwei are an ether.",
        GWEI,
        Query(f"1e9 * {highest('arb_gas_trade_cost_ether')}", "all"),
        Query(f"1e9 * {highest('arb_gas_trade_l1_fee_ether')}", "L1 data fee"), low=0,
    ),
    lines(
        "L1 fees",
        "Base fee and blob base fee of L1, as the chain's GasPriceOracle knows them. A chain of its own has no L1 and no oracle.",
        GWEI,
        Query(gwei("arb_gas_l1_base_fee_wei"), "L1 base fee"), Query(gwei("arb_gas_l1_blob_base_fee_wei"), "blob base fee"), low=0,
        no_value="none told: a chain without an L1 has none",
    ),
]  # fmt: skip

FULLNESS = [
    lines(
        "Congestion against success",
        "How full blocks are, and the share of the last hour's trades that succeeded, by source: where success falls as "
        "blocks fill, bids are too low.",
        RATIO,
        Query(highest("arb_gas_block_used_ratio"), "block fullness"), Query(SUCCEEDED, "succeeded · {{source}}"),
        low=0, colors={"fullness": PURPLE}, width=12,
    ),
    lines(
        "Blocks",
        "Mean time between blocks over the last minute, and how old the newest one is.",
        SECONDS,
        Query(highest("arb_chain_block_interval_seconds"), "between blocks"), Query(age("arb_chain_head_timestamp_seconds"), "head's age"), low=0,
    ),
]  # fmt: skip

CHAIN = [
    stat("Head", "Number of the newest block.", NUMBER, highest("arb_chain_head_block"), decimals=0),
    stat(
        "Not final yet",
        "Blocks above the newest one that counts as final, by the configured finality.",
        NUMBER, f"{highest('arb_chain_head_block')} - {highest('arb_chain_finalized_block')}", decimals=0,
        no_value="not known",
    ),
    stat(
        "Reorgs",
        "How often blocks that had been seen were taken back within the shown time.",
        NUMBER, increase("arb_chain_reorgs_total"), decimals=0, steps=((None, GREEN), (1, AMBER)),
    ),
    stat(
        "Reorg depth",
        "Blocks that the last reorg took back; one or two is ordinary.",
        "suffix: blocks", highest("arb_chain_reorg_depth_blocks"), steps=((None, GREEN), (3, AMBER), (10, RED)), no_value="no reorg",
    ),
    stat(
        "Finality violated",
        "Whether the chain contradicts a block that was final: nothing of it is to be trusted then.",
        NUMBER, highest("arb_chain_finality_violated"), texts=YES_IS_BAD,
    ),
    stat(
        "Preconfirmations",
        "Whether logs arrive before they are in a block. Few nodes offer it.",
        NUMBER, highest("arb_chain_preconfirmations_active"), texts={"1": ("yes", GREEN), "0": ("no", BLUE)},
    ),
]  # fmt: skip

LEVELS = [
    bars(
        "Success by congestion",
        "Share of the shown time's trades that succeeded, by source and by how far the base fee was above its median of the last "
        "hour when they were made: less than a tenth, less than half, or more.",
        RATIO, Query(by_congestion("source", source="!recent"), "{{level}} · {{source}}"),
        decimals=0, steps=SHARE, high=1, no_value="no trade",
    ),
]  # fmt: skip

HEADS = [
    timeline(
        "How heads are learned",
        "Which way brought the newest block first; polling instead of a WebSocket costs up to a second.",
        {"1": ("first", GREEN), "0": ("not first", GREY)},
        Query(highest("arb_chain_head_source", "source"), "{{source}}"), height=4,
    ),
]  # fmt: skip

NODES = [
    table(
        "Endpoints, one by one",
        "Each node by its name, with its calls within the shown time, and the share of the last hour's that it answered; URLs and "
        "keys are never shown.",
        "endpoint",
        Column("Up", lowest("arb_rpc_up", "endpoint"), texts=UP),
        Column("In use", highest("arb_rpc_active", "endpoint"), texts={"1": ("yes", GREEN), "0": ("no", GREY)}),
        Column("WebSocket", lowest("arb_rpc_websocket_up", "endpoint"), texts=UP),
        Column("Behind", highest("arb_chain_head_lag_seconds", "endpoint"), SECONDS, 1, rising(5, 20)),
        Column("Calls", increase("arb_rpc_requests_total", "endpoint"), NUMBER, 0),
        Column(
            "Answered",
            share(increase("arb_rpc_requests_total", "endpoint", "1h", outcome="ok"), increase("arb_rpc_requests_total", "endpoint", "1h")),
            RATIO, 1, ((None, RED), (0.95, AMBER), (0.99, GREEN)),
        ),
        sort="Endpoint", order="up", height=6,
    ),
]  # fmt: skip

RPC = [
    lines(
        "Latency of endpoints",
        "How long an endpoint takes for a batch of calls: half of them, and the slowest hundredth.",
        SECONDS,
        Query(quantile(0.5, "arb_rpc_request_duration_seconds", "endpoint"), "p50 · {{endpoint}}"),
        Query(quantile(0.99, "arb_rpc_request_duration_seconds", "endpoint"), "p99 · {{endpoint}}"), low=0,
    ),
    lines(
        "Calls by outcome",
        "Calls per second, by endpoint and outcome.",
        "reqps", Query(rate("arb_rpc_requests_total", "endpoint, outcome"), "{{outcome}} · {{endpoint}}"),
        low=0, colors={"ok": GREEN},
    ),
    lines(
        "Calls by method",
        "Calls per minute, by method.",
        MINUTE, Query(per_minute("arb_rpc_requests_total", "method"), "{{method}}"), low=0, many=True,
    ),
]  # fmt: skip

PAGE = Page(
    "gas-network",
    "gas and network",
    "What does a trade cost now, and do the chain and its nodes keep up?",
    rows=(
        row("What does a trade cost now, and is the network there?", COST),
        row("Gas", GAS, L1),
        row("Chain", CHAIN, FULLNESS, LEVELS, HEADS),
        row("Nodes", NODES, RPC[:2], RPC[2:]),
    ),
)
