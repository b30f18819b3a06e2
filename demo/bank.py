"""The bot's memory bank: the files, shapes, clocks and habits of writing of the bot the exporter supports."""

import json
import mmap
import os
import shutil
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from demo.chain import ETHER

RECENT_BYTES = 1 << 20
RECENT_ROWS = 27
KEPT_TRADES = 10_000
KEPT_BACKUPS = 3
TREND_POINTS = 50
STRATEGY = "cross_dex_arbitrage"

type Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trade:
    """One attempt as the chain says it ended. Amounts in wei."""

    token_pair: str  # as the bot writes it: WETH-USDC
    dex_buy: str
    dex_sell: str
    expected_profit: int  # after gas, when it was decided
    confidence: float  # 0 … 1
    success: bool
    net_profit: int  # WETH gained minus gas; negative if failed
    gas_cost: int
    tx_hash: str
    error: str | None
    amount: int  # of WETH sold
    block_number: int
    execution_ms: int
    usd_per_ether: float

    def document(self, timestamp: str) -> Document:
        """The content of its own file; amounts in ether."""
        return {
            "timestamp": timestamp,
            "opportunity": {
                "token_pair": self.token_pair,
                "dex_1": self.dex_buy,
                "dex_2": self.dex_sell,
                "potential_profit": ether(self.expected_profit),
                "confidence": self.confidence,
            },
            "success": self.success,
            "net_profit": ether(self.net_profit),
            "gas_cost": ether(self.gas_cost),
            "tx_hash": self.tx_hash,
            "error": self.error,
        }

    def row(self, timestamp: str) -> Document:
        """Its row in the list of recent trades; a failed one has the profit 0, as the integer."""
        return {
            "timestamp": timestamp,
            "token_pair": self.token_pair,
            "dex_1": self.dex_buy,
            "dex_2": self.dex_sell,
            "profit": ether(self.net_profit) if self.success else 0,
            "gas_cost": ether(self.gas_cost),
            "success": self.success,
            "amount": ether(self.amount),
            "strategy": STRATEGY,
            "block_number": self.block_number,
            "execution_time_ms": self.execution_ms,
        }


@dataclass(slots=True)
class Tally:
    """Running totals of some of the trades."""

    trades: int = 0
    successes: int = 0
    profit_usd: float = 0.0
    profit: int = 0  # wei
    gas: int = 0  # wei
    milliseconds: int = 0

    def add(self, trade: Trade) -> None:
        self.trades += 1
        self.successes += trade.success
        self.profit += trade.net_profit
        self.profit_usd += trade.net_profit / ETHER * trade.usd_per_ether
        self.gas += trade.gas_cost
        self.milliseconds += trade.execution_ms

    @property
    def success_rate(self) -> float:
        return self.successes / self.trades if self.trades else 0.0

    def mean(self, total: float) -> float:
        """A total per trade."""
        return total / self.trades if self.trades else 0.0

    def document(self) -> Document:
        return {
            "success_rate": self.success_rate,
            "total_profit_usd": self.profit_usd,
            "total_trades": self.trades,
            "avg_profit_per_trade": self.mean(self.profit_usd),
        }


@dataclass(slots=True)
class Books:
    """All totals since the bot was started."""

    total: Tally = field(default_factory=Tally)
    by_dex: dict[str, Tally] = field(default_factory=dict)
    by_pair: dict[str, Tally] = field(default_factory=dict)
    by_route: dict[tuple[str, str, str], Tally] = field(default_factory=dict)
    trend: deque[Document] = field(default_factory=lambda: deque(maxlen=TREND_POINTS))
    history: deque[tuple[float, Trade]] = field(default_factory=lambda: deque(maxlen=KEPT_TRADES))
    found: int = 0  # opportunities that were tried
    rejected: int = 0  # opportunities that were too small
    last_gas_used: int = 0

    def add(self, trade: Trade, timestamp: str) -> None:
        self.total.add(trade)
        self.history.append((time.time(), trade))
        self.by_pair.setdefault(trade.token_pair, Tally()).add(trade)
        self.by_route.setdefault((trade.token_pair, trade.dex_buy, trade.dex_sell), Tally()).add(trade)
        for dex in (trade.dex_buy, trade.dex_sell):
            self.by_dex.setdefault(dex, Tally()).add(trade)
        self.trend.append({"timestamp": timestamp, "profit": ether(self.total.profit)})

    def since(self, moment: float) -> Tally:
        """Totals of the trades after that moment, in epoch seconds."""
        tally = Tally()
        for added, trade in self.history:
            if added >= moment:
                tally.add(trade)
        return tally

    def confidence(self, token_pair: str, dex_buy: str, dex_sell: str) -> float:
        """How likely an attempt on this route succeeds, by the attempts so far."""
        tally = self.by_route.get((token_pair, dex_buy, dex_sell), Tally())
        return (tally.successes + 1) / (tally.trades + 2)


