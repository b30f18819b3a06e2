"""Files that others write while we read: stable reads, and the one JSON document at the start of a file."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from exporter.log import Plain

TOGETHER: Final = 48
"""Files held open at the same time while they are read twice; small, for descriptors are scarce."""
ATTEMPTS: Final = 24
PAUSE: Final = 0.001
"""Seconds between two reads: a writer that was interrupted in the middle of a copy gets the time to finish it."""
BLOCK: Final = 1 << 20
"""Bytes that are read at a time where all of a file is not wanted at once."""
_PADDING: Final = b"\x00 \t\r\n"
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Unreadable(Plain):
    """A file's content cannot be used; `reason` is from a closed set.

    empty, encoding, json, number, duplicate_key, depth, shape, size, not_regular, symlink, torn, unreadable.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"a file is not usable: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a file is written in any usual way."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp of a stat result."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


@contextmanager
def folder(path: Path | str, parent: int | None = None) -> Iterator[int]:
    """A descriptor of a directory; below `parent` a symbolic link is refused.

    Raises:
        OSError: there is none, or it is not a directory.
    """
    nofollow = 0 if parent is None else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | nofollow, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Settling:
    """Broken files by name: one is invalid only once it has stayed the same for a while; before, it is being written.

    `marks` stand for the content: whatever changes the content changes the mark.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._monotonic = seconds, monotonic
        self._since: dict[str, tuple[bytes, float]] = {}

    def settled(self, name: str, mark: bytes) -> bool:
        """Whether the broken file has been like this for long enough."""
        now = self._monotonic()
        known, since = self._since.get(name, (b"", 0.0))
        if known != mark:
            self._since[name] = mark, now
            return False
        return now - since >= self._seconds

    def forget(self, name: str) -> None:
        """The file is whole again, or has been reported."""
        self._since.pop(name, None)

    def names(self) -> list[str]:
        """The files that are broken now."""
        return list(self._since)


def mark_of(name: str, reason: str, content: bytes | Unreadable) -> bytes:
    """What tells one fault from another: the file, what is wrong, and the content."""
    raw = content if isinstance(content, bytes) else b""
    text = f"{name}\0{reason}\0".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text + raw, digest_size=16).digest()


def read_together(parent: int, names: Iterable[str], limit: int) -> dict[str, bytes | Unreadable]:
    """The content of files of a directory, each read until two reads in a row agree.

    A file that vanished meanwhile is left out. `limit` is in bytes. An unreadable file is an answer, not an
    error, for one file must not cost the others.

    Raises:
        OSError: there are no descriptors, or the device does not answer.
    """
    pending = list(names)
    found: dict[str, bytes | Unreadable] = {}
    for start in range(0, len(pending), TOGETHER):
        found |= _read_group(parent, pending[start : start + TOGETHER], limit)
    return found


def _read_group(parent: int, names: list[str], limit: int) -> dict[str, bytes | Unreadable]:
    opened: dict[str, int] = {}
    found: dict[str, bytes | Unreadable] = {}
    try:
        for name in names:
            try:
                opened[name] = _open_regular(parent, name)
            except FileNotFoundError:
                continue
            except Unreadable as unusable:
                found[name] = unusable
        found |= _agree(opened, limit)
    finally:
        for descriptor in opened.values():
            os.close(descriptor)
    return found


def _open_regular(parent: int, name: str) -> int:
    try:
        descriptor = os.open(name, _OPEN, dir_fd=parent)
    except PermissionError:
        raise Unreadable("unreadable") from None
    except OSError as error:
        if error.errno in (40, 6):  # ELOOP: a symbolic link; ENXIO: a socket
            raise Unreadable("symlink" if error.errno == 40 else "not_regular") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unreadable("not_regular")
    return descriptor


def _agree(opened: dict[str, int], limit: int) -> dict[str, bytes | Unreadable]:
    found: dict[str, bytes | Unreadable] = {}
    last = {name: _look(descriptor, limit) for name, descriptor in opened.items()}
    for _ in range(ATTEMPTS):
        time.sleep(PAUSE)
        for name in [name for name in last if name not in found]:
            look = _look(opened[name], limit)
            if look == last[name]:
                found[name] = look.content if look.content is not None else Unreadable("size")
            last[name] = look
        if len(found) == len(opened):
            break
    return {name: found.get(name, Unreadable("torn")) for name in opened}


@dataclass(frozen=True, slots=True)
class _Look:
    """One read; `content` is None for a file over the limit. A look during which the file moved is unlike any other."""

    content: bytes | None
    before: Stamp
    after: Stamp
    moved: float = 0.0


def _look(descriptor: int, limit: int) -> _Look:
    before = Stamp.of(os.fstat(descriptor))
    content = os.pread(descriptor, limit + 1, 0) if before.size <= limit else None
    after = Stamp.of(os.fstat(descriptor))
    moved = 0.0 if after == before else time.monotonic()
    return _Look(content if content is None else trimmed(content), before, after, moved)


@dataclass(frozen=True, slots=True)
class Gist:
    """What is remembered of content instead of it all; the length is in bytes."""

    length: int
    digest: bytes

    @classmethod
    def of(cls, content: bytes) -> Gist:
        """The gist of content."""
        return cls(len(content), hashlib.sha256(content).digest())


def starts_with(parent: int, name: str, gist: Gist | None) -> bool:
    """Whether a file still begins with the content of this gist, and it is padding or the end that follows.

    A cheap look for files whose time of writing says nothing, as when they are mapped into memory.
    """
    if gist is None or not gist.length:
        return False
    try:
        descriptor = _open_regular(parent, name)
    except (FileNotFoundError, Unreadable):
        return False
    try:
        return _digest(descriptor, gist.length) == gist.digest and not os.pread(descriptor, 64, gist.length).strip(
            _PADDING
        )
    finally:
        os.close(descriptor)


def _digest(descriptor: int, length: int) -> bytes:
    made = hashlib.sha256()
    for start in range(0, length, BLOCK):
        made.update(os.pread(descriptor, min(BLOCK, length - start), start))
    return made.digest()


def trimmed(content: bytes) -> bytes:
    """The content without the NUL bytes and white space that writers leave behind a document."""
    first = content.find(b"\0")
    # One comparison settles the usual case, a megabyte of NULs, which `rstrip` would walk byte by byte.
    if first >= 0 and content[first:] == bytes(len(content) - first):
        content = content[:first]
    return content.rstrip(_PADDING)


def document(content: bytes) -> Any:
    """The JSON document in a file, strictly: numbers are int or Decimal, no NaN, no duplicate keys.

    Only NUL and white space may follow the document.

    Raises:
        Unreadable: with the reason.
    """
    return parse(text_of(content))


def text_of(content: bytes) -> str:
    """The text of a document, without padding.

    Raises:
        Unreadable: `empty` or `encoding`.
    """
    content = trimmed(content)
    if not content:
        raise Unreadable("empty")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("encoding") from None
    if text[0] == "\ufeff":
        raise Unreadable("encoding")
    return text


def parse(text: str) -> Any:
    """One JSON value that is all of a text, as strictly as `document`."""
    try:
        value, end = DECODER.raw_decode(text.lstrip(" \t\r\n"))
    except (json.JSONDecodeError, StopIteration):
        raise Unreadable("json") from None
    except RecursionError:
        raise Unreadable("depth") from None
    if text.lstrip(" \t\r\n")[end:].strip(" \t\r\n"):
        raise Unreadable("torn")
    return value


def _refuse(_: str) -> Any:
    raise Unreadable("number")


def _integer(text: str) -> int:
    if len(text) > 80:
        raise Unreadable("number")
    return int(text)


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text) if len(text) <= 400 else Decimal("Infinity")
    except InvalidOperation:  # an exponent of more digits than there are numbers for
        raise Unreadable("number") from None
    if not value.is_finite() or (value and not -400 < value.adjusted() < 309):
        raise Unreadable("number")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Unreadable("duplicate_key")
    return made


DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_decimal, parse_int=_integer, parse_constant=_refuse
)
