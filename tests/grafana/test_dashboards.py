"""The lint rules of dashboards, one small test each; metrics and labels are held against the golden exposition."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import Call, MatrixSelector, VectorSelector, parse

from tools import dashboards

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "grafana"
FILES = [file for file in sorted((FOLDER / "dashboards").glob("*.json")) if file.stem in dashboards.DASHBOARDS]
GOLDEN = (ROOT / "tests" / "golden" / "metrics.txt").read_text()
FAMILIES = list(text_string_to_metric_families(GOLDEN))
LABELS = {s.name: set(s.labels) for family in FAMILIES for s in family.samples} | {"up": {"job", "instance"}}
COUNTED = {s.name for family in FAMILIES if family.type in ("counter", "histogram") for s in family.samples}
RATE_INTERVAL, RANGE = timedelta(seconds=241), timedelta(seconds=3601)
PLAIN = {"$__rate_interval": "241s", "$__range": "3601s", "$job": "JOB", "$instance": "INSTANCE", "$bot": "BOT"}
CHILDREN = ("expr", "lhs", "rhs", "args", "param", "vector_selector")


def loaded(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text()))


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


DASHBOARDS = [pytest.param(loaded(file), id=file.stem) for file in FILES]
EVERY_PANEL = [
    pytest.param(panel, id=f"{file.stem}: {panel['title']}") for file in FILES for panel in panels(loaded(file))
]
EVERY_TARGET = [
    pytest.param(target, id=f"{panel.id} {target['refId']}")
    for panel in EVERY_PANEL
    for target in panel.values[0]["targets"]
]


def tree(expr: str) -> Any:
    """The parsed query, its variables replaced by values that can be told from literal ones."""
    for variable, value in PLAIN.items():
        expr = expr.replace(variable, value)
    return parse(expr)


def nodes(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every node with those above it, the nearest first."""
    yield node, above
    for name in CHILDREN:
        child = getattr(node, name, None)
        for below in child if isinstance(child, list) else [child] if child is not None else []:
            yield from nodes(below, (node, *above))


def selectors(expr: str) -> list[tuple[VectorSelector, tuple[Any, ...]]]:
    return [(node, above) for node, above in nodes(tree(expr)) if isinstance(node, VectorSelector)]


def matchers(selector: VectorSelector) -> dict[str, str]:
    return {matcher.name: matcher.value for matcher in selector.matchers.matchers}


def test_committed_files_are_what_the_code_builds() -> None:
    wanted = {name: dashboards.rendered(build()) for name, build in dashboards.DASHBOARDS.items()}
    assert {file.stem: file.read_text() for file in FILES} == wanted, "run `make dashboards`"


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_a_dashboard_is_classic_and_read_only(dashboard: dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] in (41, 42)
    assert dashboard["editable"] is False
    assert dashboard["title"]
    assert not {"apiVersion", "kind", "metadata", "spec", "elements", "layout", "__inputs"} & set(dashboard)
    assert "${DS_" not in json.dumps(dashboard)


def test_titles_and_uids_are_unique_and_uids_are_file_names() -> None:
    found = [loaded(file) for file in FILES]
    assert [dashboard["uid"] for dashboard in found] == [file.stem for file in FILES]
    assert len({dashboard["title"] for dashboard in found}) == len(found)


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_the_data_source_is_a_variable(dashboard: dict[str, Any]) -> None:
    first = dashboard["templating"]["list"][0]
    assert (first["name"], first["label"], first["type"]) == ("datasource", "Data source", "datasource")
    assert first["query"] == "prometheus"


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_job_instance_and_bot_are_variables_that_follow_each_other(dashboard: dict[str, Any]) -> None:
    variables = dashboard["templating"]["list"][1:]
    assert [v["name"] for v in variables] == ["job", "instance", "bot"]
    for place, variable in enumerate(variables):
        assert variable["label"] == variable["name"].capitalize()
        assert (variable["type"], variable["multi"], variable["allValue"]) == ("query", True, ".+")
        assert variable["refresh"] == 2, "asked again when the time range changes"
        assert variable["datasource"]["uid"] == "${datasource}"
        assert all(f'=~"${before["name"]}"' in variable["query"]["query"] for before in variables[:place])


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_variables_ask_for_metrics_that_there_are(dashboard: dict[str, Any]) -> None:
    for variable in dashboard["templating"]["list"][1:]:
        named = re.findall(r"\barb_\w+", variable["query"]["query"])
        assert named
        assert set(named) <= set(LABELS)


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_a_panel_uses_the_data_source(panel: dict[str, Any]) -> None:
    assert panel["datasource"]["uid"] == "${datasource}"
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_gas_and_prices_keep_their_digits(panel: dict[str, Any]) -> None:
    """Gas on Base is thousandths of a gwei, and `short` makes 3003 to 3.00 K."""
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] not in ("short", "currencyUSD")
    if panel["type"] == "stat" and "gwei" in defaults["unit"]:
        assert defaults["decimals"] >= 6


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_a_figure_is_red_only_where_a_limit_is_set(panel: dict[str, Any]) -> None:
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps[0]["value"] is None
    assert [step["value"] for step in steps[1:]] == sorted(step["value"] for step in steps[1:])


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_panels_fill_the_grid_without_gap_or_overlap(dashboard: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    taken = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    height = max(p["y"] + p["h"] for p in places)
    assert sorted(taken) == [(x, y) for x in range(24) for y in range(height)]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)


