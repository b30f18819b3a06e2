"""Each rule is broken in its comparisons, its limits and its `for`; the unit tests of alerting/tests must notice."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tests.alerting.rules import ALERTS, EVERY, RECORDS, TESTS, THRESHOLD, THRESHOLDS, Rule, needed
from tests.alerting.test_rules import SUBJECTS, promtool

FULL = os.environ.get("ARB_PROOFS") == "full"
TURNED = {">": "<", "<": ">", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
COMPARISON = re.compile(r"(?<![=<>!])(>=|<=|==|!=|>|<)(?![=~])")
FACTOR = re.compile(r"(?<=\()\d+(?:\.\d+)?(?= \* )")
ORDER = {rule.name: place for place, rule in enumerate(EVERY)}
BATCH = 10
"""Files of tests for one promtool."""
LEAST = 0.001
"""By how much a threshold of 0 is moved; others are doubled and halved."""
IMPLIED = {"ArbThresholdMissing"}
"""Alerts whose rules are tested without the file of thresholds."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """An alert whose rule, or one that it reads, is broken."""

    alert: str
    words: str
    rules: tuple[Rule, ...]


def changed(rule: Rule, **fields: Any) -> Rule:
    return replace(rule, body=rule.body | fields)


def turned(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """The rule with one comparison turned round, or one factor doubled or halved."""
    masked = re.sub(r'\{[^}]*\}|"[^"]*"', lambda found: "_" * len(found[0]), rule.expr)
    for found in COMPARISON.finditer(masked):
        expr = rule.expr[: found.start()] + TURNED[found[0]] + rule.expr[found.end() :]
        yield f"{rule.name}: {found[0]} at {found.start()}", changed(rule, expr=expr)
    for found in FACTOR.finditer(masked):
        for times in (2, 0.5):
            expr = f"{rule.expr[: found.start()]}{float(found[0]) * times}{rule.expr[found.end() :]}"
            yield f"{rule.name}: {found[0]} at {found.start()} times {times}", changed(rule, expr=expr)


def moved(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """The threshold higher and lower."""
    value = float(rule.expr.removeprefix("vector(").removesuffix(")"))
    for other in (value * 2, value / 2) if value else (LEAST, -LEAST):
        yield f"{rule.name} = {other}", changed(rule, expr=f"vector({other})")


def delayed(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """The `for` longer and shorter."""
    for other in (rule.seconds / 2, rule.seconds * 2) if rule.seconds else (300,):
        yield f"for {other:g} s", changed(rule, **{"for": f"{other:g}s"})


def mutants(alert: Rule) -> Iterator[Mutant]:
    """All of an alert."""
    whole = {**needed(alert), alert.name: alert}
    for name, rule in whole.items():
        changes = moved(rule) if name in THRESHOLDS else turned(rule)
        for words, broken in [*changes, *(delayed(rule) if rule is alert else ())]:
            yield Mutant(alert.name, words, tuple((whole | {name: broken}).values()))


def chosen() -> list[Mutant]:
    """All of them; in a short run of every rule and threshold the first, and of every alert its shortened `for`."""
    every = [mutant for alert in ALERTS.values() if alert.name not in IMPLIED for mutant in mutants(alert)]
    every += [Mutant(name, words, (broken,)) for name in IMPLIED for words, broken in delayed(ALERTS[name])]
    if FULL:
        return every
    first: dict[str, Mutant] = {}
    for mutant in every:
        name, _, words = mutant.words.partition(":" if ": " in mutant.words else " = ")
        first.setdefault(f"{mutant.alert}: {name.split()[0]}" if not words else name, mutant)
    return list(first.values())


def written(rules: tuple[Rule, ...], alert: str, folder: Path) -> Path:
    """The tests of that alert, with these rules only."""
    folder.mkdir(parents=True)
    groups: dict[str, list[dict[str, Any]]] = {}
    for rule in sorted(rules, key=lambda each: ORDER[each.name]):
        groups.setdefault(rule.group, []).append(rule.body)
    made = [{"name": name, "rules": bodies} for name, bodies in groups.items()]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": made}))
    own = ALERTS[alert].group
    order = sorted(groups, key=lambda name: (name != "arb-thresholds", name == own))
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "30s", "group_eval_order": order}
    (folder / "tests.yml").write_text(yaml.safe_dump({**document, "tests": list(cases(alert))}))
    return folder / "tests.yml"


def passing(files: Sequence[Path]) -> set[Path]:
    """Those that promtool has nothing to say against; many at once, since most of its time is its start."""
    batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
    with ThreadPoolExecutor(2) as pool:
        said = "".join(pool.map(lambda batch: promtool("test", "rules", *batch).stdout, batches))
    told = re.findall(r"^Unit Testing: +(.+)\n(  SUCCESS$)?", said, re.MULTILINE)
    assert [name for name, _ in told] == [str(file) for file in files], "each is looked at"
    return {Path(name) for name, success in told if success}


def cases(alert: str) -> Iterator[dict[str, Any]]:
    """The groups of tests that are about that alert only."""
    return (group for file in LOADED.values() for group in file if group["name"].startswith(f"{alert}: "))


LOADED = {
    file.stem: yaml.safe_load(file.read_text())["tests"]
    for file in sorted(TESTS.glob("*.yml"))
    if file.stem in (*SUBJECTS, "thresholds")
}


def sound(alert: Rule) -> tuple[Rule, ...]:
    """The alert and what it reads, as they are."""
    return (*([] if alert.name in IMPLIED else needed(alert).values()), alert)


def test_unbroken_rules_pass_alone(tmp_path: Path) -> None:
    """Or else a mutant would be caught by its surroundings."""
    files = {written(sound(alert), alert.name, tmp_path / alert.name): alert.name for alert in ALERTS.values()}
    good = passing(list(files))
    assert not [name for file, name in files.items() if file not in good]


def test_broken_rules_are_noticed(tmp_path: Path) -> None:
    every = chosen()
    assert {mutant.alert for mutant in every} == set(ALERTS)
    files = [written(mutant.rules, mutant.alert, tmp_path / str(place)) for place, mutant in enumerate(every)]
    good = passing(files)
    missed = [f"{mutant.alert}: {mutant.words}" for mutant, file in zip(every, files, strict=True) if file in good]
    assert not missed, f"{len(missed)} of {len(every)} were not noticed"


def test_every_threshold_and_every_recording_rule_with_a_limit_is_broken_too() -> None:
    reached = {name for alert in ALERTS.values() for name in needed(alert)}
    assert set(THRESHOLDS) <= reached
    limited = {n for n, r in RECORDS.items() if r.file in SUBJECTS and (THRESHOLD.search(r.expr) or list(turned(r)))}
    assert limited <= reached
