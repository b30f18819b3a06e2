"""Builds the Grafana dashboards from typed panels; a metric the exporter does not declare cannot be named.

python -m tools.dashboards            # writes grafana/dashboards/*.json
python -m tools.dashboards --check    # exit 1 if a committed file is not current
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from exporter import board, collectors

FOLDER: Final = Path(__file__).parent.parent / "grafana" / "dashboards"
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WIDTH: Final = 24
DECLARED: Final = {metric.name: metric for metric in (*board.METRICS, *(m for c in collectors.ALL for m in c.metrics))}

type Step = tuple[float | None, str]
type Steps = tuple[Step, ...]
type Texts = dict[str, tuple[str, str]]

GREEN, AMBER, RED, BLUE, PURPLE = "green", "orange", "red", "blue", "purple"
PLAIN: Final[Steps] = ((None, BLUE),)
SIGNED: Final[Steps] = ((None, RED), (0, GREEN))
GOOD_SHARE: Final[Steps] = ((None, RED), (0.3, AMBER), (0.5, GREEN))
UP_DOWN: Final[Texts] = {"1": ("up", GREEN), "0": ("down", RED)}
PROVENANCE: Final[Texts] = {"1": ("real", GREEN), "2": ("simulated", RED), "3": ("unverified", AMBER)}
WORKS: Final[Texts] = {"1": ("works", GREEN), "0": ("fails", RED)}
OUTCOMES: Final = {"failed": RED, "success": GREEN}
LEVELS: Final = {"critical": PURPLE, "error": RED, "warning": AMBER, "info": BLUE}


# --- PromQL ----------------------------------------------------------------------------------------------------


def series(name: str, *matchers: str) -> str:
    """A declared metric of the chosen jobs and instances, and of the chosen bots if it is one of bots."""
    metric = DECLARED[name.removesuffix("_bucket")]
    chosen = ("job", "instance", "bot") if "bot" in metric.labels else ("job", "instance")
    return f"{name}{{{','.join([f'{label}=~"${label}"' for label in chosen] + list(matchers))}}}"


def rate(name: str, *matchers: str) -> str:
    return f"rate({series(name, *matchers)}[$__rate_interval])"


def per_minute(name: str, by: str, *matchers: str) -> str:
    """How often something was counted per minute, by some labels."""
    return f"60 * sum by ({by}) ({rate(name, *matchers)})"


def per_hour(name: str, by: str, *matchers: str) -> str:
    """How much was added up per hour, by some labels."""
    return f"3600 * sum by ({by}) ({rate(name, *matchers)})"


def total(name: str, by: str, *matchers: str) -> str:
    """The sum of a gauge, by some labels."""
    return f"sum by ({by}) ({series(name, *matchers)})"


def lowest(name: str, by: str) -> str:
    """Down if any of them is down."""
    return f"min by ({by}) ({series(name)})"


def age(name: str, by: str, *matchers: str) -> str:
    """Seconds since a timestamp."""
    return f"time() - max by ({by}) ({series(name, *matchers)})"


def none_of(name: str) -> str:
    """How many are 0; no data, rather than a soothing 0, when the exporter is not there."""
    return f"sum({series(name)} == bool 0)"


# --- panels ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and how its lines are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `size` is (width, height) on Grafana's grid, `colors` and `dashed` go by parts of the lines' names."""

    kind: str
    title: str
    about: str
    unit: str
    queries: tuple[Query, ...]
    size: tuple[int, int]
    decimals: int | None = None
    low: float | None = None
    high: float | None = None
    no_value: str = "no data"
    steps: Steps = PLAIN
    texts: Texts | None = None
    colors: dict[str, str] | None = None
    dashed: str = ""
    stack: bool = False
    last: bool = False


def stat(title: str, about: str, unit: str, expr: str, legend: str = "", width: int = 4, **more: Any) -> Panel:
    """One figure, or one for each name."""
    return Panel("stat", title, about, unit, (Query(expr, legend),), (width, 4), **more)


def lines(title: str, about: str, unit: str, *queries: Query, width: int = 8, **more: Any) -> Panel:
    """Lines over time; with `last`, the newest value stands beside the name."""
    return Panel("timeseries", title, about, unit, queries, (width, 8), **more)


