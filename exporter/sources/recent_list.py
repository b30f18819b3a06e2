"""The bot's list of recent trades: valid all through or not at all, read row by row, and no row twice that stays."""

from __future__ import annotations

import json
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final
from zoneinfo import ZoneInfo

from exporter.sources import records
from exporter.sources.files import DECODER, Unreadable, mark_of
from exporter.sources.records import Trade

NAMES: Final = ("trades", "trade_history")
"""Under which the rows stand, unless they are all there is; the first counts."""
_BLANK: Final = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used; `mark` is the same for the same fault in the same content."""

    reason: str
    mark: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """The rows of a list that has been read: by the hash of their text that of their key, and how often if not once."""

    keys: dict[int, int] = field(default_factory=dict)
    often: dict[int, int] = field(default_factory=dict)

    def add(self, text: int, key: int = 0) -> int:
        """A row more; how often that text stands there by now."""
        if text not in self.keys:
            self.keys[text] = key
            return 1
        self.often[text] = self.often.get(text, 1) + 1
        return self.often[text]

    def times(self, text: int) -> int:
        """How often a text stands there."""
        return self.often.get(text, 1) if text in self.keys else 0


class Rows:
    """One list: where its rows are, and which of them were not in the list before; only those are read.

    Rows without a name count by multiplicity: the second and later of the same content get keys of their own,
    whichever of them was there before.
    """

    def __init__(self, text: str, zone: ZoneInfo, before: Known) -> None:
        """Find the rows.

        Raises:
            Unreadable: the text is no list of trades, or not valid all through.
        """
        self._text, self._zone = text, zone
        self._starts, self._ends = _places(text)
        self._new = array("Q")
        self._seen: Counter[int] = Counter()
        self.known = Known()
        for number in range(len(self._starts)):
            row = self._hash(number)
            if self.known.add(row) > before.times(row):
                self._new.append(number)
            else:
                self.known.keys[row] = before.keys[row]
                self._seen[before.keys[row]] += 1

    def __len__(self) -> int:
        """How many are new."""
        return len(self._new)

    def __iter__(self) -> Iterator[Trade | BadRow]:
        """The new ones, read as they are taken; afterwards all are in `known`. To be gone through once."""
        for number in self._new:
            found = self._read(number)
            self.known.keys[self._hash(number)] = hash(found.key if isinstance(found, Trade) else found.mark)
            yield self._numbered(found) if isinstance(found, Trade) else found

    def _hash(self, number: int) -> int:
        return hash(self._text[self._starts[number] : self._ends[number]])

    def _read(self, number: int) -> Trade | BadRow:
        row = DECODER.raw_decode(self._text, self._starts[number])[0]
        try:
            return records.from_row(row, self._zone)
        except Unreadable as unusable:
            raw = repr(row).encode("utf-8", "surrogatepass")
            return BadRow(unusable.reason, mark_of("row", unusable.reason, raw))

    def _numbered(self, trade: Trade) -> Trade:
        if records.has_own_key(trade):
            return trade
        key = hash(trade.key)
        count = self._seen[key]
        self._seen[key] += 1
        return replace(trade, key=trade.key + count.to_bytes(4, "big")) if count else trade


type _Places = tuple[array[int], array[int]]


def _places(text: str) -> _Places:
    """Where each row begins and ends, after all of the text was read as strictly as any document."""
    try:
        start = _blank(text, 0)
        found, end = _array(text, start) if text[start : start + 1] == "[" else _members(text, start)
    except (json.JSONDecodeError, StopIteration):
        raise Unreadable("json") from None
    except RecursionError:
        raise Unreadable("depth") from None
    if text[end:].strip(" \t\r\n"):
        raise Unreadable("torn")
    if found is None:
        raise Unreadable("shape")
    return found


def _array(text: str, start: int) -> tuple[_Places, int]:
    """The elements of an array, and where it ends."""
    starts, ends = array("Q"), array("Q")
    more, end = _first(text, start, "]")
    while more:
        starts.append(end)
        end = DECODER.raw_decode(text, end)[1]
        ends.append(end)
        more, end = _next(text, end, "]")
    return (starts, ends), end


def _members(text: str, start: int) -> tuple[_Places | None, int]:
    """The rows in an object, and where it ends; None if it holds something else in their place, or is none."""
    if text[start : start + 1] != "{":
        return None, DECODER.raw_decode(text, start)[1]
    found: dict[str, _Places | None] = {}
    more, end = _first(text, start, "}")
    while more:
        name, end = _name(text, end)
        if name in found:
            raise Unreadable("duplicate_key")
        if name in NAMES and text[end : end + 1] == "[":
            found[name], end = _array(text, end)
        else:
            found[name], end = None, DECODER.raw_decode(text, end)[1]
        more, end = _next(text, end, "}")
    return next((found[name] for name in NAMES if name in found), (array("Q"), array("Q"))), end


def _name(text: str, start: int) -> tuple[str, int]:
    """The name of a member, and where its value begins."""
    name, end = DECODER.raw_decode(text, start)
    end = _blank(text, end)
    if not isinstance(name, str) or text[end : end + 1] != ":":
        raise Unreadable("json")
    return name, _blank(text, end + 1)


def _first(text: str, start: int, closing: str) -> tuple[bool, int]:
    """Whether anything stands between two brackets, and where it begins; else where they end."""
    end = _blank(text, start + 1)
    empty = text[end : end + 1] == closing
    return not empty, end + empty


def _next(text: str, end: int, closing: str) -> tuple[bool, int]:
    """Whether another one follows, and where it begins; else where the bracket behind the last ends."""
    end = _blank(text, end)
    sign = text[end : end + 1]
    if sign not in (",", closing) or not sign:
        raise Unreadable("json")
    return sign == ",", _blank(text, end + 1) if sign == "," else end + 1


def _blank(text: str, start: int) -> int:
    """Where white space from `start` on ends."""
    found = _BLANK.match(text, start)
    return found.end() if found else start
