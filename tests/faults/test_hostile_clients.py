"""Slow and hostile clients of a whole exporter: a scrape takes no second, the log stays short, and memory small."""

from __future__ import annotations

import json
import random
import socket
import statistics
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from websockets.sync.client import connect

from tests import bank
from tests.faults.stage import Stage, playing
from tests.live.test_frames import masked
from tests.running import Running, until
from tests.tiers import FULL

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
        one = socket.socket()
        one.settimeout(5)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what its kernel takes waits nowhere else
        one.connect(("127.0.0.1", self._port))
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
    "no reading, and a line more": (HEAD + b"\r\n", b"\r\n"),
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


# --- what they cost in memory --------------------------------------------------------------------------------------

MOST_MIB = 20.0
AFTERWARDS = 60.0 if FULL else 3.0
"""Seconds after an attack until memory is looked at again."""
LISTEN = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
WISH = json.dumps({"op": "subscribe", "topics": ["prices", "trades", "system", "errors"]}).encode()
LISTS = b"GET /api/v1/trades?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
COSTLY = {name: (200, *said) for name, said in ATTACKS.items()} | {
    "no reading of lists": (200, LISTS * 50, b""),
    "no listening": (100, LISTEN + masked(1, WISH), b""),
}


class Memory:
    """Resident memory of a process, in MiB, looked at all the time."""

    def __init__(self, process: int) -> None:
        self._process, self._stop = psutil.Process(process), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.peak = self.now

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def now(self) -> float:
        return self._process.memory_info().rss / (1 << 20)

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.peak = max(self.peak, self.now)


class Listener:
    """Somebody who reads, and how old prices are when they come, in seconds."""

    def __init__(self, port: int) -> None:
        self._url, self._stop = f"ws://127.0.0.1:{port}/ws", threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self.ages: list[float] = []

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _listen(self) -> None:
        with connect(self._url) as client:
            client.send(WISH.decode())
            while not self._stop.is_set():
                message = json.loads(client.recv(timeout=30))
                if message["type"] == "update":
                    self.ages.append(time.time() - message["ts"])


def late(seconds: list[float]) -> float:
    """The slowest of a hundred."""
    return sorted(seconds)[int(len(seconds) * 0.99)]


@pytest.mark.parametrize(
    "attack", COSTLY if FULL else [name for name in COSTLY if name not in ATTACKS or "no r" in name]
)
def test_an_attack_costs_little_memory_and_others_little_time(attack: str, tmp_path: Path) -> None:
    crowd, greeting, drip = COSTLY[attack]
    own, rng = bank.Bank(tmp_path / "bank"), random.Random(3)
    for number in range(3_000):
        own.put(bank.FIRST_EPOCH - 10_000 + number, bank.trade(rng))
    with playing(tmp_path) as stage, Listener(stage.exporter.port) as listener:
        exporter = stage.exporter
        until(lambda: stage.counted()["trades"] == 3_000 and stage.shows_price(), 60, exporter)
        size = len(exporter.get("/metrics"))
        stop, acting = threading.Event(), threading.Thread(target=lambda: act(stage, stop))
        acting.start()
        try:
            timed(exporter, 5)  # what is made once and kept
            exporter.get("/api/v1/trades?limit=1000")
            with Memory(exporter.process.pid) as memory:
                before = memory.now
                with Attack(exporter.port, crowd, greeting, drip) as made:
                    until(lambda: made.opened >= crowd, 20, exporter)
                    listener.ages.clear()
                    took = timed(exporter, SECONDS)
                    ages = [*listener.ages]
            time.sleep(AFTERWARDS)
            after = Memory(exporter.process.pid).now
        finally:
            stop.set()
            acting.join()
        print(f"{attack}: page of {size} bytes, memory {before:.1f}, at most {memory.peak:.1f}, then {after:.1f} MiB;"
              f" {made.opened} calls;"
              f" {len(took)} scrapes, p99 {late(took):.3f} s; {len(ages)} prices, p99 {late(ages):.3f} s")  # fmt: skip
        assert memory.peak - before <= MOST_MIB
        assert after - before <= MOST_MIB
        assert (late(took) if FULL else statistics.median(took)) < 1.0
        assert (late(ages) if FULL else statistics.median(ages)) < 0.1


def act(stage: Stage, stop: threading.Event) -> None:
    """The bot and its chain go on meanwhile."""
    while not stop.wait(0.2):
        stage.act()
