"""The client is never in the bot's way: not with its arguments, its threads, its loop, its forks or its end."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.client import Client, Stats, client, ether
from exporter.client.events import TYPES
from exporter.sources import event_records
from tests.client.fake_exporter import Exporter, hangs, running
from tests.client.test_events import FULL
from tests.running import unwatched

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ARB_EXPORTER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    with running() as server:
        yield server


@pytest.fixture
def bot(exporter: Exporter) -> Iterator[Client]:
    with Client(exporter.url, linger=0.01) as made:
        yield made


def test_every_type_arrives_as_it_was_said(exporter: Exporter, bot: Client) -> None:
    before = time.time()
    said = [getattr(bot, event)(**FULL[event]) for event in TYPES]
    assert bot.flush()
    assert [record["id"] for record in exporter.records] == said
    assert [record["type"] for record in exporter.records] == list(TYPES)
    for record in exporter.records:
        assert event_records.parse(record).id == record["id"]
        assert before - 1e-6 <= record["time"] <= time.time()
    assert bot.stats == Stats(len(TYPES), 0, len(TYPES), 0, 0, 0, 0, 0)
    assert bot.trouble == ""


def test_what_is_given_counts_more_than_what_is_common(exporter: Exporter) -> None:
    with Client(exporter.url, strategy="arbitrage", simulated=True, linger=0.01) as bot:
        assert bot.component(name="node", status="ok") != bot.component(name="node", status="ok")
        assert bot.component(name="node", status="ok", id="7", time=1_750_000_000, strategy="x", simulated=False) == "7"
        assert bot.component(name="node", status="ok", id=None, time=None, strategy=None)  # type: ignore[typeddict-item]
    first, _, third, fourth = exporter.records
    assert (first["strategy"], first["simulated"]) == ("arbitrage", True)
    own = {"id": "7", "time": 1_750_000_000.0, "strategy": "x", "simulated": False}
    assert third == own | {"type": "component", "name": "node", "status": "ok"}
    assert "strategy" not in fourth


def test_amounts_are_exact(exporter: Exporter, bot: Client) -> None:
    bot.trade(**FULL["trade"] | {"net_profit_eth": ether(-123_456_789_012_345_678_901), "gas_fee_eth": 1e-18})
    assert bot.flush()
    assert exporter.records[0]["net_profit_eth"] == "-123.456789012345678901"
    assert exporter.records[0]["gas_fee_eth"] == "0.000000000000000001"


class Trap(str):
    """An argument that fails whatever is done with it."""

    __slots__ = ()

    def _fail(self, *_: object) -> Any:
        raise ZeroDivisionError

    __len__ = __eq__ = __hash__ = __str__ = __repr__ = __iter__ = _fail
    isprintable = isascii = encode = _fail  # type: ignore[assignment]


def test_no_argument_breaks_the_bot(exporter: Exporter, caplog: pytest.LogCaptureFixture) -> None:
    with Client(exporter.url, linger=0.01) as made:
        bot: Any = made
        calls: list[Callable[[], object]] = [
            lambda: bot.trade(),
            lambda: bot.trade("WETH/USDC", "uniswap"),
            lambda: bot.trade(**FULL["trade"] | {"pair": None}),
            lambda: bot.trade(**FULL["trade"] | {"unknown-secret": 1}),
            lambda: bot.trade(self=1, event=2, unnamed=3, given=4),
            lambda: bot.price(pair="a/b", dex="c", price=float("nan")),
            lambda: bot.price(pair=Trap("a"), dex="c", price=1),
            lambda: bot.price(pair="a/b", dex="c", price=1, id=Trap("a")),
            lambda: bot.price(pair="a/b", dex="c", price=1, id=5),
            lambda: bot.component(name="\ud800", status="ok"),
            lambda: bot.component(name="x", status="fine"),
            lambda: bot.cache(name="x", hits=-1, misses=0, entries=0, bytes=0),
        ]
        for call in calls * 3:
            assert isinstance(call(), str)
        bot.component(name="node", status="ok")
        assert bot.flush()
        assert bot.stats == Stats(3 * len(calls) + 1, 3 * len(calls), 1, 0, 0, 0, 0, 0)
    words = [record.getMessage() for record in caplog.records]
    assert len(words) == len(set(words)) <= len(calls)
    assert not any("secret" in word for word in words)


def test_kinds_of_mistakes_are_logged_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client, "_MOST_KINDS", 2)
    bot: Any = Client(NOWHERE)
    for event in TYPES:
        getattr(bot, event)(wrong=1)
    bot.close()
    assert len(caplog.records) == 2


def test_a_log_that_fails_does_not_break_the_bot(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ZeroDivisionError

    handler = Broken()
    logging.getLogger("exporter.client").addHandler(handler)
    try:
        bot: Any = Client("no URL", linger=-1)
        bot.trade()
        bot.close(0)
    finally:
        logging.getLogger("exporter.client").removeHandler(handler)
    assert bot.stats.invalid == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://secret"},
        {"url": 7},
        {"user": "bot"},
        {"user": "bot", "password": "x", "password_file": "y"},
        {"file": 7},
        {"buffered": 0},
        {"buffered": "many"},
        {"linger": float("nan")},
        {"exit_seconds": None},
        {"strategy": 5},
        {"ca_file": "/none"},
    ],
    ids=str,
)
def test_no_option_breaks_the_bot(wrong: dict[str, Any], caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    with Client(**{"url": NOWHERE, "file": file, "linger": 0.01} | wrong) as bot:
        assert bot.component(name="node", status="ok")
        assert "file" in wrong or bot.flush(20)
    stats = bot.stats
    assert stats.reported == 1
    assert stats.written == (0 if {"file", "strategy"} & set(wrong) else 1)
    assert caplog.records
    assert "secret" not in caplog.text


def test_options_come_from_the_environment(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARB_EXPORTER_URL", exporter.url)
    with Client(linger=0.01) as bot:
        bot.component(name="node", status="ok")
        assert bot.flush()
    assert len(exporter.records) == 1


def test_the_password_reaches_nobody_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(user=("bot", "right")) as exporter:
        with Client(exporter.url, user="bot", password="canary-wrong", linger=0.01) as bot:
            bot.component(name="node", status="ok")
            assert not bot.flush(0.3)
            assert bot.trouble == "the exporter answers 401"
            assert "canary" not in repr(bot) + str(vars(bot)) + caplog.text
        assert bot.stats.dropped == 1
        with Client(exporter.url, user="bot", password="right", linger=0.01) as bot:
            bot.component(name="node", status="ok")
            assert bot.flush()


def test_a_call_returns_at_once_while_nothing_works(exporter: Exporter) -> None:
    exporter.deeds.extend([hangs] * 100)
    with Client(exporter.url, buffered=100, linger=0.01, exit_seconds=0.1) as bot:
        slowest = 0.0
        for _ in range(5_000):
            began = time.thread_time()
            bot.component(name="node", status="ok")
            slowest = max(slowest, time.thread_time() - began)
        assert slowest < 0.05  # of its own time: a busy machine may take it away for longer
        began = time.monotonic()
    assert time.monotonic() - began < 5
    stats = bot.stats
    assert stats.reported == stats.sent + stats.dropped == 5_000


def test_what_is_left_at_the_end_is_written(exporter: Exporter, tmp_path: Path) -> None:
    exporter.deeds.append(hangs)
    file = tmp_path / "events.ndjson"
    bot = Client(exporter.url, file=file, linger=0.01)
    said = [bot.component(name="node", status="ok") for _ in range(50)]
    while not exporter.requests:
        time.sleep(0.005)
    bot.close(0.1)
    assert [json.loads(line)["id"] for line in file.read_bytes().splitlines()] == said
    assert bot.stats == Stats(50, 0, 0, 0, 50, 0, 0, 0)
    bot.close()  # again
    assert bot.component(name="node", status="ok")
    assert bot.stats.dropped == 1


def test_threads_share_a_client(exporter: Exporter, bot: Client) -> None:
    def report() -> None:
        for _ in range(500):
            bot.component(name=threading.current_thread().name, status="ok")

    threads = [threading.Thread(target=report, name=f"thread-{number}") for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bot.flush()
    assert len({record["id"] for record in exporter.records}) == len(exporter.records) == 2_000
    assert sum(thread.name == "arb-exporter-client" for thread in threading.enumerate()) == 1


def test_a_client_that_says_nothing_has_no_thread(exporter: Exporter) -> None:
    before = threading.active_count() + exporter.connections
    with Client(exporter.url):
        assert threading.active_count() + exporter.connections == before


def test_no_more_threads_is_no_reason_to_fail(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    file = tmp_path / "events.ndjson"
    bot = Client(exporter.url, file=file, linger=0.01)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        bot.component(name="node", status="ok")
        bot.component(name="node", status="ok")
    assert bot.stats.waiting == 2
    bot.component(name="node", status="ok")
    assert bot.flush()
    assert bot.stats.sent == 3
    bot.close()


async def test_a_loop_is_never_held_up(exporter: Exporter, tmp_path: Path) -> None:
    exporter.deeds.extend([hangs] * 100)
    gaps: list[float] = []

    async def tick() -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(0.001)
            gaps.append(loop.time() - began)

    async with Client(exporter.url, file=tmp_path / "events.ndjson", linger=0.01, exit_seconds=0.5) as bot:
        ticking = asyncio.create_task(tick())
        for _ in range(200):
            bot.component(name="node", status="ok")
        assert not await bot.flushed(0.3)
    ticks = len(gaps)
    ticking.cancel()
    assert ticks > 20  # it went on turning through the waiting and the end
    assert bot.stats.written == 200


async def test_the_loop_can_wait_for_all_to_be_sent(exporter: Exporter) -> None:
    async with Client(exporter.url, linger=0.01) as bot:
        bot.component(name="node", status="ok")
        assert await bot.flushed()
    assert len(exporter.records) == 1


PRELUDE = """
import multiprocessing, os, sys, threading, time
from exporter.client import Client
bot = Client(sys.argv[1], linger=float(sys.argv[2]), file=sys.argv[3] if len(sys.argv) > 3 else None)
def say(name): bot.component(name=name, status="ok")
"""


def run(code: str, *arguments: str, timeout: float = 60) -> float:
    """Run a bot; how many seconds it took."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + code, *arguments],
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
        env=unwatched(),
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return time.monotonic() - began


