"""The machine the bot runs on: processor, memory, load, file systems, network and disks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from exporter.collector import Collector, Poll, Sources
from exporter.metrics import MAX_LABEL_LENGTH, Family, counter, gauge, label
from exporter.sources.host import FileSystem, Host, HostSample

HEAD: Final = 20
"""Characters of the beginning of a long path that are shown."""

CPU = gauge("arb_host_cpu_usage_ratio", "Share of all processors' time that was used since the last look.")
MEMORY_USED = gauge("arb_host_memory_used_bytes", "Memory in use, without what can be freed at once.")
MEMORY_TOTAL = gauge("arb_host_memory_total_bytes", "Memory there is.")
SWAP_USED = gauge("arb_host_swap_used_bytes", "Swap space in use.")
SWAP_TOTAL = gauge("arb_host_swap_total_bytes", "Swap space there is.")
LOAD = gauge("arb_host_load1", "Load average of the last minute.")
FREE = gauge("arb_host_filesystem_free_bytes", "Space left to ordinary users.", "mountpoint")
SIZE = gauge("arb_host_filesystem_size_bytes", "Size of the file system.", "mountpoint")
RECEIVED = counter("arb_host_network_receive_bytes_total", "Bytes received by all network devices but virtual ones.")
SENT = counter("arb_host_network_transmit_bytes_total", "Bytes sent by all network devices but virtual ones.")
READ = counter("arb_host_disk_read_bytes_total", "Bytes read from all disks.")
WRITTEN = counter("arb_host_disk_written_bytes_total", "Bytes written to all disks.")


def render(sample: HostSample) -> Iterator[Family]:
    """All of it; without devices of a kind their counters are absent."""
    systems = list(_named(sample.file_systems))
    yield CPU.maybe(sample.cpu_usage_ratio)
    yield MEMORY_USED(sample.memory_used_bytes)
    yield MEMORY_TOTAL(sample.memory_total_bytes)
    yield SWAP_USED(sample.swap_used_bytes)
    yield SWAP_TOTAL(sample.swap_total_bytes)
    yield LOAD(sample.load1)
    yield FREE.each(((system.mountpoint,), system.free_bytes) for system in systems)
    yield SIZE.each(((system.mountpoint,), system.size_bytes) for system in systems)
    received, sent = sample.network or (None, None)
    read, written = sample.disk or (None, None)
    yield RECEIVED.maybe(received)
    yield SENT.maybe(sent)
    yield READ.maybe(read)
    yield WRITTEN.maybe(written)


def _named(systems: Iterable[FileSystem]) -> Iterator[FileSystem]:
    """By paths that can be labels; of those that would have the same the fullest, which is the one to know of."""
    named: dict[str, FileSystem] = {}
    for system in sorted(systems, key=lambda system: system.free_bytes / max(system.size_bytes, 1), reverse=True):
        path = _short(system.mountpoint)
        if label(path) == path:
            named[path] = replace(system, mountpoint=path)
    return iter(named.values())


def _short(path: str) -> str:
    """Both ends of a path that is too long for a label, as many of containers are."""
    return path if len(path) <= MAX_LABEL_LENGTH else f"{path[:HEAD]}…{path[HEAD + 1 - MAX_LABEL_LENGTH :]}"


def _open(sources: Sources) -> Poll:
    host, worker = Host(), sources.worker("host")

    async def read() -> HostSample:
        return await worker.run(host.look)

    return Poll(read, every=1.0)


COLLECTOR = Collector(
    name="host",
    metrics=(
        CPU, MEMORY_USED, MEMORY_TOTAL, SWAP_USED, SWAP_TOTAL, LOAD, FREE, SIZE, RECEIVED, SENT, READ, WRITTEN,
    ),
    open=_open,
    render=render,
    timeout=5.0,
    max_age=15.0,
    uses=(),
)  # fmt: skip
