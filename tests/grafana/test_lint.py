"""The lint rules of dashboards, one small test each; metrics and labels are held against the golden exposition."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from promql_parser import Call, MatrixSelector

from tests.grafana.files import (
    ANNOTATIONS,
    COUNTED,
    DASHBOARDS,
    EVERY_PANEL,
    FILES,
    LABELS,
    PANELS,
    TARGETS,
    Json,
    loaded,
    matchers,
    nodes,
    panels,
    selectors,
    tree,
)
from tools.grafana.page import FOLDER
from tools.grafana.pages import PAGES

RATE_INTERVAL, RANGE = timedelta(seconds=241), timedelta(seconds=3601)
NEWER_SCHEMA = {"apiVersion", "kind", "metadata", "spec", "elements", "layout", "__inputs"}


# --- the file ----------------------------------------------------------------------------------------------------


def test_committed_files_are_what_the_code_builds() -> None:
    wanted = {page.file().name: page.text() for page in PAGES}
    assert {file.name: file.read_text() for file in FOLDER.iterdir()} == wanted, "run `make dashboards`"


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_a_dashboard_is_classic(dashboard: Json) -> None:
    assert dashboard["schemaVersion"] in (41, 42)
    assert not NEWER_SCHEMA & set(dashboard)
    assert "${DS_" not in json.dumps(dashboard)


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_a_dashboard_is_read_only(dashboard: Json) -> None:
    assert dashboard["editable"] is False


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_a_dashboard_says_what_question_it_answers(dashboard: Json) -> None:
    first, *_ = dashboard["panels"]
    assert first["type"] == "row"
    assert first["title"].endswith("?")
    assert "?" in dashboard["description"]


def test_titles_and_uids_are_unique_and_uids_are_file_names() -> None:
    found = [loaded(file) for file in FILES]
    assert [dashboard["uid"] for dashboard in found] == [file.stem for file in FILES]
    assert len({dashboard["title"] for dashboard in found}) == len(found)


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_pages_lead_to_each_other_and_keep_time_and_variables(dashboard: Json) -> None:
    (link,) = dashboard["links"]
    assert (link["type"], link["keepTime"], link["includeVars"]) == ("dashboards", True, True)
    assert set(link["tags"]) <= set(dashboard["tags"])


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_links_lead_to_pages_that_there_are_and_keep_the_time(panel: Json) -> None:
    for url in re.findall(r'"url": "(/d/[^"]*)"', json.dumps(panel)):
        page, _, query = url.removeprefix("/d/").partition("?")
        assert page in {file.stem for file in FILES}
        assert query.startswith("${__url_time_range}&${")


# --- variables ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_the_data_source_is_a_variable(dashboard: Json) -> None:
    first = dashboard["templating"]["list"][0]
    assert (first["name"], first["label"], first["type"]) == ("datasource", "Data source", "datasource")
    assert first["query"] == "prometheus"


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_job_instance_and_bot_are_variables_that_follow_each_other(dashboard: Json) -> None:
    variables = dashboard["templating"]["list"][1:4]
    assert [v["name"] for v in variables] == ["job", "instance", "bot"]
    for place, variable in enumerate(variables):
        assert variable["label"] == variable["name"].capitalize()
        assert (variable["type"], variable["multi"], variable["includeAll"]) == ("query", True, True)
        assert variable["allValue"] == ".+"
        assert all(f'=~"${before["name"]}"' in variable["query"]["query"] for before in variables[:place])


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_variables_ask_for_metrics_that_there_are(dashboard: Json) -> None:
    for variable in dashboard["templating"]["list"][1:]:
        named = re.findall(r"\barb_\w+", variable["query"]["query"])
        assert named
        assert set(named) <= set(LABELS)
        assert variable["refresh"] == 2, "asked again when the time range changes"
        assert variable["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_variables_are_used(dashboard: Json) -> None:
    text = json.dumps(dashboard["panels"])
    assert {v["name"] for v in dashboard["templating"]["list"] if f"${v['name']}" not in text} <= {"datasource", "bot"}


# --- panels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_a_panel_has_a_title_and_says_what_it_shows(panel: Json) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert len(panel["description"]) > len(panel["title"])


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_a_panel_has_a_unit(panel: Json) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_a_panel_says_in_words_that_there_is_nothing(panel: Json) -> None:
    assert panel["fieldConfig"]["defaults"]["noValue"]


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_uses_the_data_source_that_was_chosen(panel: Json) -> None:
    assert panel["datasource"]["uid"] == "${datasource}"
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_gas_and_prices_keep_their_digits(panel: Json) -> None:
    """Gas on Base is thousandths of a gwei, and `short` makes 3003 to 3.00 K."""
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] not in ("short", "currencyUSD")
    if panel["type"] in ("stat", "bargauge") and "_wei" in json.dumps(panel["targets"]):
        assert "gwei" in defaults["unit"]
        assert defaults["decimals"] >= 6


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_limits_rise(panel: Json) -> None:
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {"steps": [{"value": None}]})["steps"]
    assert steps[0]["value"] is None
    assert [step["value"] for step in steps[1:]] == sorted(step["value"] for step in steps[1:])


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_titles_are_told_apart_on_a_page(dashboard: Json) -> None:
    titles = [panel["title"] for panel in panels(dashboard)]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_panels_fill_the_grid_without_gap_or_overlap(dashboard: Json) -> None:
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    taken = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    height = max(p["y"] + p["h"] for p in places)
    assert sorted(taken) == [(x, y) for x in range(24) for y in range(height)]
    numbers = [panel["id"] for panel in (*dashboard["panels"], *panels(dashboard)) if panel["type"] == "row"]
    numbers += [panel["id"] for panel in panels(dashboard)]
    assert len(set(numbers)) == len(numbers)


# --- queries -----------------------------------------------------------------------------------------------------


def is_about_all_time(panel: Json) -> bool:
    """What happened before the first scrape is only in totals; who shows them says so, and only as they are now."""
    said = f"{panel['title']} {panel['description']}"
    return "all time" in said and all(target["instant"] for target in panel["targets"])


@pytest.mark.parametrize(("panel", "target"), TARGETS)
def test_a_query_is_valid(panel: Json, target: Json) -> None:
    tree(target["expr"])


@pytest.mark.parametrize(("panel", "target"), TARGETS)
def test_a_query_names_metrics_and_labels_that_there_are(panel: Json, target: Json) -> None:
    for selector, _ in selectors(target["expr"]):
        if selector.name != "ALERTS":
            assert selector.name in LABELS
            assert set(matchers(selector)) <= LABELS[selector.name] | {"job", "instance"}


@pytest.mark.parametrize(("panel", "target"), TARGETS)
def test_a_query_keeps_to_the_chosen_jobs_instances_and_bots(panel: Json, target: Json) -> None:
    for selector, _ in selectors(target["expr"]):
        found = matchers(selector)
        rest = "|" if selector.name == "ALERTS" else ""  # rules may have added up over them
        assert (found["job"], found["instance"]) == (f"JOB{rest}", f"INSTANCE{rest}")
        has_bot = "bot" in LABELS.get(selector.name, {"bot"})
        assert found.get("bot") == (f"BOT{rest}" if has_bot else None)


@pytest.mark.parametrize(("panel", "target"), TARGETS)
def test_counters_are_only_ever_seen_as_rates(panel: Json, target: Json) -> None:
    """Before they are added up: a sum of counters falls when one of them is reset."""
    for selector, above in selectors(target["expr"]):
        function = above[1].func.name if len(above) > 1 and isinstance(above[1], Call) else ""
        in_rate = isinstance(above[0] if above else None, MatrixSelector) and function in ("rate", "increase", "irate")
        if selector.name in COUNTED:
            assert in_rate or is_about_all_time(panel), selector.name
        else:
            assert not in_rate, selector.name


@pytest.mark.parametrize(("panel", "target"), TARGETS)
def test_rates_take_the_interval_that_fits_the_scrapes(panel: Json, target: Json) -> None:
    for node, above in nodes(tree(target["expr"])):
        if isinstance(node, MatrixSelector) and above[0].func.name in ("rate", "irate"):
            assert node.range == RATE_INTERVAL
        elif isinstance(node, MatrixSelector):
            assert node.range in (RATE_INTERVAL, RANGE, timedelta(hours=1))


@pytest.mark.parametrize(("panel", "target"), TARGETS)
def test_a_line_is_named_by_labels_that_its_query_keeps(panel: Json, target: Json) -> None:
    wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    kept = {label for by in re.findall(r"\bby \(([^)]*)\)", target["expr"]) for label in by.split(", ")}
    assert wanted <= kept
    is_one = re.match(r"(min|max)\(", target["expr"])  # the worst of all, which needs no name
    assert wanted or target["legendFormat"] or panel["type"] == "table" or is_one or not kept - {"le"}


@pytest.mark.parametrize("panel", [panel for panel in PANELS if panel.values[0]["type"] == "table"])
def test_a_table_names_all_its_columns(panel: Json) -> None:
    (merge, organize, sort) = panel["transformations"]
    assert (merge["id"], organize["id"], sort["id"]) == ("merge", "organize", "sortBy")
    named = organize["options"]["renameByName"]
    assert sort["options"]["sort"][0]["field"] in named.values()
    values = [f"Value #{target['refId']}" for target in panel["targets"]]
    assert set(values if len(values) > 1 else ["Value"]) <= set(named)
    for target in panel["targets"]:
        kept = re.findall(r"by \(([^)]*)\)", target["expr"])[0].split(", ")
        assert set(kept) <= set(named)


@pytest.mark.parametrize("panel", [panel for panel in PANELS if panel.values[0]["type"] == "table"])
def test_a_table_has_room_for_its_columns_on_half_a_screen(panel: Json) -> None:
    """Of 24 parts of the page's width three for each, so that the last one is not cut off at 800 pixels."""
    named = panel["transformations"][1]["options"]["renameByName"].values()
    assert panel["gridPos"]["w"] >= 3 * len(named)
    changes = [change for override in panel["fieldConfig"]["overrides"] for change in override["properties"]]
    fixed = [change["value"] for change in changes if change["id"] == "custom.width"]
    least = panel["fieldConfig"]["defaults"]["custom"]["minWidth"]
    assert sum(fixed) + least * (len(named) - len(fixed)) <= 30 * panel["gridPos"]["w"]


# --- annotations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_trades_restarts_reorgs_and_alerts_are_marked(dashboard: Json) -> None:
    assert {note["name"] for note in dashboard["annotations"]["list"]} == {"Trades", "Restarts", "Reorgs", "Alerts"}


@pytest.mark.parametrize("note", ANNOTATIONS)
def test_an_annotation_asks_for_what_there_is(note: dict[str, Any]) -> None:
    for selector, _ in selectors(note["expr"]):
        assert selector.name in {*LABELS, "ALERTS"}
        assert {"job", "instance"} <= set(matchers(selector))
    assert note["datasource"]["uid"] == "${datasource}"