def names(exporter: Exporter) -> list[str]:
    return sorted(record["name"] for record in exporter.records)


def test_the_end_of_the_interpreter_sends_what_is_left(exporter: Exporter) -> None:
    run("for number in range(100): say('event')", exporter.url, "30")
    assert len(exporter.records) == 100


def test_the_end_of_the_interpreter_is_delayed_by_little(exporter: Exporter, tmp_path: Path) -> None:
    exporter.deeds.extend([hangs] * 10)
    file = tmp_path / "events.ndjson"
    idle = run("", NOWHERE, "1")
    took = run("for number in range(100): say('event')\ntime.sleep(0.3)", exporter.url, "0.01", str(file))
    assert took - idle < 2 + 8  # exit_seconds, and a busy machine
    assert file.read_bytes().count(b"\n") == 100


def test_an_unhandled_exception_loses_nothing(exporter: Exporter) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + "say('last words')\n1 / 0", exporter.url, "30"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert b"ZeroDivisionError" in done.stderr
    assert names(exporter) == ["last words"]


FORK = """
import warnings
warnings.simplefilter("ignore")  # of a fork beside threads: that is what is tried here
say("parent before")
time.sleep(0.3)  # with a short wait it is sent before, with a long one after the fork
pid = os.fork()
if pid == 0:
    say("child")
    sys.exit()
say("parent after")
os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("linger", ["0.001", "30"])
def test_a_forked_process_speaks_for_itself(exporter: Exporter, linger: str) -> None:
    run(FORK, exporter.url, linger)
    assert names(exporter) == ["child", "parent after", "parent before"]
    assert exporter.repeated == 0


POOL = """
def work(number):
    say(f"worker {number}")
