"""Whatever a hostile bot reports, by HTTP and by file: series stay bounded, the page valid, every collector alive."""

import json
import random
import urllib.request
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.running import Running, running, until
from tests.sources.event_documents import TYPES, event

MOST = 2_000
NASTY = (
    "",
    "x" * 64,
    "x" * 65,
    'quote"',
    "back\\slash",
    "new\nline",
    "\u2028",
    "é🦄",
    "{a='b'}",
    "other",
    "unknown",
    " ",
)


def hostile(rng: random.Random, number: int) -> dict[str, Any]:
    """An event of which every text is another one."""

    def word() -> str:
        return rng.choice(NASTY) if rng.random() < 0.1 else f"n{rng.randrange(10**6)}"

    kind = rng.choice(TYPES)
    made = event(kind, f"e{number}", strategy=word() or None)
    if kind == "trade":
        made["tx_hash"] = f"0x{number:064x}"
    for field in ("pair", "dex_buy", "dex_sell", "dex", "provider", "token", "relay", "name", "reason"):
        if field in made:
            made[field] = f"{word()}/{word()}" if field == "pair" else word() or "x"
    for field in ("stage", "outcome", "status"):
        choices = {"opportunity": ("detected", "executed", "rejected", "missed"), "bundle": ("submitted", "dropped"),
                   "component": ("ok", "degraded", "down")}.get(kind, ("success", "failed"))  # fmt: skip
        if field in made:
            made[field] = rng.choice(choices)
    return made


def post(exporter: Running, events: list[dict[str, Any]]) -> int:
    request = urllib.request.Request(  # noqa: S310
        f"{exporter.url}/api/v1/events", json.dumps(events).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        return int(response.status)


def test_hostile_names_stay_within_the_limit_of_series(tmp_path: Path) -> None:
    rng = random.Random(5)
    events = [hostile(rng, number) for number in range(6_000)]
    file = tmp_path / "events.ndjson"
    file.write_text("".join(json.dumps(each) + "\n" for each in events[3_000:]))
    with running({"bot": {"name": "b", "events": str(file)}}, tmp_path) as exporter:
        for start in range(0, 3_000, 500):
            assert post(exporter, events[start : start + 500]) == 202

        def taken() -> bool:
            samples = exporter.samples()
            told = sum(v for (name, _), v in samples.items() if name == "arb_events_total") == len(events)
            return told and any(("strategy", "other") in labels for _, labels in samples)

        until(taken, 120, exporter)
        until(lambda: json.loads(exporter.get("/readyz"))["failing"] == {}, 60, exporter)
        text = exporter.get("/metrics").decode()
    series = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert len(series) <= MOST
    assert {value for (name, _), value in exporter_success(series)} == {1.0}


def exporter_success(series: list[Any]) -> list[tuple[tuple[str, str], float]]:
    name = "arb_scrape_collector_success"
    return [((s.name, s.labels["collector"]), s.value) for s in series if s.name == name]
