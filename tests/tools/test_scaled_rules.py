"""Rules with shorter durations: every window and `for`, and nothing else."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.alerting.rules import EVERY, read
from tools import scaled_rules


@pytest.mark.parametrize(("given", "made"), [("1m", "1000ms"), ("3d", "4320000ms"), ("0m", "0ms"), ("30s", "500ms")])
def test_durations_are_divided(given: str, made: str) -> None:
    assert scaled_rules.scaled(given, 60) == made


def test_other_texts_are_no_durations() -> None:
    with pytest.raises(ValueError, match="1h30m"):
        scaled_rules.scaled("1h30m", 60)


def test_windows_and_offsets_are_divided_and_labels_are_not() -> None:
    text = 'rate(a{b="[5m] offset 1h"}[5m] offset 1h) + max_over_time(c[10m:1m])'
    made = scaled_rules.expression(text.replace('[5m] offset 1h"', '5m"'), 60)
    assert made == 'rate(a{b="5m"}[5000ms] offset 60000ms) + max_over_time(c[10000ms:1000ms])'


def test_all_rules_are_written_and_valid(tmp_path: Path) -> None:
    scaled_rules.write(tmp_path, 60, {"wallet_balance_ether_critical": 0.5})
    made = list(read(tmp_path))
    assert [rule.name for rule in made] == [rule.name for rule in EVERY]
    for rule, other in zip(EVERY, made, strict=True):
        assert other.seconds == pytest.approx(rule.seconds / 60)
        windows = [re.findall(r"\[(\w+)[\]:]", each.expr) for each in (rule, other)]
        assert len(windows[0]) == len(windows[1])
        assert all(window.endswith("ms") for window in windows[1])
    assert {rule.name: rule.expr for rule in made}["arb:threshold:wallet_balance_ether_critical"] == "vector(0.5)"
    promtool = shutil.which("promtool")
    assert promtool
    subprocess.run([promtool, "check", "rules", *tmp_path.glob("*.yml")], check=True, timeout=60, capture_output=True)


def test_a_threshold_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="nonsense"):
        scaled_rules.write(tmp_path, thresholds={"nonsense": 1})


def test_groups_stay_as_they_are(tmp_path: Path) -> None:
    scaled_rules.write(tmp_path)
    for file in scaled_rules.RULES.glob("*.yml"):
        names = [
            [g["name"] for g in yaml.safe_load(each.read_text())["groups"]] for each in (file, tmp_path / file.name)
        ]
        assert names[0] == names[1]


def test_a_groups_own_interval_is_divided_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "one.yml").write_text("groups: [{name: one, interval: 1m, rules: [{record: 'a:b:c', expr: 'vector(1)'}]}]")
    monkeypatch.setattr(scaled_rules, "RULES", rules)
    scaled_rules.write(tmp_path / "made")
    assert yaml.safe_load((tmp_path / "made" / "one.yml").read_text())["groups"][0]["interval"] == "1000ms"
