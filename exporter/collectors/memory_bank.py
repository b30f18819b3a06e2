"""The memory bank itself: is it there, how much is in it, how fresh and how valid is it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from exporter import fault_books
from exporter.collector import Collector, Poll, Sources
from exporter.metrics import Family, counter, gauge
from exporter.sources.bank_documents import Document, Documents
from exporter.sources.memory_bank import Fault
from exporter.sources.storage import Survey, survey

UP = gauge("arb_memory_bank_up", "1 if the memory bank is there and can be read.", "bot")
FILES = gauge("arb_memory_bank_files", "Files in a directory of the bank.", "bot", "directory")
BYTES = gauge("arb_memory_bank_bytes", "Bytes in a directory of the bank.", "bot", "directory")
WRITTEN = gauge(
    "arb_memory_bank_last_write_timestamp_seconds", "When a directory of the bank was last written.", "bot", "directory"
)
DOCUMENT_WRITTEN = gauge(
    "arb_memory_bank_document_last_write_timestamp_seconds",
    "When a document of state/ or metrics/ was last written.",
    "bot", "directory", "document",
)  # fmt: skip
VALID = gauge(
    "arb_memory_bank_document_valid",
    "1 if a document of state/ or metrics/ is whole JSON, 0 if it has settled as something else.",
    "bot", "directory", "document",
)  # fmt: skip
INVALID = counter(
    "arb_memory_bank_invalid_files_total",
    "Files and rows of the bank that could not be used, each once for each content.",
    "bot", "kind", "reason",
)  # fmt: skip
BACKUPS = gauge("arb_memory_bank_backups", "Backups in .backups.", "bot")

DIRECTORIES: Final = ("trades", "state", "metrics", ".backups")
REST: Final = "other"
SURVEY_SHARE: Final = 20
"""A survey is repeated no sooner than this many times its own duration later."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The bank's state; without a bank only `up` and what was counted."""

    bot: str
    up: bool
    directories: Mapping[str, Survey]
    backups: int
    documents: tuple[Document, ...]
    faults: Mapping[tuple[str, str], int]


@dataclass(slots=True)
class Watch:
    """Surveys one bank, and no more often than its size allows."""

    sources: Sources
    path: Path
    documents: Documents
    _surveyed: tuple[Mapping[str, Survey], int] = field(default_factory=lambda: ({}, 0))
    _due: float = 0.0

    async def read(self) -> Snapshot:
        """A look at the bank; a missing one is a finding, not a failure."""
        bot = self.sources.settings.bot.name
        worker = self.sources.worker("memory_bank")
        try:
            found, faults = await worker.run(self.documents.read)
            directories, backups = await worker.run(self._survey)
        except (FileNotFoundError, NotADirectoryError):
            self._due = 0.0
            return Snapshot(bot, False, {}, 0, (), await self._counted([]))
        return Snapshot(bot, True, directories, backups, tuple(found), await self._counted(faults))

    async def _counted(self, faults: list[Fault]) -> Mapping[tuple[str, str], int]:
        bot, ledger = self.sources.settings.bot.name, self.sources.ledger
        now = time.time()
        new = await ledger.read(lambda db: fault_books.unknown(db, faults, now)) if faults else []
        if new:
            await ledger.write(lambda db: fault_books.put(db, bot, new, now))
        return await ledger.read(lambda db: fault_books.totals(db, bot))

    def _survey(self) -> tuple[Mapping[str, Survey], int]:
        started = time.monotonic()
        if started >= self._due:
            self._surveyed = look(self.path, self.sources.settings.limits.store_files)
            now = time.monotonic()
            self._due = now + SURVEY_SHARE * (now - started)
        return self._surveyed


def look(path: Path, limit: int) -> tuple[dict[str, Survey], int]:
    """The surveys of the bank's directories, with all else as `other`, and the number of backups.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no bank.
    """
    found: dict[str, Survey] = {}
    backups = 0
    for entry in sorted(path.iterdir()):
        if entry.is_symlink():
            continue
        if entry.name == ".backups" and entry.is_dir():
            with suppress(FileNotFoundError):
                backups = sum(1 for child in entry.iterdir() if not child.name.startswith("."))
        name = entry.name if entry.name in DIRECTORIES and entry.is_dir() else REST
        with suppress(FileNotFoundError):  # it may vanish meanwhile: the bank itself is there
            found[name] = _sum(found.get(name), survey(entry, limit))
    return found, backups


def _sum(one: Survey | None, other: Survey) -> Survey:
    if one is None:
        return other
    newest = max((t for t in (one.last_write, other.last_write) if t is not None), default=None)
    return replace(
        one,
        files=one.files + other.files,
        bytes=one.bytes + other.bytes,
        last_write=newest,
        truncated=one.truncated or other.truncated,
    )


def render(snapshot: Snapshot) -> Iterator[Family]:
    """The state of the bank, and the faults counted so far whether it is there or not."""
    bot, directories = snapshot.bot, snapshot.directories
    yield UP.each([((bot,), snapshot.up)])
    yield INVALID.each(((bot, *key), count) for key, count in snapshot.faults.items())
    if not snapshot.up:
        return
    yield FILES.each(((bot, name), s.files) for name, s in directories.items())
    yield BYTES.each(((bot, name), s.bytes) for name, s in directories.items())
    yield WRITTEN.each(((bot, n), s.last_write) for n, s in directories.items() if s.last_write is not None)
    yield BACKUPS.each([((bot,), snapshot.backups)])
    newest: dict[tuple[str, str, str], float] = {}
    valid: dict[tuple[str, str, str], bool] = {}
    for document in snapshot.documents:
        key = (bot, document.kind, document.name)
        newest[key] = max(document.last_write, newest.get(key, 0.0))
        if document.valid is not None:
            valid[key] = document.valid and valid.get(key, True)
    yield DOCUMENT_WRITTEN.each(newest.items())
    yield VALID.each(valid.items())


def _open(sources: Sources) -> Poll | None:
    path = sources.settings.bot.memory_bank
    if path is None:
        return None
    watch = Watch(sources, path, Documents(path, sources.settings.limits.file_bytes))
    return Poll(watch.read, every=2.0)


COLLECTOR = Collector(
    name="memory_bank",
    metrics=(UP, FILES, BYTES, WRITTEN, DOCUMENT_WRITTEN, VALID, INVALID, BACKUPS),
    open=_open,
    render=render,
    timeout=30.0,
    max_age=60.0,
    unset="bot.memory_bank: the bot's trades and what it says of itself",
)
