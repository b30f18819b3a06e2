"""Builds the Grafana dashboards from typed panels; metrics are named by their declarations, so that none can be missed.

python -m tools.dashboards            # writes grafana/dashboards/*.json
python -m tools.dashboards --check    # exit 1 if a committed file is not current
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent.parent / "grafana" / "dashboards"
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WIDTH: Final = 24
JOB: Final = 'job=~"$job",instance=~"$instance"'
BOT: Final = f'{JOB},bot=~"$bot"'
GREEN, AMBER, RED, BLUE = "green", "#E0A030", "red", "blue"

type Step = tuple[float | None, str]


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and how its lines are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `size` is (width, height) on Grafana's grid of 24 columns."""

    kind: str
    title: str
    about: str
    unit: str
    queries: tuple[Query, ...]
    size: tuple[int, int]
    decimals: int | None = None
    steps: tuple[Step, ...] = ((None, BLUE),)
    texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    stack: bool = False
    low: float | None = None
    high: float | None = None
    no_value: str = "no data"
    text_mode: str = "auto"


def stat(title: str, about: str, unit: str, expr: str, *, legend: str = "", width: int = 4, **more: Any) -> Panel:
    """A single figure."""
    return Panel("stat", title, about, unit, (Query(expr, legend),), (width, 4), **more)


def lines(title: str, about: str, unit: str, *queries: Query, width: int = 8, height: int = 8, **more: Any) -> Panel:
    """Lines over time."""
    return Panel("timeseries", title, about, unit, queries, (width, height), **more)


YES_NO: Final = {"1": ("yes", GREEN), "0": ("no", RED)}
UP_DOWN: Final = {"1": ("up", GREEN), "0": ("down", RED)}
GOOD_HIGH: Final[tuple[Step, ...]] = ((None, RED), (0.5, AMBER), (0.8, GREEN))
SIGNED: Final[tuple[Step, ...]] = ((None, RED), (0, GREEN))
PLAIN: Final[tuple[Step, ...]] = ((None, BLUE),)


def age(minutes_amber: float, minutes_red: float) -> tuple[Step, ...]:
    """Colours for an age in seconds."""
    return (None, GREEN), (minutes_amber * 60, AMBER), (minutes_red * 60, RED)


def counted(metric: str, *, by: str, matchers: str = BOT, extra: str = "") -> str:
    """How often something was counted per minute, by some labels."""
    return f"60 * sum by ({by}) (rate({metric}{{{matchers}{extra}}}[$__rate_interval]))"


def summed(metric: str, *, by: str = "", matchers: str = BOT, extra: str = "") -> str:
    """The sum of a gauge, by some labels."""
    return f"sum {f'by ({by}) ' if by else ''}({metric}{{{matchers}{extra}}})"


def first_row() -> Iterator[Panel]:
    """Is it healthy, is it earning, is it true?"""
    yield stat(
        "Bot process",
        "Whether the bot's process runs.",
        "none",
        f"min by (bot) (arb_bot_process_up{{{BOT}}})",
        legend="{{bot}}",
        texts=UP_DOWN,
    )
    yield stat(
        "Collectors failing",
        "Parts of the exporter that cannot read their source right now; see the table below.",
        "short",
        f"count(arb_scrape_collector_success{{{JOB}}} == 0) or vector(0)",
        steps=((None, GREEN), (1, RED)),
    )
    yield stat(
        "Net profit, by the bot's own books",
        "Sum over all trades the bot reports, after its own fees. Since the first trade, not since the first scrape; the "
        "two sources are never added together.",
        "suffix: ETH",
        f"sum by (source) (arb_bot_net_profit_ether{{{BOT}}})",
        legend="{{source}}",
        decimals=6,
        steps=SIGNED,
        width=6,
    )
    yield stat(
        "Succeeded, last hour",
        "Share of the last hour's trades that succeeded; no data without a trade.",
        "percentunit",
        "sum by (source) (increase(arb_bot_trades_by_outcome_total{" + BOT + ',outcome="success"}[1h])) / '
        "(sum by (source) (increase(arb_bot_trades_by_outcome_total{" + BOT + "}[1h])) > 0)",
        legend="{{source}}",
        decimals=0,
        steps=GOOD_HIGH,
        no_value="no trade",
    )
    yield stat(
        "Is it true?",
        "Whether the trades were found on the chain (real), are known to be made up (simulated), or "
        "neither (unverified).",
        "none",
        f"max by (provenance) (arb_bot_data_provenance{{{BOT}}} == 1)",
        legend="{{provenance}}",
        steps=((None, AMBER),),
        text_mode="name",
        width=6,
    )


