"""The JSON documents in the bank's `state/` and `metrics/`: which are whole, and when they were written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.metrics import OTHER
from exporter.sources.files import Settling, Unreadable, document, folder, mark_of, read_together
from exporter.sources.memory_bank import SETTLE, Fault

KINDS: Final = ("state", "metrics")
KNOWN: Final = frozenset(
    ("market_state", "opportunities", "pool_metrics", "executions", "state", "system_state", "metrics",
     "performance", "dex_performance", "token_metrics")
)  # fmt: skip
MOST: Final = 100
"""Documents of a directory that are looked at."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document; `valid` is None while it is being written. `last_write` is epoch seconds."""

    kind: str
    name: str
    valid: bool | None
    last_write: float


class Documents:
    """Reads the documents of a bank; every call blocks and belongs in a thread."""

    def __init__(self, path: Path, file_bytes: int) -> None:
        self._path, self._limit = path, file_bytes
        self._broken = Settling(SETTLE)

    def read(self) -> tuple[list[Document], list[Fault]]:
        """All documents, and what is wrong with settled ones.

        Raises:
            OSError: there is no bank, or it cannot be looked at.
        """
        documents: list[Document] = []
        faults: list[Fault] = []
        with folder(self._path) as root:
            for kind in KINDS:
                try:
                    with folder(kind, root) as below:
                        self._folder(below, kind, documents, faults)
                except FileNotFoundError:
                    continue
        return documents, faults

    def _folder(self, below: int, kind: str, documents: list[Document], faults: list[Fault]) -> None:
        names = sorted(n for n in os.listdir(below) if n.endswith(".json") and not n.startswith("."))[:MOST]
        for name, content in read_together(below, names, self._limit).items():
            try:
                written = os.stat(name, dir_fd=below, follow_symlinks=False).st_mtime
            except FileNotFoundError:
                continue
            valid = self._judge(kind, name, content, faults)
            stem = name.removesuffix(".json")
            documents.append(Document(kind, stem if stem in KNOWN else OTHER, valid, written))

    def _judge(self, kind: str, name: str, content: bytes | Unreadable, faults: list[Fault]) -> bool | None:
        where = f"{kind}/{name}"
        try:
            if isinstance(content, Unreadable):
                raise content
            document(content)
        except Unreadable as unusable:
            mark = mark_of(where, unusable.reason, content)
            if not self._broken.settled(where, mark):
                return None
            faults.append(Fault(kind, unusable.reason, mark))
            return False
        self._broken.forget(where)
        return True
