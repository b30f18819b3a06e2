"""The demo's child processes: started in groups of their own, watched, and all ended at the end."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
GRACE_SECONDS = 5.0


class ChildEnded(Exception):
    """A child ended although nobody asked it to; the text shows its last output."""


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    process: asyncio.subprocess.Process
    output: Path  # what it writes to standard output and error

    @property
    def pid(self) -> int:
        return self.process.pid

    def last_lines(self, count: int = 15) -> str:
        text = self.output.read_text(encoding="utf-8", errors="replace")
        return "\n".join(f"  {line}" for line in text.splitlines()[-count:]) or "  (no output)"

    def ended(self) -> ChildEnded:
        return ChildEnded(
            f"{self.name} ended with code {self.process.returncode}, its last lines:\n{self.last_lines()}"
        )


class Children:
    """All child processes of one demo; leaving the block ends them, newest first.

    A sweeper process ends them and removes `doomed` if this process is killed and cannot do it itself.
    """

    def __init__(self, outputs: Path, doomed: Path | None = None) -> None:
        self._outputs = outputs
        self._doomed = doomed
        self._running: dict[str, Child] = {}
        self._sweeper: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._outputs.mkdir(parents=True, exist_ok=True)
        self._sweeper = await asyncio.create_subprocess_exec(
            *_isolated("sweeper.py"), stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        if self._doomed is not None:
            self._tell(f"directory {self._doomed}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(list(self._running)):
            await self.stop(name)
        sweeper = self._sweeper
        if sweeper is not None and sweeper.stdin is not None:
            self._tell("done")
            sweeper.stdin.close()
            await sweeper.wait()

    def __getitem__(self, name: str) -> Child:
        return self._running[name]

    def pids(self) -> dict[str, int]:
        return {name: child.pid for name, child in self._running.items()}

    async def start(self, name: str, *argv: str | Path) -> Child:
        """Start a program from the repository's root, on a leash and in a process group of its own."""
        output = self._outputs / f"{name}.txt"
        with output.open("wb") as stream:
            process = await asyncio.create_subprocess_exec(
                *_isolated("leash.py", str(os.getpid()), *map(str, argv)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=ROOT,
                start_new_session=True,
            )
        self._tell(f"group {process.pid}")
        child = self._running[name] = Child(name, process, output)
        return child

    async def stop(self, name: str) -> int:
        """End one child and everything in its group; returns its exit code."""
        child = self._running.pop(name)
        _signal_group(child.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(child.process.wait(), GRACE_SECONDS)
        except TimeoutError:
            pass
        finally:
            _signal_group(child.pid, signal.SIGKILL)  # also whatever it left behind
        code = await child.process.wait()
        self._tell(f"ended {child.pid}")
        return code

    def check(self) -> None:
        """Raise ChildEnded if a child has ended by itself."""
        for child in self._running.values():
            if child.process.returncode is not None:
                raise child.ended()

    def _tell(self, line: str) -> None:
        if self._sweeper is not None and self._sweeper.stdin is not None:
            self._sweeper.stdin.write(f"{line}\n".encode())


def free_port() -> int:
    """A loopback port nobody listens on, below those the system gives to connections at any moment."""
    while not is_free(port := random.randrange(20_000, 32_000)):
        pass
    return port


def is_free(port: int) -> bool:
    """Whether this machine would let us listen on the loopback port."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _isolated(script: str, *argv: str) -> Sequence[str]:
    """The command of a helper that needs the standard library only, so that it starts at once."""
    return (sys.executable, "-I", "-S", str(HERE / script), *argv)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
