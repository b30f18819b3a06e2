"""Tables: a row for each combination of labels, a column for each figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tools.grafana.looks import Steps, Texts
from tools.grafana.panels import Json, Look, Panel, mapping, nothing, override
from tools.grafana.queries import Query

NAMES: Final = {
    "component": 105, "document": 128, "instance": 120, "pair": 100, "pool": 178, "source": 105,
    "store": 106, "strategy": 145,
}  # fmt: skip
"""Pixels that the names of a label need, if they are longer than figures."""
HALF_A_SCREEN: Final = 31
"""Pixels of one of 24 parts of a page's width that is 800 pixels wide."""
CELLS: Final[Json] = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": False, "minWidth": 70}


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of each row."""

    title: str
    expr: str
    unit: str = "none"
    decimals: int | None = None
    steps: Steps = ()
    texts: Texts | None = None
    width: int | None = None

    def override(self) -> Json:
        """Its unit and colours; what is not there has none."""
        found: Json = {"unit": self.unit}
        words = [mapping(self.texts)] if self.texts else []
        steps = [{"value": value, "color": color} for value, color in self.steps]
        found |= {"decimals": self.decimals} if self.decimals is not None else {}
        found |= {"thresholds": {"mode": "absolute", "steps": steps}} if steps else {}
        found |= (
            {"mappings": [*words, nothing("–")], "custom.cellOptions": {"type": "color-text"}} if steps or words else {}
        )
        found |= {"custom.width": self.width} if self.width else {}
        return override(self.title, **found)


def table(
    title: str, about: str, key: str, *columns: Column, sort: str = "", order: Literal["up", "down"] = "down",
    links: str = "", width: int | None = None, height: int | None = None, no_value: str = "none",
    names: dict[str, str] | None = None,
) -> Panel:  # fmt: skip
    """A row for each combination of the labels in `key`, a column for each figure; `links` is the page a row opens."""
    labels = key.split(", ")
    shown = {label: (names or {}).get(label, label.replace("_", " ").capitalize()) for label in labels}
    fields = {"Value" if len(columns) == 1 else f"Value #{chr(65 + i)}": c.title for i, c in enumerate(columns)}
    places = {name: place for place, name in enumerate((*labels, *fields))}
    arranged = {
        "excludeByName": {"Time": True},
        "indexByName": places,
        "renameByName": shown | fields,
        "includeByName": {},
    }
    share = (width or 24) * HALF_A_SCREEN / (len(labels) + len(columns))
    wide = [override(shown[label], **{"custom.width": NAMES[label]}) for label in labels if NAMES.get(label, 0) > share]
    opened = [override(shown[labels[0]], links=[_row_link(links, labels)])] if links else []
    by, falls = sort or columns[0].title, order == "down"
    # Both: the rows come sorted, and the heading shows by what.
    rows = {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": by, "desc": falls}]}}
    return Panel(
        "table", title, about, tuple(Query(column.expr) for column in columns),
        Look("none", no_value=no_value, gap="–"),
        {"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": by, "desc": falls}]},
        CELLS,
        overrides=(*(column.override() for column in columns), *wide, *opened),
        transformations=({"id": "merge", "options": {}}, {"id": "organize", "options": arranged}, rows),
        width=width, height=height,
    )  # fmt: skip


def _row_link(page: str, labels: list[str]) -> Json:
    """Opens a page for what the row is about, at the same time and for the same exporters."""
    chosen = "".join(f"&var-{label}=${{__data.fields.{label}}}" for label in labels if label in ("bot", "source"))
    return {
        "title": f"Open {page}",
        "url": f"/d/{page}?${{__url_time_range}}&${{job:queryparam}}&${{instance:queryparam}}{chosen}",
    }
