"""The exporter as users run it: a process of its own on a free port, and what it shows."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

type Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PATIENCE = 120.0
"""Seconds that are waited for anything at least before it is believed that it will not come."""


def unwatched() -> dict[str, str]:
    """The environment without what makes a program measure its coverage: that loads much, and does not like forks."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


class Running:
    """A started exporter."""

    command: tuple[str, ...] = ()

    def __init__(
        self, settings: dict[str, Any] | None, folder: Path, *arguments: str, prefix: tuple[str, ...] = (),
        **environment: str,
    ) -> None:  # fmt: skip
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.stderr = folder / "stderr.log"
        address = f"--web.listen-address=127.0.0.1:{self.port}"
        command = [*prefix, sys.executable, "-m", "exporter", *self.command, address, *arguments]
        if settings is not None:
            self.config = folder / "config.yml"
            self.config.write_text(yaml.safe_dump(settings))
            command.append(f"--config.file={self.config}")
        with self.stderr.open("ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                env=os.environ | {"XDG_STATE_HOME": str(folder / "state")} | environment,
            )  # fmt: skip

    def get(self, path: str, **headers: str) -> bytes:
        """The body of a page."""
        request = urllib.request.Request(self.url + path, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return bytes(response.read())

    def until_up(self, seconds: float = 20) -> None:
        """Wait until it answers."""
        until(lambda: self._answers(), seconds, self)

    def _answers(self) -> bool:
        try:
            return self.get("/healthz") == b"ok\n"
        except OSError:
            return False

    def samples(self) -> Samples:
        """Everything on /metrics."""
        return parsed(self.get("/metrics").decode())

    def value(self, name: str, **labels: str) -> float | None:
        """One sample."""
        return self.samples().get((name, frozenset(labels.items())))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(10)


class Gateway(Running):
    """A started gateway."""

    command = ("gateway",)


@contextmanager
def running(settings: dict[str, Any] | None, folder: Path, *arguments: str, **environment: str) -> Iterator[Running]:
    """An exporter that is ended whatever happens."""
    exporter = Running(settings, folder, *arguments, **environment)
    try:
        exporter.until_up()
        yield exporter
    finally:
        if exporter.process.poll() is None:
            exporter.process.kill()
            exporter.process.wait()


def until(done: Any, seconds: float, exporter: Running | None = None) -> None:
    """Wait for something to become true, generously: machines here are shared."""
    seconds = max(seconds, PATIENCE)
    deadline = time.monotonic() + seconds
    while not done():
        ended = exporter is not None and exporter.process.poll() is not None
        if time.monotonic() > deadline or ended:
            log = exporter.stderr.read_text()[-2000:] if exporter else ""
            raise AssertionError(f"not within {seconds} s{' (the exporter ended)' if ended else ''}: {log}")
        time.sleep(0.02)


def parsed(text: str) -> Samples:
    """The samples of an exposition."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def eventually(done: Any, seconds: float = 20) -> None:
    """`until` for tests that run a loop."""
    seconds = max(seconds, PATIENCE)
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.01)
