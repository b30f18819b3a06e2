"""The file that takes what cannot be sent: whole lines only, for the exporter to read as `bot.events`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 256 << 20
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Fallback:
    """A file that several bots may share; `most_bytes` is when it counts as full."""

    path: Path
    most_bytes: int = MOST_BYTES

    def append(self, lines: Sequence[bytes]) -> int:
        """Add lines to the end and to the disk; how many of them, from the first, are there in full.

        Raises:
            OSError: not even one line could be added.
        """
        with self._opened() as file:
            size = os.fstat(file).st_size
            torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
            data = b"\n" * torn + b"".join(lines)
            if size + len(data) > self.most_bytes:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            kept = data.rfind(b"\n", 0, os.write(file, data)) + 1
            if kept < len(data):  # the disk is full: leave no half a line
                os.ftruncate(file, size + kept)
            os.fdatasync(file)
            whole = data.count(b"\n", int(torn), kept)
            if not whole:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return whole

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The file, which nobody else appends to meanwhile; whoever is not alone tries again later."""
        file = os.open(self.path, _FLAGS, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
        finally:
            os.close(file)
