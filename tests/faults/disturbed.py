"""A host that goes wrong below a running program: its clock jumps, and calls on some paths hang and go on."""

from __future__ import annotations

import mmap
import shutil
import subprocess
from pathlib import Path

import pytest

DAY, HOUR = 86_400, 3_600


def library(folder: Path) -> Path:
    """`host.c`, built; a test that needs it is skipped where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    made, source = folder / "host.so", Path(__file__).with_name("host.c")
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
            "LD_PRELOAD": str(library(folder)), "HOST_STATE": str(state), "HOST_HANGS": ":".join(map(str, hangs)),
        }  # fmt: skip

    def shift(self, seconds: int) -> None:
        """Its wall clock is wrong by so much."""
        self._state[:8] = seconds.to_bytes(8, "little", signed=True)

    def hang(self, hung: bool = True) -> None:
        """Calls on the paths that were named wait, or go on."""
        self._state[8:] = int(hung).to_bytes(8, "little")
