import itertools
import json
import math
import os
import random
import socket
import subprocess
import sys
import time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import files
from exporter.sources.files import (
    Gist,
    Settling,
    Unreadable,
    document,
    folder,
    parse,
    read_together,
    starts_with,
    trimmed,
)  # fmt: skip
from tests import bank, rewriter
from tests.tiers import FULL

REWRITES = 10_000 if FULL else 200
STALE = 1.0
"""Seconds after the next rewrite at most that content is still the newest that could be read."""


def reason(content: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        document(content)
    return caught.value.reason


def read_one(path: Path, limit: int = 1 << 20) -> bytes | Unreadable | None:
    with folder(path.parent) as parent:
        return read_together(parent, [path.name], limit).get(path.name)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"\0\0\0", "empty"),
        (b" \n", "empty"),
        (b"\xff{}", "encoding"),
        (b"\xef\xbb\xbf{}", "encoding"),
        ('{"a":1}'.encode("utf-16"), "encoding"),
        (b'{"a"', "json"),
        (b'{"a":1} x', "torn"),
        (b'{"a":1}\0\0{"old":2}', "torn"),
        (b'{"a":1}}', "torn"),
        (b'{"a":NaN}', "number"),
        (b'{"a":-Infinity}', "number"),
        (b'{"a":1e999}', "number"),
        (b'{"a":1e' + b"9" * 40 + b"}", "number"),
        (b'{"a":1e-' + b"9" * 40 + b"}", "number"),
        (b'{"a":' + b"9" * 5000 + b"}", "number"),
        (b'{"a":0.' + b"1" * 5000 + b"}", "number"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b"[" * 200_000, "depth"),
        ('{"a":\u0663}'.encode(), "json"),
    ],
)
def test_what_cannot_be_used_has_a_reason(content: bytes, expected: str) -> None:
    assert reason(content) == expected


def test_every_truncation_of_a_document_is_refused() -> None:
    whole = json.dumps(bank.trade(random.Random(1)), indent=2).encode()
    for end in range(len(whole)):
        reason(whole[:end])
    assert document(whole)


def test_a_document_ends_at_its_padding() -> None:
    assert document(b' {"a": [1, 2.50, -0.0, 1e3, "x"]}\n' + bytes(1 << 20)) == {
        "a": [1, Decimal("2.50"), Decimal("-0.0"), Decimal("1e3"), "x"]
    }


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.integers(0, 40), st.sampled_from([b"", b"\0", b"\n\0", b" \0 \0"]))
def test_whatever_json_writes_reads_back_through_any_padding(value: object, zeros: int, tail: bytes) -> None:
    raw = json.dumps(value, ensure_ascii=True).encode() + tail + bytes(zeros)
    assert json.loads(json.dumps(document(raw), default=float)) == json.loads(json.dumps(value))


@given(st.text(max_size=60))
def test_any_text_is_either_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except Unreadable:
        return
    again = json.loads(text, parse_float=Decimal)
    assert found == again or (isinstance(found, float) and math.isnan(found))


@given(st.binary(max_size=200), st.integers(0, 300))
def test_trimming_only_takes_padding(content: bytes, zeros: int) -> None:
    assert trimmed(content + bytes(zeros)) == (content + bytes(zeros)).rstrip(b"\0 \t\r\n")


def test_files_are_read_together_and_vanished_ones_left_out(tmp_path: Path) -> None:
    names = [f"{i}.json" for i in range(files.TOGETHER * 2 + 5)]
    for name in names:
        (tmp_path / name).write_text(name)
    with folder(tmp_path) as parent:
        before = len(os.listdir("/proc/self/fd"))
        found = read_together(parent, [*names, "gone.json"], 100)
        assert len(os.listdir("/proc/self/fd")) == before
    assert found == {name: name.encode() for name in names}


def test_what_is_not_a_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    (tmp_path / "secret").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "large").write_bytes(b"x" * 101)
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 40)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        reasons = {
            name: getattr(read_one(tmp_path / name, 100), "reason", None)
            for name in ("fifo", "directory", "link", "large", "sparse", "socket")
        }
    assert reasons == {
        "fifo": "not_regular",
        "directory": "not_regular",
        "link": "symlink",
        "large": "size",
        "sparse": "size",
        "socket": "not_regular",
    }


