"""The machine as psutil shows it, and what one broken part costs."""

import os
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from exporter.sources import host
from exporter.sources.host import FileSystem, Host, Sum


def test_a_look_agrees_with_the_system() -> None:
    looks = Host()
    first, second = looks.look(), looks.look()
    assert first.cpu_usage_ratio is None
    assert first.memory_total_bytes == psutil.virtual_memory().total
    assert 0 < second.memory_used_bytes < second.memory_total_bytes
    assert (second.swap_total_bytes, second.swap_used_bytes >= 0) == (psutil.swap_memory().total, True)
    assert second.load1 == pytest.approx(os.getloadavg()[0], abs=2)
    root = next(system for system in second.file_systems if system.mountpoint == "/")
    assert root.size_bytes == psutil.disk_usage("/").total
    assert 0 <= root.free_bytes <= root.size_bytes
    for before, after in ((first.network, second.network), (first.disk, second.disk)):
        assert before is None or after is None or all(b <= a for b, a in zip(before, after, strict=True))


Times = namedtuple("Times", "user system idle iowait guest")


@pytest.mark.parametrize(
    ("after", "usage"),
    [
        (Times(20, 10, 70, 0, 0), 0.3),
        (Times(20, 10, 50, 20, 0), 0.3),
        (Times(30, 0, 70, 0, 30), 0.3),
        (Times(0, 0, 0, 0, 0), None),
        (Times(100, 0, -10, 0, 0), 1.0),
    ],
)
def test_the_processors_usage_is_over_the_time_between_looks(
    monkeypatch: pytest.MonkeyPatch, after: Times, usage: float | None
) -> None:
    looks = Host()
    monkeypatch.setattr(psutil, "cpu_times", lambda: Times(0, 0, 0, 0, 0))
    looks.look()
    monkeypatch.setattr(psutil, "cpu_times", lambda: after)
    assert looks.look().cpu_usage_ratio == (None if usage is None else pytest.approx(usage))


def test_sums_never_fall() -> None:
    flows = Sum()
    assert flows.add({}) is None
    assert flows.add({"a": (10, 1), "b": (5, 5)}) == (15, 6)
    assert flows.add({"a": (11, 1)}) == (16, 6), "a device that vanished takes nothing with it"
    assert flows.add({"a": (3, 1), "b": (6, 5)}) == (17, 6), "one that starts anew neither"
    assert flows.add({"a": (4, 2), "c": (1, 1)}) == (19, 8)


def partition(mountpoint: str, fstype: str = "ext4") -> SimpleNamespace:
    return SimpleNamespace(mountpoint=mountpoint, fstype=fstype)


def test_mounts_are_directories_of_physical_file_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").touch()
    folders = [tmp_path / f"{i:02d}" for i in range(30)]
    for folder in folders:
        folder.mkdir()
    some = [partition(str(folder)) for folder in reversed(folders)]
    images = [partition(str(tmp_path), "squashfs")]
    everything = [*images, *some, partition(str(tmp_path / "resolv.conf"))]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: everything)
    assert host.mountpoints() == ["/", *map(str, folders[:15])]


def test_a_file_system_in_memory_can_fill_up_too_but_not_the_systems_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    virtual = [partition(path, "tmpfs") for path in ("/dev/shm", "/run", "/run/lock", str(tmp_path))]
    physical = [partition("/")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: physical + virtual if all else physical)  # noqa: A006
    assert host.mountpoints() == ["/", str(tmp_path)]


def test_a_file_system_that_fails_costs_only_itself() -> None:
    found = host.space(["/nowhere", "/"])
    assert [system.mountpoint for system in found] == ["/"]
    assert isinstance(found[0], FileSystem)


def test_mounts_and_disks_are_listed_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], []
    looks = Host(lambda: now[0])
    monkeypatch.setattr(host, "mountpoints", lambda: calls.append(now[0]) or ["/"])
    for now[0] in (0.0, 1.0, 59.0, 60.0, 61.0, 120.0):
        looks.look()
    assert calls == [0.0, 60.0, 120.0]


def test_devices_that_repeat_others_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def counters(**_: Any) -> dict[str, SimpleNamespace]:
        names = ("lo", "eth0", "eth1", "veth12", "docker0", "br-ab", "sda", "sda1", "dm-0", "loop1")
        return {n: SimpleNamespace(bytes_recv=1, bytes_sent=2, read_bytes=3, write_bytes=4) for n in names}

    for name in ("sda", "dm-0", "loop1"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(psutil, "net_io_counters", counters)
    monkeypatch.setattr(psutil, "disk_io_counters", counters)
    monkeypatch.setattr(host, "_SYS_BLOCK", tmp_path)
    sample = Host().look()
    assert sample.disk == (3, 4)
    assert sample.network == (5, 10)  # of eth0, eth1 and the three that are disks by name
    monkeypatch.setattr(host, "_SYS_BLOCK", tmp_path / "missing")
    assert Host().look().disk is None


def test_errors_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(5, "I/O error")

    monkeypatch.setattr(psutil, "virtual_memory", fail)
    with pytest.raises(OSError, match="I/O"):
        Host().look()
