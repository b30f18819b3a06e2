"""Those who look at the world: the exporter and, if it is installed, Prometheus."""

import asyncio
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from demo.processes import free_port, is_free
from demo.world import World

EXPORTER_PORT = 10453
PROMETHEUS_PORT = 9090
READY_SECONDS = 30.0
SCRAPE_SECONDS = 5
OUTCOMES = "arb_bot_trades_by_outcome_total"


class NotReady(Exception):
    """A program was started but does not get ready."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Trades of the bot so far."""

    success: int
    failed: int


def exporter_settings(world: World) -> str:
    """The exporter's configuration for this world, as YAML."""
    about = world.description
    settings = {
        "bot": {
            "name": "demo",
            "memory_bank": str(world.bank),
            "timezone": about.timezone,
            "logs": [{"name": "arbitrage", "path": str(world.log)}],
            "events": str(world.events),
            "process": {"pidfile": str(world.pidfile)},
        },
        "chain": {
            "chain_id": about.chain_id,
            "endpoints": [{"name": "anvil", "http": about.rpc_url, "ws": about.ws_url}],
            "wallets": [{"name": "trader", "address": about.wallets["bot"]}],
            "contracts": [{"name": "executor", "address": about.contracts["arbitrageur"]}],
            "tokens": [token.address for token in about.tokens],
            "pools": [
                {
                    "name": f"{pool.dex}-{pool.base}-{pool.quote}",
                    "dex": pool.dex,
                    "kind": "uniswap_v2",
                    "address": pool.address,
                }
                for pool in about.pools
            ],
            "backfill_from": 1,
        },
        "storage": [{"name": "bank-backups", "path": str(world.bank / ".backups"), "backup": True}],
        "state": str(world.directory / "exporter-state"),
    }
    return yaml.safe_dump(settings, sort_keys=False)


async def start_exporter(world: World, port: int) -> str:
    """Start the exporter without authentication; returns its URL at once, before it is ready."""
    settings = world.directory / "exporter.yml"
    settings.write_text(exporter_settings(world), encoding="utf-8")
    await world.children.start(
        "exporter",
        *(sys.executable, "-m", "exporter"),
        *(f"--config.file={settings}", f"--web.listen-address=127.0.0.1:{port}"),
    )
    return exporter_url(port)


def exporter_url(port: int) -> str:
    """Where an exporter on that port is found."""
    return f"http://127.0.0.1:{port}"


def prometheus_settings(exporter_port: int) -> str:
    """Prometheus' configuration: scrape the exporter only."""
    settings = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "scrape_configs": [
            {"job_name": "arb-exporter", "static_configs": [{"targets": [f"127.0.0.1:{exporter_port}"]}]}
        ],
    }
    return yaml.safe_dump(settings, sort_keys=False)


async def start_prometheus(world: World, exporter_port: int) -> str | None:
    """Start Prometheus on its usual port, or a free one if that is taken; None if it is not installed."""
    program = shutil.which("prometheus")
    if program is None:
        return None
    port = PROMETHEUS_PORT if is_free(PROMETHEUS_PORT) else free_port()
    settings = world.directory / "prometheus.yml"
    settings.write_text(prometheus_settings(exporter_port), encoding="utf-8")
    await world.children.start(
        "prometheus",
        *(program, f"--config.file={settings}", f"--web.listen-address=127.0.0.1:{port}"),
        f"--storage.tsdb.path={world.directory / 'prometheus'}",
    )
    return f"http://127.0.0.1:{port}"


async def wait_until_ready(world: World, session: aiohttp.ClientSession, url: str) -> None:
    """Ask until the answer is 200; raises NotReady with the last answer, ChildEnded or NodeError."""
    deadline, last = time.monotonic() + READY_SECONDS, "no answer"
    while time.monotonic() < deadline:
        world.check()
        try:
            async with session.get(url) as response:
                if response.status == 200:
                    return
                last = f"{response.status} {await response.text()}"
        except aiohttp.ClientError as error:
            last = str(error)
        await asyncio.sleep(0.1)
    raise NotReady(f"{url} is not ready after {READY_SECONDS:g} s: {last.strip()}")


async def exported_counts(session: aiohttp.ClientSession, url: str) -> Counts:
    """The trades by the exporter's own account of the memory bank."""
    async with session.get(f"{url}/metrics") as response:
        text = await response.text()
    counts = {"success": 0.0, "failed": 0.0}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == OUTCOMES and sample.labels.get("source") == "memory_bank":
                counts[sample.labels["outcome"]] = sample.value
    return Counts(int(counts["success"]), int(counts["failed"]))


def written_counts(bank: Path) -> Counts:
    """The trades by the files of the memory bank."""
    texts = [path.read_text(encoding="utf-8") for path in (bank / "trades").glob("trade_*.json")]
    success = sum('"success": true' in text for text in texts)
    return Counts(success, sum('"success": false' in text for text in texts))
