"""One example snapshot of every collector: what the golden exposition is made of."""

from __future__ import annotations

from typing import Any

from exporter.books import Books, RouteTotal, SourceTotal
from exporter.collectors import exporter, memory_bank, opportunities, trades
from exporter.sources.bank_documents import Document
from exporter.sources.storage import Survey

ROUTE = ("WETH/USDC", "aerodrome", "baseswap")

EXAMPLES: dict[str, Any] = {
    "exporter": exporter.Snapshot(
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
            }
        ),
        False,
    ),
    "opportunities": opportunities.Snapshot("default", {("memory_bank", *ROUTE, "detected"): 5}),
    "memory_bank": memory_bank.Snapshot(
        "default",
        True,
        {"trades": Survey(files=39, bytes=2_112_000, last_write=1_744_549_882.0, truncated=False)},
        1,
        (Document("state", "market_state", True, 1_744_749_809.0), Document("metrics", "performance", False, 1.7e9)),
        {("trade", "json"): 2},
    ),
}  # fmt: skip
