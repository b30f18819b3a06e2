"""Who is told of what: routes as amtool takes them, inhibitions that cannot leak, secrets in files only."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerting.rules import ALERTS, ROOT, seconds

FOLDER = ROOT / "alerting"
FILE = FOLDER / "alertmanager.yml"
EXAMPLE = FOLDER / "examples" / "receivers-newer.yml"
SETTINGS: dict[str, Any] = yaml.safe_load(FILE.read_text())
TOLERATED = {"bot_token_file", "webhook_url_file", "url_file"}
"""What Alertmanager 0.25 does not know yet."""
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def amtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("amtool")
    assert program, "amtool is part of Debian's package prometheus-alertmanager; `make test` installs it when root"
    command = [program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def meets(matchers: list[str], labels: dict[str, str]) -> bool:
    """Whether all of them do; what is said in one text is separated by commas."""
    for name, operator, text in (found for each in matchers for found in MATCHER.findall(each)):
        value = labels.get(name, "")
        same = re.fullmatch(text, value) is not None if "~" in operator else value == text
        if same is operator.startswith("!"):
            return False
    return True


def concerned(matchers: list[str]) -> set[str]:
    """The alerts that these matchers meet, whatever else their labels are."""
    own = [each for each in matchers if "alertname" in each]
    return {name for name in ALERTS if meets(own, {"alertname": name})}


def test_amtool_accepts_it_with_its_templates() -> None:
    checked = amtool("check-config", FILE)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "1 templates" in checked.stdout


@pytest.mark.parametrize("alert", ALERTS)
def test_routes(alert: str) -> None:
    severity = ALERTS[alert].body["labels"]["severity"]
    routed = amtool("config", "routes", "test", f"--config.file={FILE}", f"alertname={alert}", f"severity={severity}")
    wanted = "dead-man" if alert == "ArbWatchdog" else f"live-page,{severity}"
    assert routed.stdout.strip() == wanted


def test_notifications_are_grouped_by_alert_and_bot() -> None:
    assert SETTINGS["route"]["group_by"] == ["alertname", "bot"]


def test_the_dead_mans_switch_is_told_every_minute_and_never_that_it_is_over() -> None:
    (route,) = (r for r in SETTINGS["route"]["routes"] if r["receiver"] == "dead-man")
    look, repeat = seconds(route["group_interval"]), seconds(route["repeat_interval"])
    looks = range(0, 600, int(look))
    assert next(at for at in looks if at > repeat) == 60
    assert 60 - repeat >= 5, "a repeat is counted from when the last was sent, which takes a while"
    (receiver,) = (r for r in SETTINGS["receivers"] if r["name"] == "dead-man")
    assert [hook["send_resolved"] for hook in receiver["webhook_configs"]] == [False]


def test_the_exporter_is_told_of_everything_at_its_own_address() -> None:
    (receiver,) = (r for r in SETTINGS["receivers"] if r["name"] == "live-page")
    (hook,) = receiver["webhook_configs"]
    assert hook == {"url": "http://127.0.0.1:10453/api/v1/alerts", "send_resolved": True}


def test_there_are_slack_email_and_pagerduty() -> None:
    (receiver,) = (r for r in SETTINGS["receivers"] if r["name"] == "critical")
    assert set(receiver) == {"name", "pagerduty_configs", "slack_configs", "email_configs"}


@pytest.mark.parametrize("file", [FILE, EXAMPLE], ids=["shipped", "example"])
def test_secrets_are_in_files(file: Path) -> None:
    text = file.read_text()
    given = re.findall(
        r"^\s*-?\s*(\w*(?:password|secret|token|routing_key|api_url|credentials)\w*):", text, re.MULTILINE
    )
    assert given
    assert all(name.endswith("_file") for name in given)


def test_the_examples_are_whole_but_for_what_debians_version_does_not_know() -> None:
    """That version names each unknown field by its line; there is nothing else that it takes offence at."""
    checked = amtool("check-config", EXAMPLE)
    unknown = re.findall(r"field (\w+) not found", checked.stdout)
    assert set(unknown) <= TOLERATED
    if checked.returncode:
        assert len(unknown) == sum(len(re.findall(rf"\b{name}:", EXAMPLE.read_text())) for name in TOLERATED)


INHIBITIONS = [
    pytest.param(rule, id=f"{min(concerned(rule['source_matchers']))} {place}")
    for place, rule in enumerate(SETTINGS["inhibit_rules"])
]


@pytest.mark.parametrize("rule", INHIBITIONS)
def test_an_inhibitor_is_there_first_and_stays_longer(rule: dict[str, Any]) -> None:
    (source,) = concerned(rule["source_matchers"])
    targets = concerned(rule["target_matchers"])
    assert targets
    assert source not in targets
    inhibitor = ALERTS[source]
    assert "keep_firing_for" in inhibitor.body, source
    late = {name for name in targets if ALERTS[name].seconds < inhibitor.seconds and name != "ArbWatchdog"}
    assert not late, "they would be told before they are silenced"


@pytest.mark.parametrize("rule", INHIBITIONS)
def test_an_inhibition_keeps_to_its_own_bot_or_machine(rule: dict[str, Any]) -> None:
    assert {"job", "instance"} <= set(rule["equal"])


@pytest.mark.parametrize("rule", INHIBITIONS)
def test_every_alert_that_is_named_exists(rule: dict[str, Any]) -> None:
    for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
        for _, _, text in MATCHER.findall(matcher):
            for name in text.split("|"):
                assert not name.startswith("Arb") or any(re.fullmatch(name, alert) for alert in ALERTS), name


def test_nothing_silences_the_watchdog_and_no_two_silence_each_other() -> None:
    pairs = {(s, t) for rule in SETTINGS["inhibit_rules"] for s in concerned(rule["source_matchers"])
             for t in concerned(rule["target_matchers"])}  # fmt: skip
    assert not [pair for pair in pairs if pair[1] == "ArbWatchdog" or pair[::-1] in pairs]


@pytest.mark.parametrize("base", ["", "https://docs.example/"])
def test_a_message_says_what_where_and_what_to_do(tmp_path: Path, base: str) -> None:
    alert = {"status": "firing", "labels": {"severity": "critical", "bot": "alpha"},
             "annotations": {"summary": "It burns", "description": "Here.", "runbook_url": "docs/X.md"}}  # fmt: skip
    data = {"status": "firing", "groupLabels": {"alertname": "X", "bot": "alpha"}, "alerts": [alert]}
    (tmp_path / "data.json").write_text(json.dumps(data))
    text = (FOLDER / "templates" / "arb.tmpl").read_text()
    line = '{{ define "arb.documentation" }}{{ end }}'
    assert text.count(line) == 1
    (tmp_path / "arb.tmpl").write_text(text.replace(line, line.replace("}}{{", f"}}}}{base}{{{{")))
    options = (f"--template.glob={tmp_path}/*.tmpl", f"--template.data={tmp_path}/data.json")
    said = [
        amtool("template", "render", *options, f'--template.text={{{{ template "arb.{name}" . }}}}').stdout.strip()
        for name in ("title", "text")
    ]
    assert said[0] == "[firing: 1] X (alpha): It burns"
    assert said[1] == f"critical: Here.\nRunbook: {base}docs/X.md"


def test_repeats_are_rarer_than_groups() -> None:
    top = SETTINGS["route"]
    for route in (top, *top["routes"]):
        repeat = seconds(route.get("repeat_interval", top["repeat_interval"]))
        assert repeat >= seconds(route.get("group_interval", top["group_interval"]))
