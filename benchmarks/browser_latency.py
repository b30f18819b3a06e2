"""From a transaction mined to the number changed in a real browser, and the exporter's own part of that.

python -m benchmarks.browser_latency --swaps 200
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.async_api import Page, async_playwright

from benchmarks.price_latency import Hand, hand
from tests.pools_world import CHAIN_ID, World, world
from tests.running import Running, running, until

WATCH = """() => {
  const cell = document.querySelector("#prices .figure");
  window.changes = [];
  new MutationObserver(() => window.changes.push([cell.textContent, Date.now()]))
    .observe(cell, {characterData: true, childList: true, subtree: true});
}"""
CHANGED = "(seen) => window.changes.length > seen ? window.changes[seen][1] : null"
TIMES = 100_000
"""Of the usual swap, so that the shown number changes."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=200)
    options = parser.parse_args()
    with world("--prune-history", "64") as made, tempfile.TemporaryDirectory() as folder:
        made.plant_multicall()
        made.v3("uniswap", "WETH", "USDC", 3000.0, 10**17)
        pools = [{"dex": d, "kind": v.facts.kind, "address": v.facts.address} for d, v in made.venues.items()]
        endpoint = {"name": "anvil", "http": made.url, "ws": made.ws}
        settings = {"chain": {"chain_id": CHAIN_ID, "endpoints": [endpoint], "pools": pools}}
        with running(settings, Path(folder), "--log.level=warn") as exporter:
            until(lambda: any(name == "arb_pool_up" and v == 1 for (name, _), v in exporter.samples().items()), 90)
            asyncio.run(_measure(made, exporter, options.swaps))


async def _measure(made: World, exporter: Running, swaps: int) -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    async with async_playwright() as playwright, hand(made) as own:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(f"{exporter.url}/live")
        await page.wait_for_selector("#prices .figure")
        await page.evaluate(WATCH)
        found = [await _once(own, page, number) for number in range(swaps)]
        await browser.close()
    cuts = statistics.quantiles(found, n=100)
    print(f"{swaps} swaps, one a block, from the request to mine the block to the number changed in the page")
    print(f"p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms, max {max(found):.0f} ms; promise: p99 < 250 ms")
    print(f"of that in the exporter, learned to written: {_own_part(exporter)}; promise: p99 < 10 ms")


async def _once(own: Hand, page: Page, number: int) -> float:
    seen = await page.evaluate("window.changes.length")
    await own.swap("uniswap", forward=number % 2 == 0, times=TIMES if number % 2 == 0 else TIMES // 4)
    began = time.time()
    await own.request("evm_mine")
    changed = await page.wait_for_function(CHANGED, arg=seen, timeout=10_000)
    took = await changed.json_value() - began * 1000
    await asyncio.sleep(random.uniform(0.05, 0.3))
    return float(took)


def _own_part(exporter: Running) -> str:
    """The share of messages within each bound of the histogram."""
    name = "arb_live_publish_latency_seconds"
    samples = exporter.samples()
    total = samples[f"{name}_count", frozenset()]
    within = {dict(labels)["le"]: count for (n, labels), count in samples.items() if n == f"{name}_bucket"}
    shown = sorted((float(bound), count) for bound, count in within.items() if bound != "+Inf" and count)
    return ", ".join(f"{count / total:.1%} within {bound * 1000:g} ms" for bound, count in shown if bound <= 0.05)


if __name__ == "__main__":
    main()
