"""Everything operators asked for has an answer by name: the table of docs/requirements.md, row by row."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from promql_parser import parse

from exporter.sources.event_records import TYPES
from tests.requirements import EVERY, Requirement

ROOT = Path(__file__).parents[1]
METRICS = set(re.findall(r"^# TYPE (\w+) ", (ROOT / "tests" / "golden" / "metrics.txt").read_text(), re.MULTILINE))
GROUPS = yaml.safe_load((ROOT / "alerting" / "rules" / "requirements.yml").read_text())["groups"]
RULES = {rule["record"] for group in GROUPS for rule in group["rules"]}

ASKED = {
    "Profitability": ["net profit after all fees by token pair", "roi per trade type", "profit per gas unit",
                      "profit by strategy"],
    "DEX performance": ["success rate by dex pair", "cross-dex frequency", "cross-dex profit",
                        "slippage patterns per dex", "liquidity depth against success"],
    "Flash loans": ["success rate per provider", "reliability at peak times", "cost against net profit",
                    "largest effective size by token"],
    "Execution": ["gas by strategy", "mev protection effectiveness", "path length against success",
                  "time from discovery to completion"],
    "Tokens": ["cbeth/eth opportunities across dexes", "usdbc/usdc frequency",
               "base tokens' migration between venues", "volatility against success"],
    "System": ["network congestion against success", "opportunities by hour of day", "recurring graph patterns",
               "multi-path against simple"],
    "Also named in their documents": [
        "wallet", "portfolio", "trade history", "opportunity funnel", "reject reasons", "gas history",
        "pool liquidity", "spreads", "memory-bank integrity: counts", "memory-bank integrity: schema validity",
        "memory-bank integrity: invalid files", "cache hits", "cache size", "storage", "backup status",
        "allocation by dex", "allocation by pair", "component health", "log freshness", "rpc latency", "rpc rotation",
        "websocket connections", "websocket latency", "alerts with severities", "the value missed",
        "predicted against realised profit", "drawdown", "pools and tasks",
    ],
}  # fmt: skip
"""What was asked for, in the words of those who did; the first six sections are the 24 primary metrics."""


def test_every_question_has_its_row() -> None:
    for section, questions in ASKED.items():
        rows = [row.asked.lower() for row in EVERY if row.section == section]
        assert [asked for asked in questions if not any(row.startswith(asked) for row in rows)] == []
    assert {row.section for row in EVERY} == set(ASKED)


def test_no_row_is_there_twice() -> None:
    assert len({row.asked for row in EVERY}) == len(EVERY)


EACH = pytest.mark.parametrize("row", EVERY, ids=lambda row: row.asked)


@EACH
def test_the_answer_is_a_metric_or_a_rule_that_there_is(row: Requirement) -> None:
    assert row.name in METRICS | RULES


@EACH
def test_the_query_is_valid_and_asks_for_it(row: Requirement) -> None:
    parse(row.query)
    named = set(re.findall(r"\barb_\w+|\barb:\w+:\w+", row.query))
    assert row.name in {name.removesuffix("_bucket") for name in named}
    assert {name.removesuffix("_bucket") for name in named} <= METRICS | RULES


@EACH
def test_events_that_must_say_it_are_events(row: Requirement) -> None:
    named = re.findall(r"`(\w+)`", row.said_by)
    known = {spoken for kind in TYPES.values() for spoken in schema_fields(kind)} | set(TYPES) | METRICS
    assert set(named) - {"ALERTS", "detected"} <= known
    assert row.said_by


def schema_fields(kind: type) -> set[str]:
    """The names that an event's fields have on the wire."""
    return {field.metadata["name"] or field.name for field in fields(kind) if field.metadata}


def test_every_rule_answers_something() -> None:
    parts = {"arb:congestion:score", "arb:pair_dex_liquidity:level", "arb:trades_success:ratio5m"}
    assert parts | {row.name for row in EVERY} >= RULES
