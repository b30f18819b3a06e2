"""Panels beside Prometheus: they ask for what the exporter pushes and answers, and for nothing else."""

import re
from dataclasses import fields

import pytest

from exporter.config import Bot, Chain, GrafanaPush, Limits, Live, Settings
from exporter.live.grafana import Latest
from exporter.web import openapi
from tests.grafana.files import EVERY_PANEL, FOLDER, Json, asks_prometheus, loaded
from tests.live.test_grafana import price
from tools.grafana.feeds import INFINITY, LIVE

OTHERS = [panel for panel in EVERY_PANEL if not asks_prometheus(panel.values[0])]
STREAMS = [panel for panel in OTHERS if panel.values[0]["datasource"] == LIVE]
ANSWERS = [panel for panel in OTHERS if panel.values[0]["datasource"] == INFINITY]
PRICES = loaded(FOLDER / "dashboards" / "prices-live.json")


def pushed() -> dict[str, tuple[set[str], set[str]]]:
    """The fields and tags of each measurement."""
    latest = Latest()
    latest.prices([price(), price("other")])
    latest.gas([{"base_fee_wei": "1", "next_base_fee_wei": "1", "block_used_ratio": 0.5}])
    return {point.measurement: (set(point.fields), set(point.tags)) for point in latest.points()}


def test_every_panel_has_a_data_source_that_is_known() -> None:
    assert STREAMS
    assert ANSWERS
    assert len(STREAMS) + len(ANSWERS) == len(OTHERS)


def test_a_streaming_page_never_asks_by_the_clock() -> None:
    assert (PRICES["refresh"], PRICES["time"]) == ("", {"from": "now-1m", "to": "now"})


@pytest.mark.parametrize("panel", STREAMS)
def test_a_panel_streams_fields_that_are_pushed(panel: Json) -> None:
    (target,) = panel["targets"]
    scope, stream, measurement = target["channel"].split("/")
    assert (scope, stream) == ("stream", GrafanaPush("http://localhost").stream)
    assert target["queryType"] == "measurements"
    assert target["datasource"] == LIVE
    known, tags = pushed()[measurement]
    time, *asked = target["filter"]["fields"]
    assert time == "time"
    assert asked
    assert set(asked) <= known
    named = re.findall(r"\$\{__field\.labels\.(\w+)\}", panel["fieldConfig"]["defaults"].get("displayName", ""))
    assert set(named) <= tags
    overridden = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    assert named or overridden == set(asked)


@pytest.mark.parametrize("panel", STREAMS)
def test_a_streaming_panel_says_that_it_has_no_history(panel: Json) -> None:
    assert panel["description"].endswith("history begins when the dashboard is opened.")
    if panel["type"] == "timeseries":
        assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is True
        assert panel["fieldConfig"]["defaults"]["custom"]["lineInterpolation"] == "stepAfter"


@pytest.mark.parametrize("panel", ANSWERS)
def test_a_table_of_the_api_is_folded_away_and_says_what_it_needs(panel: Json) -> None:
    assert "Infinity data source" in panel["description"]
    folded = [p for d in FOLDER.glob("dashboards/*.json") for row in loaded(d)["panels"] for p in row.get("panels", [])]
    assert panel in folded


def answered(path: str) -> Json:
    """The schema of what a path answers."""
    document = openapi.document()
    found = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    return dict(document["components"]["schemas"][found["$ref"].rpartition("/")[2]]["properties"])


def test_the_table_of_trades_asks_for_fields_that_are_answered() -> None:
    (panel,) = [panel.values[0] for panel in ANSWERS if "trades" in panel.values[0]["targets"][0]["url"]]
    (target,) = panel["targets"]
    assert target["root_selector"] in answered("/api/v1/trades")
    known = openapi.document()["components"]["schemas"]["Trade"]["properties"]
    assert {column["selector"] for column in target["columns"]} <= set(known)


def test_the_table_of_settings_asks_for_settings_that_there_are() -> None:
    (panel,) = [panel.values[0] for panel in ANSWERS if "config" in panel.values[0]["targets"][0]["url"]]
    (target,) = panel["targets"]
    assert target["root_selector"] in answered("/api/v1/config")
    settings = {"bot": Bot, "chain": Chain, "live": Live, "limits": Limits}
    for column in target["columns"]:
        room, _, name = column["selector"].rpartition(".")
        assert name in {field.name for field in fields(settings[room] if room else Settings)}
