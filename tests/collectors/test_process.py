"""The bot's process as samples."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.collector import Poll, Sources
from exporter.collectors.process import COLLECTOR, Snapshot
from exporter.config import Bot, Process
from exporter.sources.process import ProcessSample
from tests.sources_for_tests import settings, shown, sources

MARK = f"arb-collected-bot-{os.getpid()}"


@pytest.fixture
def bot() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "print(flush=True); input()", MARK],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:  # fmt: skip
        assert started.stdout is not None
        started.stdout.readline()
        yield started
        started.kill()


def opened(s: Sources) -> Poll:
    found = COLLECTOR.open(s)
    assert isinstance(found, Poll)
    assert found.every == 5
    return found


def test_every_figure() -> None:
    snapshot = Snapshot("b", ProcessSample(1, 2.5, 3, 4, 5.5))
    assert shown(COLLECTOR, snapshot) == {
        'arb_bot_process_up{bot="b"}': 1,
        'arb_bot_process_resident_memory_bytes{bot="b"}': 1,
        'arb_bot_process_cpu_seconds_total{bot="b"}': 2.5,
        'arb_bot_process_open_fds{bot="b"}': 3,
        'arb_bot_process_threads{bot="b"}': 4,
        'arb_bot_process_start_timestamp_seconds{bot="b"}': 5.5,
    }


def test_what_may_not_be_asked_or_does_not_run_is_absent() -> None:
    found = shown(COLLECTOR, Snapshot("b", ProcessSample(1, 2.5, None, 4, 5.5)))
    assert len(found) == 5
    assert 'arb_bot_process_open_fds{bot="b"}' not in found
    assert shown(COLLECTOR, Snapshot("b", None)) == {'arb_bot_process_up{bot="b"}': 0}


async def test_by_pidfile(tmp_path: Path, bot: subprocess.Popen[bytes]) -> None:
    pidfile = tmp_path / "bot.pid"
    async with sources(settings(tmp_path, bot=Bot(name="b", process=Process(pidfile=pidfile)))) as s:
        poll = opened(s)
        assert shown(COLLECTOR, await poll.read()) == {'arb_bot_process_up{bot="b"}': 0}
        pidfile.write_text(str(bot.pid))
        assert shown(COLLECTOR, await poll.read())['arb_bot_process_up{bot="b"}'] == 1
        bot.kill()
        bot.wait()
        assert shown(COLLECTOR, await poll.read()) == {'arb_bot_process_up{bot="b"}': 0}


async def test_by_command_line(tmp_path: Path, bot: subprocess.Popen[bytes]) -> None:
    async with sources(settings(tmp_path, bot=Bot(name="b", process=Process(match=MARK)))) as s:
        poll = opened(s)
        for _ in range(2):
            found = shown(COLLECTOR, await poll.read())
            assert found['arb_bot_process_threads{bot="b"}'] == 1
        bot.kill()
        bot.wait()
        assert shown(COLLECTOR, await poll.read()) == {'arb_bot_process_up{bot="b"}': 0}


async def test_errors_are_passed_on_and_nothing_is_opened_unasked(tmp_path: Path) -> None:
    async with sources(settings(tmp_path, bot=Bot(process=Process(pidfile=Path("/dev/null/x"))))) as s:
        with pytest.raises(NotADirectoryError):
            await opened(s).read()
    async with sources(settings(tmp_path)) as s:
        assert COLLECTOR.open(s) is None