def trading() -> Iterator[Panel]:
    """What the bot does."""
    yield lines(
        "Trades",
        "Trades per minute by source and outcome.",
        "suffix:/min",
        Query(counted("arb_bot_trades_by_outcome_total", by="source, outcome"), "{{source}} {{outcome}}"),
        low=0,
    )
    yield lines(
        "Net profit",
        "The bot's own net profit summed over all its trades, by pair; only differences within "
        "the shown time were seen by Prometheus.",
        "suffix: ETH",
        Query(summed("arb_bot_net_profit_ether", by="source, pair"), "{{source}} {{pair}}"),
        decimals=6,
    )
    yield lines(
        "Failures by reason",
        "Failed trades per minute by what their error text means; no data as long as none failed.",
        "suffix:/min",
        Query(counted("arb_bot_trade_failures_total", by="source, reason"), "{{source}} {{reason}}"),
        low=0,
    )
    yield lines(
        "Gain, loss and gas",
        "Per hour, in ether: profits of trades that gained, losses of those that lost, and "
        "gas as the source reports it. Gas is already part of the net.",
        "suffix: ETH/h",
        *(
            Query(f"3600 * sum by (source) (rate({metric}{{{BOT}}}[$__rate_interval]))", f"{name} {{{{source}}}}")
            for metric, name in (
                ("arb_bot_gain_ether_total", "gain"),
                ("arb_bot_loss_ether_total", "loss"),
                ("arb_bot_gas_cost_ether_total", "gas"),
            )
        ),
        decimals=6,
        low=0,
    )
    yield lines(
        "Expected against made",
        "Profit the bot expected of its trades, and what it says it made, per hour.",
        "suffix: ETH/h",
        Query(
            f'3600 * sum(rate(arb_bot_expected_profit_ether_total{{{BOT},source="memory_bank"}}[$__rate_interval]))',
            "expected",
        ),
        Query(
            f'3600 * (sum(rate(arb_bot_gain_ether_total{{{BOT},source="memory_bank"}}[$__rate_interval])) - '
            f'sum(rate(arb_bot_loss_ether_total{{{BOT},source="memory_bank"}}[$__rate_interval])))',
            "made",
        ),
        decimals=6,
    )
    yield lines(
        "Trades by route",
        "Trades per minute by pair and the venues bought and sold at.",
        "suffix:/min",
        Query(
            counted("arb_bot_trades_total", by="pair, dex_buy, dex_sell", extra=',source="memory_bank"'),
            "{{pair}} {{dex_buy}} → {{dex_sell}}",
        ),
        stack=True,
        low=0,
    )


