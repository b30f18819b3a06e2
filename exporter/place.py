"""Where the ledger lies: kept by one exporter at a time, and looked at for files that are there no more."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from exporter import log

ENDS: Final = ("", "-wal", "-shm")
"""Of the names of SQLite's files: what was committed lies in the first two, and all who write share the third."""


class Displaced(log.Plain, OSError):
    """The open ledger is not the one at its place any more: what it is told now ends with the process."""


class Place:
    """A state directory that nobody else may work on as long as it is open."""

    def __init__(self, state: Path, file: str) -> None:
        self._state = state
        self._files = [state / f"{file}{end}" for end in ENDS]
        self._known: dict[Path, tuple[int, int]] = {}
        self._held: list[int] = []

    def open(self) -> None:
        """Make the directory and its lock.

        Raises:
            OSError: it cannot be made or written.
        """
        self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._held.append(os.open(self._state / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._held.append(os.open(self._state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def lock(self) -> None:
        """Keep everybody else out: by the lock, and by the directory, whose lock nobody can remove.

        Raises:
            BlockingIOError: somebody is in already.
            OSError: files cannot be locked here.
        """
        file, directory = self._held
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # some file systems lock nothing but files
            return

    def remember(self) -> None:
        """The files of now are the ledger's."""
        for file in self._files:
            with suppress(FileNotFoundError):
                self._known[file] = _identity(file)

    def displaced(self) -> Displaced | None:
        """What is wrong if one of the files that were opened was removed, replaced or moved since."""
        try:
            if all(_identity(file) == known for file, known in self._known.items()):
                return None
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:  # the disk fails, of which the next write itself will tell
            return None
        return Displaced("its files were removed, replaced or moved; put them back, or restart the exporter")

    def close(self) -> None:
        """Let others in."""
        while self._held:
            os.close(self._held.pop())


def _identity(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_dev, found.st_ino
