"""A file that grows, followed through rotation, truncation and recreation: every line is read exactly once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.sources.log_files import Cursor, Parse, advance, identity, listing
from exporter.sources.log_lines import Counts, parse
from exporter.sources.log_track import Track
from exporter.sources.log_tracks import Tracks

SLICE: Final = 1 << 20
"""Bytes read in one call."""
LEAST: Final = 64 << 10
HELD: Final = 2
"""Files of a log that are held open, so that they can be read to their end wherever they go; the newest."""
LINGER: Final = 30.0
"""Seconds of silence after which a file that was rotated away is let go, once its successor is there."""
MOST_CURSORS: Final = 128


@dataclass(slots=True)
class Taken[T]:
    """What was read, to be put down in one transaction; `forgotten` are numbers of files that are no more."""

    counts: T
    cursors: list[Cursor] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    bytes: int = 0


class Follower[T]:
    """The files of one log, whose lines `parse` adds to what `make` makes; every call blocks and belongs in a thread.

    What `take` gives must be durable before the next call. If it cannot be made so, this object is of no use
    any more: make another from the cursors that are.
    """

    def __init__(
        self,
        pattern: Path,
        cursors: Iterable[Cursor],
        make: Callable[[], T],
        parse: Parse[T],
        portion: int = SLICE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pattern, self._monotonic = pattern, monotonic
        self._make, self._parse, self._portion = make, parse, portion
        self._tracks = Tracks(list(cursors))
        self._seen: object = None
        self._forgotten: list[int] = []

    @property
    def present(self) -> bool:
        """Whether any file of the log is there and readable."""
        return any(track.where is not None for track in self._tracks.all)

    @property
    def behind(self) -> bool:
        """Whether there is something to take."""
        return bool(self._forgotten) or any(track.unread or track.changed for track in self._tracks.all)

    @property
    def last_write(self) -> float | None:
        """When the newest file was written, in epoch seconds; it stays known when the file is gone."""
        newest = max((track.mtime_ns for track in self._tracks.all), default=None)
        return None if newest is None else newest / 1e9

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes that have been looked at, and all there are."""
        known = [track for track in self._tracks.all if not track.lost]
        return sum(min(t.looked_to, t.size) for t in known), sum(t.size for t in known)

    def look(self) -> None:
        """See what has changed; no file is opened if nothing has.

        Raises:
            OSError: there are no descriptors, or the device does not answer.
        """
        found, now = listing(self._pattern), self._monotonic()
        seen = {p: (identity(s), s.st_size, s.st_mtime_ns, s.st_ctime_ns) for p, s in found.items()}
        if seen != self._seen:
            told = self._tracks.refresh(found, now) or self._tracks.settle(self._pattern, now)
            self._seen = seen if told and self._tracks.settled and not self._tracks.vacant(found) else None
            self._forgotten += self._tracks.forget(MOST_CURSORS)
        for track in self._tracks.all:
            if track.where is None and track.descriptor is not None:
                track.see(track.descriptor.stat(), now)
        self._hold(now)

    def _hold(self, now: float) -> None:
        """Hold the newest files open, and those rotated away for as long as something may come."""
        listed = sorted((t for t in self._tracks.all if t.where is not None), key=lambda t: -t.mtime_ns)
        for place, track in enumerate(listed):
            track.descriptor = track.opened() if place < HELD else None
        away = sorted(
            (t for t in self._tracks.all if t.where is None and not t.lost), key=lambda t: (-t.grew, -t.cursor.file)
        )
        paths = {track.where for track in listed}
        for place, track in enumerate(away):
            if not track.unread and (place >= HELD or self._over(track, paths, now)):
                track.lose()

    def _over(self, track: Track, paths: set[str | None], now: float) -> bool:
        """Whether nothing is to be expected of a file that was rotated away or deleted."""
        deleted = track.descriptor is not None and track.descriptor.stat().st_nlink == 0
        return now - track.grew >= LINGER and (deleted or track.cursor.path in paths)

    def release(self) -> None:
        """Hold no file open any more."""
        for track in self._tracks.all:
            track.descriptor = None

    def take(self) -> Taken[T]:
        """Read on, about one portion; there may be more (`behind`).

        Raises:
            OSError: a device does not answer.
        """
        taken = Taken(self._make(), forgotten=self._forgotten)
        self._forgotten = []
        budget = self._portion
        for track in self._tracks.all:
            while track.unread and budget > 0:
                budget -= self._read(track, max(budget, LEAST), taken)
            if track.changed:
                track.changed = False
                taken.cursors.append(track.cursor)
        return taken

    def _read(self, track: Track, limit: int, taken: Taken[T]) -> int:
        """Read on in one file; the number of bytes that were looked at."""
        descriptor = track.opened()
        step = None if descriptor is None else advance(descriptor, track.cursor, limit, self._parse, taken.counts)
        if step is None:  # the next look tells what has become of the file
            track.doubt()
            self._seen = None
            return 0
        before, used = track.looked_to, step.cursor.offset - track.cursor.offset
        track.looked_to = step.looked_to if step.looked_to > before else track.size
        if used:
            track.cursor, track.changed = step.cursor, True
            taken.bytes += used
        return max(step.looked_to - before, 1)


class Tail(Follower[Counts]):
    """One of the bot's logs, whose lines are counted."""

    def __init__(
        self, pattern: Path, cursors: Iterable[Cursor] = (), monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(pattern, cursors, Counts, parse, monotonic=monotonic)
