"""The runbooks: one for each alert, and everything they name is there."""

from __future__ import annotations

import json
import re
import shutil
from urllib.parse import parse_qs, urlsplit

import pytest
from promql_parser import VectorSelector, parse

from exporter.web import openapi
from tests.alerting.rules import ALERTS, RECORDS, ROOT, RUNBOOKS
from tests.alerting.test_rules import LABELS
from tests.grafana.files import nodes

PAGES = {file.stem: file.read_text() for file in sorted(RUNBOOKS.glob("*.md"))}
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
EXPORTER, GRAFANA = "127.0.0.1:10453", "127.0.0.1:3000"
OTHERS = {"127.0.0.1:9093": {"", "/-/healthy"}, "127.0.0.1:9090": {"/graph"}}
"""Alertmanager and Prometheus."""
DASHBOARDS = {
    "distribution", "execution", "exporter", "gas-network", "memory-bank", "opportunities", "overview", "prices-live",
    "storage", "system", "trading",
}  # fmt: skip
"""Their uids, which are fixed."""
ROUTES = set(openapi.document()["paths"]) | {"/metrics", "/healthz", "/readyz"}
PROMETHEUS_OWN = {"ALERTS"}
OURS = {"arb-exporter", "promtool", "amtool"}
SYSTEM = {"curl", "tail", "grep", "dmesg", "df", "du", "ls", "ps", "top", "touch"}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def test_there_is_a_page_for_each_alert_and_no_other() -> None:
    assert set(PAGES) == set(ALERTS)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_its_four_sections_and_says_what_the_rule_says(name: str) -> None:
    page, alert = PAGES[name], ALERTS[name]
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == SECTIONS
    first = page.splitlines()[2]
    severity, summary = alert.body["labels"]["severity"], alert.body["annotations"]["summary"]
    assert first.startswith(f"*{severity}*, after {alert.body['for']}: {summary}. Rule: ")
    assert f"alerting/rules/{alert.file}.yml" in first
    assert blocks(page, "promql")
    assert re.search(r"^\* ", page.partition("## Mitigation")[2], re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_its_queries_are_valid_and_ask_for_what_there_is(name: str) -> None:
    for query in blocks(PAGES[name], "promql"):
        for node, _ in nodes(parse(query)):
            if isinstance(node, VectorSelector) and node.name is not None:
                assert node.name in LABELS or node.name in RECORDS or node.name in PROMETHEUS_OWN, node.name
                if node.name in LABELS:
                    assert {m.name for m in node.matchers.matchers} <= LABELS[node.name] | {"job", "instance"}


@pytest.mark.parametrize("name", PAGES)
def test_metrics_and_thresholds_in_its_text_exist(name: str) -> None:
    families = set(LABELS) | {sample.removesuffix("_bucket") for sample in LABELS}
    for word in re.findall(r"\barb(?:_\w+|:\w+(?::\w+)+)", PAGES[name]):
        assert word in families or word in RECORDS, word


@pytest.mark.parametrize("name", PAGES)
def test_its_commands_exist(name: str) -> None:
    for command in blocks(PAGES[name], "sh"):
        for part in re.split(r" \| | && ", re.sub(r"'[^']*'|\"[^\"]*\"", "''", command)):
            words = [word for word in part.split() if not re.match(r"[A-Z]+=", word)]
            assert words[0] in OURS | SYSTEM | {"head", "sort", "rm"}, words[0]
            assert words[0] not in OURS - {"arb-exporter"} or shutil.which(words[0])


@pytest.mark.parametrize("name", PAGES)
def test_its_addresses_exist(name: str) -> None:
    for url in map(urlsplit, re.findall(r"http://127[^\s'\")]+", PAGES[name])):
        if url.netloc == EXPORTER:
            assert url.path in ROUTES, url.path
            assert set(parse_qs(url.query).get("name[]", [])) <= set(LABELS)
        elif url.netloc == GRAFANA:
            assert url.path.removeprefix("/d/") in DASHBOARDS, url.path
        else:
            assert url.path in OTHERS[url.netloc], url


def test_the_uids_are_those_of_the_dashboards() -> None:
    found = {json.loads(file.read_text())["uid"] for file in (ROOT / "grafana" / "dashboards").glob("*.json")}
    assert found
    assert found == DASHBOARDS


@pytest.mark.parametrize("name", PAGES)
def test_its_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", PAGES[name]):
        assert (RUNBOOKS / target).resolve().exists(), target
