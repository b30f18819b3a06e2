"""How long the first read of a large bank takes, and what scrapes notice of it.

python -m benchmarks.first_read [--trades 10000]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

from tests import bank
from tests.running import running


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), options.trades)


def _measure(folder: Path, trades: int) -> None:
    made, rng = bank.Bank(folder / "bank"), random.Random(1)
    for i in range(trades):
        made.put(bank.FIRST_EPOCH + i, bank.trade(rng))
    settings = {"bot": {"memory_bank": str(made.path)}, "state": str(folder / "ledger")}
    began = time.monotonic()
    with running(settings, folder) as exporter:
        up = time.monotonic() - began
        scrapes = []
        while True:
            started = time.monotonic()
            body = exporter.get("/metrics").decode()
            scrapes.append(time.monotonic() - started)
            if "arb_bot_trades_by_outcome_total{" in body:
                break
            time.sleep(0.02)
        print(f"up after              {up:7.2f} s")
        print(f"{trades} trades after {time.monotonic() - began:9.2f} s    (promise: <= 10 for 10,000)")
        print(f"scrapes meanwhile     {len(scrapes):7d}")
        print(f"slowest               {max(scrapes) * 1e3:7.1f} ms, median {statistics.median(scrapes) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
