"""A strict schema of Grafana's classic dashboards (version 42): every field that the builder writes, and no other.

By Grafana's own description of a dashboard and of the panels stat, bargauge, timeseries, state-timeline and table. What
is misspelt Grafana ignores without a word; here it is an error.
"""

from __future__ import annotations

from typing import Any, Final

type Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
NAME: Final[Schema] = {"type": "string", "minLength": 1}
NUMBER: Final[Schema] = {"type": "number"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
FLAG: Final[Schema] = {"type": "boolean"}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT}
COLOR: Final[Schema] = {"enum": ["green", "orange", "red", "blue", "purple", "text", "#7b8087"]}
UNITS: Final = {"none", "percentunit", "s", "dtdurations", "dthms", "bytes", "Bps", "reqps", "locale"}
UNIT: Final[Schema] = {"anyOf": [{"enum": sorted(UNITS)}, {"pattern": r"^suffix:.+|^prefix:\$$"}]}


def one_of(*values: object) -> Schema:
    return {"enum": list(values)}


def exactly(required: Schema, optional: Schema | None = None) -> Schema:
    """An object of these fields, of which the optional ones may be missing."""
    properties = required | (optional or {})
    return {"type": "object", "properties": properties, "required": sorted(required), "additionalProperties": False}


def many(item: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": item, "minItems": least}


def source(kind: str, uid: str) -> Schema:
    return exactly({"type": {"const": kind}, "uid": {"const": uid}})


PROMETHEUS: Final = source("prometheus", "${datasource}")
LIVE: Final = source("datasource", "grafana")
INFINITY: Final = source("yesoreyeram-infinity-datasource", "arb-api")

# --- targets -----------------------------------------------------------------------------------------------------

QUERY: Final = exactly(
    {
        "refId": {"pattern": "^[A-Z]$"},
        "datasource": PROMETHEUS,
        "expr": NAME,
        "legendFormat": TEXT,
        "editorMode": {"const": "code"},
        "instant": FLAG,
        "range": FLAG,
    },
    {"format": {"const": "table"}},
)
STREAM: Final = exactly(
    {
        "refId": {"const": "A"},
        "datasource": LIVE,
        "queryType": {"const": "measurements"},
        "channel": {"pattern": r"^stream/[A-Za-z0-9_-]+/[A-Za-z0-9_\-/=.]+$", "maxLength": 160},
        "filter": exactly({"fields": many(NAME, 2)}),
    }
)
COLUMN: Final = exactly({"selector": NAME, "text": NAME, "type": one_of("string", "number", "timestamp_epoch_s")})
ANSWER: Final = exactly(
    {
        "refId": {"const": "A"},
        "datasource": INFINITY,
        "type": {"const": "json"},
        "parser": {"const": "backend"},
        "source": {"const": "url"},
        "format": {"const": "table"},
        "url": {"pattern": "^/api/v1/"},
        "url_options": exactly({"method": {"const": "GET"}, "data": {"const": ""}}),
        "root_selector": TEXT,
        "columns": many(COLUMN, 1),
        "filters": {"const": []},
    }
)

# --- fields ------------------------------------------------------------------------------------------------------

WORD: Final = exactly({"text": NAME, "color": COLOR, "index": COUNT})
NULL: Final = exactly({"type": {"const": "special"}, "options": exactly({"match": {"const": "null"}, "result": WORD})})
MAPPING: Final = exactly({"type": {"const": "value"}, "options": {"type": "object", "additionalProperties": WORD}})
STEP: Final = exactly({"value": {"type": ["number", "null"]}, "color": COLOR})
THRESHOLDS: Final = exactly({"mode": {"const": "absolute"}, "steps": many(STEP, 1)})
CELL: Final = exactly({"type": one_of("auto", "color-text")})
ROW_LINK: Final = exactly({"title": NAME, "url": NAME})
PROPERTIES: Final[dict[str, Schema]] = {
    "unit": UNIT,
    "decimals": COUNT,
    "mappings": many({"anyOf": [MAPPING, NULL]}, 1),
    "thresholds": THRESHOLDS,
    "displayName": NAME,
    "links": many(ROW_LINK, 1),
    "color": exactly({"mode": {"const": "fixed"}, "fixedColor": COLOR}),
    "custom.cellOptions": CELL,
    "custom.width": COUNT,
    "custom.fillOpacity": COUNT,
    "custom.lineStyle": exactly({"fill": {"const": "dash"}, "dash": many(COUNT, 2)}),
}
OVERRIDE: Final = exactly(
    {
        "matcher": exactly({"id": one_of("byName", "byRegexp"), "options": NAME}),
        "properties": many({"oneOf": [exactly({"id": {"const": i}, "value": v}) for i, v in PROPERTIES.items()]}, 1),
    }
)


def by(mode: str) -> Schema:
    return exactly({"mode": {"const": mode}})


def fields(custom: Schema | None, color: Schema, unit: Schema = UNIT) -> Schema:
    """`fieldConfig`, with what only this kind of panel has in `custom`."""
    required = {"unit": unit, "noValue": NAME} | ({"custom": custom} if custom else {})
    optional = {
        "color": color,
        "thresholds": THRESHOLDS,
        "mappings": many({"anyOf": [MAPPING, NULL]}, 1),
        "decimals": COUNT,
        "min": NUMBER,
        "max": NUMBER,
        "displayName": NAME,
    }
    return exactly({"defaults": exactly(required, optional), "overrides": many(OVERRIDE)})


LINES: Final = exactly(
    {
        "lineWidth": COUNT,
        "fillOpacity": COUNT,
        "showPoints": {"const": "never"},
        "spanNulls": {"type": ["integer", "boolean"]},
        "stacking": exactly({"mode": one_of("none", "normal"), "group": {"const": "A"}}),
    },
    {"axisCenteredZero": FLAG, "axisSoftMax": NUMBER, "lineInterpolation": {"const": "stepAfter"}},
)
STRIPS: Final = exactly({"lineWidth": COUNT, "fillOpacity": COUNT})
CELLS: Final = exactly({"align": {"const": "auto"}, "filterable": FLAG}, {"cellOptions": CELL, "minWidth": COUNT})

# --- options -----------------------------------------------------------------------------------------------------

LEGEND: Final = exactly(
    {"displayMode": one_of("list", "table"), "placement": one_of("bottom", "right"), "showLegend": FLAG},
    {"calcs": many(one_of("lastNotNull"))},
)
TOOLTIP: Final = exactly({"mode": one_of("single", "multi"), "sort": one_of("none", "desc")})
GRAPH: Final = exactly({"legend": LEGEND, "tooltip": TOOLTIP})
REDUCE: Final = exactly({"calcs": many(one_of("lastNotNull")), "fields": {"const": ""}, "values": FLAG})
ORIENTATION: Final = one_of("auto", "horizontal", "vertical")
STAT: Final = exactly(
    {
        "reduceOptions": REDUCE,
        "colorMode": one_of("value", "none"),
        "graphMode": {"const": "none"},
        "textMode": one_of("auto", "value_and_name"),
        "justifyMode": {"const": "auto"},
        "orientation": ORIENTATION,
    },
    {"text": exactly({"valueSize": COUNT}, {"titleSize": COUNT})},
)
BARS: Final = exactly(
    {
        "reduceOptions": REDUCE,
        "orientation": ORIENTATION,
        "displayMode": {"const": "basic"},
        "valueMode": {"const": "color"},
        "namePlacement": one_of("left", "auto"),
        "showUnfilled": FLAG,
        "sizing": one_of("auto", "manual"),
        "minVizWidth": COUNT,
        "minVizHeight": COUNT,
        "maxVizHeight": COUNT,
        "text": exactly({"titleSize": COUNT, "valueSize": COUNT}),
    }
)
STRIP_OPTIONS: Final = exactly(
    {
        "showValue": {"const": "never"},
        "mergeValues": FLAG,
        "rowHeight": NUMBER,
        "perPage": COUNT,
        "legend": LEGEND,
        "tooltip": TOOLTIP,
    }
)
TABLE: Final = exactly(
    {"showHeader": FLAG, "cellHeight": {"const": "sm"}},
    {"sortBy": many(exactly({"displayName": NAME, "desc": FLAG}), 1)},
)
ARRANGED: Final = {"type": "object", "additionalProperties": {"type": ["string", "integer", "boolean"]}}
ORGANIZE: Final = exactly(dict.fromkeys(("excludeByName", "includeByName", "indexByName", "renameByName"), ARRANGED))
SORTED: Final = exactly({"field": NAME, "desc": FLAG})
SORT_BY: Final = exactly({"fields": {"const": {}}, "sort": many(SORTED, 1)})
SORT: Final = exactly({"id": {"const": "sortBy"}, "options": SORT_BY})
IN_ORDER: Final[Schema] = {"type": "array", "maxItems": 1, "items": SORT}
TRANSFORMATIONS: Final[Schema] = {
    "type": "array",
    "prefixItems": [
        exactly({"id": {"const": "merge"}, "options": {"const": {}}}),
        exactly({"id": {"const": "organize"}, "options": ORGANIZE}),
        SORT,
    ],
    "minItems": 3,
    "items": False,
}

# --- panels ------------------------------------------------------------------------------------------------------

PLACE: Final = exactly({"x": COUNT, "y": COUNT, "w": {"minimum": 1, "maximum": 24}, "h": {"minimum": 1}})
LINK: Final = exactly(
    {"title": NAME, "url": TEXT, "type": one_of("link", "dashboards"), "icon": TEXT, "tooltip": TEXT, "tags": TEXTS}
    | dict.fromkeys(("asDropdown", "keepTime", "includeVars", "targetBlank"), FLAG)
)


def panel(kind: str, options: Schema, found: Schema, target: Schema, origin: Schema, **optional: Schema) -> Schema:
    required = {
        "id": COUNT,
        "type": {"const": kind},
        "title": NAME,
        "description": NAME,
        "gridPos": PLACE,
        "datasource": origin,
        "targets": many(target, 1),
        "fieldConfig": found,
        "options": options,
    }
    return exactly(required, optional)


BY_LIMITS, BY_PALETTE = by("thresholds"), by("palette-classic")
BY_SHADE: Final = exactly({"mode": {"const": "shades"}, "fixedColor": COLOR})
GRAPHS: Final = fields(LINES, {"oneOf": [BY_PALETTE, BY_SHADE]})
ASKED: Final = {"target": QUERY, "origin": PROMETHEUS, "links": many(LINK, 1)}
PUSHED: Final = {"target": STREAM, "origin": LIVE, "maxDataPoints": COUNT}
PANELS: Final = (
    panel("stat", STAT, fields(None, BY_LIMITS), **ASKED, transformations=IN_ORDER),
    panel("bargauge", BARS, fields(None, BY_LIMITS), **ASKED, transformations=IN_ORDER),
    panel("timeseries", GRAPH, GRAPHS, **ASKED, timeFrom=NAME, maxDataPoints=COUNT),
    panel("state-timeline", STRIP_OPTIONS, fields(STRIPS, BY_LIMITS), **ASKED, maxDataPoints=COUNT),
    panel("table", TABLE, fields(CELLS, BY_LIMITS), **ASKED, transformations=TRANSFORMATIONS),
    panel("timeseries", GRAPH, fields(LINES, BY_PALETTE), **PUSHED),
    panel("stat", STAT, fields(None, BY_PALETTE), **PUSHED),
    panel("table", TABLE, fields(CELLS, BY_LIMITS), ANSWER, INFINITY),
)
ROW: Final = exactly(
    {
        "id": COUNT,
        "type": {"const": "row"},
        "title": NAME,
        "gridPos": PLACE,
        "collapsed": FLAG,
        "panels": many({"oneOf": list(PANELS)}),
    }
)

# --- the dashboard -----------------------------------------------------------------------------------------------

CHOSEN: Final = exactly({}, {"text": {"type": ["string", "array"]}, "value": {"type": ["string", "array"]}})
VARIABLE: Final[Schema] = {"name": NAME, "label": NAME, "current": CHOSEN, "hide": {"const": 0}, "regex": TEXT}
VARIABLE |= {"options": {"const": []}, "includeAll": FLAG, "multi": FLAG, "refresh": one_of(1, 2)}
CHOICE: Final = exactly(
    VARIABLE
    | {
        "type": {"const": "query"},
        "datasource": PROMETHEUS,
        "query": exactly({"query": {"pattern": r"^label_values\("}, "refId": NAME}),
        "sort": {"const": 1},
    },
    {"allValue": {"const": ".+"}},
)
ORIGIN: Final = exactly(VARIABLE | {"type": {"const": "datasource"}, "query": NAME})
ANNOTATION: Final = exactly(
    {
        "name": NAME,
        "datasource": PROMETHEUS,
        "enable": FLAG,
        "hide": FLAG,
        "iconColor": COLOR,
        "expr": NAME,
        "step": {"pattern": "^[0-9]+s$"},
        "titleFormat": NAME,
        "textFormat": TEXT,
        "tagKeys": TEXT,
        "useValueForTime": FLAG,
    }
)
DASHBOARD: Final = exactly(
    {
        "uid": {"pattern": "^[a-z][a-z-]{0,39}$"},
        "title": NAME,
        "description": NAME,
        "tags": TEXTS,
        "schemaVersion": one_of(41, 42),
        "version": {"const": 1},
        "editable": {"const": False},
        "graphTooltip": {"const": 1},
        "time": exactly({"from": {"pattern": "^now-"}, "to": {"const": "now"}}),
        "refresh": TEXT,
        "timezone": {"const": "browser"},
        "links": many(LINK, 1),
        "annotations": exactly({"list": many(ANNOTATION)}),
        "templating": exactly({"list": many({"oneOf": [CHOICE, ORIGIN]}, 4)}),
        "panels": many({"oneOf": [ROW, *PANELS]}, 1),
    }
)
