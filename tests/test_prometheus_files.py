"""What Prometheus is given: valid for promtool, and pointed at the exporter's defaults."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

FILE = Path(__file__).parents[1] / "prometheus.yml"


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return dict(yaml.safe_load(FILE.read_text()))


def test_promtool_accepts_it() -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is part of Debian's package prometheus; `make test` installs it when root"
    command = [promtool, "check", "config", str(FILE)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_it_scrapes_the_default_address(settings: dict[str, Any]) -> None:
    (job,) = settings["scrape_configs"]
    assert job["job_name"] == "arb-exporter"
    assert job["static_configs"] == [{"targets": ["127.0.0.1:10453"]}]


def test_rules_are_looked_for_beside_it(settings: dict[str, Any]) -> None:
    assert settings["rule_files"] == ["alerting/rules/*.yml"]


def test_alerts_go_to_a_local_alertmanager(settings: dict[str, Any]) -> None:
    (manager,) = settings["alerting"]["alertmanagers"]
    assert manager == {"static_configs": [{"targets": ["127.0.0.1:9093"]}]}


def test_it_holds_nothing_that_the_oldest_prometheus_does_not_know(settings: dict[str, Any]) -> None:
    """Debian 12 ships 2.42; scrape protocols came later."""
    assert set(settings["global"]) == {"scrape_interval", "scrape_timeout", "evaluation_interval"}
    assert set(settings["scrape_configs"][0]) <= {"job_name", "static_configs", "scheme", "basic_auth", "tls_config"}
