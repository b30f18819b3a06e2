"""Wheel and sdist: built from a clean copy, complete, and what is installed from them serves."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import exporter
from tests.running import Running, until

ROOT = Path(__file__).parents[2]
FULL = os.environ.get("ARB_PROOFS") == "full"
VENDOR = "exporter/web/pages/vendor/uPlot.esm.js"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=900, env=os.environ | environment, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist of what would be committed, and the wheel that was built from the sdist."""
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "exporter", source / "exporter", ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--outdir", dist, ".", cwd=source)
    return dist


def test_the_wheel_holds_what_is_served_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "exporter").rglob("*.py")}
    pages = {str(p.relative_to(ROOT)) for p in (ROOT / "exporter/web/pages").rglob("*") if p.is_file()}
    assert modules | pages | {"exporter/py.typed", VENDOR} <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"exporter", "arb_exporter"}


def test_the_sdist_holds_what_the_wheel_is_made_of(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "exporter/py.typed", "exporter/app.py", VENDOR} <= names


def test_both_are_of_this_version(built: Path) -> None:
    for file in built.iterdir():
        assert f"-{exporter.__version__}" in file.name


def test_what_is_installed_serves(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an environment of its own; its requirements are the tests' own unless everything is proved in full."""
    (wheel,) = built.glob("*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    target = f"{wheel}[scale]" if FULL else str(wheel)
    run(python, "-m", "pip", "install", "-q", *([] if FULL else ["--no-deps"]), target, cwd=tmp_path)
    if not FULL:
        (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
        (site / "borrowed.pth").write_text(str(Path(pytest.__file__).parents[1]) + "\n")
    assert run(python, "-m", "exporter", "--version", cwd=tmp_path) == f"arb-exporter {exporter.__version__}\n"
    place = run(python, "-c", "import exporter; print(exporter.__file__)", cwd=tmp_path)
    assert place.startswith(str(tmp_path))
    assert (python.parent / "arb-exporter").exists()
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.chdir(tmp_path)
    served = Running({}, tmp_path)
    try:
        served.until_up(60)
        (version,) = set(re.findall(r"live/([0-9a-f]+)/", served.get("/live").decode()))
        assert b"uPlot" in served.get(f"/live/{version}/vendor/uPlot.esm.js")
        until(lambda: f'version="{exporter.__version__}"' in served.get("/metrics").decode(), 30, served)
        assert served.stop() == 0
    finally:
        served.process.kill()
        served.process.wait()
