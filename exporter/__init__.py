"""Prometheus exporter for EVM arbitrage bots: the bot's books, the chain and the host on /metrics."""

__version__ = "0.1.0"
