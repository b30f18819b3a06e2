"""What the bot says of itself in `state/` and `metrics/`: each document is a source of its own, never merged."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from exporter.sources.files import Settling, Unreadable, document, folder, mark_of, read_together
from exporter.sources.memory_bank import SETTLE

LARGEST: Final = 4 << 20
"""Bytes of a document: the largest that the bot writes has two MiB, nearly all of it NULs."""
MOST_NAMES: Final = 20
"""Venues and components that are told apart; there are a handful."""
MOST_NAME: Final = 64
MOST_COUNT: Final = 2**53
PERCENT: Final = 100
ALIVE: Final = frozenset(("running", "healthy", "ok", "up", "active", "connected", "online", "ready"))
STATUSES: Final = ("running", "stopped", "error", "other")


@dataclass(frozen=True, slots=True)
class Tally:
    """What the bot says of one venue."""

    trades: int | None
    success_ratio: float | None


@dataclass(frozen=True, slots=True)
class Said:
    """What one document says; what it leaves out, or says in a way that cannot be meant, is None or missing."""

    status: str | None = None
    web3_connected: bool | None = None
    uptime_seconds: float | None = None
    trades: Mapping[str, int] = field(default_factory=dict)
    net_profit_ether: float | None = None
    net_profit_usd: float | None = None
    gas_cost_ether: float | None = None
    success_ratio: float | None = None
    balance_ether: float | None = None
    block: int | None = None
    venues: Mapping[str, Tally] = field(default_factory=dict)
    open_opportunities: int | None = None
    components: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """A document: whether it is whole, when it was last written (epoch seconds), and what it says."""

    document: str
    whole: bool
    last_write: float
    said: Said


# --- one value each; a wrong type costs only itself ---------------------------------------------------------------


def number(value: Any) -> float | None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def positive(value: Any) -> float | None:
    """A finite number that is not below zero."""
    found = number(value)
    return found if found is not None and found >= 0 else None


def count(value: Any) -> int | None:
    """A whole number of things."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() and 0 <= found < MOST_COUNT else None


def ratio(value: Any) -> float | None:
    """A share of one; the bot writes some as percent, which is told by being more than one."""
    found = positive(value)
    if found is None or found > PERCENT:
        return None
    return found / PERCENT if found > 1 else found


def section(value: Any, name: str) -> Mapping[str, Any]:
    """An object in an object; an empty one if there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def named(value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The objects of an object by name, the first few with a usable name."""
    usable = {n: part for n, part in value.items() if 0 < len(n) <= MOST_NAME and isinstance(part, dict)}
    return dict(list(usable.items())[:MOST_NAMES])


def outcomes(total: int | None, success: int | None, failed: int | None) -> dict[str, int]:
    """Trades by outcome: what was said, the missing part made from the other two, the rest `unknown`."""
    if total is not None and success is None and failed is not None and failed <= total:
        success = total - failed
    elif total is not None and failed is None and success is not None and success <= total:
        failed = total - success
    found = {"success": success, "failed": failed}
    rest = None if total is None else max(0, total - sum(part or 0 for part in found.values()))
    found["unknown"] = rest or (rest if success is None and failed is None else None)
    return {outcome: trades for outcome, trades in found.items() if trades is not None}


# --- one function per document ------------------------------------------------------------------------------------


def _state(root: Mapping[str, Any]) -> Said:
    connected, status = root.get("web3_connected"), root.get("bot_status")
    word = status.strip().lower() if isinstance(status, str) else None
    return Said(
        status=word if word is None or word in STATUSES else STATUSES[-1],
        web3_connected=connected if isinstance(connected, bool) else None,
        balance_ether=positive(root.get("wallet_balance")),
        block=count(root.get("current_block")),
    )


def _system_state(root: Mapping[str, Any]) -> Said:
    parts = named(section(root, "components"))
    words = {name: part.get("status") for name, part in parts.items()}
    return Said(
        uptime_seconds=positive(root.get("uptime")),
        block=count(section(root, "network").get("block_number")),
        components={name: word.strip().lower() in ALIVE for name, word in words.items() if isinstance(word, str)},
    )


def _executions(root: Mapping[str, Any]) -> Said:
    return Said(trades=outcomes(count(section(root, "last_execution").get("trades_executed")), None, None))


def _opportunities(root: Mapping[str, Any]) -> Said:
    found = root.get("opportunities")
    return Said(open_opportunities=len(found) if isinstance(found, list) else None)


def _metrics(root: Mapping[str, Any]) -> Said:
    own = section(root, "performance")
    parts = (count(own.get(name)) for name in ("total_trades", "successful_trades", "failed_trades"))
    return Said(
        trades=outcomes(*parts),
        net_profit_ether=number(own.get("total_profit")),
        success_ratio=ratio(own.get("success_rate")),
        balance_ether=positive(root.get("wallet_balance")),
        block=count(section(root, "system_status").get("last_block")),
    )


