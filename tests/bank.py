"""A memory bank for tests: writers in the styles and shapes of real bots, and an oracle that counts independently."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import random
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

PAIRS = {"WETH-USDC": "WETH/USDC", "USDC-WETH": "WETH/USDC", "WETH-wstETH": "wstETH/WETH", "DAI-USDC": "DAI/USDC"}
VENUES = ("aerodrome", "baseswap", "swapbased", "pancakeswap")
FIRST_EPOCH = 1_743_394_526


def trade(rng: random.Random, **changes: Any) -> dict[str, Any]:
    """A trade as the supported bot writes one to a file of its own."""
    success = rng.random() < 0.8
    return {
        "timestamp": "2025-04-06T17:56:36.565225",
        "opportunity": {
            "token_pair": rng.choice(list(PAIRS)),
            "dex_1": rng.choice(VENUES),
            "dex_2": rng.choice(VENUES),
            "potential_profit": rng.random(),
            "confidence": rng.random(),
        },
        "success": success,
        "net_profit": rng.random() if success else -rng.random() / 20,
        "gas_cost": rng.random() / 100,
        "tx_hash": f"0x{rng.getrandbits(256):064x}",
        "error": None if success else "Slippage exceeded",
    } | changes


def row(rng: random.Random, **changes: Any) -> dict[str, Any]:
    """A row of the recent list."""
    success = rng.random() < 0.8
    return {
        "timestamp": f"2025-04-08T00:{rng.randrange(60):02d}:{rng.randrange(60):02d}Z",
        "token_pair": rng.choice(list(PAIRS)),
        "dex_1": rng.choice(VENUES),
        "dex_2": rng.choice(VENUES),
        "profit": round(rng.random(), 4) if success else 0,
        "gas_cost": round(rng.random() / 100, 4),
        "success": success,
        "amount": round(rng.random() * 5, 2),
        "strategy": "cross_dex_arbitrage",
        "block_number": rng.randrange(10**7),
        "execution_time_ms": rng.randrange(1000),
    } | changes


def opportunity(rng: random.Random, identity: str, **changes: Any) -> dict[str, Any]:
    """An opportunity in the same directory as trades."""
    return {
        "id": identity,
        "timestamp": "2025-04-06T17:56:36.565225+00:00",
        "token_pair": rng.choice(list(PAIRS)),
        "expected_profit_wei": str(rng.randrange(10**17)),
        "gas_cost_wei": str(rng.randrange(10**15)),
        "confidence_score": 0.9,
        "status": "PENDING",
    } | changes


def execution(rng: random.Random, identity: str, opportunity_id: str, **changes: Any) -> dict[str, Any]:
    """What became of an opportunity."""
    success = rng.random() < 0.7
    return {
        "id": identity,
        "timestamp": "2025-04-06T17:57:00+00:00",
        "opportunity_id": opportunity_id,
        "status": "SUCCESSFUL" if success else "FAILED",
        "actual_profit_wei": str(rng.randrange(10**17) if success else -rng.randrange(10**15)),
        "gas_cost_wei": str(rng.randrange(10**15)),
        "tx_hash": f"0x{rng.getrandbits(256):064x}",
        "error": None if success else "execution reverted",
    } | changes


@dataclass
class Bank:
    """A directory of the bank's layout."""

    path: Path

    def __post_init__(self) -> None:
        (self.path / "trades").mkdir(parents=True, exist_ok=True)

    @property
    def trades(self) -> Path:
        return self.path / "trades"

    @property
    def recent(self) -> Path:
        return self.trades / "recent_trades.json"

    def put(self, epoch: int, record: Any) -> Path:
        """One record in a file of its own, written plainly."""
        file = self.trades / f"trade_{epoch}.json"
        file.write_text(json.dumps(record, indent=2))
        return file

    def put_recent(self, rows: Any, style: str = "mmap") -> None:
        """The recent list, in one of the styles of writing."""
        STYLES[style](self.recent, json.dumps({"trades": rows} if isinstance(rows, list) else rows).encode())


def write_plain(file: Path, content: bytes) -> None:
    """Truncate, then write: a reader may see nothing, or a part."""
    with file.open("wb") as out:
        out.write(content)


def write_renamed(file: Path, content: bytes) -> None:
    """A temporary file that takes the place of the old one."""
    temporary = file.with_suffix(".json.tmp")
    temporary.write_bytes(content)
    temporary.replace(file)


def write_mapped(file: Path, content: bytes, size: int = 1 << 20) -> None:
    """A file of a fixed size, mapped into memory and padded with NUL bytes."""
    if not file.exists() or file.stat().st_size != size:
        file.write_bytes(bytes(size))
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), size) as mapped:
        mapped[: len(content)] = content
        mapped[len(content) :] = bytes(size - len(content))


def write_in_place(file: Path, content: bytes) -> None:
    """Over the old content, shortened afterwards: a reader may see a new head with an old tail."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
    finally:
        os.close(descriptor)


def write_slowly(file: Path, content: bytes) -> None:
    """In small pieces, flushed one by one."""
    with file.open("wb", buffering=0) as out:
        for start in range(0, len(content), 97):
            out.write(content[start : start + 97])


STYLES = {
    "plain": write_plain,
    "renamed": write_renamed,
    "mmap": write_mapped,
    "in_place": write_in_place,
    "slow": write_slowly,
}


@dataclass
class Oracle:
    """Counts every trade once by its key, with fractions, and shares no code with the exporter."""

    keys: set[str] = field(default_factory=set)
    counts: dict[tuple[str, str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    net: dict[tuple[str, str, str], Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    gas: dict[tuple[str, str, str], Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    expected: dict[tuple[str, str, str], Fraction] = field(default_factory=lambda: defaultdict(Fraction))

    def trade(self, record: dict[str, Any]) -> None:
        """A trade with its own file."""
        key = record.get("tx_hash") or hashlib.md5(json.dumps(record, sort_keys=True).encode()).hexdigest()
        seen = record["opportunity"]
        route = (PAIRS[seen["token_pair"]], seen["dex_1"], seen["dex_2"])
        self._add(key, route, record["success"], record["net_profit"], record["gas_cost"], seen["potential_profit"])

    def row(self, record: dict[str, Any], number: int = 0) -> None:
        """A row of the recent list; `number` counts its earlier twins in the same file."""
        key = f"{json.dumps(record, sort_keys=True)}#{number}"
        route = (PAIRS[record["token_pair"]], record["dex_1"], record["dex_2"])
        self._add(key, route, record["success"], record["profit"], record["gas_cost"], None)

    def _add(self, key: str, route: tuple[str, str, str], success: bool, net: Any, gas: Any, expected: Any) -> None:
        if key in self.keys:
            return
        self.keys.add(key)
        self.counts[(*route, "success" if success else "failed")] += 1
        for sums, amount in ((self.net, net), (self.gas, gas), (self.expected, expected)):
            sums[route] += Fraction(str(amount)) if amount is not None else 0
