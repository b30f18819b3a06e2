"""Prometheus exporter for EVM arbitrage bots: the bot's books, the chain and the host on /metrics."""

__version__ = "1.0.0"
