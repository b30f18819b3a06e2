"""Long-term storage by remote_write to a real VictoriaMetrics: not one sample is missing after it was away."""

import json
import os
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.running import Running, free_port, running, until

AWAY = 600 if os.environ.get("ARB_PROOFS") == "full" else 6
"""Seconds."""
QUEUE = {"batch_send_deadline": "1s"}
SERIES = 'up{job="arb-exporter"}'


@contextmanager
def started(command: list[str], log: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=log.parent)
    try:
        until(lambda: answers(url), 60)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310
            return True
    except OSError:
        return False


def get(url: str, **query: str) -> bytes:
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=10) as response:  # noqa: S310
        return bytes(response.read())


def scraped(port: int) -> set[int]:
    """The times of Prometheus' own samples, in milliseconds."""
    found = json.loads(get(f"http://127.0.0.1:{port}/api/v1/query", query=f"{SERIES}[1h]"))["data"]["result"]
    return {round(at * 1000) for series in found for at, _ in series["values"]}


def stored(port: int) -> set[int]:
    """The times of those that the store has."""
    lines = get(f"http://127.0.0.1:{port}/api/v1/export", **{"match[]": SERIES}).splitlines()
    return {at for line in lines for at in json.loads(line)["timestamps"]}


def prometheus(folder: Path, exporter: Running, store: int, port: int) -> list[str]:
    job: dict[str, Any] = {
        "job_name": "arb-exporter",
        "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}],
    }
    settings = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "external_labels": {"site": "here"}},
        "scrape_configs": [job],
        "remote_write": [{"url": f"http://127.0.0.1:{store}/api/v1/write", "name": "store", "queue_config": QUEUE}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    program = shutil.which("prometheus")
    assert program, "prometheus is missing; `make test` installs it when root"
    return [
        program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.remote.flush-deadline=2s",
    ]  # fmt: skip


@pytest.mark.skipif(not shutil.which("victoria-metrics"), reason="Debian's package victoria-metrics is not installed")
def test_nothing_is_missing_after_the_store_was_away(tmp_path: Path) -> None:
    store, port = free_port(), free_port()
    keep = [
        "victoria-metrics", f"-storageDataPath={tmp_path / 'vm'}", f"-httpListenAddr=127.0.0.1:{store}",
        "-retentionPeriod=1",
    ]  # fmt: skip
    health = f"http://127.0.0.1:{store}/health"
    with running({}, tmp_path) as exporter:
        command = prometheus(tmp_path, exporter, store, port)
        with started(command, tmp_path / "prometheus.log", f"http://127.0.0.1:{port}/-/ready"):
            with started(keep, tmp_path / "vm.log", health):
                until(lambda: len(stored(store)) > 3, 120)
            before = len(scraped(port))
            time.sleep(AWAY)
            with started(keep, tmp_path / "vm.log", health):
                wanted = scraped(port)
                assert len(wanted) > before + AWAY / 2
                until(lambda: wanted <= stored(store), 300)
            print(f"{AWAY} s away: {len(wanted)} samples scraped, {len(wanted)} stored")
