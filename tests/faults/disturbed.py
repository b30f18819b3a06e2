"""A host that goes wrong below a running program: its clock jumps, calls on some paths hang, its disk fails."""

from __future__ import annotations

import mmap
import shutil
import subprocess
from pathlib import Path

import pytest

DAY, HOUR = 86_400, 3_600


def library(folder: Path, name: str) -> Path:
    """A C source beside this file, built; a test that needs it is skipped where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    made, source = folder / f"{name}.so", Path(__file__).with_name(f"{name}.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True, timeout=120)
    return made


class Host:
    """What a program that was started with `environment` believes of its host."""

    def __init__(self, folder: Path, *hangs: Path) -> None:
        state = folder / "host"
        state.write_bytes(bytes(16))
        with state.open("r+b") as opened:
            self._state = mmap.mmap(opened.fileno(), 16)
        self.environment = {
            "LD_PRELOAD": str(library(folder, "host")), "HOST_STATE": str(state),
            "HOST_HANGS": ":".join(map(str, hangs)),
        }  # fmt: skip

    def shift(self, seconds: int) -> None:
        """Its wall clock is wrong by so much."""
        self._state[:8] = seconds.to_bytes(8, "little", signed=True)

    def hang(self, hung: bool = True) -> None:
        """Calls on the paths that were named wait, or go on."""
        self._state[8:] = int(hung).to_bytes(8, "little")


class Disk:
    """The one under `place`, for a program that was started with `environment`; it can be made to refuse changes."""

    def __init__(self, folder: Path, place: Path) -> None:
        state = folder / "disk"
        state.write_bytes(bytes(24))
        with state.open("r+b") as opened:
            self._state = mmap.mmap(opened.fileno(), 24)
        self.environment = {
            "LD_PRELOAD": str(library(folder, "faulty")), "FAULT_STATE": str(state), "FAULT_DIR": str(place),
        }  # fmt: skip

    def fail(self, number: int, only_flushes: bool = False) -> None:
        """Changes fail with this errno; 0: the disk is well again."""
        self._state[8:16] = int(only_flushes).to_bytes(8, "little")
        self._state[:8] = number.to_bytes(8, "little")

    @property
    def failed(self) -> int:
        """How many calls have failed so far."""
        return int.from_bytes(self._state[16:], "little")
