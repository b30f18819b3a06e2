"""`make unit` forgives what fails beside others and not alone, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import unwatched

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
[tool.pytest.ini_options]
testpaths = ["tests"]
[tool.coverage.run]
parallel = true
source = ["tests"]
core = "sysmon"
disable_warnings = ["no-sysmon"]
"""
HURRIED = """
import os
def test_hurried() -> None:
    assert "PYTEST_XDIST_WORKER" not in os.environ
"""
GOOD = """
def test_good() -> None:
    pass
"""
CRASHING = """
import os
def test_crashing() -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        os._exit(3)
def test_never_asked() -> None:
    assert False
"""
SHY = (
    HURRIED
    + """
def test_shy() -> None:
    import pytest
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("alone")
    assert False
"""
)
BROKEN = """
import pytest
@pytest.mark.parametrize("number", range({count}))
def test_broken(number: int) -> None:
    assert False
"""


def unit(folder: Path, branches: str = "", **tests: str) -> subprocess.CompletedProcess[str]:
    """`tools/unit.sh` of a project with these tests."""
    for name in ("tools", "tests", ".venv/bin"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "unit.sh", folder / "tools")
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (folder / "pyproject.toml").write_text(SETTINGS)
    for name, text in tests.items():
        (folder / "tests" / f"test_{name}.py").write_text(text)
    command = ["sh", str(folder / "tools" / "unit.sh")]
    environment = {name: value for name, value in unwatched().items() if not name.startswith("PYTEST")}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}  # all others take seconds
    environment["BRANCHES"] = branches
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(("branches", "told"), [("", "exporter/: "), ("1", "exporter/ with branches: ")])
def test_what_fails_beside_others_is_asked_once_more_alone(branches: str, told: str, tmp_path: Path) -> None:
    done = unit(tmp_path, branches, good=GOOD, hurried=HURRIED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed beside others: 1" in done.stdout
    assert "test_hurried.py::test_hurried PASSED" in done.stdout
    assert f"coverage of {told}" in done.stdout


@pytest.mark.parametrize(
    ("count", "again"), [(1, True), (6, False)], ids=["who fails twice has failed", "many are not forgiven"]
)
def test_what_is_broken_fails(tmp_path: Path, count: int, again: bool) -> None:
    done = unit(tmp_path, good=GOOD, broken=BROKEN.format(count=count))
    assert done.returncode == 1
    assert ("failed beside others" in done.stdout) is again
    assert "coverage of" not in done.stdout


@pytest.mark.parametrize("text", [CRASHING, SHY], ids=["a program that ends", "one that is skipped alone"])
def test_what_cannot_be_told_is_not_forgiven(tmp_path: Path, text: str) -> None:
    done = unit(tmp_path, good=GOOD, doubtful=text)
    assert done.returncode != 0, done.stdout
    assert "coverage of" not in done.stdout


def test_what_does_not_even_begin_fails(tmp_path: Path) -> None:
    done = unit(tmp_path, good=GOOD, wrong="import nothing_of_this_name\n")
    assert done.returncode != 0
    assert "coverage of" not in done.stdout