def bars(title: str, about: str, unit: str, *queries: Query, width: int = 8, **more: Any) -> Panel:
    """Counts that add up, stacked."""
    return replace(lines(title, about, unit, *queries, width=width, **more), stack=True, low=0)


def first_row() -> Iterator[Panel]:
    """Is it healthy, is it earning, is it true?"""
    yield stat(
        "Exporter",
        "Whether Prometheus reaches the exporter. While it is down, nothing below is known.",
        "none",
        'min by (instance) (up{job=~"$job",instance=~"$instance"})',
        "{{instance}}",
        width=3,
        texts=UP_DOWN,
    )
    yield stat(
        "Collectors failing",
        "Parts of the exporter that cannot read their source right now. Which ones: see the last row.",
        "none",
        none_of("arb_scrape_collector_success"),
        width=3,
        steps=((None, GREEN), (1, RED)),
    )
    yield stat(
        "Bot process",
        "Whether the bot's process runs.",
        "none",
        lowest("arb_bot_process_up", "bot"),
        "{{bot}}",
        width=3,
        texts=UP_DOWN,
    )
    yield stat(
        "Net profit, by the bot's own books",
        "Sum over all trades the bot reports, after its own fees, since its first trade. Each source of the same trades "
        "stands for itself: they are never added together, and where they differ, one of them is wrong.",
        "suffix: ETH",
        total("arb_bot_net_profit_ether", "source"),
        "{{source}}",
        width=5,
        decimals=5,
        steps=SIGNED,
    )
    yield stat(
        "Succeeded, last hour",
        "Share of the last hour's trades that succeeded, by source.",
        "percentunit",
        f"sum by (source) (increase({series('arb_bot_trades_by_outcome_total', 'outcome="success"')}[1h])) / "
        f"(sum by (source) (increase({series('arb_bot_trades_by_outcome_total')}[1h])) > 0)",
        "{{source}}",
        decimals=0,
        steps=GOOD_SHARE,
        no_value="no trade",
    )
    yield stat(
        "Is it true?",
        "Real: the source's trades were found on the chain. Simulated: they are known to be made up. Unverified: "
        "nobody has compared them with the chain, so profits are the bot's word.",
        "none",
        " + ".join(
            f"{code} * sum by (source) ({series('arb_bot_data_provenance', f'provenance="{text}"')})"
            for code, (text, _) in PROVENANCE.items()
        ),
        "{{source}}",
        width=6,
        texts=PROVENANCE,
    )


def trading() -> Iterator[Panel]:
    """What the bot does, by its own word; dashed is the list of recent trades, which tells of the same ones."""
    yield lines(
        "Trades",
        "Trades per minute by outcome and source.",
        "suffix:/min",
        Query(per_minute("arb_bot_trades_by_outcome_total", "source, outcome"), "{{outcome}} ({{source}})"),
        low=0,
        colors=OUTCOMES,
        dashed="recent",
    )
    yield lines(
        "Net profit by pair",
        "The bot's own net profit, summed over all its trades since the first.",
        "suffix: ETH",
        Query(total("arb_bot_net_profit_ether", "source, pair"), "{{pair}} ({{source}})"),
        dashed="recent",
    )
    yield lines(
        "Gain, loss and gas",
        "Per hour: profits of trades that gained, losses of those that lost, and gas, which the net already contains.",
        "suffix: ETH/h",
        Query(per_hour("arb_bot_gain_ether_total", "source"), "gain ({{source}})"),
        Query(per_hour("arb_bot_loss_ether_total", "source"), "loss ({{source}})"),
        Query(per_hour("arb_bot_gas_cost_ether_total", "source"), "gas ({{source}})"),
        low=0,
        colors={"gain": GREEN, "loss": RED, "gas": AMBER},
        dashed="recent",
    )
    yield bars(
        "Trades by route",
        "Trades per minute by pair and the venues bought and sold at, from the files of single trades.",
        "suffix:/min",
        Query(
            per_minute("arb_bot_trades_total", "pair, dex_buy, dex_sell", 'source="memory_bank"'),
            "{{pair}} {{dex_buy}} → {{dex_sell}}",
        ),
    )
    yield lines(
        "Failures by reason",
        "Failed trades per minute, by what their error text means; empty as long as none failed.",
        "suffix:/min",
        Query(per_minute("arb_bot_trade_failures_total", "source, reason"), "{{reason}} ({{source}})"),
        low=0,
        dashed="recent",
        last=True,
    )
    yield lines(
        "Expected against made",
        "Per hour: what the bot expected of its trades, and what it says came of them. A lasting gap means that "
        "somebody is faster, or that the bot's estimate is wrong.",
        "suffix: ETH/h",
        Query(per_hour("arb_bot_expected_profit_ether_total", "source", 'source="memory_bank"'), "expected"),
        Query(
            f"{per_hour('arb_bot_gain_ether_total', 'source', 'source="memory_bank"')} - "
            f"{per_hour('arb_bot_loss_ether_total', 'source', 'source="memory_bank"')}",
            "made",
        ),
        colors={"expected": BLUE, "made": GREEN},
        last=True,
    )


