"""Panels: what is asked, how it is drawn, and the JSON that Grafana wants for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tools.grafana.looks import BYTES, ETH, ETH_HOUR, GWEI, MINUTE, NUMBER, PLAIN, RATIO, Steps, Texts
from tools.grafana.queries import Query, falling

type Json = dict[str, Any]

SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
POINTS: Final = 400
HEIGHTS: Final = {"stat": 3, "timeseries": 8, "bargauge": 8, "table": 8, "state-timeline": 8}


@dataclass(frozen=True, slots=True)
class Look:
    """How figures are written and coloured; `colors` and `dashed` go by words of the lines' names.

    Without any figure it says `no_value`; a `gap` is where only some are missing. What is bad whatever its name has a
    `shade`: the lines are shades of it, because a palette begins with green.
    """

    unit: str
    decimals: int | None = None
    steps: Steps = PLAIN
    texts: Texts | None = None
    no_value: str = "not known"
    gap: str = ""
    low: float | None = None
    high: float | None = None
    colors: dict[str, str] = field(default_factory=dict)
    dashed: str = ""
    shade: str = ""

    def defaults(self) -> Json:
        """The figures' part of `fieldConfig.defaults`."""
        limits = {"decimals": self.decimals, "min": self.low, "max": self.high}
        steps = [{"value": value, "color": color} for value, color in self.steps]
        found: Json = {"unit": self.unit, "noValue": self.no_value, "thresholds": {"mode": "absolute", "steps": steps}}
        found |= {name: value for name, value in limits.items() if value is not None}
        words = [mapping(self.texts)] if self.texts else []
        return found | {"mappings": [*words, nothing(self.gap or self.no_value)]}

    def overrides(self) -> Iterator[Json]:
        """Colours and dashes of single lines."""
        for word, color in self.colors.items():
            yield override(f"/\\b{word}\\b/", color={"mode": "fixed", "fixedColor": color})
        if self.dashed:
            yield override(
                f"/\\b{self.dashed}\\b/",
                **{"custom.lineStyle": {"fill": "dash", "dash": [6, 6]}, "custom.fillOpacity": 0},
            )


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; without a width it shares its line's rest with the others."""

    kind: str
    title: str
    about: str
    queries: tuple[Query, ...]
    look: Look
    options: Json
    custom: Json = field(default_factory=dict)
    color: str = "thresholds"
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()
    width: int | None = None
    height: int | None = None
    link: str = ""
    since: str = ""
    ordered: bool = False

    def json(self) -> Json:
        """The panel without its place."""
        shades = {"mode": "shades", "fixedColor": self.look.shade}
        defaults = self.look.defaults() | {"color": shades if self.look.shade else {"mode": self.color}}
        found: Json = {
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "datasource": SOURCE,
            "targets": [self._target(place, query) for place, query in enumerate(self.queries)],
            "fieldConfig": {
                "defaults": defaults | ({"custom": self.custom} if self.custom else {}),
                "overrides": [*self.look.overrides(), *self.overrides],
            },
            "options": self.options,
        }
        found |= {"transformations": list(self.transformations)} if self.transformations else {}
        found |= {"timeFrom": self.since} if self.since else {}
        found |= {"maxDataPoints": self._points()} if not self._is_instant() else {}
        return found | ({"links": [goto(self.link)]} if self.link else {})

    def _is_instant(self) -> bool:
        return self.kind in ("stat", "bargauge", "table")

    def _points(self) -> int:
        """Enough for the eye; what looks back an hour at each point changes slowly, and costs the most."""
        return POINTS if not any("[1h]" in query.expr for query in self.queries) else POINTS // 4

    def _target(self, place: int, query: Query) -> Json:
        instant = self._is_instant()
        found = {
            "refId": chr(ord("A") + place),
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            "editorMode": "code",
            "instant": instant,
            "range": not instant,
        }
        return found | ({"format": "table"} if self.kind == "table" or self.ordered else {})


def goto(page: str) -> Json:
    """A link to another page that keeps time and variables."""
    return LINK | {"title": f"Open {page}", "url": f"/d/{page}?${{__url_time_range}}&${{__all_variables}}"}


LINK: Final[Json] = {
    "type": "link",
    "tags": [],
    "asDropdown": False,
    "keepTime": False,
    "includeVars": False,
    "targetBlank": False,
    "icon": "",
    "tooltip": "",
}
"""Grafana wants all of these; a panel's link keeps time and variables by its own address."""


def mapping(texts: Texts) -> Json:
    """Words for values."""
    named = enumerate(texts.items())
    return {
        "type": "value",
        "options": {v: {"text": text, "color": color, "index": i} for i, (v, (text, color)) in named},
    }


def nothing(text: str) -> Json:
    """What is not there is neither good nor bad, and says so in words."""
    return {"type": "special", "options": {"match": "null", "result": {"text": text, "color": "text", "index": 9}}}


