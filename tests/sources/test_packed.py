"""Bodies packed in every way, cut anywhere, and bombs."""

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources.packed import PIECE, Unpacker


def unpacked(encoding: str, *chunks: bytes) -> tuple[bytes, bool]:
    unpacker = Unpacker(encoding)
    return b"".join(piece for chunk in chunks for piece in unpacker.feed(chunk)), unpacker.complete


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks, start = [], 0
    for size in sizes:
        chunks.append(data[start : start + size])
        start += size
    return [*chunks, data[start:]]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.lists(st.integers(0, 40), max_size=8))
def test_members_cut_anywhere_are_what_was_packed(bodies: list[bytes], sizes: list[int]) -> None:
    packed = b"".join(map(gzip.compress, bodies))
    assert unpacked("gzip", *cut(packed, sizes)) == (b"".join(bodies), True)
    assert unpacked(" X-GZIP ", packed) == (b"".join(bodies), True)


@given(st.binary(max_size=300), st.data())
def test_what_is_cut_off_is_not_complete(body: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(body)
    _, complete = unpacked("gzip", packed[: data.draw(st.integers(0, len(packed) - 1))])
    assert not complete


@given(st.binary(min_size=1, max_size=300))
def test_what_is_no_gzip_is_an_error_of_ours_or_waits_for_more(body: bytes) -> None:
    try:
        unpacked("gzip", body)
    except ValueError as error:
        assert str(error) == "no gzip"


@pytest.mark.parametrize("encoding", ["", "identity", " Identity"])
def test_what_is_not_packed_is_itself(encoding: str) -> None:
    assert unpacked(encoding, b"a", b"", b"b") == (b"ab", True)


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "gzip;q=1"])
def test_what_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(ValueError, match="not asked for"):
        Unpacker(encoding)


def test_a_bomb_comes_in_small_pieces() -> None:
    pieces = Unpacker("gzip").feed(gzip.compress(bytes(64 << 20)))
    assert [len(next(pieces)) for _ in range(20)] == [PIECE] * 20


def test_much_that_is_dense_is_whole() -> None:
    body = random.Random(1).randbytes(300_000) + bytes(3_000_000)
    assert unpacked("gzip", *cut(gzip.compress(body), [70_000] * 4)) == (body, True)
    assert zlib.crc32(unpacked("gzip", gzip.compress(body))[0]) == zlib.crc32(body)