def books() -> Iterator[Panel]:
    """What the bot leaves behind."""
    yield stat(
        "Memory bank",
        "Whether the bank is there.",
        "none",
        f"min by (bot) (arb_memory_bank_up{{{BOT}}})",
        legend="{{bot}}",
        texts=UP_DOWN,
        width=3,
    )
    yield stat(
        "Last trade",
        "Time since the newest trade, by source.",
        "s",
        f"time() - max by (source) (arb_bot_last_trade_timestamp_seconds{{{BOT}}})",
        legend="{{source}}",
        decimals=0,
        steps=PLAIN,
        width=5,
    )
    yield stat(
        "State last written",
        "Time since anything in state/ was written; the supported bot writes every 10 s.",
        "s",
        f'time() - max(arb_memory_bank_last_write_timestamp_seconds{{{BOT},directory="state"}})',
        decimals=0,
        steps=age(2, 10),
    )
    yield stat(
        "Invalid files",
        "Files and rows of the bank that could not be used, each once for each content; zero while there is none.",
        "short",
        f"sum(increase(arb_memory_bank_invalid_files_total{{{BOT}}}[$__range])) or vector(0)",
        decimals=0,
        steps=((None, GREEN), (1, AMBER)),
    )
    yield stat(
        "Last backup",
        "Time since the newest backup in the configured backup stores.",
        "s",
        f"time() - max by (store) (arb_storage_backup_last_timestamp_seconds{{{JOB}}})",
        legend="{{store}}",
        decimals=0,
        steps=age(24 * 60, 48 * 60),
        no_value="no backup",
    )
    yield stat(
        "Stores missing",
        "Configured stores that are not there.",
        "short",
        f"count(arb_storage_up{{{JOB}}} == 0) or vector(0)",
        steps=((None, GREEN), (1, RED)),
    )
    yield lines(
        "Files in the bank",
        "Files by directory.",
        "short",
        Query(summed("arb_memory_bank_files", by="directory"), "{{directory}}"),
        low=0,
        width=6,
        decimals=0,
    )
    yield lines(
        "Size of stores",
        "Bytes in each configured store.",
        "bytes",
        Query(summed("arb_storage_bytes", by="store", matchers=JOB), "{{store}}"),
        low=0,
        width=6,
    )
    yield lines(
        "Log messages",
        "Messages per minute by log and level.",
        "suffix:/min",
        Query(
            counted("arb_bot_log_messages_total", by="log, level", extra=',level!~"debug|other"'), "{{log}} {{level}}"
        ),
        low=0,
        width=6,
    )
    yield lines(
        "Bot's memory",
        "Resident memory of the bot's process.",
        "bytes",
        Query(summed("arb_bot_process_resident_memory_bytes", by="bot"), "{{bot}}"),
        low=0,
        width=6,
    )


def chain() -> Iterator[Panel]:
    """What the bot stands on: chain, wallets, prices."""
    yield stat(
        "Endpoints up",
        "Nodes that answer and serve the right chain.",
        "none",
        f"min by (endpoint) (arb_rpc_up{{{JOB}}})",
        legend="{{endpoint}}",
        texts=UP_DOWN,
    )
    yield stat(
        "Head",
        "Time since the newest block was made.",
        "s",
        f"time() - max(arb_chain_head_timestamp_seconds{{{JOB}}})",
        decimals=0,
        steps=((None, GREEN), (15, AMBER), (60, RED)),
    )
    yield stat(
        "Not final yet",
        "Blocks between the newest and the newest final one.",
        "short",
        f"max(arb_chain_head_block{{{JOB}}}) - max(arb_chain_finalized_block{{{JOB}}})",
        decimals=0,
    )
    yield stat(
        "Base fee",
        "Base fee of the newest block.",
        "suffix: gwei",
        f"max(arb_gas_base_fee_wei{{{JOB}}}) / 1e9",
        decimals=6,
    )
    yield stat(
        "Ether in wallets",
        "Balance by wallet.",
        "suffix: ETH",
        summed("arb_wallet_balance_ether", by="wallet", matchers=JOB),
        legend="{{wallet}}",
        decimals=4,
        steps=((None, RED), (0.05, AMBER), (0.15, GREEN)),
    )
    yield stat(
        "Transactions waiting",
        "Sent and not mined yet, by wallet.",
        "short",
        summed("arb_wallet_pending_transactions", by="wallet", matchers=JOB),
        legend="{{wallet}}",
        decimals=0,
        steps=((None, GREEN), (3, AMBER)),
    )
    yield stat(
        "Price by venue",
        "Newest price, in the pair's quote token for one of its base token.",
        "none",
        f"max by (pair, dex) (arb_price_quote_per_base{{{JOB}}})",
        legend="{{pair}} {{dex}}",
        decimals=4,
        width=24,
    )
    yield lines(
        "Prices apart",
        "How far each venue's price is from the mean of its pair's venues at that moment.",
        "percentunit",
        Query(
            f"arb_price_quote_per_base{{{JOB}}} / on (pair) group_left () avg by (pair) (arb_price_quote_per_base{{{JOB}}}) - 1",
            "{{pair}} {{dex}}",
        ),
        decimals=3,
    )
    yield lines(
        "Spread across venues",
        "Highest price over lowest, less one. It pays from about the sum of both pools' fees.",
        "percentunit",
        Query(f"max by (pair) (arb_price_spread_ratio{{{JOB}}})", "{{pair}}"),
        decimals=3,
        low=0,
    )
    yield lines(
        "Gas price",
        "Base fee now and next, and what was paid on top; mind the unit.",
        "suffix: gwei",
        Query(f"max(arb_gas_base_fee_wei{{{JOB}}}) / 1e9", "base fee"),
        Query(f"max(arb_gas_next_base_fee_wei{{{JOB}}}) / 1e9", "next base fee"),
        Query(f'max(arb_gas_priority_fee_wei{{{JOB},percentile="50"}}) / 1e9', "priority, median"),
        decimals=6,
        low=0,
    )
    yield lines(
        "Tokens in wallets",
        "Token balances by wallet.",
        "short",
        Query(summed("arb_wallet_token_balance", by="wallet, token", matchers=JOB), "{{wallet}} {{token}}"),
        low=0,
        decimals=4,
    )
    yield lines(
        "Block fullness",
        "Share of the newest block's gas limit that was used.",
        "percentunit",
        Query(f"max(arb_gas_block_used_ratio{{{JOB}}})", "used"),
        low=0,
        decimals=1,
    )
    yield lines(
        "RPC latency",
        "Median and 99th percentile of batches, by endpoint.",
        "s",
        *(
            Query(
                f"histogram_quantile({q}, sum by (endpoint, le) (rate(arb_rpc_request_duration_seconds_bucket{{{JOB}}}"
                "[$__rate_interval])))",
                f"{{{{endpoint}}}} {name}",
            )
            for q, name in ((0.5, "p50"), (0.99, "p99"))
        ),
        low=0,
    )