say("parent")
import warnings
warnings.simplefilter("ignore")
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work, args=(number,)) for number in range(3)]
    for child in children: child.start()
    for child in children: child.join()
"""


def test_processes_of_multiprocessing_end_with_their_events_sent(exporter: Exporter) -> None:
    run(POOL, exporter.url, "30")
    assert names(exporter) == ["parent", "worker 0", "worker 1", "worker 2"]
    assert exporter.repeated == 0


def test_a_fork_in_the_middle_of_everything_never_hangs(exporter: Exporter) -> None:
    code = """
import warnings
warnings.simplefilter("ignore")
stop = threading.Event()
def chatter():
    while not stop.is_set(): say("chatter")
threads = [threading.Thread(target=chatter, daemon=True) for _ in range(2)]
for thread in threads: thread.start()
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        say("child")
        bot.close(10)
        os._exit(0 if bot.stats.sent == 1 else 3)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
for thread in threads: thread.join()
"""
    run(code, exporter.url, "0.001", timeout=120)
    assert names(exporter).count("child") == 20


def test_importing_it_is_light() -> None:
    heavy = {"asyncio", "aiohttp", "web3", "prometheus_client", "psutil", "bcrypt", "yaml", "tzdata", "sqlite3"}
    code = f"import sys, exporter.client; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=unwatched()
    )
    assert done.stdout == "[]\n"
