"""The dashboard of Grafana Live: it asks for what the exporter pushes, and for nothing else."""

import json
import re
from typing import Any

import pytest

from exporter.config import GrafanaPush
from exporter.live.grafana import Latest
from tests.live.test_grafana import price
from tools import live_dashboard
from tools.dashboards import DASHBOARDS, rendered

FOUND: dict[str, Any] = json.loads(live_dashboard.FILE.read_text())
PANELS = [pytest.param(panel, id=panel["title"]) for panel in FOUND["panels"]]


def pushed() -> dict[str, tuple[set[str], set[str]]]:
    """The fields and tags of each measurement."""
    latest = Latest()
    latest.prices([price(), price("other")])
    latest.gas([{"base_fee_wei": "1", "next_base_fee_wei": "1", "block_used_ratio": 0.5}])
    return {point.measurement: (set(point.fields), set(point.tags)) for point in latest.points()}


def test_the_committed_file_is_what_the_code_builds() -> None:
    assert live_dashboard.FILE.read_text() == rendered(live_dashboard.dashboard()), "run `make dashboards`"


def test_it_is_classic_read_only_and_never_asks_by_the_clock() -> None:
    assert FOUND["schemaVersion"] in (41, 42)
    assert (FOUND["editable"], FOUND["refresh"], FOUND["uid"]) == (False, "", live_dashboard.FILE.stem)
    assert FOUND["time"] == {"from": "now-1m", "to": "now"}
    assert not {"apiVersion", "kind", "metadata", "spec", "elements", "layout", "__inputs"} & set(FOUND)
    assert FOUND["title"] not in {build()["title"] for build in DASHBOARDS.values()}


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_streams_fields_that_are_pushed(panel: dict[str, Any]) -> None:
    (target,) = panel["targets"]
    scope, stream, measurement = target["channel"].split("/")
    assert (scope, stream) == ("stream", GrafanaPush("http://localhost").stream)
    assert target["queryType"] == "measurements"
    assert panel["datasource"] == target["datasource"] == {"type": "datasource", "uid": "grafana"}
    fields, tags = pushed()[measurement]
    time, *asked = target["filter"]["fields"]
    assert time == "time"
    assert asked
    assert set(asked) <= fields
    named = re.findall(r"\$\{__field\.labels\.(\w+)\}", panel["fieldConfig"]["defaults"].get("displayName", ""))
    assert set(named) <= tags
    overridden = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    assert named or overridden == set(asked)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows_and_that_it_has_no_history(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith("history begins when the dashboard is opened.")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] not in ("", "short", "currencyUSD")
    assert defaults["noValue"]
    if panel["type"] == "timeseries":
        assert defaults["custom"]["spanNulls"] is True
        assert defaults["custom"]["lineInterpolation"] == "stepAfter"


def test_panels_fill_the_grid_without_gap_or_overlap() -> None:
    places = [panel["gridPos"] for panel in FOUND["panels"]]
    taken = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    height = max(p["y"] + p["h"] for p in places)
    assert sorted(taken) == [(x, y) for x in range(24) for y in range(height)]
    assert len({panel["id"] for panel in FOUND["panels"]}) == len(places)
