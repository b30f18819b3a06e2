"""Every query of every dashboard, asked of a Prometheus that scrapes the demo: data in every panel, and no NaN."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.grafana.files import ANNOTATIONS, DASHBOARDS, PANELS, ROOT, Json
from tests.running import free_port, until

PATIENCE = 240.0
"""Seconds: two rates need a trade between three scrapes, and the bot trades when a chance comes."""
SCRAPE = 5
VARIABLES = {
    "$__rate_interval": f"{4 * SCRAPE}s",
    "$__interval": f"{SCRAPE}s",
    "$__range": "60s",
    "$job": ".+",
    "$instance": ".+",
    "$bot": ".+",
}
WITHOUT = {
    "execution: Nonces missing": "the demo's node does not tell which transactions it has queued",
    "gas-network: What a trade costs": "the demo's chain has no L1 below it, whose data fee is one of the two lines",
    "execution: Bundles, all time": "a local chain has no MEV relays",
    "execution: Bundles that got in": "a local chain has no MEV relays",
    "execution: Front-run and sandwiched": "a local chain has no MEV relays",
    "overview: Alerts": "the demo's Prometheus has no rules, so that it cannot know of alerts",
    "gas-network: L1 fees": "the demo's chain has no L1 below it, so there is no oracle of its fees",
    "gas-network: Reorg depth": "nobody reorganises the demo's chain",
    "memory-bank: Invalid records, all time": "the demo's bot writes no bad records",
    "memory-bank: Invalid records over time": "the demo's bot writes no bad records",
    "system: Bots, one by one": "the demo's bot has no API of its own, which is one of the columns",
    "system: Its API": "the demo's bot has no API of its own",
    "system: Its API takes": "the demo's bot has no API of its own",
    "exporter: Grafana Live": "the demo runs without Grafana",
    "exporter: Pushed to Grafana": "the demo runs without Grafana",
}
"""Panels that may be empty here, and why; what they show instead is their own `noValue`."""


class Prometheus:
    """The demo's Prometheus, asked as Grafana asks it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: Any) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=20) as answer:  # noqa: S310
            return json.load(answer)["data"]

    def choices(self, variable: Json) -> list[str]:
        """What a dashboard's variable can be."""
        selector, _, label = filled(variable["query"]["query"]).removeprefix("label_values(").rpartition(", ")
        return sorted(self.ask(f"label/{label.rstrip(')')}/values", **{"match[]": selector}))

    def source(self, page: Json) -> str:
        """Whose word a dashboard shows as it opens, if it lets one choose."""
        chosen = [v for v in page["templating"]["list"] if v["name"] == "source"]
        return next(iter(self.choices(chosen[0])), "") if chosen else ""

    def values(self, target: Json, source: str = "") -> list[list[float]]:
        """The values of each series that a target finds."""
        expr = filled(target["expr"]).replace("$source", source)
        if target.get("instant"):
            found = self.ask("query", query=expr)["result"]
            return [[float(series["value"][1])] for series in found]
        now = time.time()
        found = self.ask("query_range", query=expr, start=now - 60, end=now, step=SCRAPE)["result"]
        return [[float(value) for _, value in series["values"]] for series in found]


def filled(expr: str) -> str:
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    return expr


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A running demo with Prometheus, and somebody who listens to its live feed."""
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    about, said = folder / "demo.json", folder / "said.txt"
    command = [sys.executable, "-m", "demo", f"--exporter-port={port}", f"--json={about}"]
    with said.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, env=os.environ)
    try:
        until(lambda: about.exists() or process.poll() is not None, 120)
        assert process.poll() is None, said.read_text()
        found = json.loads(about.read_text())
        assert found["prometheus_url"], "prometheus is part of Debian's package of that name; `make test` installs it"
        with listener(found["exporter_url"]):
            yield found
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


class listener:  # noqa: N801 - used like a function
    """A client of the live feed for as long as the block lasts."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._listen(url),))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self, url: str) -> None:
        self._task = asyncio.current_task()
        try:
            async with aiohttp.ClientSession() as session:
                async with session.ws_connect(f"{url}/ws", protocols=["arb.live.v1"]) as ws:
                    await ws.send_json({"op": "subscribe", "topics": ["prices", "trades", "gas"]})
                    async for _ in ws:
                        pass
        except asyncio.CancelledError:
            return


@pytest.fixture(scope="module")
def asked() -> dict[str, Json]:
    """The panels to be asked for."""
    return {str(panel.id): panel.values[0] for panel in PANELS}


@pytest.fixture(scope="module")
def empty(demo: dict[str, Any], asked: dict[str, Json]) -> dict[str, list[str]]:
    """Panels with targets that found nothing by the time everything else had something; asked again and again."""
    prometheus = Prometheus(demo["prometheus_url"])
    waiting = dict(asked)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and set(waiting) - set(WITHOUT):
        sources = {str(page.id): prometheus.source(page.values[0]) for page in DASHBOARDS}
        lacks = {name: missing(prometheus, panel, sources[name.partition(":")[0]]) for name, panel in waiting.items()}
        waiting = {name: panel for name, panel in waiting.items() if lacks[name]}
    return {name: lacks[name] for name in waiting}


def missing(prometheus: Prometheus, panel: Json, source: str) -> list[str]:
    """The panel's targets that find nothing; values that are no numbers end the test at once."""
    empty = []
    for target in panel["targets"]:
        found = prometheus.values(target, source)
        assert all(math.isfinite(v) for series in found for v in series), (panel["title"], target["expr"])
        if not any(found):
            empty.append(target["expr"])
    return empty


def test_every_panel_has_data_or_says_why_not(empty: dict[str, list[str]]) -> None:
    assert {name: queries for name, queries in empty.items() if name not in WITHOUT} == {}


def test_what_may_be_empty_is_what_is_empty(asked: dict[str, Json], empty: dict[str, list[str]]) -> None:
    """Nobody keeps a place on the list that is not needed any more."""
    assert set(WITHOUT) & set(asked) == set(empty)
    assert set(WITHOUT) <= {str(panel.id) for panel in PANELS}


def test_every_variable_has_values(demo: dict[str, Any], empty: object) -> None:
    prometheus = Prometheus(demo["prometheus_url"])
    for dashboard in DASHBOARDS:
        for variable in dashboard.values[0]["templating"]["list"][1:]:
            assert prometheus.choices(variable), (dashboard.id, variable["name"])


def test_annotations_can_be_asked_for(demo: dict[str, Any], empty: object) -> None:
    prometheus = Prometheus(demo["prometheus_url"])
    found = {str(note.id): prometheus.values({"expr": note.values[0]["expr"]}) for note in ANNOTATIONS}
    assert all(found[f"{page.id}: Restarts"] and found[f"{page.id}: Trades"] for page in DASHBOARDS)