def books() -> Iterator[Panel]:
    """What the bot leaves behind."""
    yield stat(
        "Memory bank",
        "Whether the memory bank is there and can be read.",
        "none",
        lowest("arb_memory_bank_up", "bot"),
        "{{bot}}",
        texts=UP_DOWN,
    )
    yield stat(
        "Last trade",
        "Time since the newest trade, by source.",
        "dtdurations",
        age("arb_bot_last_trade_timestamp_seconds", "source"),
        "{{source}}",
        width=5,
        no_value="none yet",
    )
    yield stat(
        "State last written",
        "Time since anything in state/ was written; the supported bot writes every 10 s.",
        "dtdurations",
        age("arb_memory_bank_last_write_timestamp_seconds", "bot", 'directory="state"'),
        "{{bot}}",
        steps=((None, GREEN), (120, AMBER), (600, RED)),
    )
    yield stat(
        "Invalid records",
        "Files and rows of the bank that could not be used and were found within the shown time, each once.",
        "none",
        f"sum by (bot) (increase({series('arb_memory_bank_invalid_files_total')}[$__range])) "
        f"or 0 * {lowest('arb_memory_bank_up', 'bot')}",
        "{{bot}}",
        width=3,
        decimals=0,
        steps=((None, GREEN), (1, AMBER)),
    )
    yield stat(
        "Last backup",
        "Time since the newest backup in each configured store of backups.",
        "dtdurations",
        age("arb_storage_backup_last_timestamp_seconds", "store"),
        "{{store}}",
        steps=((None, GREEN), (86_400, AMBER), (172_800, RED)),
        no_value="no backup",
    )
    yield stat(
        "Stores",
        "Whether each configured store is there.",
        "none",
        lowest("arb_storage_up", "store"),
        "{{store}}",
        texts=UP_DOWN,
    )
    yield bars(
        "Log messages",
        "Records per minute in the bot's logs, from info on.",
        "suffix:/min",
        Query(
            per_minute("arb_bot_log_messages_total", "log, level", 'level=~"critical|error|warning|info"'),
            "{{level}} ({{log}})",
        ),
        colors=LEVELS,
        last=True,
    )
    yield lines(
        "Files in the memory bank",
        "Files by directory.",
        "none",
        Query(total("arb_memory_bank_files", "directory"), "{{directory}}"),
        low=0,
        last=True,
    )
    yield lines(
        "Not written since",
        "Time since each directory of the bank was last written.",
        "s",
        Query(age("arb_memory_bank_last_write_timestamp_seconds", "directory"), "{{directory}}"),
        low=0,
        last=True,
    )
    yield lines(
        "Bot's processor time",
        "Share of one core that the bot's process uses.",
        "percentunit",
        Query(f"sum by (bot) ({rate('arb_bot_process_cpu_seconds_total')})", "{{bot}}"),
        low=0,
        last=True,
    )
    yield lines(
        "Bot's memory",
        "Resident memory of the bot's process.",
        "bytes",
        Query(total("arb_bot_process_resident_memory_bytes", "bot"), "{{bot}}"),
        low=0,
        last=True,
    )
    yield lines(
        "Size of bank and stores",
        "Bytes in the memory bank and in each configured store.",
        "bytes",
        Query(total("arb_memory_bank_bytes", "bot"), "memory bank of {{bot}}"),
        Query(total("arb_storage_bytes", "store"), "{{store}}"),
        low=0,
        last=True,
    )


