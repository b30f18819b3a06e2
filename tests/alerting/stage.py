"""A stage for incidents: the demo's world, the exporter, Prometheus, Alertmanager, and whoever is told."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from demo import observers
from demo.processes import free_port
from demo.world import World
from tests.alerting.rules import ROOT
from tools import scaled_rules

FACTOR = 60
"""A minute of the rules is a second here."""
THRESHOLDS = {
    # ages, of a world whose bot writes its state every few seconds
    "bot_silent_seconds": 20, "memory_bank_age_seconds": 25, "chain_head_age_seconds": 8, "price_age_seconds": 1e6,
    "exporter_settled_seconds": 5, "host_disk_filling_seconds": 240,
    # this machine may be busy, and the traders' luck is not the subject
    "host_cpu_ratio": 2, "host_memory_ratio": 2, "exporter_loop_lag_seconds": 60, "live_news_hour_minimum": 1e9,
    "host_disk_free_ratio_warning": 0.02, "host_disk_free_ratio_critical": 0.01,
    "trades_hour_minimum": 1e6, "trades_day_minimum": 1e6, "opportunities_hour_minimum": 1e6, "claims_minimum": 1e6,
    "profit_overstated_ether": 1e3, "drawdown_peak_ether_minimum": 0.05,
}  # fmt: skip
OPERATORS = ("critical", "warning", "info")


@dataclass(frozen=True, slots=True)
class Told:
    """One alert of one message to a receiver; `at` is monotonic."""

    at: float
    receiver: str
    state: str
    alert: str
    labels: Mapping[str, str]


class Receivers:
    """A web server that takes Alertmanager's messages, one path for each receiver."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.port = free_port()

    async def take(self, request: web.Request) -> web.Response:
        at, message = time.monotonic(), await request.json()
        receiver = request.match_info["receiver"]
        for alert in message["alerts"]:
            labels = alert["labels"]
            self.told.append(Told(at, receiver, alert["status"], labels["alertname"], labels))
        return web.Response()

    def to_operators(self, since: float, state: str = "firing") -> dict[str, Told]:
        """By alert, when an operator was first told of it after that moment."""
        found: dict[str, Told] = {}
        for told in self.told:
            if told.at >= since and told.state == state and told.receiver in OPERATORS:
                found.setdefault(told.alert, told)
        return found