def _performance(root: Mapping[str, Any]) -> Said:
    return Said(
        trades=outcomes(count(root.get("total_trades")), None, count(root.get("failed_trades"))),
        net_profit_usd=number(root.get("total_profit_usd")),
        gas_cost_ether=positive(root.get("total_gas_cost_eth")),
        success_ratio=ratio(root.get("success_rate")),
    )


def _dex_performance(root: Mapping[str, Any]) -> Said:
    parts = named(root).items()
    return Said(venues={n: Tally(count(p.get("total_trades")), ratio(p.get("success_rate"))) for n, p in parts})


def _token_metrics(root: Mapping[str, Any]) -> Said:
    """The sums over all pairs, for a trade is of one pair; if one pair does not tell, there is no sum."""
    parts = [part for part in root.values() if isinstance(part, dict)]
    trades, profits = [count(p.get("total_trades")) for p in parts], [number(p.get("total_profit_usd")) for p in parts]
    told = [n for n in trades if n is not None]
    usd = [p for p in profits if p is not None]
    return Said(
        trades=outcomes(sum(told), None, None) if parts and len(told) == len(parts) else {},
        net_profit_usd=math.fsum(usd) if parts and len(usd) == len(parts) else None,
    )


def _nothing(_: Mapping[str, Any]) -> Said:
    return Said()


READERS: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Said]]]] = MappingProxyType({
    "state": ("state", _state),
    "system_state": ("state", _system_state),
    "executions": ("state", _executions),
    "opportunities": ("state", _opportunities),
    "market_state": ("state", _nothing),
    "pool_metrics": ("state", _nothing),
    "metrics": ("metrics", _metrics),
    "performance": ("metrics", _performance),
    "dex_performance": ("metrics", _dex_performance),
    "token_metrics": ("metrics", _token_metrics),
})  # fmt: skip
"""Of each document the directory it is in, and what it says; of two only whether they are written is of use."""


def said(name: str, content: bytes) -> Said:
    """What the document of a known name says.

    Raises:
        Unreadable: it is not one whole JSON object.
    """
    root = document(content)
    if not isinstance(root, dict):
        raise Unreadable("shape")
    return READERS[name][1](root)


# --- reading ------------------------------------------------------------------------------------------------------


class Reports:
    """Reads the documents of a bank; every call blocks and belongs in a thread."""

    def __init__(self, path: Path, file_bytes: int) -> None:
        self._path, self._limit = path, min(file_bytes, LARGEST)
        self._broken = Settling(SETTLE)
        self._known: dict[str, tuple[bytes, Report]] = {}

    def read(self) -> tuple[Report, ...]:
        """The documents that are there or have been; one that is being written is still what it was.

        Raises:
            OSError: the bank cannot be looked at; one that is not there is none of these.
        """
        found: set[str] = set()
        try:
            with folder(self._path) as root:
                for kind in ("state", "metrics"):
                    found |= self._folder(root, kind)
        except (FileNotFoundError, NotADirectoryError):
            pass
        for name in self._known.keys() - found:
            self._known[name] = b"", replace(self._known[name][1], whole=False, said=Said())
        return tuple(self._known[name][1] for name in READERS if name in self._known)

    def _folder(self, root: int, kind: str) -> set[str]:
        found: set[str] = set()
        names = [f"{name}.json" for name, (home, _) in READERS.items() if home == kind]
        try:
            with folder(kind, root) as below:
                for file, content in read_together(below, names, self._limit).items():
                    found |= self._one(below, file, content)
        except (FileNotFoundError, NotADirectoryError):
            pass
        return found

    def _one(self, below: int, file: str, content: bytes | Unreadable) -> set[str]:
        name = file.removesuffix(".json")
        try:
            written = os.stat(file, dir_fd=below, follow_symlinks=False).st_mtime
        except FileNotFoundError:
            return set()
        mark, report = self._known.get(name, (b"", Report(name, False, written, Said())))
        try:
            mark, report = self._judged(name, content, mark, report)
        except Unreadable as unusable:
            if not self._broken.settled(name, mark_of(name, unusable.reason, content)):
                return self._kept(name, mark, report)
            mark, report = b"", replace(report, whole=False, said=Said())
        self._known[name] = mark, replace(report, last_write=written)
        return {name}

    def _judged(self, name: str, content: bytes | Unreadable, mark: bytes, last: Report) -> tuple[bytes, Report]:
        """What a content says, parsed only if it is another than before."""
        if isinstance(content, Unreadable):
            raise content
        new = hashlib.blake2b(content, digest_size=16).digest()
        report = last if new == mark else replace(last, whole=True, said=said(name, content))
        self._broken.forget(name)
        return new, report

    def _kept(self, name: str, mark: bytes, report: Report) -> set[str]:
        """A document that was never whole is not shown before it has settled as something."""
        if name in self._known:
            self._known[name] = mark, report
        return {name}
