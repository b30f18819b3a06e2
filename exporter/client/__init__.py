"""A tiny client for Python bots: reports events to the exporter, and never blocks or breaks the bot."""

from exporter.client.buffer import Stats
from exporter.client.client import Client
from exporter.client.values import ether

__all__ = ["Client", "Stats", "ether"]
