"""The rules: valid, complete in what they say, made of metrics that there are, and true to their own unit tests."""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import Call, MatrixSelector, VectorSelector, parse

from tests.alerting.rules import (
    ALERTS,
    EVERY,
    RECORDED,
    RECORDS,
    ROOT,
    RULES,
    RUNBOOKS,
    TESTS,
    THRESHOLD,
    THRESHOLDS,
    Rule,
    needed,
)
from tests.grafana.files import nodes

FAMILIES = list(text_string_to_metric_families((ROOT / "tests" / "golden" / "metrics.txt").read_text()))
LABELS = {s.name: set(s.labels) for family in FAMILIES for s in family.samples} | {"up": {"job", "instance"}}
COUNTED = {s.name for family in FAMILIES if family.type in ("counter", "histogram") for s in family.samples}
RATES = ("rate", "increase")
SUMS = ("arb:net_profit:ether", "arb:gas_cost:ether", "arb:memory_bank_invalid:files")
"""Sums of lasting counters by route or reason, which begin at 0 where the counters themselves do not."""
LIMIT = r"[(-]*(?:[0-9.]+ \* )?\(?(?:1 - )?arb:threshold:"
"""How a threshold is written behind what is compared with it."""
SUBJECTS = ("bot", "chain", "exporter", "host", "memory-bank", "money", "prices", "storage", "wallet")
OURS = [rule for rule in EVERY if rule.file in (*SUBJECTS, "thresholds")]


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    assert program, "promtool is part of Debian's package prometheus; `make test` installs it when root"
    command = [program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def by_name(rule: Rule) -> str:
    return rule.name


def test_promtool_accepts_them_without_a_word() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.yml")))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_unit_tests_pass() -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda file: promtool("test", "rules", file), sorted(TESTS.glob("*.yml"))))
    assert not [each.stdout + each.stderr for each in done if each.returncode]


def test_there_are_rules_for_every_subject() -> None:
    assert {rule.file for rule in ALERTS.values()} == set(SUBJECTS)
    assert len(ALERTS) >= 30
    names = [rule.name for rule in OURS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("alert", ALERTS.values(), ids=by_name)
def test_an_alert_says_what_it_must(alert: Rule) -> None:
    body = alert.body
    assert re.fullmatch(r"Arb([A-Z][a-z]+)+", alert.name)
    assert body["labels"] == {"severity": body["labels"]["severity"]}
    assert body["labels"]["severity"] in ("critical", "warning", "info")
    assert "for" in body
    assert set(body["annotations"]) == {"summary", "description", "runbook_url"}
    assert "{{" not in body["annotations"]["summary"]
    assert body["annotations"]["description"].endswith(".")


@pytest.mark.parametrize("alert", [a for a in ALERTS.values() if a.name != "ArbWatchdog"], ids=by_name)
def test_a_description_names_what_is_concerned(alert: Rule) -> None:
    assert "{{ $labels." in alert.body["annotations"]["description"]


@pytest.mark.parametrize("alert", ALERTS.values(), ids=by_name)
def test_the_runbook_exists(alert: Rule) -> None:
    assert alert.body["annotations"]["runbook_url"] == f"docs/runbooks/{alert.name}.md"
    assert (RUNBOOKS / f"{alert.name}.md").is_file()


@pytest.mark.parametrize("rule", OURS, ids=by_name)
def test_a_rule_reads_what_there_is(rule: Rule) -> None:
    selectors = [node for node, _ in nodes(parse(rule.expr)) if isinstance(node, VectorSelector)]
    for selector in selectors:
        assert selector.name in LABELS or selector.name in RECORDS, selector.name
        if selector.name in LABELS:
            assert {m.name for m in selector.matchers.matchers} <= LABELS[selector.name] | {"job", "instance"}


@pytest.mark.parametrize("rule", OURS, ids=by_name)
def test_counters_are_only_seen_as_rates_or_as_sums_that_begin_at_zero(rule: Rule) -> None:
    for node, above in nodes(parse(rule.expr)):
        if not isinstance(node, VectorSelector) or node.name not in COUNTED:
            continue
        called = [each.func.name for each in above if isinstance(each, Call)]
        in_rate = bool(above) and isinstance(above[0], MatrixSelector) and called[:1] and called[0] in RATES
        presence = rule.name.endswith("Missing")
        assert in_rate or presence or rule.name in SUMS, node.name


@pytest.mark.parametrize("rule", OURS, ids=by_name)
def test_bots_and_instances_are_never_mixed(rule: Rule) -> None:
    for labels in re.findall(r"\bby \(([^)]*)\)", rule.expr):
        assert {"job", "instance"} <= set(labels.split(", ")), rule.expr
    others = re.sub(rf"\bon \(\) group_left \(\) {LIMIT}", "", rule.expr)
    for labels in re.findall(r"\bon \(([^)]*)\)", others):
        assert {"job", "instance"} <= set(labels.split(", ")), rule.expr
    assert "without" not in rule.expr


def test_thresholds_are_in_one_file_that_holds_nothing_else() -> None:
    assert all(THRESHOLD.fullmatch(name) for name in THRESHOLDS)
    assert not [name for name, rule in RECORDS.items() if THRESHOLD.match(name) and rule.file != "thresholds"]
    assert all(re.fullmatch(r"vector\([0-9.]+\)", rule.expr) for rule in THRESHOLDS.values())
    assert not [rule for rule in EVERY if rule.file == "thresholds" and "alert" in rule.body]


def test_every_threshold_is_used_and_missed() -> None:
    guard = ALERTS["ArbThresholdMissing"]
    used = {name for rule in EVERY if rule is not guard for name in THRESHOLD.findall(rule.expr)}
    assert used == set(THRESHOLDS)
    assert THRESHOLD.findall(guard.expr) == list(THRESHOLDS)
    assert re.findall(r'"threshold", "(\w+)"', guard.expr) == [name.rpartition(":")[2] for name in THRESHOLDS]


@pytest.mark.parametrize("rule", [r for r in OURS if r.file != "thresholds"], ids=by_name)
def test_limits_are_thresholds(rule: Rule) -> None:
    """What is compared with a number is a state, a count of none, or the burn rate's factor; never a limit."""
    numbers = re.findall(r"(?:[<>=!]=?)(?: bool)?\s+(-?[0-9.]+)", re.sub(r"\{[^}]*\}", "", rule.expr))
    assert set(numbers) <= {"0", "1"}


@pytest.mark.parametrize("alert", ALERTS.values(), ids=by_name)
def test_rates_of_trades_pause_over_what_is_caught_up(alert: Rule) -> None:
    """So does whatever looks at a window of figures that a long absence of the exporter makes jump."""
    read = " ".join(rule.expr for rule in (alert, *needed(alert).values()))
    windows = re.search(r"(?:delta|increase)\((?:arb:|arb_bot_|arb_memory_bank)", read)
    if not windows or "arb_bot_log" in alert.expr + "".join(needed(alert)):
        return
    assert "caught_up" in alert.expr or "arb_bot_backfill_active" in alert.expr or "log_errors" in alert.expr


def test_every_alert_is_tested_in_all_its_states() -> None:
    for alert in ALERTS:
        cases = [(group, case) for group in GROUPS for case in group["alert_rule_test"] if case["alertname"] == alert]
        fires = [case for _, case in cases if case.get("exp_alerts")]
        assert fires, alert
        if alert == "ArbWatchdog":
            continue
        names = {group["name"] for group, _ in cases}
        assert "all is there and nothing happens" in names or alert == "ArbThresholdMissing", alert
        assert "nothing is exported" in names or alert in ("ArbExporterAbsent", "ArbThresholdMissing"), alert
        assert any(_heals(group, alert) for group, _ in cases), alert
        for case in fires:
            for expected in case["exp_alerts"]:
                assert set(expected["exp_annotations"]) == {"summary", "description", "runbook_url"}


def _heals(group: dict[str, object], alert: str) -> bool:
    """Whether in one group it is quiet, then fires, then is quiet."""
    cases: list[dict[str, object]] = group["alert_rule_test"]  # type: ignore[assignment]
    states = [bool(case.get("exp_alerts")) for case in cases if case["alertname"] == alert]
    return states[0] is False and True in states and states[-1] is False


GROUPS = [
    group
    for file in sorted(TESTS.glob("*.yml"))
    if file.stem in (*SUBJECTS, "thresholds")
    for group in yaml.safe_load(file.read_text())["tests"]
]


def test_recorded_names_have_three_parts() -> None:
    assert all(re.fullmatch(r"arb:\w+:\w+", name) and RECORDED.fullmatch(name) for name in RECORDS)
