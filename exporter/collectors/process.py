"""The bot's process: does it run, since when, and what does it use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exporter.collector import Collector, Poll, Sources
from exporter.metrics import Family, counter, gauge
from exporter.sources.process import Pidfile, ProcessSample, Search, sample
from exporter.worker import Worker

UP = gauge("arb_bot_process_up", "1 if the bot's process runs.", "bot")
RESIDENT = gauge("arb_bot_process_resident_memory_bytes", "Resident memory of the bot.", "bot")
CPU = counter("arb_bot_process_cpu_seconds_total", "Processor time used by the bot's process.", "bot")
FDS = gauge("arb_bot_process_open_fds", "Open file descriptors of the bot.", "bot")
THREADS = gauge("arb_bot_process_threads", "Threads of the bot.", "bot")
START = gauge("arb_bot_process_start_timestamp_seconds", "When the bot's process was started.", "bot")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The bot's process; `process` is None while there is none."""

    bot: str
    process: ProcessSample | None


@dataclass(slots=True)
class ByPidfile:
    """Reads the process that a pidfile names."""

    bot: str
    worker: Worker
    pidfile: Pidfile

    async def read(self) -> Snapshot:
        """One look; a bot that does not run is a finding, not a failure."""
        return Snapshot(self.bot, await self.worker.run(self._look))

    def _look(self) -> ProcessSample | None:
        process = self.pidfile.process()
        return None if process is None else sample(process)


@dataclass(slots=True)
class ByMatch:
    """Reads the process with a text in its command line; a scan leaves pauses for others."""

    bot: str
    worker: Worker
    search: Search

    async def read(self) -> Snapshot:
        """One look; a bot that does not run is a finding, not a failure."""
        for pids in await self.worker.run(self.search.due):
            await self.worker.run(self.search.among, pids)
        found = self.search.found
        return Snapshot(self.bot, None if found is None else await self.worker.run(sample, found))


def render(snapshot: Snapshot) -> Iterator[Family]:
    """What is known of the process; only `up` while it does not run."""
    bot, process = (snapshot.bot,), snapshot.process
    yield UP.each([(bot, process is not None)])
    if process is None:
        return
    yield RESIDENT.each([(bot, process.resident_memory_bytes)])
    yield CPU.each([(bot, process.cpu_seconds)])
    if process.open_fds is not None:
        yield FDS.each([(bot, process.open_fds)])
    yield THREADS.each([(bot, process.threads)])
    yield START.each([(bot, process.start_timestamp_seconds)])


def _open(sources: Sources) -> Poll | None:
    bot, worker = sources.settings.bot, sources.worker("process")
    if bot.process is None:
        return None
    if bot.process.match is not None:
        return Poll(ByMatch(bot.name, worker, Search(bot.process.match)).read, every=5.0)
    return Poll(ByPidfile(bot.name, worker, Pidfile(bot.process.pidfile or Path())).read, every=5.0)


COLLECTOR = Collector(
    name="process",
    metrics=(UP, RESIDENT, CPU, FDS, THREADS, START),
    open=_open,
    render=render,
    timeout=10.0,
    max_age=30.0,
    uses=("bot",),
    unset="bot.process: the bot's process",
)