def host() -> Iterator[Panel]:
    """The machine, and the exporter itself."""
    yield lines(
        "Processor",
        "Share of all cores in use.",
        "percentunit",
        Query(f"max by (instance) (arb_host_cpu_usage_ratio{{{JOB}}})", "{{instance}}"),
        low=0,
        high=1,
        width=6,
        decimals=0,
    )
    yield lines(
        "Memory",
        "Share of the machine's memory in use.",
        "percentunit",
        Query(
            f"max by (instance) (arb_host_memory_used_bytes{{{JOB}}} / arb_host_memory_total_bytes{{{JOB}}})",
            "{{instance}}",
        ),
        low=0,
        high=1,
        width=6,
        decimals=0,
    )
    yield lines(
        "Free space",
        "Share of each file system that is free.",
        "percentunit",
        Query(
            f"min by (mountpoint) (arb_host_filesystem_free_bytes{{{JOB}}} / arb_host_filesystem_size_bytes{{{JOB}}})",
            "{{mountpoint}}",
        ),
        low=0,
        high=1,
        width=6,
        decimals=0,
    )
    yield lines(
        "Exporter",
        "Resident memory of the exporter.",
        "bytes",
        Query(f"max by (instance) (arb_exporter_resident_memory_bytes{{{JOB}}})", "{{instance}}"),
        low=0,
        width=6,
    )
    yield Panel(
        "table",
        "Collectors",
        "Whether the last read of each part of the exporter succeeded.",
        "none",
        (Query(f"min by (collector) (arb_scrape_collector_success{{{JOB}}})", "works"),),
        (8, 9),
        texts=YES_NO,
    )
    yield lines(
        "Reads",
        "How long each collector's last read took.",
        "s",
        Query(f"max by (collector) (arb_scrape_collector_duration_seconds{{{JOB}}})", "{{collector}}"),
        low=0,
        height=9,
    )
    yield lines(
        "RPC outcomes",
        "Calls per minute that did not succeed, by endpoint and outcome; flat at zero is good.",
        "suffix:/min",
        Query(
            f'60 * sum by (endpoint) (rate(arb_rpc_requests_total{{{JOB},outcome!="ok"}}[$__rate_interval])) or '
            f"0 * sum by (endpoint) (arb_rpc_up{{{JOB}}})",
            "{{endpoint}}",
        ),
        low=0,
        height=9,
    )