def test_a_symbolic_link_does_not_lead_out_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "trades").symlink_to(tmp_path / "elsewhere")
    with folder(tmp_path / "bank") as root, pytest.raises(OSError), folder("trades", root):
        pass


def test_a_file_without_permission_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    opened = os.open

    def refuse(name: str, *rest: object, **more: object) -> int:
        if name == "a":
            raise PermissionError(13, "Permission denied")
        return opened(name, *rest, **more)  # type: ignore[arg-type]

    with folder(tmp_path) as parent:
        monkeypatch.setattr(os, "open", refuse)  # root may read everything, so that permissions cannot be taken away
        found = read_together(parent, ["a", "b"], 100)
    assert isinstance(found["a"], Unreadable)
    assert (found["a"].reason, found["b"]) == ("unreadable", b"2")


def test_no_descriptors_is_an_error_of_the_reader_not_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("1")

    def refuse(*_: object, **__: object) -> int:
        raise OSError(24, "Too many open files")

    with folder(tmp_path) as parent:
        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(OSError, match="Too many"):
            read_together(parent, ["a"], 100)


def number_of(content: bytes | Unreadable | None) -> int | None:
    """Of the generation that was read whole; None if none was. One made of two is no content at all."""
    if not isinstance(content, bytes):
        return None
    try:
        found = document(content)
    except Unreadable:
        return None
    assert {found["head"], found["tail"], *found["body"]} == {found["head"]}
    assert content == rewriter.generation(found["head"])
    return int(found["head"])


@pytest.mark.parametrize("style", bank.STYLES)
def test_a_torn_read_is_never_taken_for_content_and_the_newest_is_read_soon(tmp_path: Path, style: str) -> None:
    file, notes = tmp_path / "file.json", tmp_path / "notes.json"
    bank.STYLES[style](file, rewriter.generation(0))
    command = [sys.executable, "-m", "tests.rewriter", str(file), style, str(REWRITES), str(notes)]
    reads, seen = 0, [(time.monotonic(), 0)]
    with subprocess.Popen(command) as writing:
        try:
            while writing.poll() is None:
                number = number_of(read_one(file))
                reads += 1
                if number is not None:
                    seen.append((time.monotonic(), number))
        finally:
            writing.kill()
    assert writing.returncode == 0
    assert number_of(read_one(file)) == REWRITES
    seen.append((time.monotonic(), REWRITES))
    over = json.loads(notes.read_text())
    oldest = max(late - over[number] for (_, number), (late, _) in pairwise(seen) if number < REWRITES)
    print(f"{style}: {REWRITES} rewrites, {len(seen) - 2} of {reads} reads whole, the oldest shown {oldest:.2f} s old")
    assert not FULL or oldest <= STALE


def test_a_file_that_never_rests_is_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_text("0")
    numbers = itertools.count(1)
    monkeypatch.setattr(files.time, "sleep", lambda _: file.write_text(str(next(numbers))))
    content = read_one(file)
    assert isinstance(content, Unreadable)
    assert content.reason == "torn"


@pytest.mark.parametrize(
    ("content", "same"),
    [
        (b"abc", True),
        (b"abc\0\0", True),
        (b"abc\n", True),
        (b"abcd", False),
        (b"ab", False),
        (b"abc\0d", False),
        (b"", False),
    ],
)
def test_a_cheap_look_sees_whether_a_file_still_begins_alike(tmp_path: Path, content: bytes, same: bool) -> None:
    (tmp_path / "f").write_bytes(content)
    with folder(tmp_path) as parent:
        assert starts_with(parent, "f", Gist.of(b"abc")) is same
        assert not starts_with(parent, "gone", Gist.of(b"abc"))
        assert not starts_with(parent, "f", Gist.of(b""))
        assert not starts_with(parent, "f", None)


def test_a_broken_file_settles_only_when_it_stays_the_same() -> None:
    now = [0.0]
    settling = Settling(2.0, lambda: now[0])
    assert not settling.settled("f", b"1")
    now[0] = 1.9
    assert not settling.settled("f", b"1")
    assert not settling.settled("f", b"2")
    now[0] = 3.9
    assert settling.settled("f", b"2")
    assert settling.names() == ["f"]
    settling.forget("f")
    assert settling.names() == []
