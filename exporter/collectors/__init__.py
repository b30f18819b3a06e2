"""The product's table of contents: one line per subsystem."""

from exporter.collector import Collector
from exporter.collectors import (
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
    rpc,
    storage,
    trades,
    wallet,
)

ALL: tuple[Collector, ...] = (
    exporter.COLLECTOR,
    trades.COLLECTOR,
    opportunities.COLLECTOR,
    memory_bank.COLLECTOR,
    logs.COLLECTOR,
    process.COLLECTOR,
    storage.COLLECTOR,
    rpc.COLLECTOR,
    chain.COLLECTOR,
    gas.COLLECTOR,
    wallet.COLLECTOR,
    prices.COLLECTOR,
    host.COLLECTOR,
    live.COLLECTOR,
)
