"""One file of a log: where it is, how far it has been read, and whether it is still what it was."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace

from exporter.sources.log_files import Cursor, Descriptor, View, behind, holds, identity, open_log

_GRAIN_NS, _COARSE_NS = 50_000_000, 2_000_000_000  # two writes within the clock's grain leave the same time behind
_SEEKS = 2  # a copy is made before its file is truncated: it is in any listing made after that was seen


@dataclass(slots=True, eq=False)
class Track:
    """A file of the log; `where` is its path in the listing, None once it was rotated away or deleted."""

    cursor: Cursor
    mtime_ns: int
    size: int = 0
    looked_to: int = 0
    where: str | None = None
    descriptor: Descriptor | None = None
    changed: bool = False
    grew: float = 0.0
    _checked: tuple[int, int] | None = None
    _sought: int = 0
    _doubted: bool = False

    @property
    def lost(self) -> bool:
        """Whether nobody knows where the file is."""
        return self.where is None and self.descriptor is None

    @property
    def unread(self) -> bool:
        """Whether there is more than has been looked at."""
        return self.size > self.looked_to and not self.lost

    @property
    def settled(self) -> bool:
        """Whether its size and time are enough to notice the next change."""
        return self.where is None or self._checked is not None

    def see(self, status: os.stat_result, now: float) -> None:
        """Take note of the file's size and times."""
        if self._doubted:
            self.looked_to, self._doubted = self.cursor.offset, False
        if status.st_size != self.size:
            self.grew = now
        self.size, self.mtime_ns = status.st_size, status.st_mtime_ns

    def claim(self, path: str, status: os.stat_result, now: float) -> None:
        """The file is here now."""
        self.see(status, now)
        grain = _GRAIN_NS if status.st_mtime_ns % 10**9 else _COARSE_NS  # some file systems know whole seconds only
        young = time.time_ns() - status.st_mtime_ns < grain
        self._checked = None if young else (status.st_size, status.st_mtime_ns)
        self.where, self._sought = path, 0
        self._name(path, status)

    def keep(self, descriptor: Descriptor, now: float) -> None:
        """The file has no place in the listing and is known by this descriptor."""
        self.descriptor, self._sought = descriptor, _SEEKS
        status = descriptor.stat()
        self.see(status, now)
        self._name(self.cursor.path, status)

    def lose(self) -> None:
        """What is there is not this file any more."""
        self.where = self.descriptor = self._checked = None

    def leave(self) -> None:
        """It has no place in the listing any more; it is held only while it is what it was."""
        if self.descriptor is not None and not holds(self.descriptor, self.cursor):
            self.lose()
        self.where = None

    def skip(self, size: int, descriptor: Descriptor) -> None:
        """So much of what is there has been counted already, as another file that it is a copy of."""
        if size > self.cursor.offset:
            self.cursor, self.changed = behind(self.cursor, descriptor, size), True
            self.looked_to = self.cursor.offset

    def doubt(self) -> None:
        """What was read was not this file: nothing more is read before another look."""
        self.looked_to, self._checked, self._doubted = self.size, None, True
        if self.where is None:
            self.lose()

    @property
    def to_seek(self) -> bool:
        """Whether to look for it: after it was lost, and once more."""
        return self.lost and self._sought < _SEEKS

    def sought(self) -> None:
        """It has been looked for."""
        self._sought += 1

    def _name(self, path: str, status: os.stat_result) -> None:
        known = replace(self.cursor, path=path, device=status.st_dev, inode=status.st_ino)
        self.changed = self.changed or known != self.cursor
        self.cursor = known

    def same(self, path: str, seen: View) -> bool:
        """Whether the file at this path, by its inode the same, still holds what was read."""
        if self.where == path and self.unchanged(seen.found[path]):
            return True
        descriptor = self.descriptor or seen.open(path)
        return descriptor is not None and holds(descriptor, self.cursor)

    def unchanged(self, status: os.stat_result) -> bool:
        """Whether nothing was written since it was last claimed."""
        return self._checked == (status.st_size, status.st_mtime_ns)

    def opened(self) -> Descriptor | None:
        """The file, unless its path has gone to another one meanwhile."""
        descriptor = self.descriptor or (None if self.where is None else open_log(self.where))
        return descriptor if descriptor is not None and is_of(descriptor.stat(), self.cursor) else None


def is_of(status: os.stat_result, cursor: Cursor) -> bool:
    """Whether the system calls a file what it called the cursor's."""
    return identity(status) == cursor.identity
