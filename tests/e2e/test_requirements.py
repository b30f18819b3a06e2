"""Every question of docs/requirements.md asked of a real Prometheus over a real exporter, node and bot's events."""

import asyncio
import json
import math
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests import bank
from tests.bot_events import document
from tests.pools_world import CHAIN_ID, World, world
from tests.requirements import EVERY
from tests.running import Running, free_port, running, until

ROOT = Path(__file__).parents[2]
PATIENCE = 120
UNANSWERED = {
    "arb_live_messages_total": "no Alertmanager speaks here; tests/web/test_alerts.py shows that one is heard",
}
"""Metrics that this test gives no reason to be there."""


class Prometheus:
    """A Prometheus that looks every second, and follows the rules as often."""

    def __init__(self, folder: Path, exporter: Running) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        rules = (ROOT / "alerting" / "rules" / "requirements.yml").read_text()
        (folder / "rules.yml").write_text(rules.replace("interval: 1m", "interval: 1s"))
        settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": "arb-exporter", "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}]}
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        self.command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}",
                        f"--storage.tsdb.path={folder / 'prometheus'}", "--log.level=error",
                        f"--web.listen-address={self.url.removeprefix('http://')}"]  # fmt: skip

    def answers(self, query: str) -> bool:
        """Whether there is at least one number."""
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310
            found = json.loads(response.read())["data"]["result"]
        return any(math.isfinite(float(sample["value"][1])) for sample in found)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as response:  # noqa: S310
                return bool(response.status == 200)
        except OSError:
            return False


@contextmanager
def prometheus(folder: Path, exporter: Running) -> Iterator[Prometheus]:
    made = Prometheus(folder, exporter)
    with subprocess.Popen(made.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            until(made.ready, 30)
            yield made
        finally:
            process.kill()


@pytest.fixture(scope="module")
def chain() -> Iterator[World]:
    with world("--block-time", "1") as made:
        made.plant_multicall()
        made.pair("aerodrome", "WETH", "USDC", 3000, 200)
        made.pair("baseswap", "WETH", "USDC", 3030, 20)
        yield made


def settings(folder: Path, node: World) -> dict[str, Any]:
    own = bank.Bank(folder / "bank")
    own.put(bank.FIRST_EPOCH, {"broken": True})
    (folder / "bank" / "state").mkdir()
    (folder / "bank" / "state" / "state.json").write_text('{"bot_status": "running"}')
    (folder / "backups" / "20260101_000000").mkdir(parents=True)
    (folder / "bot.log").write_text("2026-01-01 00:00:00,000 - bot - INFO - begun\n")
    weth = node.tokens["WETH"][0].address
    return {
        "bot": {"name": "b", "memory_bank": str(own.path), "logs": [{"name": "bot", "path": str(folder / "bot.log")}]},
        "chain": {
            "chain_id": CHAIN_ID,
            "endpoints": [{"name": "own", "http": node.url}],
            "wallets": [{"name": "trader", "address": node.me.lower()}],
            "tokens": [weth],
            "pools": [{k: v for k, v in asdict(pool).items() if v is not None} for pool in node.chain().pools],
        },
        "storage": [{"name": "backups", "path": str(folder / "backups"), "backup": True}],
        "state": str(folder / "ledger"),
    }


def told(number: int) -> list[dict[str, Any]]:
    """What a bot does in a moment: it finds chances, lets one go, takes one, and says how it fares."""
    now = time.time()

    def one(kind: str, what: str = "", **fields: Any) -> dict[str, Any]:
        return document(kind, f"{number} {kind} {what}", now, **fields)

    timing = {"discovered_at": now - 2, "submitted_at": now - 1.5, "included_at": now - 0.5}
    return [
        one("opportunity", expected_profit_eth="0.3"),
        one("opportunity", "cbeth", pair="cbETH/WETH"),
        one("opportunity", "stable", pair="USDbC-USDC"),
        one("opportunity", "lost", stage="rejected", reason="gas too high", expected_profit_eth="0.1"),
        one("trade", strategy="two-hop", opportunity_id=f"{number} opportunity ", path_length=2, gas_used=210_000,
            amount_eth="5", slippage_ratio="0.002", **timing),
        one("trade", "lost", strategy="triangular", outcome="failed", net_profit_eth="-0.01", path_length=3,
            gas_used=310_000, amount_eth="4", slippage_ratio="0.004", **timing),
        one("flash_loan", fee_eth="0.001"),
        one("bundle"),
        one("bundle", "in", outcome="included"),
        one("bundle", "out", outcome="sandwiched"),
        one("allocation", "dex", dex="aerodrome"),
        one("allocation", "pair", pair="WETH/USDC"),
        one("component"),
        one("cache", hits=90 * number, misses=10 * number, entries=9, bytes=4096),
        one("pool"),
        one("price"),
    ]  # fmt: skip


class Bot(threading.Thread):
    """Reports events, sees to it that the chain is crowded, and listens to the live feed; until told to end."""

    def __init__(self, exporter: Running, node: World) -> None:
        super().__init__()
        self._exporter, self._node, self._end = exporter, node, threading.Event()
        self.refused: list[int] = []

    def run(self) -> None:
        asyncio.run(self._run())

    def end(self) -> None:
        self._end.set()
        self.join(30)

    async def _run(self) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{self._exporter.url}/ws") as live:
            await live.send_json({"op": "subscribe", "topics": ["system", "prices"]})
            listening = asyncio.create_task(self._listen(live))
            number = 0
            while not self._end.is_set():
                number += 1
                async with session.post(f"{self._exporter.url}/api/v1/events", json=told(number)) as response:
                    if response.status != 202:
                        self.refused.append(response.status)
                fee = hex(int(10**9 * 1.1 ** min(number, 200)))  # always above the median of what it was
                await asyncio.to_thread(self._node.request, "anvil_setNextBlockBaseFeePerGas", fee)
                await asyncio.sleep(1)
            listening.cancel()

    async def _listen(self, live: aiohttp.ClientWebSocketResponse) -> None:
        async for _ in live:
            pass


def test_every_question_has_an_answer(tmp_path: Path, chain: World) -> None:
    with running(settings(tmp_path, chain), tmp_path) as exporter, prometheus(tmp_path, exporter) as asked:
        bot = Bot(exporter, chain)
        bot.start()
        try:
            silent = {row.query: row.asked for row in EVERY if row.name not in UNANSWERED}
            deadline = time.monotonic() + PATIENCE
            while silent and time.monotonic() < deadline:
                silent = {query: name for query, name in silent.items() if not asked.answers(query)}
                time.sleep(0.5)
        finally:
            bot.end()
    assert sorted(silent.values()) == []
    assert bot.refused == []


def test_what_has_no_answer_here_says_why() -> None:
    assert set(UNANSWERED) <= {row.name for row in EVERY}
