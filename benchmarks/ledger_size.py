"""How large the ledger grows, how long it takes to open and to copy: `python -m benchmarks.ledger_size [TRADES]`."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from exporter import books, safekeeping
from exporter.ledger import FILE, Ledger
from exporter.sources.memory_bank import Batch
from exporter.sources.records import Trade

BATCH = 500


def trade(rng: random.Random, number: int) -> Trade:
    """One as the bank has them, with a hash of its own."""
    net = rng.randrange(-(10**16), 10**17)
    return Trade(
        b"t" + rng.randbytes(32), rng.randbytes(32), 1.7e9 + number, "WETH/USDC", rng.choice(("aerodrome", "uniswap")),
        rng.choice(("baseswap", "sushiswap")), "success" if net > 0 else "failed", None, net, rng.randrange(10**15),
        rng.randrange(10**17), "0x" + rng.randbytes(32).hex(),
    )  # fmt: skip


async def measure(trades: int, folder: Path) -> None:
    """Write, open, copy."""
    rng, state = random.Random(1), folder / "state"
    began = time.perf_counter()
    async with Ledger(state) as ledger:
        for start in range(0, trades, BATCH):
            batch = Batch("memory_bank", complete=True, trades=[trade(rng, start + n) for n in range(BATCH)])
            await ledger.write(lambda db, batch=batch: books.Writer(db, "b", "memory_bank", 100, 2e9).put(batch, []))
    wrote = time.perf_counter() - began
    size = (state / FILE).stat().st_size
    began = time.perf_counter()
    async with Ledger(state) as ledger:
        await ledger.read(lambda db: books.read(db, "b"))
        opened = time.perf_counter() - began
        began = time.perf_counter()
        await asyncio.to_thread(safekeeping.backup, state, folder / "copy")
    copied = time.perf_counter() - began
    print(f"{trades} trades: {size / 2**20:.1f} MiB, {size / trades:.0f} bytes each = {size / trades * 1e6 / 2**20:.0f}"
          f" MiB a million; written at {trades / wrote:.0f}/s, opened and summed in {opened * 1e3:.0f} ms,"
          f" copied and checked in {copied:.1f} s; {os.cpu_count()} cores")  # fmt: skip


def main() -> None:
    """The command line."""
    trades = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(trades, Path(folder)))


if __name__ == "__main__":
    main()