ROWS: Final = (
    ("Is it healthy, is it earning, is it true?", first_row),
    ("Trading, as the bot reports it", trading),
    ("What the bot leaves behind", books),
    ("Chain, wallets and prices", chain),
    ("Host and exporter", host),
)


def overview() -> dict[str, Any]:
    """The dashboard with every main subject on it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, content in ROWS:
        panels.append(
            {
                "type": "row",
                "title": title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
            }
        )
        placed, top = _place(list(content()), top + 1)
        panels += placed
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
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
        "panels": panels,
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
    selectors = {
        "job": "arb_exporter_build_info",
        "instance": 'arb_exporter_build_info{job=~"$job"}',
        "bot": f'{{__name__=~"arb_memory_bank_up|arb_bot_process_up|arb_bot_log_up",{JOB}}}',
    }
    for name, selector in selectors.items():
        query = f"label_values({selector}, {name})"
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": name},
            "includeAll": True,
            "multi": True,
            "allValue": ".*",
            "sort": 1,
            "current": {"text": ["All"], "value": ["$__all"]},
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
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _OPTIONS[panel.kind] | ({"textMode": panel.text_mode} if panel.kind == "stat" else {}),
        "transformations": _transformations(panel),
    }


def _target(panel: Panel, place: int, query: Query) -> dict[str, Any]:
    instant = panel.kind in ("stat", "table")
    target = {
        "refId": chr(ord("A") + place),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "editorMode": "code",
        "instant": instant,
        "range": not instant,
    }
    return target | ({"format": "table"} if panel.kind == "table" else {})


def _defaults(panel: Panel) -> dict[str, Any]:
    found: dict[str, Any] = {
        "unit": panel.unit,
        "noValue": panel.no_value,
        "thresholds": {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in panel.steps]},
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
    }
    found |= {k: v for k, v in (("decimals", panel.decimals), ("min", panel.low), ("max", panel.high)) if v is not None}
    if panel.texts and panel.kind == "stat":
        found["mappings"] = [_mapping(panel.texts)]
    if panel.kind == "timeseries":
        found["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stack else 8,
            "showPoints": "never",
            "spanNulls": 60_000,
            "stacking": {"mode": "normal" if panel.stack else "none", "group": "A"},
        }
    return found


def _mapping(texts: dict[str, tuple[str, str]]) -> dict[str, Any]:
    options = {
        value: {"text": text, "color": color, "index": i} for i, (value, (text, color)) in enumerate(texts.items())
    }
    return {"type": "value", "options": options}


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    if panel.kind != "table":
        return []
    works = [
        {"id": "mappings", "value": [_mapping(panel.texts)]},
        {"id": "custom.cellOptions", "value": {"type": "color-text"}},
    ]
    return [{"matcher": {"id": "byName", "options": "Works"}, "properties": works}]


def _transformations(panel: Panel) -> list[dict[str, Any]]:
    if panel.kind != "table":
        return []
    names = {"collector": "Collector", "Value": "Works", "Value #A": "Works"}
    return [
        {"id": "organize", "options": {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": names}},
    ]


_LEGEND: Final = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "textMode": "auto",
        "orientation": "auto",
    },
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "table": {"showHeader": True, "cellHeight": "sm"},
}

DASHBOARDS: Final = {"overview": overview}


def main() -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = 0
    for name, build in DASHBOARDS.items():
        file, text = FOLDER / f"{name}.json", rendered(build())
        if not file.exists() or file.read_text() != text:
            stale += 1
            print(f"{file.name} is {'not current' if check else 'written'}")
            if not check:
                file.write_text(text)
    return 1 if check and stale else 0


def rendered(dashboard: dict[str, Any]) -> str:
    """A dashboard as the file holds it."""
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
