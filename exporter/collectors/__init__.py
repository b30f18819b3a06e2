"""The product's table of contents: one line per subsystem."""

from exporter.collector import Collector
from exporter.collectors import (
    bus,
    chain,
    exporter,
    gas,
    host,
    live,
    logs,
    memory_bank,
    opportunities,
    prices,
    process,
    reconcile,
    rpc,
    storage,
    trades,
    wallet,
    wallet_transactions,
)

ALL: tuple[Collector, ...] = (
    exporter.COLLECTOR,
    trades.COLLECTOR,
    reconcile.COLLECTOR,
    opportunities.COLLECTOR,
    memory_bank.COLLECTOR,
    logs.COLLECTOR,
    process.COLLECTOR,
    storage.COLLECTOR,
    rpc.COLLECTOR,
    chain.COLLECTOR,
    gas.COLLECTOR,
    wallet.COLLECTOR,
    wallet_transactions.COLLECTOR,
    prices.COLLECTOR,
    host.COLLECTOR,
    live.COLLECTOR,
    bus.COLLECTOR,
)
