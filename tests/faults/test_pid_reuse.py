"""The bot has ended and another program has its process id: the exporter does not take that for the bot."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.running import Running, running, until

LAST = Path("/proc/sys/kernel/ns_last_pid")
TRIES = 500
SLEEP = [sys.executable, "-c", "import time; time.sleep(1000)"]
HOUR = 3_600


@contextmanager
def program(wanted: int | None = None) -> Iterator[int]:
    """A running program; the id of its process, which is the one that is wanted."""
    made = subprocess.Popen(SLEEP) if wanted is None else with_id(wanted)
    try:
        yield made.pid
    finally:
        made.kill()
        made.wait()


def with_id(wanted: int) -> subprocess.Popen[bytes]:
    """A program with this id, if the system lets it be chosen and nobody else is quicker."""
    for _ in range(TRIES):
        try:
            LAST.write_text(str(wanted - 1))
        except OSError:
            break
        made = subprocess.Popen(SLEEP)
        if made.pid == wanted:
            return made
        made.kill()
        made.wait()
    pytest.skip("no process id can be chosen here")


def looked(exporter: Running) -> float | None:
    """Whether the bot is up, by a look that began after now."""
    now = time.time() + 0.5  # the look that is running now may have begun before
    last = "arb_scrape_collector_last_success_timestamp_seconds"
    until(lambda: (exporter.value(last, collector="process") or 0) > now, 30, exporter)
    return exporter.value("arb_bot_process_up", bot="b")


def test_another_program_with_the_bots_process_id_is_not_the_bot(tmp_path: Path) -> None:
    pidfile = tmp_path / "bot.pid"
    settings = {"bot": {"name": "b", "process": {"pidfile": str(pidfile)}}, "state": str(tmp_path / "state")}

    def written(pid: int, age: float = 0) -> None:
        pidfile.write_text(f"{pid}\n")
        os.utime(pidfile, (time.time() - age,) * 2)

    with running(settings, tmp_path) as exporter:
        with program() as bot:
            written(bot)
            until(lambda: exporter.value("arb_bot_process_up", bot="b") == 1, 30, exporter)
            began = exporter.value("arb_bot_process_start_timestamp_seconds", bot="b")
        written(bot, HOUR)  # a bot that has run for long
        with program(bot):
            assert looked(exporter) == 0
            assert exporter.value("arb_bot_process_start_timestamp_seconds", bot="b") is None
            assert exporter.stop() == 0
            with running(settings, tmp_path) as after:  # one that never knew the bot
                assert looked(after) == 0
                with program() as bot_again:
                    written(bot_again)
                    until(lambda: after.value("arb_bot_process_up", bot="b") == 1, 30, after)
                    assert after.value("arb_bot_process_start_timestamp_seconds", bot="b") != began
                assert after.stop() == 0
