"""Builds the dashboard whose panels are fed by Grafana Live, without a query: what the exporter pushes, as it comes.

python -m tools.live_dashboard            # writes grafana/dashboards/prices-live.json
python -m tools.live_dashboard --check    # exit 1 if the committed file is not current
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import Any, Final

from tools.dashboards import FOLDER, rendered

FILE: Final = FOLDER / "prices-live.json"
STREAM: Final = "arb"
"""The default of the setting `live.grafana.stream`."""
SOURCE: Final = {"type": "datasource", "uid": "grafana"}
POOL: Final = "${__field.labels.pair} ${__field.labels.pool}"
PAIR: Final = "${__field.labels.pair}"
NOTHING: Final = "nothing has been pushed yet"
PUSHED: Final = " Pushed by the exporter several times a second; history begins when the dashboard is opened."


@dataclass(frozen=True, slots=True)
class Panel:
    """A streaming panel: which fields of which measurement, in which unit, and what their lines are called."""

    kind: str
    title: str
    about: str
    measurement: str
    fields: tuple[str, ...]
    unit: str
    place: tuple[int, int, int, int]
    decimals: int
    legend: str = ""
    names: tuple[str, ...] = ()


PANELS: Final = (
    Panel(
        "timeseries", "Distance from the middle",
        "How far each pool's price is from the middle of its pair's lowest and highest. The distance between two lines "
        "of a pair is what an arbitrage between them would gain before fees.",
        "price", ("from_middle_ratio",), "percentunit", (0, 0, 16, 11), 3, POOL,
    ),
    Panel(
        "stat", "Prices now", "The newest price of each pool, in the pair's quote token.",
        "price", ("price",), "none", (16, 0, 8, 11), 6, POOL,
    ),
    Panel(
        "timeseries", "Spread", "Highest price over lowest across pools, less one; fees and gas are not taken off.",
        "spread", ("ratio",), "percentunit", (0, 11, 8, 9), 3, PAIR,
    ),
    Panel(
        "timeseries", "Prices", "Each pool's price, in the pair's quote token; a click on a name shows it alone.",
        "price", ("price",), "none", (8, 11, 8, 9), 4, POOL,
    ),
    Panel(
        "timeseries", "Gas", "Base fee of the newest block, and of the one after it.",
        "gas", ("base_fee_gwei", "next_base_fee_gwei"), "suffix: gwei", (16, 11, 8, 9), 6,
        names=("base fee", "next block"),
    ),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": FILE.stem,
        "title": "Arbitrage: live prices",
        "description": "Prices, spreads and gas, pushed by the exporter through Grafana Live (live.grafana).",
        "tags": ["arb-exporter"],
        "schemaVersion": 42,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "time": {"from": "now-1m", "to": "now"},
        "refresh": "",
        "timezone": "browser",
        "links": [],
        "annotations": {"list": []},
        "templating": {"list": []},
        "panels": [_json(panel) | {"id": number} for number, panel in enumerate(PANELS, 1)],
    }


def _json(panel: Panel) -> dict[str, Any]:
    x, y, width, height = panel.place
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about + PUSHED,
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "datasource": SOURCE,
        "maxDataPoints": 2000,
        "targets": [
            {
                "refId": "A",
                "datasource": SOURCE,
                "queryType": "measurements",
                "channel": f"stream/{STREAM}/{panel.measurement}",
                "filter": {"fields": ["time", *panel.fields]},
            }
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _names(panel)},
        "options": STAT if panel.kind == "stat" else LINES,
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    found: dict[str, Any] = {
        "unit": panel.unit,
        "decimals": panel.decimals,
        "noValue": NOTHING,
        "color": {"mode": "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": "blue"}]},
    }
    if panel.legend:
        found["displayName"] = panel.legend
    if panel.kind == "timeseries":
        found["custom"] = CUSTOM
    return found


def _names(panel: Panel) -> list[dict[str, Any]]:
    return [
        {"matcher": {"id": "byName", "options": field}, "properties": [{"id": "displayName", "value": name}]}
        for field, name in zip(panel.fields, panel.names, strict=False)
    ]


CUSTOM: Final = {
    "drawStyle": "line",
    "lineInterpolation": "stepAfter",
    "lineWidth": 1,
    "fillOpacity": 0,
    "showPoints": "never",
    "spanNulls": True,
}
LINES: Final = {
    "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull"]},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
STAT: Final[dict[str, Any]] = {
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "colorMode": "none",
    "graphMode": "none",
    "textMode": "value_and_name",
    "justifyMode": "auto",
    "orientation": "horizontal",
}


def main() -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    wanted = rendered(dashboard())
    if FILE.exists() and FILE.read_text() == wanted:
        return 0
    print(f"{FILE.name} is {'not current' if check else 'written'}")
    if check:
        return 1
    FILE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
