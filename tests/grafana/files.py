"""The committed dashboards, taken apart for the tests: panels, targets, and parsed queries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import VectorSelector, parse

type Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "grafana"
FILES = sorted((FOLDER / "dashboards").glob("*.json"))
FAMILIES = list(text_string_to_metric_families((ROOT / "tests" / "golden" / "metrics.txt").read_text()))
LABELS = {s.name: set(s.labels) for family in FAMILIES for s in family.samples} | {"up": {"job", "instance"}}
COUNTED = {s.name for family in FAMILIES if family.type in ("counter", "histogram") for s in family.samples}
PLAIN = {
    "$__rate_interval": "241s",
    "$__range": "3601s",
    "$__interval": "61s",
    "$job": "JOB",
    "$instance": "INSTANCE",
    "$bot": "BOT",
    "$source": "SOURCE",
}
"""Values of variables that can be told from literal ones."""
CHILDREN = ("expr", "lhs", "rhs", "args", "param", "vector_selector")


def loaded(file: Path) -> Json:
    return dict(json.loads(file.read_text()))


def panels(dashboard: Json) -> list[Json]:
    """Every panel but the headings, also those that are folded away."""
    found = [inner for panel in dashboard["panels"] for inner in (panel, *panel.get("panels", []))]
    return [panel for panel in found if panel["type"] != "row"]


def asks_prometheus(panel: Json) -> bool:
    return bool(panel["datasource"]["type"] == "prometheus")


DASHBOARDS = [pytest.param(loaded(file), id=file.stem) for file in FILES]
EVERY_PANEL = [pytest.param(p, id=f"{file.stem}: {p['title']}") for file in FILES for p in panels(loaded(file))]
PANELS = [panel for panel in EVERY_PANEL if asks_prometheus(panel.values[0])]
TARGETS = [
    pytest.param(panel.values[0], target, id=f"{panel.id} {target['refId']}")
    for panel in PANELS
    for target in panel.values[0]["targets"]
]
ANNOTATIONS = [
    pytest.param(note, id=f"{file.stem}: {note['name']}")
    for file in FILES
    for note in loaded(file)["annotations"]["list"]
]


def tree(expr: str) -> Any:
    """The parsed query, its variables replaced."""
    for variable, value in PLAIN.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr, expr
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