def alertmanager_settings(receivers: str, exporter: str) -> str:
    """The shipped configuration, with its routes and inhibitions, but at once and to receivers of our own."""
    settings = yaml.safe_load((ROOT / "alerting" / "alertmanager.yml").read_text())
    for route in (settings["route"], *settings["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
    urls = {each["name"]: f"{receivers}/{each['name']}" for each in settings["receivers"]}
    urls["live-page"] = f"{exporter}/api/v1/alerts"
    settings["receivers"] = [{"name": name, "webhook_configs": [{"url": url}]} for name, url in urls.items()]
    return yaml.safe_dump({key: settings[key] for key in ("route", "inhibit_rules", "receivers")}, sort_keys=False)


def prometheus_settings(exporter_port: int, alertmanager_port: int) -> str:
    """Scrape and evaluate every second."""
    target = {"targets": [f"127.0.0.1:{exporter_port}"]}
    settings = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules/*.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}]},
        "scrape_configs": [{"job_name": "arb-exporter", "static_configs": [target]}],
    }
    return yaml.safe_dump(settings, sort_keys=False)


@dataclass(slots=True)
class Stage:
    """Everything that runs, and how it is asked."""

    world: World
    session: aiohttp.ClientSession
    receivers: Receivers
    exporter: str
    prometheus: str
    alertmanager: str
    disk: Path | None

    async def metrics(self) -> dict[str, list[tuple[Mapping[str, str], float]]]:
        """The exporter's samples by name."""
        async with self.session.get(f"{self.exporter}/metrics") as response:
            text = await response.text()
        found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

    async def json(self, url: str) -> Any:
        async with self.session.get(url) as response:
            return await response.json()

    async def active(self) -> set[str]:
        """Alerts that Prometheus has pending or firing, but for the watchdog."""
        answer = await self.json(f"{self.prometheus}/api/v1/alerts")
        return {each["labels"]["alertname"] for each in answer["data"]["alerts"]} - {"ArbWatchdog"}

    async def inhibited(self) -> set[str]:
        """Alerts that Alertmanager keeps back because of another."""
        alerts = await self.json(f"{self.alertmanager}/api/v2/alerts")
        return {each["labels"]["alertname"] for each in alerts if each["status"]["inhibitedBy"]}

    async def shown(self) -> set[str]:
        """Alerts that the exporter shows as firing."""
        answer = await self.json(f"{self.exporter}/api/v1/alerts?limit=100")
        return {each["labels"]["alertname"] for each in answer["alerts"] if each["state"] == "firing"}


@asynccontextmanager
async def stage(folder: Path, disk: Path | None) -> AsyncIterator[Stage]:
    """All of it, calm: no alert is pending."""
    port = free_port()
    async with World(folder / "world", exporter_url=f"http://127.0.0.1:{port}") as world, _listening() as receivers:
        exporter = await _start_exporter(world, port, disk)
        await world.start_traders()
        await world.start_bot()
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await observers.wait_until_ready(world, session, f"{exporter}/readyz")
            urls = await _start_alerting(world, port, receivers)
            for url in urls:
                await observers.wait_until_ready(world, session, f"{url}/-/ready")
            yield Stage(world, session, receivers, exporter, *urls, disk)


@asynccontextmanager
async def _listening() -> AsyncIterator[Receivers]:
    receivers = Receivers()
    app = web.Application()
    app.router.add_post("/{receiver}", receivers.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", receivers.port).start()
    try:
        yield receivers
    finally:
        await runner.cleanup()


async def _start_exporter(world: World, port: int, disk: Path | None) -> str:
    """The demo's settings, with a store on the small disk instead of the bank's backups."""
    settings = yaml.safe_load(observers.exporter_settings(world))
    settings["storage"] = [{"name": "analytics", "path": str(disk)}] if disk else []
    file = world.directory / "exporter.yml"
    file.write_text(yaml.safe_dump(settings))
    listen = f"--web.listen-address=127.0.0.1:{port}"
    await world.children.start("exporter", sys.executable, "-m", "exporter", f"--config.file={file}", listen)
    return f"http://127.0.0.1:{port}"


async def _start_alerting(world: World, exporter_port: int, receivers: Receivers) -> tuple[str, str]:
    folder = world.directory
    prometheus, alertmanager = free_port(), free_port()
    scaled_rules.write(folder / "rules", FACTOR, THRESHOLDS)
    (folder / "prometheus.yml").write_text(prometheus_settings(exporter_port, alertmanager))
    told, exporter = f"http://127.0.0.1:{receivers.port}", f"http://127.0.0.1:{exporter_port}"
    (folder / "alertmanager.yml").write_text(alertmanager_settings(told, exporter))
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    assert program, "alertmanager is missing: `make test` installs it when root"
    await world.children.start(
        "alertmanager",
        *(program, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'alertmanager'}"),
        *(f"--web.listen-address=127.0.0.1:{alertmanager}", "--cluster.listen-address="),
    )
    program = shutil.which("prometheus")
    assert program, "prometheus is missing: `make test` installs it when root"
    await world.children.start(
        "prometheus",
        *(program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'prometheus'}"),
        *(f"--web.listen-address=127.0.0.1:{prometheus}", "--query.lookback-delta=5s"),
        "--rules.alert.resend-delay=5s",  # what is sent before Alertmanager is discovered is lost, else for a minute
    )
    return f"http://127.0.0.1:{prometheus}", f"http://127.0.0.1:{alertmanager}"


async def until(holds: Any, seconds: float, what: str) -> None:
    """Ask until it holds.

    Raises:
        AssertionError: it does not, in that time.
    """
    deadline = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.1)
