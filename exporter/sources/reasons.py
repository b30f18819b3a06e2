"""Why a bot let an opportunity go: the closed set of reasons, and the words that mean each."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from exporter.metrics import OTHER

# The first match counts.
_WORDS: Final = (
    ("flash_loan_unavailable", re.compile(r"flash")),
    ("simulation_failed", re.compile(r"simulat|revert|dry[_ -]?run|eth_call|estimat")),
    ("gas_too_high", re.compile(r"\bgas|gas[_ -]|base[_ -]?fee|network[_ -]?fee")),
    ("slippage", re.compile(r"slippage|price[_ -]?impact")),
    ("stale_price", re.compile(r"stale|outdated|too[_ -]?old|price[_ -]?age")),
    ("price_moved", re.compile(r"price|moved|spread")),
    ("liquidity", re.compile(r"liquid|depth|reserve")),
    ("profit_too_low", re.compile(r"profit|margin|threshold|too[_ -]?small|roi")),
    ("confidence_too_low", re.compile(r"confiden|score")),
    ("balance", re.compile(r"balance|funds|capital|allowance")),
    ("risk_limit", re.compile(r"risk|limit|exposure|circuit|breaker|cooldown|paused|blacklist|denied")),
    ("competition", re.compile(r"compet|front[_ -]?r|sandwich|outbid|taken|mev")),
    ("timeout", re.compile(r"time[_ -]?out|timed[_ -]?out|deadline|expired|too[_ -]?late|too[_ -]?slow")),
)  # fmt: skip
REJECTIONS: Final = (
    "gas_too_high", "profit_too_low", "slippage", "liquidity", "price_moved", "stale_price", "simulation_failed",
    "confidence_too_low", "risk_limit", "balance", "flash_loan_unavailable", "competition", "timeout", OTHER,
)  # fmt: skip
_KNOWN: Final = frozenset(REJECTIONS)


@lru_cache(512)
def rejection(text: object) -> str:
    """The reason that a bot's word or sentence means; the text itself goes nowhere, and nothing said is `other`."""
    if not isinstance(text, str):
        return OTHER
    if text in _KNOWN:
        return text
    lowered = text[:500].lower()
    return next((name for name, pattern in _WORDS if pattern.search(lowered)), OTHER)
