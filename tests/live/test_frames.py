"""WebSocket frames against RFC 6455: what is made, what is taken apart in any pieces, and what ends a connection."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.live import frames
from exporter.live.frames import MAX_MESSAGE, Code, Op, Parser, Violation


def masked(
    op: int, payload: bytes = b"", mask: bytes = b"\x12\x34\x56\x78", final: bool = True, first: int = 0
) -> bytes:
    """A client's frame; `first` adds bits to its first byte."""
    size = len(payload)
    head = bytes(((0x80 if final else 0) | op | first,))
    wide = b"\xfe" + size.to_bytes(2) if size < 1 << 16 else b"\xff" + size.to_bytes(8)
    length = bytes((0x80 | size,)) if size < 126 else wide
    return head + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def taken(*chunks: bytes) -> list[tuple[Op | None, bytes]]:
    parser, found = Parser(), []
    for chunk in chunks:
        parser.feed(chunk)
        found += parser.frames()
    return found


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_text_is_one_final_unmasked_frame(size: int, head: bytes) -> None:
    assert frames.text(b"x" * size) == head + b"x" * size


def test_a_close_frame_holds_code_and_words_and_never_too_many() -> None:
    assert frames.close(1001, "bye") == b"\x88\x05\x03\xe9bye"
    assert len(frames.close(1008, "w" * 500)) == 2 + 125


ops = st.sampled_from([Op.TEXT, Op.BINARY, Op.PING, Op.PONG])
messages = st.lists(st.tuples(ops, st.binary(max_size=125), st.binary(min_size=4, max_size=4)), max_size=8)


@given(messages, st.lists(st.integers(0, 600), max_size=12))
def test_whole_messages_come_out_however_the_bytes_were_cut(
    sent: list[tuple[Op, bytes, bytes]], cuts: list[int]
) -> None:
    raw = b"".join(masked(op, payload, mask) for op, payload, mask in sent)
    edges = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    assert taken(*(raw[a:b] for a, b in itertools.pairwise(edges))) == [(op, p) for op, p, _ in sent]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8))
def test_fragments_become_one_message_and_pings_may_come_between(parts: list[bytes]) -> None:
    raw = b""
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        raw += masked(Op.TEXT if place == 0 else Op.MORE, part, final=last)
        raw += b"" if last else masked(Op.PING, b"?")
    whole = [item for item in taken(raw) if item[0] is Op.TEXT]
    assert whole == [(Op.TEXT, b"".join(parts))]
    assert taken(raw).count((Op.PING, b"?")) == len(parts) - 1


def test_the_largest_message_passes_and_one_byte_more_does_not() -> None:
    assert taken(masked(Op.TEXT, b"x" * MAX_MESSAGE)) == [(Op.TEXT, b"x" * MAX_MESSAGE)]
    halves = masked(Op.TEXT, b"x" * 2048, final=False) + masked(Op.MORE, b"x" * 2048)
    assert taken(halves)[-1] == (Op.TEXT, b"x" * MAX_MESSAGE)


VIOLATIONS = {
    "not masked": (b"\x81\x02hi", Code.PROTOCOL),
    "first reserved bit (a compressed message)": (masked(Op.TEXT, b"hi", first=0x40), Code.PROTOCOL),
    "second reserved bit": (masked(Op.TEXT, b"hi", first=0x20), Code.PROTOCOL),
    "third reserved bit": (masked(Op.PING, b"", first=0x10), Code.PROTOCOL),
    **{f"opcode {op}": (masked(op), Code.PROTOCOL) for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a ping in fragments": (masked(Op.PING, b"a", final=False), Code.PROTOCOL),
    "a close in fragments": (masked(Op.CLOSE, b"", final=False), Code.PROTOCOL),
    "a ping of 126 bytes": (masked(Op.PING, b"x" * 126), Code.PROTOCOL),
    "a ping of 64 KiB": (masked(Op.PING, b"x" * (1 << 16)), Code.PROTOCOL),
    "more of nothing": (masked(Op.MORE, b"a"), Code.PROTOCOL),
    "more after the end": (masked(Op.TEXT, b"a") + masked(Op.MORE, b"a"), Code.PROTOCOL),
    "a text within a text": (masked(Op.TEXT, b"a", final=False) + masked(Op.TEXT, b"a"), Code.PROTOCOL),
    "a byte too many": (masked(Op.TEXT, b"x" * (MAX_MESSAGE + 1)), Code.TOO_BIG),
    "only the head of a byte too many": (masked(Op.TEXT, b"x" * (MAX_MESSAGE + 1))[:4], Code.TOO_BIG),
    "a head of 2^63 bytes": (b"\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00", Code.TOO_BIG),
    "fragments of a byte too many": (
        masked(Op.BINARY, b"x" * 4096, final=False) + masked(Op.MORE, b"x"),
        Code.TOO_BIG,
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_what_breaks_the_protocol_ends_it(name: str) -> None:
    raw, code = VIOLATIONS[name]
    with pytest.raises(Violation) as raised:
        taken(raw)
    assert raised.value.code is code


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_a_violation(raw: bytes) -> None:
    try:
        found = taken(raw)
    except Violation:
        return
    assert sum(len(payload) for _, payload in found) <= len(raw)


def test_ten_thousand_small_frames_in_one_piece_take_no_quadratic_time() -> None:
    raw = masked(Op.PING) * 40_000
    began = time.process_time()
    assert len(taken(raw)) == 40_000
    assert time.process_time() - began < 5


def test_the_codes_of_a_close_are_checked() -> None:
    assert frames.close_code(b"") == 1000
    for code in (1000, 1001, 1003, 1007, 1011, 3000, 4999):
        assert frames.close_code(code.to_bytes(2) + "grüße".encode()) == code
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535):
        with pytest.raises(Violation):
            frames.close_code(code.to_bytes(2))
    for payload in (b"\x03", (1000).to_bytes(2) + b"\xff"):
        with pytest.raises(Violation):
            frames.close_code(payload)


def test_text_must_be_utf_8() -> None:
    assert frames.decoded("κόσμε".encode()) == "κόσμε"
    for payload in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xce"):
        with pytest.raises(Violation) as raised:
            frames.decoded(payload)
        assert raised.value.code is Code.NOT_UTF8
