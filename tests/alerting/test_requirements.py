"""The recording rules of what operators asked for: valid, tested one by one, and made of metrics that there are."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from promql_parser import BinaryExpr, ParenExpr, parse

ROOT = Path(__file__).parents[2]
RULES = ROOT / "alerting" / "rules" / "requirements.yml"
TESTS = ROOT / "alerting" / "tests" / "requirements.yml"
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
EVERY_RULE = [pytest.param(rule, id=rule["record"]) for group in GROUPS for rule in group["rules"]]
RECORDS = {rule.values[0]["record"] for rule in EVERY_RULE}
DECLARED = set(re.findall(r"^# TYPE (\w+) ", (ROOT / "tests" / "golden" / "metrics.txt").read_text(), re.MULTILINE))


def promtool(*arguments: str) -> None:
    command = shutil.which("promtool")
    assert command, "promtool is part of Debian's package prometheus; `make test` installs it when root"
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_has_nothing_to_say() -> None:
    promtool("check", "rules", "--lint-fatal", str(RULES))


def test_they_say_what_they_should() -> None:
    promtool("test", "rules", str(TESTS))


def test_each_is_tested_with_values_and_with_nothing() -> None:
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test["promql_expr_test"]]
    for some in (True, False):
        asked = " ".join(case["expr"] for case in cases if bool(case["exp_samples"]) is some)
        assert RECORDS - {"arb:congestion:score"} <= set(re.findall(r"arb:\w+:\w+", asked))


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_a_rule_only_records(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"record", "expr", "labels"}
    assert re.fullmatch(r"arb:[a-z_]+:(ether|gwei|increase|level|ratio|score|p90_)(\d+[smhd])?", rule["record"])
    parse(rule["expr"])


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_it_is_made_of_what_there_is(rule: dict[str, Any]) -> None:
    named = set(re.findall(r"\barb_\w+", rule["expr"]))
    assert {name.removesuffix("_bucket").removesuffix("_count") for name in named} <= DECLARED
    assert set(re.findall(r"arb:\w+:\w+", rule["expr"])) <= RECORDS


def divisors(node: Any) -> list[Any]:
    """What is divided by, anywhere below."""
    found = [node.rhs] if isinstance(node, BinaryExpr) and str(node.op) == "/" else []
    for name in ("expr", "lhs", "rhs", "args"):
        child = getattr(node, name, None)
        for below in child if isinstance(child, list) else [child] if child is not None else []:
            found += divisors(below)
    return found


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_nothing_is_divided_by_zero(rule: dict[str, Any]) -> None:
    found = divisors(parse(rule["expr"]))
    assert len(found) == rule["expr"].replace("WETH/", "").count("/")
    for divisor in found:
        assert isinstance(divisor, ParenExpr)
        compared = divisor.expr
        assert isinstance(compared, BinaryExpr)
        assert (str(compared.op), str(compared.rhs)) == (">", "0"), rule["record"]
