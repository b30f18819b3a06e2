"""The units: nothing wrong by systemd's own word, little exposed; `make install` into a folder, and what it leaves."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from exporter import config
from exporter.__main__ import PROGRAM

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "packaging" / "systemd").glob("*.service"))
analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed here")


def installed(unit: Path, folder: Path) -> Path:
    """The unit as systemd would find it, with a program that exists."""
    program = folder / "arb-exporter"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    made = folder / unit.name.replace("@.", "@10460.")
    made.write_text(unit.read_text().replace("/opt/arb-exporter/bin/arb-exporter", str(program)))
    return made


@analyze
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    command = ["systemd-analyze", "verify", "--man=no", str(installed(unit, tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = [line for line in done.stderr.splitlines() if unit.stem.rstrip("@") in line]
    assert done.returncode == 0 and not said, done.stderr


@analyze
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_little_is_exposed(unit: Path, tmp_path: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(installed(unit, tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_it_starts_is_the_program_with_room_and_time(unit: Path) -> None:
    text = unit.read_text()
    (start,) = re.findall(r"^ExecStart=(\S+) ", text, flags=re.MULTILINE)
    assert start.rpartition("/")[2] == PROGRAM
    assert int(re.findall(r"^MemoryMax=(\d+)M", text, flags=re.MULTILINE)[0]) >= 192
    assert int(re.findall(r"^TimeoutStopSec=(\d+)", text, flags=re.MULTILINE)[0]) >= 5


def test_the_settings_it_starts_with_are_valid() -> None:
    text = (ROOT / "packaging" / "arb-exporter.yml").read_text()
    assert not config.read(text, ROOT, {}).problems
    full = re.sub(r"^# (?=  |chain)", "", text.partition("\nbot:")[2].replace("\n# ", "\n"), flags=re.MULTILINE)
    assert not config.read("bot:" + full, ROOT, {"RPC_HTTP_URL": "https://node.example"}).problems
