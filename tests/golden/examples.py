"""One example snapshot of every collector: what the golden exposition is made of."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import Any

from exporter.books import Books, RouteTotal, SourceTotal
from exporter.collectors import (
    bot_api,
    bot_state,
    bundles,
    chain,
    components,
    events,
    execution,
    exporter,
    flash_loans,
    gas,
    live,
    logs,
    memory_bank,
    opportunities,
    prices,
    process,
    reconcile,
    rpc,
    storage,
    strategies,
    trades,
    wallet,
    wallet_transactions,
)
from exporter.event_intake import Totals
from exporter.event_totals import Word
from exporter.live.figures import Figures
from exporter.metrics import Distribution
from exporter.reconciliation import Sums
from exporter.sources.bank_documents import Document
from exporter.sources.bot_documents import Report, Said, Tally
from exporter.sources.contracts import PoolFacts, Token
from exporter.sources.curves import Concentrated, ConstantProduct
from exporter.sources.host import FileSystem, HostSample
from exporter.sources.market import PoolState
from exporter.sources.pools import Venue, reading
from exporter.sources.process import ProcessSample
from exporter.sources.rpc import BOUNDS
from exporter.sources.shapes import State
from exporter.sources.spreads import Spread
from exporter.sources.storage import Backups, Survey
from exporter.sources.waiting import Wait
from exporter.sources.weighing import Opportunity
from exporter.wallet_books import FeeTotal, WalletBooks
from exporter.wallet_reading import State as WalletState

ROUTE = ("WETH/USDC", "aerodrome", "baseswap")
WETH = Token("0x4200000000000000000000000000000000000006", "WETH", 18)
USDC = Token("0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", "USDC", 6)


def pool(dex: str, weth: int, usdc: int) -> PoolState:
    """A pool of WETH and USDC with these whole amounts."""
    curve = ConstantProduct(weth * 10**18, usdc * 10**6)
    return _pool(dex, "uniswap_v2", State(curve, curve.price, 3000, (weth * 10**18, usdc * 10**6)))


def concentrated_pool(dex: str, weth: int, usdc: int) -> PoolState:
    """A pool with concentrated liquidity that holds these whole amounts, at the price of their quotient."""
    price = Fraction(usdc * 10**6, weth * 10**18)
    curve = Concentrated(isqrt(price.numerator * 2**192 // price.denominator), 8 * 10**18)
    return _pool(dex, "uniswap_v3", State(curve, price, 500, (weth * 10**18, usdc * 10**6)))


def _pool(dex: str, kind: str, state: State) -> PoolState:
    facts = PoolFacts("0x" + dex[0].encode().hex() * 20, kind, WETH, USDC, state.fee)
    venue = Venue(f"{dex}-{state.fee}", dex, facts, "WETH/USDC", inverted=False)
    return PoolState(venue, reading(venue, state), 30_000_000, 1_749_999_998.5, 1_749_999_998.0, 7)


def durations(*seconds: float) -> Distribution:
    """A histogram of these."""
    made = Distribution(BOUNDS)
    for value in seconds:
        made.observe(value)
    return made


def feed() -> live.Snapshot:
    """Some listeners, of whom one was too slow."""
    figures = Figures()
    figures.messages |= {"prices": 1_200, "trades": 7}
    figures.disconnects |= {"client": 3, "slow": 1}
    figures.refused |= {"credentials": 2, "full": 1}
    for seconds in (0.0002, 0.0004, 0.02):
        figures.latency.observe(seconds)
    figures.push = live.Push(up=True, messages={("websocket", "success"): 40, ("websocket", "failed"): 1})
    return figures.snapshot(clients=2)


EXAMPLES: dict[str, Any] = {
    "exporter": exporter.Snapshot(
        python_version="3.12.1",
        web3_version="8.0.0",
        start_timestamp_seconds=1_749_990_000.5,
        resident_bytes=46_137_344,
        cpu_seconds=12.75,
        open_fds=23,
        loop_lag_seconds=0.000125,
        ledger_degraded=False,
        ledger_rows={"trade": 38, "route": 12},
    ),
    "trades": trades.Snapshot(
        "default",
        Books(
            {
                "memory_bank": SourceTotal(
                    True, 1_744_549_881.0, {ROUTE: RouteTotal(30, 8, 10**18, 11 * 10**17, 10**17, 10**16, 2 * 10**18)},
                    {"slippage": 8},
                ),
                "recent": SourceTotal(True, None, {}, {}),
                "events": SourceTotal(
                    True, 1_749_999_990.5,
                    {ROUTE: RouteTotal(3, 1, 2 * 10**16, 3 * 10**16, 10**16, 10**15, 4 * 10**16)},
                    {"gas": 1}, 3 * 10**16, 10**16,
                ),
            }
        ),
        {"memory_bank": "real"},
        False,
    ),
    "opportunities": opportunities.Snapshot(
        "default",
        {("memory_bank", *ROUTE, "detected"): 5, ("events", *ROUTE, "detected"): 9, ("events", *ROUTE, "rejected"): 4},
        frozenset(("memory_bank", "events")),
        {
            "rejections": {("gas_too_high", ""): 3, ("other", ""): 1},
            "stage_expected_wei": {("detected", ""): 9 * 10**16, ("rejected", ""): 10**16},
            "hours": {("14", ""): 9},
        },
    ),
    "events": events.Snapshot(
        "default",
        Totals(
            True,
            {"accepted": {"trade": 39, "opportunity": 120, "component": 7}, "simulated": {"trade": 2},
             "duplicate": {"": 5}, "conflict": {"": 1}, "invalid": {"json": 3}},
            {"trade": 1_749_999_990.5, "opportunity": 1_749_999_995.0},
        ),
        dict.fromkeys(events.OUTCOMES, 0) | {"accepted": 60, "invalid": 2},
    ),
    "strategies": strategies.Snapshot(
        "default",
        {
            "strategy_trades": {("triangular", "success"): 2, ("unknown", "failed"): 1},
            "strategy_net_wei": {("triangular", ""): 2 * 10**16, ("unknown", ""): -(10**15)},
            "strategy_gain_wei": {("triangular", ""): 2 * 10**16, ("unknown", ""): 0},
            "strategy_loss_wei": {("triangular", ""): 0, ("unknown", ""): 10**15},
            "strategy_gas_wei": {("triangular", ""): 10**15, ("unknown", ""): 10**15},
            "strategy_amount_wei": {("triangular", ""): 4 * 10**18},
            "strategy_gas_used": {("triangular", ""): 620_000},
        },
    ),
    "execution": execution.Snapshot(
        "default",
        {
            "path_trades": {("2", "success"): 2, ("unknown", "failed"): 1},
            "path_net_wei": {("2", ""): 2 * 10**16, ("unknown", ""): -(10**15)},
            "duration": {("discovery_to_submission", "04"): 2},
            "duration_us": {("discovery_to_submission", ""): 612_500},
            "slippage": {("aerodrome", "02"): 2, ("baseswap", "02"): 2},
            "slippage_wei": {("aerodrome", ""): 16 * 10**14, ("baseswap", ""): 16 * 10**14},
            "fee_wei": {("gas", ""): 2 * 10**15, ("l1", ""): 10**12},
            "gas_used": {("", ""): 620_000},
        },
    ),
    "flash_loans": flash_loans.Snapshot(
        "default",
        {
            "loans": {("balancer", "success"): 12, ("aave", "failed"): 1},
            "loan_fee_wei": {("balancer", ""): 0},
            "loan_largest_wei": {("balancer", "WETH"): 25 * 10**18},
        },
    ),
    "bundles": bundles.Snapshot(
        "default", {"bundles": {("flashbots", "submitted"): 7, ("flashbots", "included"): 5}}
    ),
    "components": components.Snapshot(
        "default",
        (
            Word("cache", "quotes", (), 1_749_999_990.0, ("900", "100", "64", "65536")),
            Word("component", "executor", (), 1_749_999_990.0, ("ok",)),
            Word("component", "scanner", (), 1_749_900_000.0, ("down",)),
            Word("dex", "aerodrome", (), 1_749_999_990.0, ("0.625", "5000000000000000000")),
            Word("pair", "WETH/USDC", (), 1_749_999_990.0, ("0.5", "4000000000000000000")),
            Word("pool", "rpc", (), 1_749_999_990.0, ("3", "10")),
            Word("price", "WETH/USDC", ("aerodrome",), 1_749_999_990.0, ("3003.42",)),
        ),
        {"cache_hits": {("quotes", ""): 900}, "cache_misses": {("quotes", ""): 100}},
        1_750_000_000.0,
    ),
    "memory_bank": memory_bank.Snapshot(
        "default",
        True,
        {"trades": Survey(files=39, bytes=2_112_000, last_write=1_744_549_882.0, truncated=False)},
        1,
        (Document("state", "market_state", True, 1_744_749_809.0), Document("metrics", "performance", False, 1.7e9)),
        {("trade", "json"): 2},
    ),
    "logs": logs.Snapshot(
        "default",
        (
            logs.LogState(
                "arbitrage", True, 1_749_999_999.0, 120_000,
                {"debug": 0, "info": 900, "warning": 7, "error": 3, "critical": 0, "other": 0}, {"ValueError": 2},
            ),
        ),
    ),
    "bot_state": bot_state.Snapshot(
        "default", 1_750_000_000.0,
        (
            Report("state", True, 1_749_999_990.0,
                   Said(status="running", web3_connected=True, balance_ether=1.25, block=30_000_000)),
            Report("system_state", True, 1_749_999_991.0,
                   Said(uptime_seconds=37136.0, block=29_999_998,
                        components={"arbitrage_bot": True, "dashboard": False})),
            Report("executions", True, 1_749_999_992.0, Said(trades={"unknown": 41})),
            Report("opportunities", True, 1_749_999_993.0, Said(open_opportunities=0)),
            Report("pool_metrics", False, 1_749_990_000.0, Said()),
            Report("metrics", True, 1_749_999_994.0,
                   Said(trades={"success": 26, "failed": 2}, net_profit_ether=0.85, success_ratio=0.92,
                        balance_ether=1.25, block=29_999_999)),
            Report("performance", True, 1_749_999_995.0,
                   Said(trades={"success": 137, "failed": 18}, net_profit_usd=389.25, gas_cost_ether=0.25,
                        success_ratio=0.924)),
            Report("dex_performance", True, 1_749_999_996.0, Said(venues={"aerodrome": Tally(35, 0.75)})),
        ),
    ),
    "bot_api": bot_api.Snapshot("default", 0.0125, 1_749_999_998.5),
    "process": process.Snapshot("default", ProcessSample(88_080_384, 31.25, 14, 9, 1_749_900_000.0)),
    "storage": storage.Snapshot(
        (storage.StoreState("backups", Survey(120, 9_000_000, 1_749_950_000.0, False),
                            12.5, Backups(3, 1_749_949_999.0)),
         storage.StoreState("analytics", None)),
    ),
    "rpc": rpc.Snapshot(
        (
            rpc.EndpointState("primary", True, True, {("eth_call", "ok"): 1200, ("eth_call", "timeout"): 1},
                              durations(0.0009, 0.003, 0.004, 5.0)),
            rpc.EndpointState("public", False, False, {}, durations()),
        ),
        {"primary": True},
    ),
    "chain": chain.Snapshot(
        30_000_000, 1_749_999_999, 29_999_400, False, 2.0, 3, 1, 0, "websocket",
        {"primary": 0.0, "public": 4.0}, False,
    ),
    "gas": gas.Snapshot(
        4_459_095, 3_905_342, 0.3125, {10: 1000, 50: 1_250_913, 90: 2_000_000}, 3 * 10**9, 10**9,
        {10: 3_900_000, 50: 4_054_000, 90: 4_460_000}, 0.1, 12 * 10**11, 3 * 10**12,
    ),
    "reconcile": reconcile.Snapshot(
        "default",
        Sums(
            1_749_999_990.5,
            {"pending": 3, "confirmed": 36, "missing": 1, "mismatch": 1},
            {"net_profit": 1},
            {"memory_bank": (11 * 10**17, 10**18)},
        ),
    ),
    "wallet": wallet.Snapshot(
        (wallet.WalletState("trader", 125 * 10**16, 42, 1, (("WETH", 0.5), ("USDC", 1500.25)),
                            Wait(1_749_999_900.25, 1), 0, 10**11),
         wallet.WalletState("spare", None, None, None, ())),
    ),
    "wallet_transactions": wallet_transactions.Snapshot(
        {"0x" + "aa" * 20: "trader"},
        WalletState(
            WalletBooks(
                {"0x" + "aa" * 20: {("success", ""): FeeTotal(30, 10**14, 10**13, 10**12),
                                    ("failed", "slippage"): FeeTotal(8, 10**13, 10**12, 0)}},
                removed={"0x" + "aa" * 20: 1}, orphaned=0, unvalued=2, flows={"WETH": 1.5, "USDC": -12.5},
            ),
            29_999_999, 29_999_400, True, False, 29_999_400,
        ),
    ),
    "prices": prices.Snapshot(
        (pool("aerodrome", 200, 600_000), pool("baseswap", 100, 303_000), concentrated_pool("uniswap", 150, 450_000)),
        {("aerodrome", "aerodrome-3000"): True, ("baseswap", "baseswap-3000"): True, ("uniswap", "uniswap-500"): True,
         ("sushi", "sushi-unknown"): False},
        (Opportunity(Spread("WETH/USDC", 0.01, 0.0039, USDC, 12 * 10**6), 4 * 10**15, 1_749_999_990.5, True),),
        preconfirmations=True,
    ),
    "host": HostSample(
        0.125, 8_589_934_592, 25_769_803_776, 0, 1_073_741_824, 0.75,
        (FileSystem("/", 270_000_000_000, 90_000_000_000),), (5_000_000, 7_000_000), (1_000_000, 2_000_000),
    ),
    "live": feed(),
}  # fmt: skip