@pytest.mark.parametrize("target", EVERY_TARGET)
def test_a_query_is_valid(target: dict[str, Any]) -> None:
    assert "$" not in str(tree(target["expr"]))


@pytest.mark.parametrize("target", EVERY_TARGET)
def test_a_query_names_metrics_and_labels_that_there_are(target: dict[str, Any]) -> None:
    for selector, _ in selectors(target["expr"]):
        assert selector.name in LABELS
        assert set(matchers(selector)) <= LABELS[selector.name] | {"job", "instance"}


@pytest.mark.parametrize("target", EVERY_TARGET)
def test_a_query_keeps_to_the_chosen_jobs_instances_and_bots(target: dict[str, Any]) -> None:
    for selector, _ in selectors(target["expr"]):
        found = matchers(selector)
        assert (found["job"], found["instance"]) == ("JOB", "INSTANCE")
        assert found.get("bot") == ("BOT" if "bot" in LABELS[selector.name] else None)


@pytest.mark.parametrize("target", EVERY_TARGET)
def test_counters_are_only_ever_seen_as_rates(target: dict[str, Any]) -> None:
    """Before they are added up: a sum of counters falls when one of them is reset."""
    for selector, above in selectors(target["expr"]):
        function = above[1].func.name if len(above) > 1 and isinstance(above[1], Call) else ""
        in_rate = isinstance(above[0] if above else None, MatrixSelector) and function in ("rate", "increase", "irate")
        assert in_rate == (selector.name in COUNTED), selector.name


@pytest.mark.parametrize("target", EVERY_TARGET)
def test_rates_take_the_interval_that_fits_the_scrapes(target: dict[str, Any]) -> None:
    for node, above in nodes(tree(target["expr"])):
        if isinstance(node, MatrixSelector) and above[0].func.name in ("rate", "irate"):
            assert node.range == RATE_INTERVAL
        elif isinstance(node, MatrixSelector):
            assert node.range in (RATE_INTERVAL, RANGE, timedelta(hours=1))


@pytest.mark.parametrize("target", EVERY_TARGET)
def test_a_line_is_named_by_labels_that_its_query_keeps(target: dict[str, Any]) -> None:
    wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    kept = {label for by in re.findall(r"\bby \(([^)]*)\)", target["expr"]) for label in by.split(", ")}
    assert wanted <= kept
    assert target["legendFormat"] or not kept - {"le"}


def test_the_first_row_asks_the_three_questions() -> None:
    found = loaded(FOLDER / "dashboards" / "overview.json")["panels"]
    rows = [place for place, panel in enumerate(found) if panel["type"] == "row"]
    assert found[0]["title"] == "Is it healthy, is it earning, is it true?"
    assert {"Exporter", "Bot process", "Is it true?"} <= {panel["title"] for panel in found[: rows[1]]}


def test_the_data_source_is_provisioned_as_the_dashboards_expect_it() -> None:
    (source,) = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    scraped = yaml.safe_load((ROOT / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert (source["uid"], source["type"], source["editable"]) == ("prometheus", "prometheus", False)
    assert source["url"] == "${PROMETHEUS_URL}"
    assert source["jsonData"]["timeInterval"] == scraped == "15s"


def test_dashboards_are_provisioned_from_files_and_stay_as_they_are() -> None:
    (provider,) = yaml.safe_load((FOLDER / "provisioning" / "dashboards" / "arb.yml").read_text())["providers"]
    assert (provider["type"], provider["allowUiUpdates"], provider["folder"]) == ("file", False, "Arbitrage")
    assert provider["options"]["path"].startswith("/")
