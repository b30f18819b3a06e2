"""The house stands: imports go one way, every room has its tests, every collector is on the table of contents."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "exporter"
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted(PACKAGE.rglob("*.py"))
}
FLOORS = [
    {
        "exporter",
        "exporter.demand",
        "exporter.heap",
        "exporter.lean",
        "exporter.log",
        "exporter.loop",
        "exporter.metrics",
        "exporter.worker",
        "exporter.yaml12",
    },
    {"exporter.client"},
    {"exporter.settings", "exporter.exposition"},
    {"exporter.config"},
    {"exporter.ledger", "exporter.place"},
    {"exporter.sources"},
    {
        "exporter.backlog",
        "exporter.books",
        "exporter.counters",
        "exporter.course",
        "exporter.event_books",
        "exporter.event_intake",
        "exporter.event_totals",
        "exporter.expenses",
        "exporter.fault_books",
        "exporter.history",
        "exporter.reconciliation",
        "exporter.safekeeping",
        "exporter.slots",
        "exporter.verdict",
        "exporter.wallet_books",
        "exporter.wallet_reading",
    },
    {"exporter.collector"},
    {"exporter.collectors"},
    {"exporter.board"},
    {"exporter.live"},
    {"exporter.bus"},
    {"exporter.web"},
    {"exporter.serving"},
    {"exporter.reload"},
    {"exporter.app", "exporter.gateway"},
    {"exporter.__main__"},
]
"""From the ground up; what lies on a floor may import from its own and from below."""


def floor(module: str) -> int:
    room = module if module.count(".") < 2 else module.rpartition(".")[0]
    (found,) = (level for level, rooms in enumerate(FLOORS) if room in rooms)
    return found


def imports(module: str) -> set[str]:
    """What a module imports of its own package when it runs; not what only types need."""
    tree = ast.parse(MODULES[module].read_text())
    typing = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    skipped = {id(inner) for node in typing for inner in ast.walk(node)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in inner}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.partition(".")[0] == "exporter"}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_imported_from_further_up(module: str) -> None:
    assert {other for other in imports(module) if floor(other) > floor(module)} == set()


def test_imports_are_absolute_and_no_module_is_part_of_a_circle() -> None:
    seen: dict[str, bool] = {}

    def visit(module: str) -> None:
        assert seen.get(module, True), f"{module} imports itself in the end"
        if module in seen:
            return
        seen[module] = False
        for other in imports(module) - {module}:
            if MODULES[other].name != "__init__.py":  # a package is loaded before its modules
                visit(other)
        seen[module] = True

    for module in MODULES:
        visit(module)


def test_only_main_imports_the_app() -> None:
    assert {module for module in MODULES if "exporter.app" in imports(module)} == {"exporter.__main__"}


def test_the_app_never_imports_web3() -> None:
    code = "import exporter.app, exporter.__main__, sys; sys.exit('web3' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], timeout=60, check=False).returncode == 0


UNTESTED = {
    "exporter": "holds the version only",
    "exporter.collector": "declarations only; the board and every collector test them",
    "exporter.sources": "empty",
    "exporter.live": "empty",
    "exporter.live.topics": "declarations only; the streams, the hub and the messages test them",
    "exporter.live.groups": "one room with the hub, whose state machine tests it",
    "exporter.live.figures": "counts only; the hub and its collector test them",
    "exporter.live.parts": "declarations and a memo; the streams test them",
    "exporter.bus": "empty",
    "exporter.serving": "what the app and the gateway share; the tests of both go through it",
    "exporter.web": "empty",
    "exporter.web.operations": "declarations only; test_openapi compares them with what is served",
    "exporter.web.schemas": "declarations only; test_openapi holds every answer against them",
    "exporter.web.site": "declarations only; every route tests them",
    "exporter.web.routes": "the list of rooms; every room's tests go through it",
    "exporter.sources.log_files": "one room with logs: its files are opened and told apart in test_logs",
    "exporter.sources.log_track": "one room with logs: what one file is known by, in test_logs",
    "exporter.sources.log_tracks": "one room with logs: rotations are followed in test_logs, by a state machine",
    "exporter.collectors": "the table of contents, tested here",
}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_tests(module: str) -> None:
    name = module.rpartition(".")[2].strip("_")
    folder = ROOT / "tests" / MODULES[module].parent.relative_to(PACKAGE)
    assert (folder / f"test_{name}.py").exists() is (module not in UNTESTED), UNTESTED.get(module)


def test_every_collector_is_registered() -> None:
    registered = importlib.import_module("exporter.collectors").ALL
    files = {m for m in MODULES if m.startswith("exporter.collectors.") and "COLLECTOR" in MODULES[m].read_text()}
    assert {importlib.import_module(module).COLLECTOR.name for module in files} == {c.name for c in registered}
    assert len({c.name for c in registered}) == len(registered)


def test_metrics_have_one_name_each_and_no_name_is_part_of_anothers() -> None:
    collectors, board = importlib.import_module("exporter.collectors"), importlib.import_module("exporter.board")
    every = [*board.METRICS, *(metric for collector in collectors.ALL for metric in collector.metrics)]
    names = [metric.name.removesuffix("_total") for metric in every]
    assert len(set(names)) == len(names)
    taken = {f"{m.name}{suffix}" for m in every if m.kind == "histogram" for suffix in ("_bucket", "_count", "_sum")}
    assert not taken & set(names)
    for metric in every:
        assert metric.name.startswith("arb_"), metric.name
        assert (metric.kind == "counter") is metric.name.endswith("_total"), metric.name
        assert metric.help.endswith("."), metric.name