def chain() -> Iterator[Panel]:
    """What the bot stands on: endpoints, head, gas, wallets."""
    yield stat(
        "Endpoints",
        "Nodes that answer and serve the right chain.",
        "none",
        lowest("arb_rpc_up", "endpoint"),
        "{{endpoint}}",
        texts=UP_DOWN,
    )
    yield stat(
        "Head",
        "Number of the newest block.",
        "none",
        f"max({series('arb_chain_head_block')})",
        decimals=0,
    )
    yield stat(
        "Head's age",
        "Time since the newest block was made: the chain stands still, or the node lags behind.",
        "s",
        f"time() - max({series('arb_chain_head_timestamp_seconds')})",
        width=3,
        decimals=0,
        steps=((None, GREEN), (15, AMBER), (60, RED)),
    )
    yield stat(
        "Not final yet",
        "Blocks between the newest and the newest final one.",
        "none",
        f"max({series('arb_chain_head_block')} - {series('arb_chain_finalized_block')})",
        width=3,
        decimals=0,
    )
    yield stat(
        "Base fee",
        "Base fee of the newest block; on Base it is thousandths of a gwei.",
        "suffix: gwei",
        f"max({series('arb_gas_base_fee_wei')}) / 1e9",
        decimals=6,
    )
    yield stat(
        "Ether in wallets",
        "Balance by wallet: red below 0.05, amber below 0.15.",
        "suffix: ETH",
        total("arb_wallet_balance_ether", "wallet"),
        "{{wallet}}",
        width=3,
        decimals=4,
        steps=((None, RED), (0.05, AMBER), (0.15, GREEN)),
    )
    yield stat(
        "Pending",
        "Transactions sent and not mined yet, by wallet.",
        "none",
        total("arb_wallet_pending_transactions", "wallet"),
        "{{wallet}}",
        width=3,
        decimals=0,
        steps=((None, GREEN), (3, AMBER)),
    )
    yield lines(
        "Gas price",
        "Base fee now and next, and the median paid on top of it.",
        "suffix: gwei",
        Query(f"max({series('arb_gas_base_fee_wei')}) / 1e9", "base fee"),
        Query(f"max({series('arb_gas_next_base_fee_wei')}) / 1e9", "next"),
        Query(f"max({series('arb_gas_priority_fee_wei', 'percentile="50"')}) / 1e9", "priority"),
        low=0,
        last=True,
    )
    yield lines(
        "Block fullness",
        "Share of the newest block's gas limit that was used.",
        "percentunit",
        Query(f"max({series('arb_gas_block_used_ratio')})", "used"),
        low=0,
        last=True,
    )
    yield lines(
        "Tokens in wallets",
        "Token balances by wallet, each in the token's own unit.",
        "none",
        Query(total("arb_wallet_token_balance", "wallet, token"), "{{token}} ({{wallet}})"),
        last=True,
    )


def prices() -> Iterator[Panel]:
    """What the bot lives on: prices that differ."""
    yield stat(
        "Price by venue",
        "Newest price, in the pair's quote token for one of its base token.",
        "none",
        f"max by (pair, dex) ({series('arb_price_quote_per_base')})",
        "{{pair}} {{dex}}",
        width=WIDTH,
        decimals=4,
    )
    yield lines(
        "Spread across venues",
        "Highest price over lowest, less one. It pays from about the sum of both pools' fees, plus gas.",
        "percentunit",
        Query(f"max by (pair) ({series('arb_price_spread_ratio')})", "{{pair}}"),
        width=12,
        low=0,
        last=True,
    )
    yield lines(
        "Prices apart",
        "How far each venue's price is from the mean of its pair's venues at that moment.",
        "percentunit",
        Query(
            f"max by (pair, dex) ({series('arb_price_quote_per_base')}) / on (pair) group_left () "
            f"avg by (pair) (max by (pair, dex) ({series('arb_price_quote_per_base')})) - 1",
            "{{pair}} {{dex}}",
        ),
        width=12,
        last=True,
    )