def override(pattern: str, **properties: Any) -> Json:
    """What is different for fields whose name fits."""
    by = "byRegexp" if pattern.startswith("/") else "byName"
    return {
        "matcher": {"id": by, "options": pattern},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


# --- figures -----------------------------------------------------------------------------------------------------


def stat(
    title: str, about: str, unit: str, expr: str | Query, *more: Query,
    width: int | None = None, link: str = "", listed: bool = False, **look: Any,
) -> Panel:  # fmt: skip
    """One figure, or one for each name; `listed`, the names stand below each other, in their order."""
    first = expr if isinstance(expr, Query) else Query(expr)
    made = Panel("stat", title, about, (first, *more), Look(unit, **look), STAT, width=width, link=link)
    return in_order(replace(made, options=STAT | LISTED, height=4)) if listed else made


STAT: Final[Json] = {
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "colorMode": "value",
    "graphMode": "none",
    "textMode": "auto",
    "justifyMode": "auto",
    "orientation": "auto",
    "text": {"valueSize": 28},
}
"""Not as large as there is room: beside a list, or alone on a line of graphs, a word would shout."""


def in_order(panel: Panel) -> Panel:
    """The figures of the one query in the order of the label that names them; Prometheus has none."""
    (query,) = panel.queries
    label = query.legend.removeprefix("{{").removesuffix("}}")
    sort = {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": label, "desc": False}]}}
    every = {"calcs": [], "fields": "", "values": True}
    return replace(panel, ordered=True, transformations=(sort,), options=panel.options | {"reduceOptions": every})


LISTED: Final[Json] = {
    "orientation": "horizontal",
    "textMode": "value_and_name",
    "text": {"titleSize": 13, "valueSize": 18},
}


def bars(
    title: str, about: str, unit: str, *queries: Query, upright: bool = False, width: int | None = None, **look: Any
) -> Panel:
    """A bar for each name, from 0 on, the longest first; `upright` for those in an order, such as hours."""
    sorted_ = queries if upright else tuple(replace(query, expr=falling(query.expr)) for query in queries)
    made = Panel("bargauge", title, about, sorted_, Look(unit, **{"low": 0, **look}), BARS, width=width)
    return in_order(replace(made, options=BARS | UPRIGHT)) if upright else made


UPRIGHT: Final[Json] = {"orientation": "vertical", "namePlacement": "auto"}
BARS: Final[Json] = {
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "orientation": "horizontal",
    "displayMode": "basic",
    "valueMode": "color",
    "namePlacement": "left",
    "showUnfilled": False,
    "sizing": "auto",
    "minVizWidth": 8,
    "minVizHeight": 16,
    "maxVizHeight": 28,
    "text": {"titleSize": 12, "valueSize": 14},
}


# --- lines over time ---------------------------------------------------------------------------------------------


def lines(
    title: str, about: str, unit: str, *queries: Query, width: int | None = None, height: int | None = None,
    last: bool = True, since: str = "", centred: bool = False, many: bool = False, **look: Any,
) -> Panel:  # fmt: skip
    """Lines over time; with `last`, the newest value stands beside the name; `many` have their names on the right."""
    legend = LEGEND | {"calcs": ["lastNotNull"] if last else []} | (ASIDE if many else {})
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    custom = LINES | ({"axisCenteredZero": True} if centred else {})
    # Beside a soft end Grafana forgets a hard one.
    custom |= {"axisSoftMax": REACH[unit]} if unit in REACH and look.get("high") is None else {}
    return Panel(
        "timeseries", title, about, queries, Look(unit, **look), options, custom, "palette-classic",
        width=width, height=height, since=since,
    )  # fmt: skip


def stack(title: str, about: str, unit: str, *queries: Query, **more: Any) -> Panel:
    """Counts that add up."""
    made = lines(title, about, unit, *queries, **{"low": 0, **more})
    return replace(made, custom=made.custom | {"fillOpacity": 30, "stacking": {"mode": "normal", "group": "A"}})


REACH: Final = {
    RATIO: 0.0001, ETH: 0.001, ETH_HOUR: 0.001, GWEI: 0.001, MINUTE: 1, NUMBER: 1, "reqps": 1, BYTES: 1024, "Bps": 1024,
}  # fmt: skip
"""How far an axis goes at least: next to nothing looks so, and nothing is not drawn on a scale of a hundred ether."""
LEGEND: Final[Json] = {"displayMode": "list", "placement": "bottom", "showLegend": True}
ASIDE: Final[Json] = {"displayMode": "table", "placement": "right"}
# A gap of a minute is a missed scrape; a longer one is a gap.
LINES: Final[Json] = {
    "lineWidth": 1,
    "fillOpacity": 8,
    "showPoints": "never",
    "spanNulls": 60_000,
    "stacking": {"mode": "none", "group": "A"},
}


def timeline(
    title: str, about: str, texts: Texts, *queries: Query, width: int | None = None, height: int | None = None
) -> Panel:
    """A strip of states for each name."""
    look, custom = Look("none", texts=texts), {"lineWidth": 0, "fillOpacity": 80}
    return Panel("state-timeline", title, about, queries, look, TIMELINE, custom, width=width, height=height)


TIMELINE: Final[Json] = {
    "showValue": "never",
    "mergeValues": True,
    "rowHeight": 0.8,
    "perPage": 0,
    "legend": LEGEND,
    "tooltip": {"mode": "single", "sort": "none"},
}
