"""A body that may be packed, unpacked a little at a time: a bomb takes neither much memory nor the loop's time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

ASKED: Final = "gzip"
"""What we ask for, as `Accept-Encoding` has it."""
PIECE: Final = 64 << 10
"""Bytes unpacked at a time."""


class Unpacker:
    """One body, by its `Content-Encoding`.

    Raises:
        ValueError: it is packed in a way that was not asked for.
    """

    def __init__(self, encoding: str) -> None:
        names = {"": False, "identity": False, "gzip": True, "x-gzip": True}
        if (name := encoding.strip().lower()) not in names:
            raise ValueError("an encoding that was not asked for")
        self._packed = names[name]
        self._member = _member() if self._packed else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What more of it says, in pieces of at most 64 KiB if it is packed.

        Raises:
            ValueError: this is no gzip.
        """
        if not self._packed:
            yield data
            return
        while data:
            self._member = self._member or _member()
            try:
                yield self._member.decompress(data, PIECE)
            except zlib.error:
                raise ValueError("no gzip") from None
            data = self._member.unconsumed_tail
            if self._member.eof:
                data, self._member = self._member.unused_data, None  # another member may follow

    @property
    def complete(self) -> bool:
        """Whether it may end here."""
        return not self._packed or self._member is None


def _member() -> zlib._Decompress:
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