def host() -> Iterator[Panel]:
    """The machine the bot runs on."""
    yield lines(
        "Processor",
        "Share of all cores in use.",
        "percentunit",
        Query(f"max by (instance) ({series('arb_host_cpu_usage_ratio')})", "{{instance}}"),
        low=0,
        high=1,
        last=True,
    )
    yield lines(
        "Memory",
        "Memory in use and memory there is.",
        "bytes",
        Query(f"max by (instance) ({series('arb_host_memory_used_bytes')})", "used"),
        Query(f"max by (instance) ({series('arb_host_memory_total_bytes')})", "total"),
        low=0,
        last=True,
    )
    yield lines(
        "Free space",
        "Share of each file system that is free to ordinary users.",
        "percentunit",
        Query(
            f"min by (mountpoint) ({series('arb_host_filesystem_free_bytes')} / "
            f"{series('arb_host_filesystem_size_bytes')})",
            "{{mountpoint}}",
        ),
        low=0,
        high=1,
        last=True,
    )


def exporter() -> Iterator[Panel]:
    """Who watches: collectors, nodes, and what watching costs."""
    yield Panel(
        "state-timeline",
        "Collectors",
        "Whether each collector's last read succeeded. One that fails keeps its last figures for a short while only.",
        "none",
        (Query(lowest("arb_scrape_collector_success", "collector"), "{{collector}}"),),
        (12, 10),
        texts=WORKS,
    )
    yield replace(
        lines(
            "How long reads take",
            "Duration of each collector's last read.",
            "s",
            Query(f"max by (collector) ({series('arb_scrape_collector_duration_seconds')})", "{{collector}}"),
            width=12,
            low=0,
        ),
        size=(12, 10),
    )
    yield lines(
        "RPC calls by outcome",
        "Calls per second by endpoint and outcome.",
        "reqps",
        Query(f"sum by (endpoint, outcome) ({rate('arb_rpc_requests_total')})", "{{outcome}} ({{endpoint}})"),
        low=0,
        last=True,
    )
    yield lines(
        "RPC latency",
        "Median and 99th percentile of batches of calls, by endpoint.",
        "s",
        *(Query(quantile(q), f"{name} ({{{{endpoint}}}})") for q, name in ((0.5, "p50"), (0.99, "p99"))),
        low=0,
        last=True,
    )
    yield lines(
        "Exporter's memory",
        "Resident memory of the exporter.",
        "bytes",
        Query(f"max by (instance) ({series('arb_exporter_resident_memory_bytes')})", "{{instance}}"),
        low=0,
        last=True,
    )


def quantile(share: float) -> str:
    buckets = rate("arb_rpc_request_duration_seconds_bucket")
    return f"histogram_quantile({share}, sum by (endpoint, le) ({buckets}))"


OVERVIEW: Final = (
    ("Is it healthy, is it earning, is it true?", first_row),
    ("Trading, as the bot reports it", trading),
    ("What the bot leaves behind", books),
    ("Chain, gas and wallets", chain),
    ("Prices", prices),
    ("Host", host),
    ("Exporter", exporter),
)


# --- Grafana's JSON --------------------------------------------------------------------------------------------


