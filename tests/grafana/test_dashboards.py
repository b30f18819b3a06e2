"""The lint rules of dashboards, one small test each."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from promql_parser import parse

from exporter import collectors
from exporter.board import METRICS
from tools import dashboards

FOLDER = Path(__file__).parents[2] / "grafana"
FILES = sorted((FOLDER / "dashboards").glob("*.json"))
KINDS = {m.name: m.kind for m in METRICS} | {m.name: m.kind for c in collectors.ALL for m in c.metrics}
VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$job": "j", "$instance": "i", "$bot": "b"}
NAME = re.compile(r"\barb_[a-z0-9_]+")


def loaded(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries() -> list[Any]:
    return [
        pytest.param(target["expr"], id=f"{file.stem}-{panel['title']}-{target['refId']}")
        for file in FILES
        for panel in panels(loaded(file))
        for target in panel["targets"]
    ]


def plain(expr: str) -> str:
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    return expr


def metric(name: str) -> str:
    return re.sub(r"_(bucket|count|sum)$", "", name) if name not in KINDS else name


def test_committed_files_are_what_the_code_builds() -> None:
    assert {file.stem for file in FILES} == set(dashboards.DASHBOARDS)
    for name, build in dashboards.DASHBOARDS.items():
        current = (FOLDER / "dashboards" / f"{name}.json").read_text()
        assert current == dashboards.rendered(build()), "run `python -m tools.dashboards`"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_dashboard_is_classic_fixed_and_read_only(file: Path) -> None:
    found = loaded(file)
    assert found["uid"] == file.stem
    assert found["schemaVersion"] in (41, 42)
    assert found["editable"] is False
    assert found["title"]
    assert not {"apiVersion", "kind", "metadata", "spec", "elements", "layout", "__inputs"} & set(found)
    assert "${DS_" not in file.read_text()


def test_titles_and_uids_are_unique() -> None:
    found = [loaded(file) for file in FILES]
    assert len({d["uid"] for d in found}) == len({d["title"] for d in found}) == len(found)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_variables_for_source_job_instance_and_bot(file: Path) -> None:
    names = [v["name"] for v in loaded(file)["templating"]["list"]]
    assert names == ["datasource", "job", "instance", "bot"]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_every_panel_says_what_it_is_and_uses_the_source(file: Path) -> None:
    ids = [panel["id"] for panel in loaded(file)["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels(loaded(file)):
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_panels_fill_the_grid_without_overlap(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in loaded(file)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells


@pytest.mark.parametrize("expr", queries())
def test_a_query_is_valid_and_filtered(expr: str) -> None:
    parse(plain(expr))
    for selector in re.findall(r"\barb_[a-z0-9_]+(\{[^}]*\})?", expr):
        assert 'job=~"$job"' in selector
        assert 'instance=~"$instance"' in selector
    for name in NAME.findall(expr):
        assert name.startswith(("arb_bot", "arb_memory")) is False or 'bot=~"$bot"' in expr


@pytest.mark.parametrize("expr", queries())
def test_a_query_names_only_metrics_that_there_are(expr: str) -> None:
    assert {metric(name) for name in NAME.findall(expr)} <= set(KINDS)


@pytest.mark.parametrize("expr", queries())
def test_counters_are_only_ever_rates_and_rates_use_the_interval(expr: str) -> None:
    for name in NAME.findall(expr):
        inside = re.search(rf"(rate|increase|irate)\({name}\{{[^}}]*\}}\[", expr)
        counts = KINDS[metric(name)] in ("counter", "histogram")
        assert bool(inside) == counts
    assert all(window in ("$__rate_interval", "$__range", "1h") for window in re.findall(r"\[([^\]]+)\]", expr))
    assert not re.search(r"\brate\([^[]*\[(?!\$__rate_interval)", expr)


def test_the_first_row_asks_the_three_questions() -> None:
    titles = [p["title"] for p in loaded(FOLDER / "dashboards" / "overview.json")["panels"][:6]]
    assert titles[0] == "Is it healthy, is it earning, is it true?"
    assert {"Bot process", "Is it true?"} <= set(titles)


def test_provisioning_is_fixed() -> None:
    source = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    assert (source["uid"], source["editable"], source["jsonData"]["timeInterval"]) == ("prometheus", False, "15s")
    provider = yaml.safe_load((FOLDER / "provisioning" / "dashboards" / "arb.yml").read_text())["providers"][0]
    assert (provider["allowUiUpdates"], provider["type"]) == (False, "file")
