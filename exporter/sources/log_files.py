"""Log files known by what they hold: where a rotated, copied or recreated one has gone, and what is new in it."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Final

from exporter.sources.log_lines import START, Place

MOST_FILES: Final = 64
MOST_AROUND: Final = 1024
ATTEMPTS: Final = 8
PIECE: Final = 64 << 10
"""Bytes parsed at a time: the interpreter is nobody else's meanwhile."""
SLICE: Final = 1 << 20
"""Bytes compared at a time."""
PAUSE: Final = 20e-6
"""Seconds between two pieces: long enough for the event loop to get the interpreter, which it else waits 5 ms for."""
HEAD: Final = 1024
TAIL: Final = 256
_OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PACKED: Final = (".gz", ".xz", ".bz2", ".zst", ".lz4", ".zip")
_NUMBER: Final = re.compile(r"[.-](\d{1,5})")
_DATE: Final = re.compile(r"[.-](\d{4}[\dT_.:-]{4,24})")

type Listing = dict[str, os.stat_result]
type Age = tuple[str, int, str]
"""A rotated file's kind of name, and what orders it within, the newest highest."""
type Identity = tuple[int, int]
"""(device, inode); given to another file as soon as this one is deleted and not held open."""


class Descriptor:
    """An open file, closed when nobody holds it any more, be it the thread of a read that was given up."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __del__(self) -> None:
        os.close(self._number)

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset` on."""
        return os.pread(self._number, size, offset)

    def stat(self) -> os.stat_result:
        """The file's size and times now."""
        return os.fstat(self._number)


def open_log(path: str) -> Descriptor | None:
    """The regular file at a path; None if there is none or it may not be read. Never waits for a FIFO's writer.

    Raises:
        OSError: there are no descriptors, or the device does not answer.
    """
    try:
        descriptor = Descriptor(os.open(path, _OPEN))
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return None
    return descriptor if stat.S_ISREG(descriptor.stat().st_mode) else None


def identity(status: os.stat_result) -> Identity:
    """What the system calls the file at this moment."""
    return status.st_dev, status.st_ino


def listing(pattern: Path) -> Listing:
    """The regular files at a path or glob, each once however many names it has; the newest 64."""
    text = str(pattern)
    literal = not glob.has_magic(text) or os.path.lexists(text)
    return _regular([text] if literal else glob.glob(text), MOST_FILES)  # noqa: PTH207  Path takes no absolute one


def _regular(paths: Iterable[str], most: int) -> Listing:
    found: dict[Identity, tuple[str, os.stat_result]] = {}
    for path in sorted(paths):
        try:
            status = os.stat(path)  # noqa: PTH116  thousands of times an hour
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and not path.endswith(_PACKED):
            found.setdefault(identity(status), (path, status))
    newest = sorted(found.values(), key=lambda pair: pair[1].st_mtime_ns, reverse=True)
    return dict(newest[:most])


class Moved(Exception):
    """A file was renamed while it was being told which is which."""


@dataclass(frozen=True, slots=True)
class View:
    """The files of a log and those beside them, all at one moment."""

    found: Listing
    around: Listing

    def beside(self, path: str) -> Listing:
        """The files whose names start with this one's, such as its rotated generations."""
        return {other: status for other, status in self.around.items() if other.startswith(path) and other != path}

    def open(self, path: str) -> Descriptor | None:
        """The file that was seen at a path; None if it may not be read.

        Raises:
            Moved: it is not there any more.
        """
        descriptor = open_log(path)
        if identity(Path(path).stat() if descriptor is None else descriptor.stat()) != self.places()[path]:
            raise Moved
        return descriptor

    def places(self) -> dict[str, Identity]:
        """Which file is where."""
        return {path: identity(status) for path, status in (self.around | self.found).items()}


def view(pattern: Path, bases: Iterable[str]) -> View | None:
    """The files of a log, and those beside `bases` and them; None if they are being renamed all the time."""
    last: View | None = None
    for _ in range(ATTEMPTS):
        found = listing(pattern)
        now = View(found, _around({*bases, *found}))
        if last is not None and now.places() == last.places():
            return now
        last = now
    return None


def _around(bases: set[str]) -> Listing:
    folders: dict[str, list[str]] = {}
    for base in bases:
        folder, name = os.path.split(base)
        folders.setdefault(folder, []).append(name)
    paths: list[str] = []
    for folder, names in folders.items():
        with suppress(OSError):
            starts = tuple(names)
            paths += [os.path.join(folder, n) for n in os.listdir(folder) if n.startswith(starts)]  # noqa: PTH118, PTH208
    return _regular(paths, MOST_AROUND)


