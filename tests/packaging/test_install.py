"""`make install` into a folder: everything is in its place, starts, and a second run leaves settings alone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import exporter

ROOT = Path(__file__).parents[2]
PARTS = ("exporter", "docs", "packaging", "tools", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree without the lock file, so that requirements can be left out: they are the tests' own."""
    folder = tmp_path_factory.mktemp("source")
    for name in PARTS:
        if (ROOT / name).is_dir():
            leave = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(ROOT / name, folder / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def install(source: Path, destination: Path) -> None:
    done = subprocess.run(
        [source / "tools" / "install.sh"], capture_output=True, text=True, timeout=600, check=False,
        env=os.environ | {"DESTDIR": str(destination), "PREFIX": "/opt/arb", "PIP_NO_DEPS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_in_its_place_and_starts_and_settings_stay(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(source, root)
    home, settings = root / "opt/arb", root / "etc/arb-exporter"
    assert (home / "bin/arb-exporter").read_text().startswith("#!/opt/arb/bin/python")
    assert (home / "share/doc/arb-exporter/docs/operations.md").exists()
    unit = (root / "etc/systemd/system/arb-exporter.service").read_text()
    assert "/opt/arb/bin/arb-exporter" in unit and "/opt/arb-exporter" not in unit
    assert (settings / "environment").stat().st_mode & 0o777 == 0o600

    (site,) = home.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(str(Path(pytest.__file__).parents[1]) + "\n")
    python = str(home / "bin/python")
    check = [python, "-m", "exporter", "--config.check", f"--config.file={settings / 'arb-exporter.yml'}"]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "ok\n", done.stdout + done.stderr
    version = subprocess.run([python, "-m", "exporter", "--version"], cwd=tmp_path, capture_output=True, check=True)
    assert version.stdout.decode() == f"arb-exporter {exporter.__version__}\n"

    (settings / "arb-exporter.yml").write_text("bot: {name: mine}\n")
    install(source, root)
    assert (settings / "arb-exporter.yml").read_text() == "bot: {name: mine}\n"
    assert not (site / "borrowed.pth").exists()  # the environment is new
