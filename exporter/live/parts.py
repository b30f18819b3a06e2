"""What is handed to listeners: finished frames, and where a listener stands after them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

type Key = tuple[str, ...]
type Pairs = frozenset[str] | None
"""The pairs that are wanted; None: everything."""

_MEMO: Final = 1 << 20
_ENTRY: Final = 500
"""Bytes of a part without its frames, roughly."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a listener begins: with the present, or after number `since`; `foreign` numbers are another session's."""

    since: int | None = None
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Finished frames, how many, and the number up to which the listener then has everything it is entitled to."""

    frames: bytes
    count: int
    last: int


class Memo:
    """Parts that were made for the present number: whoever wants the same gets the same bytes."""

    def __init__(self) -> None:
        self._made: dict[object, Part] = {}
        self._size = 0

    def clear(self) -> None:
        """The number has moved."""
        self._made.clear()
        self._size = 0

    def get(self, key: object) -> Part | None:
        """What was made for this."""
        return self._made.get(key)

    def keep(self, key: object, part: Part) -> Part:
        """The part itself, kept while there is room."""
        self._size += len(part.frames) + _ENTRY
        if self._size > _MEMO:
            self.clear()
        self._made[key] = part
        return part


def wants(wanted: Pairs, pair: str | None) -> bool:
    """Whether an item of this pair is wanted."""
    return wanted is None or pair in wanted
