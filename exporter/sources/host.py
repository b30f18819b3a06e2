"""The machine by psutil: processor, memory, load, file systems, network and disks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

MOST_MOUNTS: Final = 16
LIST_EVERY: Final = 60.0
"""Seconds between two listings of mounts and disks, which cost more than all the rest."""
_IMAGES: Final = frozenset(("squashfs", "erofs", "iso9660", "udf", "cramfs"))  # always full: nothing to watch
_SYSTEM: Final = ("/dev/", "/proc/", "/run/", "/sys/")  # the system's own
_VIRTUAL: Final = ("lo", "veth", "docker", "br-", "virbr", "cni", "flannel", "cali")  # the same bytes once more
_STACKED: Final = ("loop", "ram", "zram", "dm-", "md", "sr")  # likewise, or no disk at all
_SYS_BLOCK: Final = Path("/sys/block")


@dataclass(frozen=True, slots=True)
class FileSystem:
    """Space of a mounted file system; `free_bytes` is what is left to ordinary users."""

    mountpoint: str
    size_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class HostSample:
    """The machine at one moment; `cpu_usage_ratio` is over the time since the last look, None at the first."""

    cpu_usage_ratio: float | None
    memory_used_bytes: int
    memory_total_bytes: int
    swap_used_bytes: int
    swap_total_bytes: int
    load1: float
    file_systems: tuple[FileSystem, ...]
    network: tuple[int, int] | None
    """Bytes received and transmitted by all devices; None without any."""
    disk: tuple[int, int] | None
    """Bytes read and written by all disks; None without any."""


type Flows = Mapping[str, tuple[int, int]]
"""Bytes (in, out) by device, since the device is there."""


@dataclass(slots=True)
class Sum:
    """The flows of all devices added up; it never falls, whatever device vanishes or starts anew at zero."""

    _total: tuple[int, int] | None = None
    _last: Flows = field(default_factory=dict)

    def add(self, now: Flows) -> tuple[int, int] | None:
        """The sums, with what has flowed since the last look; None before the first device is seen."""
        for name, (inward, outward) in now.items():
            before, total = self._last.get(name, (0, 0)), self._total or (0, 0)
            self._total = total[0] + max(inward - before[0], 0), total[1] + max(outward - before[1], 0)
        self._last = {**self._last, **now}
        return self._total


class Host:
    """Looks at the machine; every call blocks for a fraction of a millisecond and belongs in a thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._listed_at = -LIST_EVERY
        self._mounts: list[str] = []
        self._disks: frozenset[str] = frozenset()
        self._times: tuple[float, float] | None = None
        self._network, self._disk = Sum(), Sum()

    def look(self) -> HostSample:
        """One look.

        Raises:
            OSError, psutil.Error: the system does not tell.
        """
        self._list()
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        return HostSample(
            cpu_usage_ratio=self._usage(),
            memory_used_bytes=memory.used,
            memory_total_bytes=memory.total,
            swap_used_bytes=swap.used,
            swap_total_bytes=swap.total,
            load1=os.getloadavg()[0],
            file_systems=tuple(space(self._mounts)),
            network=self._network.add(_network_flows()),
            disk=self._disk.add(_disk_flows(self._disks)),
        )

    def _list(self) -> None:
        if (now := self._monotonic()) - self._listed_at >= LIST_EVERY:
            self._listed_at = now
            self._mounts = mountpoints()
            self._disks = disks()

    def _usage(self) -> float | None:
        before, self._times = self._times, _busy_and_all(psutil.cpu_times()._asdict())
        return None if before is None else _share(before, self._times)


def _busy_and_all(times: Mapping[str, float]) -> tuple[float, float]:
    # The kernel counts guests' time as the user's once more.
    whole = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
    return whole - times["idle"] - times.get("iowait", 0.0), whole


def _share(before: tuple[float, float], after: tuple[float, float]) -> float | None:
    whole = after[1] - before[1]
    return min(max((after[0] - before[0]) / whole, 0.0), 1.0) if whole > 0 else None


def mountpoints() -> list[str]:
    """Where physical file systems and tmpfs are mounted, and the root in any case; the shortest first, at most 16."""
    found = {p.mountpoint for p in psutil.disk_partitions(all=False) if p.fstype not in _IMAGES}
    found |= {p.mountpoint for p in psutil.disk_partitions(all=True) if p.fstype == "tmpfs"}
    found = {path for path in found if not f"{path}/".startswith(_SYSTEM)}
    directories = {path for path in found if Path(path).is_dir()}  # containers have single files mounted too
    return sorted(directories | {"/"}, key=lambda path: (len(path), path))[:MOST_MOUNTS]


def space(mounts: list[str]) -> list[FileSystem]:
    """The space of these file systems; one that cannot be asked is left out."""
    found = []
    for path in mounts:
        with suppress(OSError):
            status = os.statvfs(path)
            size, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
            found.append(FileSystem(path, size, free))
    return found


def disks() -> frozenset[str]:
    """The names of whole disks; partitions and what is stacked upon disks would count twice."""
    try:
        return frozenset(n for n in os.listdir(_SYS_BLOCK) if not n.startswith(_STACKED))  # noqa: PTH208  names only
    except OSError:
        return frozenset()


def _network_flows() -> Flows:
    devices = psutil.net_io_counters(pernic=True, nowrap=False)
    return {n: (c.bytes_recv, c.bytes_sent) for n, c in devices.items() if not n.startswith(_VIRTUAL)}


def _disk_flows(names: frozenset[str]) -> Flows:
    counters = psutil.disk_io_counters(perdisk=True, nowrap=False) if names else {}
    return {n: (c.read_bytes, c.write_bytes) for n, c in counters.items() if n in names}
