"""Schemathesis asks everything that the OpenAPI describes, and much that it does not: no answer is a fault of ours.

ARB_PROOFS=full asks far more.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import Running, running, until
from tests.sources.event_documents import TYPES, event

FULL = os.environ.get("ARB_PROOFS") == "full"
EXAMPLES = 500 if FULL else 8
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance"


def ask(exporter: Running, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run it against an exporter; what it generates is the same every time."""
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{exporter.url}/api/v1/openapi.json", "--checks", CHECKS,
        "--max-examples", str(EXAMPLES), "--seed", "5", "--no-color", "--suppress-health-check=all",
        "--generation-database=none", "--request-timeout=30", *more,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=3_000)


@pytest.mark.parametrize("phases", ["examples,coverage", "fuzzing"])
def test_no_request_is_answered_with_a_fault(tmp_path: Path, phases: str) -> None:
    bank = tmp_path / "bank" / "trades"
    bank.mkdir(parents=True)
    file = tmp_path / "events.ndjson"
    file.write_text("".join(f"{json.dumps(event(kind, kind))}\n" for kind in TYPES))
    settings = {"bot": {"name": "b", "events": str(file), "memory_bank": str(bank.parent)}}
    with running(settings, tmp_path) as exporter:
        until(lambda: exporter.value("arb_events_total", bot="b", type="trade") == 1.0, 60, exporter)
        until(lambda: exporter.value("arb_scrape_collector_success", collector="trades") == 1.0, 60, exporter)
        found = ask(exporter, tmp_path, "--phases", phases)
        assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-1000:]
        assert exporter.process.poll() is None
        log = exporter.stderr.read_text()
    assert "request failed" not in log
    assert "level=error" not in log
