"""Every dashboard keeps to the strict schema, and the schema would notice if one did not."""

import copy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.grafana.files import DASHBOARDS, FILES, Json, loaded
from tests.grafana.schema import DASHBOARD, PANELS, ROW

WHOLE = Draft202012Validator(DASHBOARD)
OF_PANELS = [Draft202012Validator(schema) for schema in (ROW, *PANELS)]


def faults(dashboard: Json) -> list[str]:
    """What is wrong, named by the panel and by the field within it."""
    found = [e.message for e in WHOLE.iter_errors(dashboard | {"panels": [{}]}) if "panels" not in e.absolute_path]
    for panel in dashboard["panels"]:
        tried = [list(schema.iter_errors(panel)) for schema in OF_PANELS]
        if all(tried):
            found += [f"{panel['title']}: {error.json_path} {error.message}"[:300] for error in min(tried, key=len)]
    return found


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_a_dashboard_holds_what_grafana_knows_and_nothing_else(dashboard: Json) -> None:
    assert faults(dashboard) == []
    assert WHOLE.is_valid(dashboard)


def test_the_schema_itself_is_one() -> None:
    Draft202012Validator.check_schema(DASHBOARD)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("refersh",), "10s"),
        (("panels", 1, "fieldConfig", "defaults", "unti"), "none"),
        (("panels", 1, "fieldConfig", "defaults", "unit"), "percent-unit"),
        (("panels", 1, "options", "colourMode"), "value"),
        (("panels", 1, "targets", 0, "exrp"), "up"),
        (("panels", 1, "gridPos", "width"), 4),
        (("templating", "list", 1, "allvalue"), ".+"),
    ],
)
def test_a_misspelt_field_is_found(path: tuple[Any, ...], value: object) -> None:
    broken = copy.deepcopy(loaded(FILES[0]))
    place = broken
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert faults(broken)
    assert not WHOLE.is_valid(broken)
