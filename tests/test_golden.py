import shutil
import subprocess

import pytest

from exporter import collectors
from exporter.board import METRICS
from tools import golden


def test_the_committed_files_are_current() -> None:
    assert golden.GOLDEN.read_text() == golden.exposition().decode(), "run `make golden` and review the diff"
    assert golden.REFERENCE.read_text() == golden.reference(), "run `make golden`"


def test_every_declared_metric_is_in_the_golden_exposition() -> None:
    text = golden.GOLDEN.read_text()
    declared = [metric.name for metric in METRICS] + [m.name for c in collectors.ALL for m in c.metrics]
    assert len(declared) == len(set(declared))
    assert [name for name in declared if f"# TYPE {name} " not in text] == []


def test_promtool_has_nothing_to_say() -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is part of Debian's package prometheus; `make test` installs it when root"
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=golden.exposition(), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


@pytest.mark.parametrize("collector", collectors.ALL, ids=lambda c: c.name)
def test_names_follow_the_contract(collector: collectors.Collector) -> None:
    for metric in collector.metrics:
        assert metric.name.startswith("arb_")
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert metric.help.endswith(".")
        assert len(metric.buckets) <= 11
