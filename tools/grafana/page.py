"""A page: rows of lines of panels, the variables they obey, and the JSON of the whole dashboard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from tools.grafana.panels import HEIGHTS, SOURCE, Json
from tools.grafana.queries import Unknown, declared, series

FOLDER: Final = Path(__file__).parents[2] / "grafana" / "dashboards"
TAG: Final = "arb-exporter"
WIDTH: Final = 24
ABREAST: Final = 4
BOTS: Final = ("arb_bot_data_provenance", "arb_memory_bank_up", "arb_bot_process_up", "arb_bot_log_up")
"""A bot has some of these, as it is configured."""


class Placeable(Protocol):
    """Anything that can stand on a page."""

    @property
    def kind(self) -> str: ...
    @property
    def width(self) -> int | None: ...
    @property
    def height(self) -> int | None: ...

    def json(self) -> Json:
        """The panel without its place."""


@dataclass(frozen=True, slots=True)
class Row:
    """A heading, and lines of panels below it; what is `folded` is asked for only when it is opened."""

    title: str
    lines: tuple[Sequence[Placeable], ...]
    folded: bool = False


def row(title: str, *lines: Sequence[Placeable], folded: bool = False) -> Row:
    """A heading, and lines of panels below it."""
    return Row(title, tuple(part for line in lines for part in _wrapped(line)), folded)


def _wrapped(line: Sequence[Placeable]) -> Iterator[Sequence[Placeable]]:
    """At most four figures side by side, so that they and their titles can be read on half a screen."""
    if len(line) <= ABREAST or any(panel.kind != "stat" for panel in line):
        yield line
        return
    size = -(-len(line) // -(-len(line) // ABREAST))
    for start in range(0, len(line), size):
        yield line[start : start + size]


@dataclass(frozen=True, slots=True)
class Page:
    """A dashboard; `uid` is also its file's name."""

    uid: str
    title: str
    about: str
    rows: tuple[Row, ...]
    span: str = "now-1h"
    refresh: str = "10s"
    variables: tuple[Json, ...] = ()
    annotations: tuple[str, ...] = field(default=("restarts", "reorgs", "alerts", "trades"))

    def json(self) -> Json:
        """The dashboard as Grafana reads it."""
        return {
            "uid": self.uid,
            "title": f"Arbitrage: {self.title}",
            "description": self.about,
            "tags": [TAG],
            "schemaVersion": 42,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "time": {"from": self.span, "to": "now"},
            "refresh": self.refresh,
            "timezone": "browser",
            "links": [LINKS],
            "annotations": {"list": [ANNOTATIONS[name] for name in self.annotations]},
            "templating": {"list": [*CHOICES, *self.variables]},
            "panels": list(self._placed()),
        }

    def text(self) -> str:
        """The dashboard as its file holds it."""
        return json.dumps(self.json(), indent=1, ensure_ascii=False) + "\n"

    def file(self) -> Path:
        """Where it is kept."""
        return FOLDER / f"{self.uid}.json"

    def _placed(self) -> Iterator[Json]:
        y = 0
        for number, found in enumerate(self.rows):
            panels = list(_grid(found, y + 1, 100 * number + 1))
            heading = {"type": "row", "title": found.title, "id": 100 * number + 100, "collapsed": found.folded}
            yield {**heading, "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}, "panels": panels if found.folded else []}
            if not found.folded:
                yield from panels
            y = y + 1 if found.folded else max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels)


def _grid(found: Row, y: int, first_id: int) -> Iterator[Json]:
    """The row's panels with their numbers and places."""
    for line in found.lines:
        height, x = max(panel.height or HEIGHTS[panel.kind] for panel in line), 0
        for panel, width in zip(line, _widths(line), strict=True):
            yield panel.json() | {"id": first_id, "gridPos": {"x": x, "y": y, "w": width, "h": height}}
            first_id, x = first_id + 1, x + width
        y += height


