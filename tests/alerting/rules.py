"""The rules of alerting/rules as they are written, and what each one needs of the others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "alerting" / "rules"
TESTS = ROOT / "alerting" / "tests"
RUNBOOKS = ROOT / "docs" / "runbooks"
THRESHOLD = re.compile(r"\barb:threshold:\w+")
RECORDED = re.compile(r"\barb:\w+(?::\w+)+")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, and where it is."""

    file: str
    group: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.body.get("alert") or self.body["record"])

    @property
    def expr(self) -> str:
        return str(self.body["expr"])

    @property
    def seconds(self) -> float:
        """Its `for`."""
        return seconds(self.body.get("for", "0s"))


def seconds(duration: str) -> float:
    """A duration of one unit, as the rules write them."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", str(duration)).groups()  # type: ignore[union-attr]
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]


def read(folder: Path = RULES) -> Iterator[Rule]:
    """All rules in the order of files."""
    for file in sorted(folder.glob("*.yml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for body in group["rules"]:
                yield Rule(file.stem, group["name"], body)


EVERY = list(read())
ALERTS = {rule.name: rule for rule in EVERY if "alert" in rule.body}
RECORDS = {rule.name: rule for rule in EVERY if "record" in rule.body}
THRESHOLDS = {name: rule for name, rule in RECORDS.items() if rule.file == "thresholds"}


def needed(rule: Rule) -> dict[str, Rule]:
    """The recording rules that a rule reads, and those that they read."""
    found: dict[str, Rule] = {}
    todo = [rule]
    while todo:
        names = {name for name in RECORDED.findall(todo.pop().expr) if name not in found}
        found |= {name: RECORDS[name] for name in names}
        todo += [RECORDS[name] for name in names]
    return found
