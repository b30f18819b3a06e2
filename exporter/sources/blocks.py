"""Block headers, and the chain that the last of them make: what links, what a reorg removes. No input or output."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from exporter.sources.jsonrpc import Malformed, field, quantity

MOST: Final = 1024
"""Headers that are remembered: half a megabyte, and deeper than any reorg that is not an accident."""
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_MOST_NUMBER: Final = 2**53
"""Beyond it a number is none: no chain has as many blocks or seconds, and SQLite and Prometheus would round it."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a block says of itself; hashes in lower case, the timestamp in epoch seconds."""

    number: int
    hash: str
    parent: str
    timestamp: int
    base_fee_wei: int | None
    gas_used: int
    gas_limit: int


def header(value: Any) -> Header:
    """A block or a header as nodes write it.

    Raises:
        Malformed, RpcError: it is none; an error in a batch's place is raised as it is.
    """
    if value is None:
        raise Malformed("the node does not know the block")
    base = field(value, "baseFeePerGas") if isinstance(value, dict) and "baseFeePerGas" in value else None
    return Header(
        number=_bounded(field(value, "number")),
        hash=block_hash(field(value, "hash")),
        parent=block_hash(field(value, "parentHash")),
        timestamp=_bounded(field(value, "timestamp")),
        base_fee_wei=None if base is None else quantity(base),
        gas_used=_bounded(field(value, "gasUsed")),
        gas_limit=_bounded(field(value, "gasLimit")),
    )


def block_hash(value: Any) -> str:
    """A hash in lower case.

    Raises:
        Malformed: it is none.
    """
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise Malformed("a hash is not 32 bytes")
    return value.lower()


def _bounded(value: Any) -> int:
    number = quantity(value)
    if number >= _MOST_NUMBER:
        raise Malformed("a number is beyond all reason")
    return number


class Window:
    """The newest headers of the canonical chain, each the parent of the next; empty until something is placed."""

    def __init__(self, most: int = MOST) -> None:
        self._headers: deque[Header] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._headers)

    def __iter__(self) -> Iterator[Header]:
        return iter(self._headers)

    @property
    def newest(self) -> Header | None:
        """The head; None while nothing is known."""
        return self._headers[-1] if self._headers else None

    @property
    def oldest(self) -> Header | None:
        """The other end; None while nothing is known."""
        return self._headers[0] if self._headers else None

    def get(self, number: int) -> Header | None:
        """The header of that height, if it is remembered."""
        place = number - self._headers[0].number if self._headers else -1
        return self._headers[place] if 0 <= place < len(self._headers) else None

    def holds(self, header: Header) -> bool:
        """Whether it is part of this chain."""
        own = self.get(header.number)
        return own is not None and own.hash == header.hash

    def links(self, header: Header) -> bool:
        """Whether its parent is part of this chain."""
        parent = self.get(header.number - 1)
        return parent is not None and parent.hash == header.parent

    def place(self, chain: Sequence[Header]) -> int:
        """Let a chain that links follow; how many headers had to go for it."""
        removed = self.cut(chain[0].number - 1)
        self._headers.extend(chain)
        return removed

    def restart(self, chain: Sequence[Header]) -> int:
        """Begin anew with a chain that has nothing in common with what was known; how many that was."""
        removed = len(self._headers)
        self._headers.clear()
        self._headers.extend(chain)
        return removed

    def cut(self, number: int) -> int:
        """Forget what is above that height; how many that were."""
        removed = 0
        while self._headers and self._headers[-1].number > number:
            self._headers.pop()
            removed += 1
        return removed

    def deepen(self, chain: Sequence[Header]) -> None:
        """Remember older headers too, as far as they fit in below the oldest."""
        for older in reversed(chain):
            oldest = self.oldest
            if oldest is None or older.hash != oldest.parent or len(self._headers) == self._headers.maxlen:
                return
            self._headers.appendleft(older)


def linked(chain: Sequence[Header]) -> bool:
    """Whether each is the parent of the next."""
    return all(b.parent == a.hash and b.number == a.number + 1 for a, b in pairwise(chain))


class Cadence:
    """How long a block takes, by blocks' own times over about a minute: whole seconds are too coarse for two."""

    OVER: Final = 60
    """Seconds of the chain's time that count."""
    SHORTEST: Final = 10
    """Seconds below which nothing is said: one is already a tenth of it."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque(maxlen=256)

    def see(self, header: Header) -> None:
        """A head; one that is no later than those seen takes their place: a reorg, or a chain begun anew."""
        seen, time = self._seen, header.timestamp
        while seen and (header.number <= seen[-1][0] or time < seen[-1][1]):
            seen.pop()
        if not seen or time > seen[-1][1]:  # the first block of each second: what follows in it says nothing more
            seen.append((header.number, time))
        while len(seen) > 2 and time - seen[1][1] >= self.OVER:
            seen.popleft()

    @property
    def seconds(self) -> float | None:
        """Mean time between blocks; None until there is enough to measure."""
        if len(self._seen) < 2:
            return None
        (first, began), (last, ended) = self._seen[0], self._seen[-1]
        return (ended - began) / (last - first) if ended - began >= self.SHORTEST else None
