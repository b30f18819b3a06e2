"""`python -m demo` starts, ends, and leaves nothing behind, however it is ended."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from demo.processes import ROOT

OPTIONS = ("--without-exporter", "--block-time", "0.25")


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "demo", *options]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A demo that is up, and its description."""
    about = tmp_path / "world.json"
    process = subprocess.Popen(
        command(*OPTIONS, "--json", str(about)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        try:
            eventually(lambda: about.exists() or process.poll() is not None)
            assert about.exists(), process.stdout and process.stdout.read()
            yield process, json.loads(about.read_text())
        finally:
            process.kill()


def eventually(holds: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def is_gone(about: dict[str, Any]) -> bool:
    """No process, no port and no file of that world is left."""
    port = int(about["rpc_url"].rsplit(":", 1)[1])
    with socket.socket() as client:
        answers = client.connect_ex(("127.0.0.1", port)) == 0
    processes = any(psutil.pid_exists(pid) for pid in about["pids"].values())
    return not (answers or processes or Path(about["directory"]).exists())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything(
    running: tuple[subprocess.Popen[str], dict[str, Any]], number: signal.Signals
) -> None:
    process, about = running
    assert set(about["pids"]) == {"anvil", "traders", "bot"}
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert output.endswith("everything is stopped\n")
    assert is_gone(about)


def test_being_killed_ends_everything_too(running: tuple[subprocess.Popen[str], dict[str, Any]]) -> None:
    process, about = running
    process.kill()
    eventually(lambda: is_gone(about), seconds=10)


def test_a_dead_child_is_named_and_ends_everything(
    running: tuple[subprocess.Popen[str], dict[str, Any]],
) -> None:
    process, about = running
    os.kill(about["pids"]["bot"], signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "demo: bot ended with code -9" in output
    assert is_gone(about)


def test_it_ends_by_itself_and_keeps_a_given_directory(tmp_path: Path) -> None:
    directory = tmp_path / "kept"
    options = (*OPTIONS, "--seconds", "3", "--dir", str(directory))
    done = subprocess.run(command(*options), cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list((directory / "memory-bank" / "trades").glob("trade_*.json"))
    again = subprocess.run(command(*options), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 1
    assert "is not empty" in again.stderr


def test_a_taken_port_is_said_plainly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        options = ("--exporter-port", str(port))
        done = subprocess.run(command(*options), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"demo: port {port} on 127.0.0.1 is taken")
