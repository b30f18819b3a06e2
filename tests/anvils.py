"""A real node for tests: anvil, which mines when told to."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from demo.anvil import binary
from tests.running import free_port


@contextmanager
def anvil(*arguments: str) -> Iterator[str]:
    """A node's URL; it keeps all states, and is killed at the end."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(binary()), "--quiet", "--port", str(port), "--chain-id", "8453", "--no-mining", "--base-fee", "5000000",
        "--balance", "1000000", "--disable-min-priority-fee", *arguments,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(url, process)
            yield url
        finally:
            process.kill()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
    for _ in range(1000):
        assert process.poll() is None, "anvil ended at once"
        try:
            with urllib.request.urlopen(request, timeout=1):  # noqa: S310
                return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError("anvil does not answer")
