import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "tools" / "setup.sh"


def find_python(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """What set-up would use with only these folders on the PATH, and no pyenv."""
    path = ":".join([str(folder), *more, "/usr/bin:/bin"])
    environment = {"PATH": path, "HOME": str(folder), "PYENV_ROOT": str(folder / "pyenv")}
    return subprocess.run(["sh", str(SETUP), "python"], env=environment, capture_output=True, text=True, check=False)


def program(file: Path, script: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


GOOD = f'exec {sys.executable} "$@"'


def test_the_newest_working_one_on_the_path_wins(tmp_path: Path) -> None:
    program(tmp_path / "python3.12", GOOD)
    program(tmp_path / "python3.13", GOOD)
    assert find_python(tmp_path).stdout.strip() == str(tmp_path / "python3.13")


def test_a_shim_that_does_not_run_and_an_old_one_are_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "python3.14", 'echo "pyenv: python3.14: command not found" >&2; exit 127')
    program(tmp_path / "python3.13", "exit 1")
    program(tmp_path / "second" / "python3.13", GOOD)
    assert find_python(tmp_path, str(tmp_path / "second")).stdout.strip() == str(tmp_path / "second" / "python3.13")


def test_one_without_venv_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "python3.14", f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    program(tmp_path / "second" / "python3.14", GOOD)
    assert find_python(tmp_path, str(tmp_path / "second")).stdout.strip() == str(tmp_path / "second" / "python3.14")


def test_pyenvs_versions_are_found_without_its_shims(tmp_path: Path) -> None:
    program(tmp_path / "pyenv" / "versions" / "3.13.0" / "bin" / "python", GOOD)
    found = find_python(tmp_path).stdout.strip()
    assert found.endswith("pyenv/versions/3.13.0/bin/python") or found.startswith("/usr/bin/")  # Debian 13 has one


def test_without_any_the_missing_step_is_named(tmp_path: Path) -> None:
    for name in ("python3.14", "python3.13", "python3.12", "python3", "uv"):
        program(tmp_path / name, "exit 1")
    for tool in ("sh", "id", "tr", "dirname", "cat", "cksum"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(["sh", str(SETUP), "python"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "there is no Python >= 3.12 here" in done.stderr


def test_an_unknown_word_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", str(SETUP), "everything"], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 1
    assert "usage" in done.stderr


@pytest.mark.parametrize("file", ["tools/setup.sh", ".ci/run"])
def test_scripts_can_be_run(file: str) -> None:
    assert os.access(SETUP.parents[1] / file, os.X_OK)
