"""The machine as samples."""

from dataclasses import replace
from pathlib import Path

from exporter.collector import Poll
from exporter.collectors.host import COLLECTOR
from exporter.metrics import gate
from exporter.sources.host import FileSystem, HostSample
from tests.sources_for_tests import settings, shown, sources

SAMPLE = HostSample(0.25, 1, 2, 3, 4, 0.5, (FileSystem("/", 10, 5), FileSystem("/data", 20, 6)), (7, 8), (9, 10))


def test_every_figure() -> None:
    assert shown(COLLECTOR, SAMPLE) == {
        "arb_host_cpu_usage_ratio": 0.25,
        "arb_host_memory_used_bytes": 1,
        "arb_host_memory_total_bytes": 2,
        "arb_host_swap_used_bytes": 3,
        "arb_host_swap_total_bytes": 4,
        "arb_host_load1": 0.5,
        'arb_host_filesystem_free_bytes{mountpoint="/"}': 5,
        'arb_host_filesystem_size_bytes{mountpoint="/"}': 10,
        'arb_host_filesystem_free_bytes{mountpoint="/data"}': 6,
        'arb_host_filesystem_size_bytes{mountpoint="/data"}': 20,
        "arb_host_network_receive_bytes_total": 7,
        "arb_host_network_transmit_bytes_total": 8,
        "arb_host_disk_read_bytes_total": 9,
        "arb_host_disk_written_bytes_total": 10,
    }


def test_what_is_not_known_is_absent() -> None:
    nothing = HostSample(None, 1, 2, 3, 4, 0.5, (), None, None)
    found = shown(COLLECTOR, nothing)
    assert not any("cpu" in name or "network" in name or "disk" in name or "filesystem" in name for name in found)
    assert len(found) == 5


def test_of_a_path_that_is_too_long_for_a_label_both_ends_are_shown() -> None:
    pod = f"/var/lib/kubelet/pods/{'0' * 36}/volumes"
    deep = tuple(FileSystem(f"{pod}/{name}", 1, 1) for name in ("token", "cache"))
    alike = tuple(FileSystem(f"{'/long' * 4}/{name}{'/path' * 12}", 100, free) for name, free in (("a", 9), ("b", 4)))
    unprintable = FileSystem("/\x00", 1, 1)
    sample = replace(SAMPLE, file_systems=(*SAMPLE.file_systems, *deep, *alike, unprintable))
    gated = gate(COLLECTOR.render(sample), COLLECTOR.metrics)
    assert gated.dropped == 0
    found, known = shown(COLLECTOR, sample), shown(COLLECTOR, SAMPLE)
    free = {
        name.partition('"')[2].rstrip('"}'): found[name] for name in found.keys() - known.keys() if "_free_" in name
    }
    ends = {f"/var/lib/kubelet/pod…{f'{pod}/{name}'[-43:]}": 1 for name in ("cache", "token")}
    assert free == ends | {f"{'/long' * 4}…{('/path' * 12)[-43:]}": 4}  # the fullest of those that look alike
    assert all(len(path) == 64 for path in free)


async def test_it_reads_every_second(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        poll = COLLECTOR.open(s)
        assert isinstance(poll, Poll)
        assert poll.every == 1
        await poll.read()
        assert shown(COLLECTOR, await poll.read()).keys() >= {"arb_host_memory_total_bytes", "arb_host_load1"}
