"""Panels that do not ask Prometheus: what the exporter pushes through Grafana Live, and its API as tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tools.grafana.panels import LEGEND, LINES, LISTED, STAT, Json, override

LIVE: Final = {"type": "datasource", "uid": "grafana"}
INFINITY: Final = {"type": "yesoreyeram-infinity-datasource", "uid": "arb-api"}
STREAM: Final = "arb"
"""The default of the setting `live.grafana.stream`."""
NOTHING: Final = "nothing has been pushed yet"
PUSHED: Final = " Pushed by the exporter several times a second; history begins when the dashboard is opened."


@dataclass(frozen=True, slots=True)
class Stream:
    """A streaming panel: which fields of which measurement, in which unit, and what their lines are called."""

    kind: Literal["timeseries", "stat"]
    title: str
    about: str
    measurement: str
    fields: tuple[str, ...]
    unit: str
    decimals: int
    legend: str = ""
    names: tuple[str, ...] = ()
    width: int | None = None
    height: int | None = 10

    def json(self) -> Json:
        """The panel without its place."""
        target: Json = {
            "refId": "A",
            "datasource": LIVE,
            "queryType": "measurements",
            "channel": f"stream/{STREAM}/{self.measurement}",
            "filter": {"fields": ["time", *self.fields]},
        }
        names = zip(self.fields, self.names, strict=False)
        return {
            "type": self.kind,
            "title": self.title,
            "description": self.about + PUSHED,
            "datasource": LIVE,
            "maxDataPoints": 2000,
            "targets": [target],
            "fieldConfig": {
                "defaults": self._defaults(),
                "overrides": [override(name, displayName=shown) for name, shown in names],
            },
            "options": FIGURES if self.kind == "stat" else STREAMING,
        }

    def _defaults(self) -> Json:
        found: Json = {
            "unit": self.unit,
            "decimals": self.decimals,
            "noValue": NOTHING,
            "color": {"mode": "palette-classic"},
            "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": "blue"}]},
        }
        found |= {"displayName": self.legend} if self.legend else {}
        return found | ({"custom": STEPS} if self.kind == "timeseries" else {})


STEPS: Final[Json] = LINES | {"lineInterpolation": "stepAfter", "fillOpacity": 0, "spanNulls": True}
STREAMING: Final[Json] = {
    "legend": LEGEND | {"displayMode": "table", "calcs": ["lastNotNull"]},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
FIGURES: Final[Json] = STAT | LISTED | {"colorMode": "none"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an answer's items."""

    name: str
    title: str
    kind: Literal["string", "number", "timestamp_epoch_s"] = "string"
    unit: str = ""
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A table of what the exporter's API answers; needs Grafana's Infinity data source."""

    title: str
    about: str
    path: str
    items: str
    fields: tuple[Field, ...]
    kind: str = "table"
    width: int | None = None
    height: int | None = 14

    def json(self) -> Json:
        """The panel without its place."""
        target: Json = {
            "refId": "A",
            "datasource": INFINITY,
            "type": "json",
            "parser": "backend",
            "source": "url",
            "format": "table",
            "url": self.path,
            "url_options": {"method": "GET", "data": ""},
            "root_selector": self.items,
            "columns": [{"selector": f.name, "text": f.title, "type": f.kind} for f in self.fields],
            "filters": [],
        }
        return {
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "datasource": INFINITY,
            "targets": [target],
            "fieldConfig": {
                "defaults": {"unit": "none", "noValue": "none", "custom": {"align": "auto", "filterable": True}},
                "overrides": [_written(field) for field in self.fields if field.unit],
            },
            "options": {"showHeader": True, "cellHeight": "sm"},
        }


def _written(field: Field) -> Json:
    digits = {"decimals": field.decimals} if field.decimals is not None else {}
    return override(field.title, unit=field.unit, **digits)
