"""tools/setup.sh: which Python it picks, what it says when there is none, and when it has nothing to do."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOOD = f'exec {sys.executable} "$@"'
SHIM = 'echo "pyenv: command not found" >&2; exit 127'
OLD = f'exec {sys.executable} -c "import sys; sys.version_info = (3, 11, 7); exec(sys.argv[1])" "$2"'
WITHOUT_VENV = f'exec {sys.executable} -c "import sys; sys.modules[\'ensurepip\'] = None; exec(sys.argv[1])" "$2"'
TOOLS = ("sh", "awk", "cat", "cksum", "dirname", "env", "flock", "grep", "id", "mktemp", "rm", "sleep", "uname")


class Machine:
    """A copy of the set-up beside a PATH that holds nothing but a few of the system's tools."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "a tree"
        self.first, self.second, self.tools = folder / "first bin", folder / "second", folder / "tools"
        self.pyenv = folder / "pyenv"
        (self.tree / "tools").mkdir(parents=True)
        for name in ("pyproject.toml", "tools/setup.sh"):
            shutil.copy(ROOT / name, self.tree / name)
        self.tools.mkdir()
        for tool in TOOLS:
            (self.tools / tool).symlink_to(shutil.which(tool) or tool)

    @property
    def environment(self) -> dict[str, str]:
        path = ":".join(map(str, (self.first, self.second, self.tools)))
        return {"PATH": path, "PYENV_ROOT": str(self.pyenv)}  # no HOME, as under some services

    def run(self, word: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(self.tree / "tools" / "setup.sh"), word]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)

    def found(self) -> Path:
        done = self.run("python")
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.strip())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def program(file: Path, script: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def test_the_newest_working_one_on_the_path_wins(machine: Machine) -> None:
    program(machine.first / "python3.12", GOOD)
    newest = program(machine.second / "python3.13", GOOD)
    assert machine.found() == newest


@pytest.mark.parametrize("bad", [SHIM, OLD, WITHOUT_VENV, "exit 1"], ids=["shim", "old", "without venv", "broken"])
def test_one_that_will_not_do_is_passed_over(machine: Machine, bad: str) -> None:
    program(machine.first / "python3.13", bad)
    good = program(machine.second / "python3.13", GOOD)
    assert machine.found() == good


def test_a_plain_python3_will_do(machine: Machine) -> None:
    program(machine.first / "python3.12", SHIM)
    plain = program(machine.second / "python3", GOOD)
    assert machine.found() == plain


def test_pyenvs_versions_are_found_behind_its_shims(machine: Machine) -> None:
    program(machine.first / "python3.13", SHIM)
    program(machine.pyenv / "versions" / "3.11.7" / "bin" / "python", OLD)
    good = program(machine.pyenv / "versions" / "3.13.0" / "bin" / "python", GOOD)
    assert machine.found() == good


def test_uv_is_asked_last(machine: Machine) -> None:
    uvs = program(machine.tree.parent / "uv's" / "python3.13", GOOD)
    program(machine.first / "uv", f'[ "$1 $2" = "python find" ] && echo "{uvs}"')
    assert machine.found() == uvs
    good = program(machine.pyenv / "versions" / "3.12.1" / "bin" / "python", GOOD)
    assert machine.found() == good


def test_the_trees_own_environment_is_never_used_to_make_it(machine: Machine) -> None:
    program(machine.tree / ".venv" / "bin" / "python3.13", GOOD)
    good = program(machine.second / "python3.12", GOOD)
    machine.first = machine.tree / ".venv" / "bin"  # activated
    assert machine.found() == good


@pytest.mark.parametrize("word", ["python", "demo", "test"])
def test_without_any_the_missing_step_is_named(machine: Machine, word: str) -> None:
    program(machine.first / "python3", OLD)
    done = machine.run(word)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "there is no Python >= 3.12 here" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr or word == "python"
    assert not (machine.tree / ".venv").exists()


def test_an_unfinished_environment_is_made_anew(machine: Machine) -> None:
    """What is there has no stamp, so it is not trusted; `-m venv` here leaves a mark and fails."""
    python = machine.tree / ".venv" / "bin" / "python"
    program(python, GOOD)
    mark = machine.tree / "made"
    program(machine.first / "python3.13", f'[ "$2" = venv ] && {{ echo "$3" >"{mark}"; exit 1; }}; {GOOD}')
    assert machine.run("demo").returncode == 1
    assert mark.read_text().strip() == str(machine.tree / ".venv")
    assert not python.exists()


def test_two_at_the_same_time_take_turns(machine: Machine) -> None:
    lock = (machine.tree / "tools" / "setup.sh").open()
    fcntl.flock(lock, fcntl.LOCK_EX)
    command = ["sh", str(machine.tree / "tools" / "setup.sh"), "demo"]
    with subprocess.Popen(command, env=machine.environment, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        assert "waiting for another set-up" in waiting.stderr.readline()
        time.sleep(0.3)
        assert waiting.poll() is None
        lock.close()
        assert waiting.wait(timeout=60) == 1  # there is no Python here
        assert "no Python" in waiting.stderr.read()


def test_an_unknown_word_is_refused(machine: Machine) -> None:
    done = machine.run("everything")
    assert done.returncode == 1
    assert "usage" in done.stderr


@pytest.mark.parametrize("file", ["tools/setup.sh", ".ci/run"])
def test_scripts_can_be_run(file: str) -> None:
    assert os.access(ROOT / file, os.X_OK)


@pytest.mark.parametrize(("file", "shell"), [("tools/setup.sh", "sh"), (".ci/run", "bash")])
def test_scripts_are_valid(file: str, shell: str) -> None:
    subprocess.run([shell, "-n", str(ROOT / file)], check=True, timeout=60)


def test_help_names_both_commands() -> None:
    done = subprocess.run(["make", "-s", "-C", str(ROOT)], capture_output=True, text=True, timeout=60, check=True)
    assert {"demo", "test"} <= {line.split()[1] for line in done.stdout.splitlines()}
