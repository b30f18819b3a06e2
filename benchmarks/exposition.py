"""Text of all series, made by client_python and by us, side by side.

python -m benchmarks.exposition
"""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily

from exporter import exposition
from exporter.board import _Pieces
from exporter.exposition import Format
from exporter.metrics import counter

LABELS = ("bot", "source", "pair", "dex_buy", "dex_sell")


def main() -> None:
    """Measure and print."""
    print(f"{'series':>7} {'generate_latest':>16} {'ours, all new':>14} {'ours, unchanged':>16}")
    for series in (500, 2000):
        rows = [(("b", "memory_bank", f"PAIR{i}/USDC", f"v{i % 7}", f"w{i % 5}"), float(i)) for i in range(series)]
        family = counter("arb_bench_total", "Rows.", *LABELS).each(rows)
        theirs = _time(lambda rows=rows: generate_latest(_registry(rows)))  # type: ignore[misc]
        new = _time(lambda family=family: _page([_Pieces((family,))]))  # type: ignore[misc]
        kept = [_Pieces((family,))]
        same = _time(lambda kept=kept: _page(kept))  # type: ignore[misc]
        print(f"{series:7d} {theirs * 1e3:13.3f} ms {new * 1e3:11.3f} ms {same * 1e3:13.3f} ms   {theirs / new:5.1f}x")


def _registry(rows: list[tuple[tuple[str, ...], float]]) -> CollectorRegistry:
    class Rows:
        def collect(self) -> list[CounterMetricFamily]:
            family = CounterMetricFamily("arb_bench", "Rows.", labels=LABELS)
            for labels, value in rows:
                family.add_metric(labels, value)
            return [family]

    registry = CollectorRegistry()
    registry.register(Rows())  # type: ignore[arg-type]  # all that a registry asks for is `collect`
    return registry


def _page(pieces: list[_Pieces]) -> object:
    return exposition.join([piece.get(Format.TEXT) for piece in pieces])


def _time(call: Callable[[], object]) -> float:
    best = 1e9
    for _ in range(30):
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return best


if __name__ == "__main__":
    main()