def _widths(line: Sequence[Placeable]) -> list[int]:
    """Given widths as they are, the rest in equal parts, the last ones wider by one if that is uneven."""
    free = sum(panel.width is None for panel in line)
    rest = WIDTH - sum(panel.width or 0 for panel in line)
    small, more = divmod(rest, free) if free else (0, 0)
    if (rest and not free) or (free and small < 2):
        raise ValueError(f"these do not fill a line: {[panel.json()['title'] for panel in line]}")
    widths, shared = [], 0
    for panel in line:
        shared += panel.width is None
        widths.append(panel.width or small + (shared > free - more))
    return widths


# --- variables ---------------------------------------------------------------------------------------------------


def choice(name: str, selector: str, label: str = "", *, several: bool = True) -> Json:
    """A variable with the values that a label has; of several all are chosen at first, of single ones the first."""
    found: Json = {
        "name": name,
        "label": label or name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": f"label_values({selector}, {name})", "refId": name},
        "includeAll": several,
        "multi": several,
        "current": {"text": ["All"], "value": ["$__all"]} if several else {"text": "", "value": ""},
        "sort": 1,
        "hide": 0,
        "refresh": 2,
        "regex": "",
        "options": [],
    }
    return found | ({"allValue": ".+"} if several else {})


def data_source(name: str, label: str, plugin: str, **current: str) -> Json:
    """A variable that names a data source of a kind."""
    return {
        "name": name,
        "label": label,
        "type": "datasource",
        "query": plugin,
        "current": current,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "refresh": 1,
        "regex": "",
        "options": [],
    }


def _bots() -> str:
    if missing := [name for name in BOTS if "bot" not in declared(name).labels]:
        raise Unknown(", ".join(missing))
    return f'{{__name__=~"{"|".join(BOTS)}",job=~"$job",instance=~"$instance"}}'


BUILD: Final = "arb_exporter_build_info"
CHOICES: Final = (
    data_source("datasource", "Data source", "prometheus", text="Prometheus", value="prometheus"),
    choice("job", declared(BUILD).name),
    choice("instance", f'{BUILD}{{job=~"$job"}}'),
    choice("bot", _bots()),
)
WORD: Final = choice("source", series("arb_bot_data_provenance"), "Whose word", several=False)
"""Whose word is shown; the first by name is the chain's own."""

LINKS: Final[Json] = {
    "type": "dashboards",
    "title": "Pages",
    "tags": [TAG],
    "asDropdown": True,
    "keepTime": True,
    "includeVars": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}


# --- annotations -------------------------------------------------------------------------------------------------


def _annotation(
    name: str, color: str, expr: str, title: str, text: str, *, shown: bool = True, own_time: bool = False
) -> Json:
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": shown,
        "hide": False,
        "iconColor": color,
        "expr": expr,
        "step": "15s",
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "",
        "useValueForTime": own_time,
    }


FIRING: Final = (
    'ALERTS{alertstate="firing",alertname=~"Arb.+",alertname!~".*Watchdog",'
    'job=~"$job|",instance=~"$instance|",bot=~"$bot|"}'
)
"""What fires, but for the dead man's switch; rules that add up over exporters leave job and instance away."""
WATCHDOG: Final = 'ALERTS{alertname="ArbWatchdog",job=~"$job|",instance=~"$instance|",bot=~"$bot|"}'
"""The dead man's switch fires always: a Prometheus without it has no rules."""
ANNOTATIONS: Final = {
    "trades": _annotation(
        "Trades", "green", f"1000 * {series('arb_bot_last_trade_timestamp_seconds')}",
        "Trade", "{{bot}} ({{source}})", shown=False, own_time=True,
    ),
    "restarts": _annotation(
        "Restarts", "blue",
        f"1000 * {series('arb_bot_process_start_timestamp_seconds')} "
        f"or 1000 * {series('arb_exporter_start_timestamp_seconds')}",
        "Start", "{{bot}} {{instance}}", own_time=True,
    ),
    "reorgs": _annotation(
        "Reorgs", "orange", f"increase({series('arb_chain_reorgs_total')}[1m]) > 0", "Reorg", "{{instance}}"
    ),
    "alerts": _annotation("Alerts", "red", FIRING, "{{alertname}}", "{{bot}} {{severity}}"),
}  # fmt: skip
"""By name; trades only when somebody wants them, because there can be many."""
