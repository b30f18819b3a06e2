"""The file holds whole lines only, whatever the disk and the others do."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.client.fallback import Fallback

LINES = [json.dumps({"id": number, "text": "x" * 50}).encode() + b"\n" for number in range(100)]


def test_lines_are_added_to_the_end(tmp_path: Path) -> None:
    fallback = Fallback(tmp_path / "events.ndjson")
    assert fallback.append(LINES[:2]) == 2
    assert fallback.append(LINES[2:5]) == 3
    assert fallback.path.read_bytes() == b"".join(LINES[:5])


def test_half_a_line_of_somebody_else_is_ended_first(tmp_path: Path) -> None:
    fallback = Fallback(tmp_path / "events.ndjson")
    fallback.path.write_bytes(b'{"id": 1, "ty')
    assert fallback.append(LINES[:2]) == 2
    assert fallback.path.read_bytes() == b'{"id": 1, "ty\n' + b"".join(LINES[:2])


def test_a_renamed_file_is_left_alone(tmp_path: Path) -> None:
    fallback = Fallback(tmp_path / "events.ndjson")
    fallback.append(LINES[:1])
    fallback.path.rename(tmp_path / "events.ndjson.1")
    fallback.append(LINES[1:2])
    assert fallback.path.read_bytes() == LINES[1]


def test_who_is_not_alone_tries_again_later(tmp_path: Path) -> None:
    fallback = Fallback(tmp_path / "events.ndjson")
    fallback.append(LINES[:1])
    with fallback.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            fallback.append(LINES[1:2])
    assert fallback.append(LINES[1:2]) == 1


def test_a_file_that_is_full_stays_as_it_is(tmp_path: Path) -> None:
    fallback = Fallback(tmp_path / "events.ndjson", most_bytes=len(LINES[0]) * 2)
    fallback.append(LINES[:2])
    with pytest.raises(OSError, match="File too large"):
        fallback.append(LINES[:1])
    assert fallback.path.read_bytes() == b"".join(LINES[:2])


@pytest.mark.parametrize("kind", ["directory", "fifo", "link", "nowhere"])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "events.ndjson"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path = tmp_path / "no" / "such" / "place"
    with pytest.raises(OSError):
        Fallback(path).append(LINES[:1])
    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A real file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount a small disk")
    return disk


def test_a_full_disk_takes_whole_lines_until_it_is_full_and_goes_on_afterwards(small_disk: Path) -> None:
    try:
        (small_disk / "other").write_bytes(b"x" * 40_000)
        fallback = Fallback(small_disk / "events.ndjson")
        written = 0
        with pytest.raises(OSError) as full:
            while True:
                written += fallback.append(LINES[:30])
        assert full.value.errno == errno.ENOSPC
        content = fallback.path.read_bytes()
        assert written > 100
        assert written == content.count(b"\n") == len(content.splitlines())
        assert content.endswith(b"\n")
        (small_disk / "other").unlink()
        assert fallback.append(LINES) == 100
        assert fallback.path.read_bytes() == content + b"".join(LINES)
    finally:
        subprocess.run(["umount", str(small_disk)], check=True)


WRITER = """
import sys
from pathlib import Path
from exporter.client.fallback import Fallback
fallback, number = Fallback(Path(sys.argv[1])), 0
while number < 300:
    try:
        number += fallback.append([b'{"writer": %s, "number": %d}\\n' % (sys.argv[2].encode(), number)])
    except BlockingIOError:
        pass
"""


def test_several_bots_may_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(number)]) for number in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    for number in range(3):
        assert [row["number"] for row in rows if row["writer"] == number] == list(range(300))


HOLDER = "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, 2); print(flush=True); input()"


def test_a_writer_is_not_hindered_by_one_that_was_killed(tmp_path: Path) -> None:
    fallback = Fallback(tmp_path / "events.ndjson")
    fallback.append(LINES[:1])
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(fallback.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(BlockingIOError):
            fallback.append(LINES[1:2])
        holder.kill()
        holder.wait(10)
    assert fallback.append(LINES[1:2]) == 1