class MemoryBank:
    """Writes below one directory. The true bot's three ways of writing are kept: in place, renamed, mapped."""

    def __init__(self, root: Path, timezone: str) -> None:
        self.root = root
        self._zone = ZoneInfo(timezone)
        for name in ("trades", "state", "metrics", ".backups"):
            (root / name).mkdir(parents=True, exist_ok=True)
        self._recent_path = root / "trades" / "recent_trades.json"
        self._recent: deque[Document] = deque(self._stored_rows(), maxlen=RECENT_ROWS)
        self._files = deque(sorted((root / "trades").glob("trade_*.json")))
        self._write_recent()

    def record(self, trade: Trade) -> Path:
        """Write the trade's own file, under a second no other trade has, and its row; returns the file."""
        path, now = self._new_trade_file()
        path.write_text(json.dumps(trade.document(self.local(now)), indent=2), encoding="utf-8")
        self._files.append(path)
        while len(self._files) > KEPT_TRADES:
            self._files.popleft().unlink(missing_ok=True)
        self._recent.appendleft(trade.row(self.false_utc(now)))
        self._write_recent()
        return path

    def write(self, name: str, document: Document) -> None:
        """Write `state/…` in place: for a moment the file is empty."""
        (self.root / name).write_text(json.dumps(document, indent=2), encoding="utf-8")

    def replace(self, name: str, document: Document) -> None:
        """Write `metrics/…` beside and rename it: the file is always whole."""
        path = self.root / name
        partial = path.with_name(f".{path.name}.tmp")
        partial.write_text(json.dumps(document, indent=2), encoding="utf-8")
        partial.replace(path)

    def back_up(self) -> Path:
        """Copy state and metrics to `.backups/<local time>` and drop the oldest copies."""
        backups = self.root / ".backups"
        target = backups / datetime.now(self._zone).strftime("%Y%m%d_%H%M%S")
        for name in ("state", "metrics"):
            shutil.copytree(self.root / name, target / name, dirs_exist_ok=True)
        for old in sorted(backups.iterdir())[:-KEPT_BACKUPS]:
            shutil.rmtree(old)
        return target

    def local(self, moment: datetime) -> str:
        """Local time that does not say so."""
        return moment.astimezone(self._zone).replace(tzinfo=None).isoformat()

    def false_utc(self, moment: datetime) -> str:
        """Local time that claims to be UTC."""
        return f"{self.local(moment.replace(microsecond=0))}Z"

    def _new_trade_file(self) -> tuple[Path, datetime]:
        while True:
            now = datetime.now(UTC)
            path = self.root / "trades" / f"trade_{int(now.timestamp())}.json"
            if not path.exists():
                return path, now
            time.sleep(1 - now.microsecond / 1e6)

    def _stored_rows(self) -> Iterable[Document]:
        try:
            text = self._recent_path.read_text(encoding="utf-8").rstrip("\0")
        except FileNotFoundError:
            return []
        rows: list[Document] = json.loads(text)["trades"]
        return rows

    def _write_recent(self) -> None:
        """Overwrite the file in its place through a memory map, the rest of its fixed size being NUL."""
        content = json.dumps({"trades": list(self._recent)}, indent=2).encode()
        descriptor = os.open(self._recent_path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(descriptor, RECENT_BYTES)
            with mmap.mmap(descriptor, RECENT_BYTES) as memory:
                memory[:] = content.ljust(RECENT_BYTES, b"\0")
        finally:
            os.close(descriptor)


def ether(wei: int) -> float:
    """Wei in ether, correctly rounded."""
    return wei / ETHER