def overview() -> dict[str, Any]:
    """The dashboard with every main subject on it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, content in OVERVIEW:
        position = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": position})
        placed, top = _place(list(content()), top + 1)
        panels += placed
    return {
        "uid": "overview",
        "title": "Arbitrage: overview",
        "description": "Is the bot alive, is it earning, is it true?",
        "tags": ["arb-exporter"],
        "schemaVersion": 42,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "timezone": "browser",
        "links": [],
        "annotations": {"list": []},
        "templating": {"list": list(_variables())},
        "panels": [panel | {"id": number} for number, panel in enumerate(panels, 1)],
    }


def _place(content: list[Panel], top: int) -> tuple[list[dict[str, Any]], int]:
    """Panels from left to right in lines; a line is as high as its highest panel."""
    placed, x, y, height = [], 0, top, 0
    for panel in content:
        width, own = panel.size
        if x + width > WIDTH:
            x, y, height = 0, y + height, 0
        placed.append(_json(panel) | {"gridPos": {"x": x, "y": y, "w": width, "h": own}})
        x, height = x + width, max(height, own)
    return placed, y + height


def _variables() -> Iterator[dict[str, Any]]:
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "prometheus"},
        "hide": 0,
        "refresh": 1,
        "regex": "",
        "options": [],
    }
    chosen = 'job=~"$job"'
    yield _variable("job", "arb_exporter_build_info")
    yield _variable("instance", f"arb_exporter_build_info{{{chosen}}}")
    # A bot has some of these, as it is configured.
    names = "arb_memory_bank_up|arb_bot_process_up|arb_bot_log_up"
    yield _variable("bot", f'{{__name__=~"{names}",{chosen},instance=~"$instance"}}')


def _variable(name: str, selector: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": f"label_values({selector}, {name})", "refId": name},
        "includeAll": True,
        "multi": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
        "hide": 0,
        "refresh": 2,
        "regex": "",
        "options": [],
    }


def _json(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "targets": [_target(panel, place, query) for place, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": list(_overrides(panel))},
        "options": _options(panel),
    }


def _target(panel: Panel, place: int, query: Query) -> dict[str, Any]:
    instant = panel.kind == "stat"
    return {
        "refId": chr(ord("A") + place),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "editorMode": "code",
        "instant": instant,
        "range": not instant,
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    found: dict[str, Any] = {
        "unit": panel.unit,
        "noValue": panel.no_value,
        "thresholds": {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in panel.steps]},
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
    }
    found |= {k: v for k, v in (("decimals", panel.decimals), ("min", panel.low), ("max", panel.high)) if v is not None}
    if panel.texts:
        found["mappings"] = [_mapping(panel.texts)]
    if panel.kind in CUSTOM:
        found["custom"] = CUSTOM[panel.kind] | (STACKED if panel.stack else {})
    return found


def _mapping(texts: Texts) -> dict[str, Any]:
    found = {
        value: {"text": text, "color": color, "index": i} for i, (value, (text, color)) in enumerate(texts.items())
    }
    return {"type": "value", "options": found}


def _overrides(panel: Panel) -> Iterator[dict[str, Any]]:
    for part, color in (panel.colors or {}).items():
        yield _override(part, "color", {"mode": "fixed", "fixedColor": color})
    if panel.dashed:
        yield _override(panel.dashed, "custom.lineStyle", {"fill": "dash", "dash": [6, 6]})
        yield _override(panel.dashed, "custom.fillOpacity", 0)


def _override(part: str, what: str, value: object) -> dict[str, Any]:
    matcher = {"id": "byRegexp", "options": f"/\\b{part}\\b/"}
    return {"matcher": matcher, "properties": [{"id": what, "value": value}]}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return STAT
    if panel.kind == "state-timeline":
        return TIMELINE
    legend = LEGEND | {"calcs": ["lastNotNull"] if panel.last else []}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


LEGEND: Final = {"displayMode": "list", "placement": "bottom", "showLegend": True}
STAT: Final[dict[str, Any]] = {
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "colorMode": "value",
    "graphMode": "none",
    "textMode": "auto",
    "justifyMode": "auto",
    "orientation": "auto",
}
TIMELINE: Final[dict[str, Any]] = {
    "showValue": "never",
    "mergeValues": True,
    "rowHeight": 0.8,
    "legend": LEGEND,
    "tooltip": {"mode": "single", "sort": "none"},
}
# A gap of a minute is a missed scrape; a longer one is a gap.
CUSTOM: Final[dict[str, dict[str, Any]]] = {
    "timeseries": {
        "lineWidth": 1,
        "fillOpacity": 8,
        "showPoints": "never",
        "spanNulls": 60_000,
        "stacking": {"mode": "none", "group": "A"},
    },
    "state-timeline": {"lineWidth": 0, "fillOpacity": 80},
}
STACKED: Final[dict[str, Any]] = {"fillOpacity": 30, "stacking": {"mode": "normal", "group": "A"}}

DASHBOARDS: Final = {"overview": overview}


def main() -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    wanted = {FOLDER / f"{name}.json": rendered(build()) for name, build in DASHBOARDS.items()}
    stale = [file for file, text in wanted.items() if not file.exists() or file.read_text() != text]
    for file in stale:
        print(f"{file.name} is {'not current' if check else 'written'}")
        if not check:
            file.parent.mkdir(exist_ok=True)
            file.write_text(wanted[file])
    return 1 if check and stale else 0


def rendered(dashboard: dict[str, Any]) -> str:
    """A dashboard as the file holds it."""
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
