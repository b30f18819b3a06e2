"""Which file of a log is which after rotation, copying, truncation and recreation, told by inode and content."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from exporter.sources.log_files import (
    HEAD,
    SLICE,
    Cursor,
    Descriptor,
    Listing,
    Moved,
    View,
    age,
    begin,
    copies,
    holds,
    identity,
    shared,
    view,
)
from exporter.sources.log_track import Track, is_of


class Tracks:
    """All files of one log that are or were there, the newest last."""

    def __init__(self, cursors: list[Cursor]) -> None:
        self.all = [Track(cursor, cursor.mtime_ns, looked_to=cursor.offset) for cursor in cursors]
        self._next = 1 + max((cursor.file for cursor in cursors), default=0)
        self._told = False
        self._inodes: dict[str, tuple[int, int]] = {}
        """What was at each path: a track whose file was copied and truncated may follow the copy."""

    @property
    def settled(self) -> bool:
        """Whether sizes and times are enough to notice the next change."""
        return all(track.settled and not track.to_seek for track in self.all)

    def vacant(self, found: Listing) -> bool:
        """Whether nothing is at the place of a file that was rotated away: generations may come and go unlisted."""
        return any(t.where is None and not t.lost and t.cursor.path not in found for t in self.all)

    def refresh(self, found: Listing, now: float) -> bool:
        """Take note of what has grown; False if something has moved, which `settle` must tell."""
        known = {track.where: track for track in self.all if track.where is not None}
        sought = any(track.to_seek for track in self.all)
        if sought or not self._told or self.vacant(found) or known.keys() != found.keys():
            return False
        for path, status in found.items():
            track = known[path]
            if not is_of(status, track.cursor):
                return False
            if not track.unchanged(status):
                descriptor = track.opened()
                if descriptor is None or not holds(descriptor, track.cursor):
                    return False
                track.claim(path, status, now)
        return True

    def settle(self, pattern: Path, now: float) -> bool:
        """Tell which file is which; whether it could be told: if files move meanwhile, look again."""
        self._told = False
        seen = view(pattern, {track.cursor.path for track in self.all})
        if seen is not None:
            with suppress(Moved, FileNotFoundError):
                self._settle(seen, now)
                self._told = True
                self._inodes = {path: identity(status) for path, status in seen.found.items()}
        return self._told

    def _settle(self, seen: View, now: float) -> None:
        free = dict(seen.found)
        known = {track.cursor.identity for track in self.all} | set(self._inodes.values())
        if not self._inodes:  # it has just begun, and cannot tell a copy from a rename: never is a line counted twice
            known |= {identity(status) for status in seen.found.values()}
        self._recognise(free, seen, now)
        rotated = self._find_again(free, seen, now)
        rotated |= {t.cursor.path for t in self.all if t.where is None and not t.lost}
        for path in (rotated - seen.found.keys()) | free.keys():
            in_place = path in seen.found and identity(seen.found[path]) in known
            self._begin_missed(path, seen, now, in_place)
        aside = [path for path in reversed(free) if any(age(path, other) is not None for other in seen.found)]
        for path in reversed(free):
            if path not in aside:
                self._begin(path, seen, now)
        for path in aside:  # by now all is known that they may be copies of
            if not self._is_copy(path, free[path], seen, known):
                self._begin(path, seen, now)

    def _recognise(self, free: Listing, seen: View, now: float) -> None:
        """Claim the files whose inode is known and that hold what was read; newer cursors first."""
        paths = {identity(status): path for path, status in free.items()}
        for track in sorted(self.all, key=lambda t: (t.descriptor is None, -t.cursor.file)):
            path = paths.get(track.cursor.identity)
            if path is None or path not in free:
                track.leave()
            elif track.same(path, seen) and not self._outread(track, path, seen):
                track.claim(path, free.pop(path), now)
            else:  # truncated or overwritten in place, or recreated with the inode of the deleted one
                track.lose()

    def _outread(self, track: Track, path: str, seen: View) -> bool:
        """Whether what is at a path, by its inode this track's, was read farther as another file, and then copied."""
        farther = [t.cursor for t in self.all if t.cursor.offset > max(track.cursor.offset, HEAD - 1)]
        descriptor = seen.open(path) if farther and track.where != path else None
        return descriptor is not None and any(holds(descriptor, cursor) for cursor in farther)

    def _find_again(self, free: Listing, seen: View, now: float) -> set[str]:
        """Claim the files that hold what a lost one held: copies, and what was rotated while nobody looked.

        Returns the paths of those that were sought now.
        """
        lost = sorted((track for track in self.all if track.lost), key=_most_read)
        for path in list(free) if lost else ():
            descriptor = seen.open(path)
            for track in lost:
                if descriptor is not None and track.lost and _evident(track, path) and holds(descriptor, track.cursor):
                    track.skip(self._counted(descriptor), descriptor)
                    track.claim(path, free.pop(path), now)
                    break
        seeking = [track for track in lost if track.to_seek]
        for track in seeking:
            descriptor = self._rotated(track, seen)
            track.sought()
            if descriptor is not None:
                track.skip(self._counted(descriptor), descriptor)
                track.keep(descriptor, now)
        return {track.cursor.path for track in seeking}

    def _rotated(self, track: Track, seen: View) -> Descriptor | None:
        """A lost file among its rotated generations: by its inode if possible, else by its content."""
        cursor = track.cursor
        others = self._unclaimed(cursor.path, seen)
        for path in sorted(others, key=lambda path: not is_of(others[path], cursor)):
            known = is_of(others[path], cursor) and (cursor.offset > 0 or age(path, cursor.path) is not None)
            descriptor = seen.open(path) if known or _evident(track, path) else None
            if descriptor is not None and holds(descriptor, cursor) and not self._outread(track, path, seen):
                return descriptor
        return None

    def _begin_missed(self, path: str, seen: View, now: float, in_place: bool) -> None:
        """Begin the generations between the last one that is known and what is at its path now, if anything."""
        before = [track for track in self.all if track.cursor.path == path and track.where is None]
        if not before:
            return
        last = max(before, key=lambda track: track.cursor.file)
        place = next((other for other, status in seen.beside(path).items() if is_of(status, last.cursor)), None)
        anew = place is not None and not _holds(seen.open(place), last)
        rank = None if place is None or anew else age(place, path)
        for other, status in reversed(self._unclaimed(path, seen).items()):
            mine = age(other, path)
            if mine is None or other in seen.found:
                continue
            if in_place and _alike(seen.open(other), seen.open(path)):
                continue  # a copy of what has not been begun yet
            if rank is not None:
                newer = mine[0] == rank[0] and mine > rank
            else:  # it is gone, or its inode is a later file's; times are as coarse as the file system's
                newer = status.st_mtime_ns >= last.mtime_ns and not self._has_read(other, status, last, seen)
            if newer or (anew and other == place):
                self._begin_rotated(other, path, seen, now)

    def _has_read(self, path: str, status: os.stat_result, last: Track, seen: View) -> bool:
        """Whether a file was read before: its inode says so, or, if it is no newer than the last, a short content."""
        descriptor, longest = seen.open(path), 0 if status.st_mtime_ns > last.mtime_ns else HEAD - 1
        cursors = [t.cursor for t in self.all if t.cursor.offset > 0]
        read = [cursor for cursor in cursors if is_of(status, cursor) or cursor.offset <= longest]
        return descriptor is not None and any(holds(descriptor, cursor) for cursor in read)

    def _unclaimed(self, path: str, seen: View) -> Listing:
        claimed = {track.cursor.identity for track in self.all if not track.lost}
        return {other: status for other, status in seen.beside(path).items() if identity(status) not in claimed}

    def _is_copy(self, path: str, status: os.stat_result, seen: View, known: set[tuple[int, int]]) -> bool:
        """Whether a file is, or is about to be, a copy of a live one, which will be truncated afterwards."""
        live = [t for t in self.all if t.where is not None and age(path, t.where) is not None]
        return any(status.st_size == 0 or (t.cursor.identity in known and _copied(seen.open(path), t)) for t in live)

    def _begin(self, path: str, seen: View, now: float) -> None:
        if (descriptor := seen.open(path)) is not None:
            self._add(path, descriptor).claim(path, descriptor.stat(), now)

    def _begin_rotated(self, path: str, base: str, seen: View, now: float) -> None:
        if (descriptor := seen.open(path)) is not None:
            self._add(base, descriptor).keep(descriptor, now)

    def _add(self, path: str, descriptor: Descriptor) -> Track:
        status = descriptor.stat()
        track = Track(begin(self._next, path, status), status.st_mtime_ns, changed=True)
        track.skip(self._counted(descriptor), descriptor)
        self._next += 1
        self.all.append(track)
        return track

    def _counted(self, descriptor: Descriptor) -> int:
        """How much of a file was read as another one, which it is a copy of and its writer may go on with."""
        read = [track for track in self.all if track.cursor.offset > 0]
        most = 0
        for track in read:
            original = None if track.lost else track.opened()
            size = 0 if original is None else shared(descriptor, original)
            if size >= max(HEAD, track.cursor.offset - SLICE):
                most = max(most, size)
            elif original is None and track.cursor.offset >= HEAD and holds(descriptor, track.cursor):
                most = max(most, track.cursor.offset)
        return most

    def forget(self, most: int) -> list[int]:
        """Drop lost files whose inode has a new owner, and the oldest lost ones over `most`; their numbers."""
        owned = {track.cursor.identity for track in self.all if not track.lost}
        lost = sorted((t for t in self.all if t.lost), key=lambda t: t.mtime_ns)
        surplus = max(len(self.all) - most, 0)
        gone = [t for i, t in enumerate(lost) if i < surplus or (t.cursor.identity in owned and not t.to_seek)]
        self.all = [track for track in self.all if track not in gone]
        return [track.cursor.file for track in gone]


def _most_read(track: Track) -> int:
    """Of those that hold the same, the one that was read farthest comes first."""
    return -track.cursor.offset


def _holds(descriptor: Descriptor | None, track: Track) -> bool:
    """Whether a file cannot be read or still holds what was read; else it was begun anew in the same inode."""
    return descriptor is None or holds(descriptor, track.cursor)


def _evident(track: Track, path: str) -> bool:
    """Whether equal content is proof enough: short beginnings can be equal by chance, unless the name says it too."""
    offset = track.cursor.offset
    return offset >= HEAD or (offset > 0 and age(path, track.cursor.path) is not None)


def _copied(copy: Descriptor | None, track: Track) -> bool:
    live = track.opened()
    if copy is None or live is None:
        return False
    return (track.cursor.offset > 0 and holds(copy, track.cursor)) or _alike(copy, live)


def _alike(copy: Descriptor | None, live: Descriptor | None) -> bool:
    """Whether a file is, as far as one read goes, what another begins with."""
    if copy is None or live is None:
        return False
    return copy.stat().st_size <= live.stat().st_size and copies(copy, live)
