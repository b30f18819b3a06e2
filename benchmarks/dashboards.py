"""How long each panel's query takes over a day of data such as the demo's.

python -m benchmarks.dashboards                  # fill a Prometheus of its own, time every query, print the slowest
python -m benchmarks.dashboards --serve 9091     # only fill it and serve it there, to look at the dashboards
python -m benchmarks.dashboards --bots 20        # that many bots, each with an exporter of its own

Every series of the golden exposition gets a day of samples, one in 15 s: counters that grow, gauges that wander, states
that mostly stay. `promtool tsdb create-blocks-from openmetrics` makes blocks of them, a real Prometheus answers.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from prometheus_client.parser import text_string_to_metric_families

from demo.processes import free_port
from tools.grafana.page import FOLDER

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden" / "metrics.txt"
STEP, DAY, AHEAD = 15, 86_400, 3_600
STATES = ("_up", "_success", "_valid", "_status", "_active", "_provenance", "_source", "_degraded", "_violated")
PROMISE_MS = 200.0

type Asked = tuple[str, dict[str, Any]]


def main() -> None:
    """Fill, serve, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", type=int, default=1)
    parser.add_argument("--serve", type=int, help="only serve, on this port")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="arb-dashboards-") as folder:
        fill(Path(folder), options.bots)
        port = options.serve or free_port()
        with serving(Path(folder), port) as prometheus:
            if options.serve:
                print(f"http://127.0.0.1:{port} until Ctrl-C")
                prometheus.wait()
            else:
                report(f"http://127.0.0.1:{port}", options.rounds)


# --- a day of data -----------------------------------------------------------------------------------------------


def fill(folder: Path, bots: int) -> None:
    """Blocks of a day for so many bots, and of the hour to come, so that there is a now to ask for."""
    page, end = folder / "day.txt", int(time.time()) // STEP * STEP + AHEAD
    with page.open("w") as file:
        count = sum(write(file, found, end, bots) for found in by_family())
        file.write("# EOF\n")
    print(f"{count} series, {count * (DAY + AHEAD) / STEP / 1e6:.1f} million samples")
    promtool = [shutil.which("promtool") or "promtool", "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run([*promtool, str(page), str(folder / "data")], check=True, capture_output=True)
    page.unlink()


def by_family() -> Iterator[tuple[str, str, list[tuple[str, dict[str, str], float]]]]:
    """The golden exposition, and Prometheus' own `up`."""
    yield "up", "gauge", [("up", {}, 1.0)]
    for family in text_string_to_metric_families(GOLDEN.read_text()):
        yield family.name, family.type, [(s.name, dict(s.labels), s.value) for s in family.samples]


def write(file: TextIO, found: tuple[str, str, list[tuple[str, dict[str, str], float]]], end: int, bots: int) -> int:
    """A family's samples; OpenMetrics wants each series in one piece."""
    name, kind, samples = found
    file.write(f"# TYPE {name} {kind}\n")
    for bot in range(bots):
        dice = random.Random(f"{name}{bot}")
        paces: dict[str, float] = {}
        for series, labels, value in samples:
            named = labels | {"job": "arb-exporter", "instance": f"127.0.0.1:{10453 + bot}"}
            named |= {"bot": f"bot{bot}"} if "bot" in labels else {}
            inner = ",".join(f'{label}="{text}"' for label, text in named.items())
            whole = str({k: v for k, v in labels.items() if k != "le"})
            pace = paces.setdefault(whole, dice.uniform(0.2, 2.0))
            values = course(dice, series, kind, value, pace, end)
            moments = range(end - DAY - AHEAD, end + 1, STEP)
            lines = (f"{series}{{{inner}}} {now:.9g} {at}\n" for at, now in zip(moments, values, strict=True))
            file.writelines(lines)
    return bots * len(samples)


def course(dice: random.Random, name: str, kind: str, value: float, pace: float, end: int) -> Iterator[float]:
    """A day of one series: what ends at about its golden value, or twice it."""
    steps = (DAY + AHEAD) // STEP + 1
    if name.endswith("_timestamp_seconds"):
        yield from ((end - DAY - AHEAD + step * STEP) - dice.uniform(0, 20) for step in range(steps))
    elif kind in ("counter", "histogram"):
        yield from (value * (0.5 + step / steps * pace) for step in range(steps))
    elif name.endswith(STATES) or value in (0.0, 1.0):
        yield from (value for _ in range(steps))
    else:
        now = value
        for _ in range(steps):
            now += (value - now) * 0.02 + abs(value) * dice.gauss(0, 0.01)
            yield now


# --- Prometheus --------------------------------------------------------------------------------------------------


class serving:  # noqa: N801 - used like a function
    """A Prometheus over the blocks, for as long as the block lasts."""

    def __init__(self, folder: Path, port: int) -> None:
        self._port = port
        (folder / "prometheus.yml").write_text("global: {}\n")
        program = shutil.which("prometheus") or "prometheus"
        self._command = [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
        ]
        self._command += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=30d"]

    def __enter__(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not self._is_ready():
            time.sleep(0.2)
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


# --- measuring ---------------------------------------------------------------------------------------------------


def report(url: str, rounds: int) -> None:
    """Time every query as Grafana would send it, and print the slowest."""
    times = {name: timed(url, query, rounds) for name, query in queries()}
    slowest = sorted(times.items(), key=lambda item: -item[1])
    print(f"{len(times)} queries over 24 h, median of {rounds} rounds each:")
    print(f"  half of them      {statistics.median(times.values()):7.1f} ms")
    for name, took in slowest[:8]:
        print(f"  {took:7.1f} ms  {name}")
    print(f"slowest               {slowest[0][1]:7.1f} ms   (promise: < {PROMISE_MS:.0f} ms)")


def queries() -> Iterator[tuple[str, Asked]]:
    """Every target that asks Prometheus, by page, panel and letter; with its path and its parameters."""
    now = time.time()
    for file in sorted(FOLDER.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", []):
                if "expr" in target:
                    name = f"{file.stem}: {panel['title']} {target['refId']}"
                    yield name, asked(target, interval(panel.get("maxDataPoints", 400)), now)


def interval(points: int) -> int:
    """Seconds between points, as Grafana rounds them."""
    return next(step for step in (15, 30, 60, 120, 300, 600, 900, 1800) if DAY / points < 1.5 * step)


def asked(target: dict[str, Any], step: int, now: float) -> Asked:
    """What Grafana asks for a target."""
    values = {"$__rate_interval": max(step + STEP, 4 * STEP), "$__interval": step, "$__range": DAY}
    expr = target["expr"].replace("$source", "memory_bank")
    for variable, seconds in values.items():
        expr = expr.replace(variable, f"{seconds}s")
    expr = re.sub(r"\$\w+", ".+", expr)
    if target["instant"]:
        return "query", {"query": expr, "time": now}
    return "query_range", {"query": expr, "start": now - DAY, "end": now, "step": step}


def timed(url: str, query: Asked, rounds: int) -> float:
    """Milliseconds, the median of so many rounds after a first one."""
    path, parameters = query
    body = urllib.parse.urlencode(parameters).encode()
    took = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        with urllib.request.urlopen(f"{url}/api/v1/{path}", data=body, timeout=60) as answer:  # noqa: S310
            answer.read()
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took[1:])


if __name__ == "__main__":
    main()