def age(path: str, base: str) -> Age | None:
    """The age by which a rotated file's name orders it; None for other names."""
    suffix = path[len(base) :] if path.startswith(base) else ""
    if number := _NUMBER.fullmatch(suffix):
        return "number", -int(number[1]), ""
    date = _DATE.fullmatch(suffix)
    return ("date", 0, date[1]) if date else None


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a file has been read, and what it is known by: digests of its head and of what precedes `offset`."""

    file: int
    path: str
    device: int
    inode: int
    mtime_ns: int
    offset: int = 0
    head_size: int = 0
    head: str = ""
    tail: str = ""
    place: Place = START

    @property
    def identity(self) -> Identity:
        """What the system called the file when it was last seen."""
        return self.device, self.inode

    def dump(self) -> str:
        """The cursor as text, for the ledger."""
        return json.dumps(astuple(self))

    @classmethod
    def load(cls, text: str) -> Cursor:
        """The cursor of `dump`."""
        fields = json.loads(text)
        return replace(cls(*fields[:-1]), place=Place(*fields[-1]))


def begin(file: int, path: str, status: os.stat_result) -> Cursor:
    """A cursor at the start of a file."""
    return Cursor(file, path, status.st_dev, status.st_ino, status.st_mtime_ns)


def holds(descriptor: Descriptor, cursor: Cursor) -> bool:
    """Whether a file still, or also, begins with all that the cursor has read."""
    before = descriptor.read(min(TAIL, cursor.offset), max(cursor.offset - TAIL, 0))
    return _known(cursor, descriptor.read(cursor.head_size, 0), before)


def copies(one: Descriptor, other: Descriptor) -> bool:
    """Whether the shorter of two files is, as far as one read goes, the beginning of the longer."""
    first, second = one.read(PIECE, 0), other.read(PIECE, 0)
    size = min(len(first), len(second))
    return first[:size] == second[:size]


def shared(one: Descriptor, other: Descriptor) -> int:
    """The size of the shorter of two files, if the longer begins with every byte of it; else 0."""
    size = min(one.stat().st_size, other.stat().st_size)
    for offset in range(0, size, SLICE):
        part = min(SLICE, size - offset)
        read = one.read(part, offset)
        if len(read) < part or read != other.read(part, offset):
            return 0
    return size


def behind(cursor: Cursor, descriptor: Descriptor, size: int) -> Cursor:
    """The cursor of a file of whose first `size` bytes every whole line has been counted already."""
    last = descriptor.read(min(SLICE, size), max(size - SLICE, 0))
    offset = max(size - SLICE, 0) + last.rfind(b"\n") + 1
    before = descriptor.read(min(TAIL, offset), max(offset - TAIL, 0))
    head = descriptor.read(min(HEAD, offset), 0)
    return replace(cursor, offset=offset, head_size=len(head), head=_digest(head), tail=_digest(before))


def _known(cursor: Cursor, head: bytes, before: bytes) -> bool:
    return (
        len(before) == min(TAIL, cursor.offset)
        and _digest(head[: cursor.head_size]) == (cursor.head or _digest(b""))
        and _digest(before) == (cursor.tail or _digest(b""))
    )


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=16).hexdigest()


type Parse[T] = Callable[[bytes, Place, T], tuple[int, Place]]
"""Adds what lines say to a T; the number of bytes done with, and the place after them: see `log_lines.parse`."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one read made of a file: the cursor after it, and up to where all has been looked at."""

    cursor: Cursor
    looked_to: int


def advance[T](descriptor: Descriptor, cursor: Cursor, limit: int, parse: Parse[T], found: T) -> Step | None:
    """Read on from the cursor, at most `limit` bytes; None if the file is not any more what the cursor has read.

    What the lines say is added to `found`, and nothing is if there is None. The check comes after the read: whatever
    is truncated or overwritten before it is noticed by it.
    """
    data = descriptor.read(limit, cursor.offset)
    before = descriptor.read(min(TAIL, cursor.offset), max(cursor.offset - TAIL, 0))
    head = descriptor.read(HEAD, 0)
    if not _known(cursor, head, before) or not _agree(head, data, cursor.offset):
        return None
    used, place = _parse(data, cursor.place, parse, found)
    offset = cursor.offset + used
    after = replace(
        cursor,
        mtime_ns=descriptor.stat().st_mtime_ns,
        offset=offset,
        head_size=min(HEAD, offset),
        head=_digest(head[:offset]),
        tail=_digest((before + data[:used])[-TAIL:]),
        place=place,
    )
    return Step(after, cursor.offset + len(data) if len(data) < limit else offset)


def _agree(head: bytes, data: bytes, offset: int) -> bool:
    """Whether two reads, of the head and from `offset` on, saw the same where they overlap."""
    return head[offset:][: len(data)] == data[: max(HEAD - offset, 0)]


def _parse[T](data: bytes, place: Place, parse: Parse[T], found: T) -> tuple[int, Place]:
    used = 0
    while used < len(data):
        more, place = parse(data[used : used + PIECE], place, found)
        if more == 0:
            break
        used += more
        if used < len(data):
            time.sleep(PAUSE)
    return used, place
