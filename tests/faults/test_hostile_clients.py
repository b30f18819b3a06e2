"""Slow and hostile clients of a whole exporter: a scrape takes no second, and the log stays short."""

from __future__ import annotations

import os
import socket
import statistics
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.running import Running, until

FULL = os.environ.get("ARB_PROOFS") == "full"
SECONDS = 20.0 if FULL else 3.0
"""How long an attack goes on while scrapes are timed."""
HEAD = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"


class Attack:
    """So many connections at a time, each opened anew when it is ended; what each says is for `say`."""

    def __init__(self, port: int, crowd: int, greeting: bytes, drip: bytes) -> None:
        self._port, self._crowd, self._greeting, self._drip = port, crowd, greeting, drip
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.opened = 0

    def __enter__(self) -> Attack:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        made: list[socket.socket] = []
        try:
            while not self._stop.wait(0.05):
                made = [one for one in made if self._drips(one)]
                while len(made) < self._crowd and not self._stop.is_set():
                    made.append(self._open())
        finally:
            for one in made:
                one.close()

    def _open(self) -> socket.socket:
        one = socket.create_connection(("127.0.0.1", self._port), 5)
        one.setblocking(False)
        self.opened += 1
        with suppress(OSError):
            one.send(self._greeting)
        return one

    def _drips(self, one: socket.socket) -> bool:
        try:
            if self._drip:
                one.send(self._drip)
                return True
            if one.recv(1, socket.MSG_PEEK) != b"":
                return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        one.close()
        return False


ATTACKS = {
    "idle": (b"", b""),
    "slow heads": (HEAD, b"X"),
    "slow bodies": (b"POST /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    b"Content-Length: 100000\r\n\r\n", b" "),
    "no reading": (HEAD.replace(b"metrics", b"api/v1/openapi.json") + b"\r\n" + (HEAD + b"\r\n") * 50, b""),
}  # fmt: skip


def timed(exporter: Running, seconds: float) -> list[float]:
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert b"arb_scrape_collector_success{" in exporter.get("/metrics")
        took.append(time.monotonic() - began)
        time.sleep(0.1)
    return took


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("descriptors", [None, 128])
def test_a_scrape_takes_no_second_during_an_attack_of_200(attack: str, descriptors: int | None, tmp_path: Path) -> None:
    prefix = ("prlimit", f"--nofile={descriptors}:{descriptors}") if descriptors else ()
    exporter = Running(None, tmp_path, prefix=prefix)
    try:
        exporter.until_up()
        before = len(exporter.stderr.read_text().splitlines())
        with Attack(exporter.port, 200, *ATTACKS[attack]) as made:
            until(lambda: made.opened >= 200, 20, exporter)
            took = timed(exporter, SECONDS)
        lines = exporter.stderr.read_text().splitlines()[before:]
        print(f"{attack}: {len(took)} scrapes, slowest {max(took):.3f} s, {made.opened} calls, {len(lines)} lines")
        assert (max(took) if FULL else statistics.median(took)) < 1.0, took  # others may keep the machine busy
        assert len(lines) <= 10, lines[:20]
        assert exporter.stop() == 0
    finally:
        exporter.process.kill()
        exporter.process.wait()
