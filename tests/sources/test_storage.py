"""Surveys of directories that change, link, nest and are larger than may be looked at; ages of backups; growth."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exporter.sources import storage
from exporter.sources.storage import Backups, Growth, Survey, backups, survey

NEW_YORK = ZoneInfo("America/New_York")


def put(path: Path, size: int, written: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (written, written))


def test_files_at_all_depths(tmp_path: Path) -> None:
    put(tmp_path / "a", 1, 100)
    put(tmp_path / "b/c/d", 20, 300.5)
    put(tmp_path / "b/.hidden", 300, 200)
    (tmp_path / "empty").mkdir()
    assert survey(tmp_path, 100) == Survey(3, 321, 300.5, False)
    assert survey(tmp_path / "a", 100) == Survey(1, 1, 100, False)
    assert survey(tmp_path / "empty", 100) == Survey(0, 0, None, False)


def test_links_and_special_files_are_neither_followed_nor_counted(tmp_path: Path) -> None:
    put(tmp_path / "outside/file", 1000, 900)
    store = tmp_path / "store"
    put(store / "file", 1, 100)
    (store / "to-file").symlink_to(tmp_path / "outside/file")
    (store / "to-folder").symlink_to(tmp_path / "outside")
    (store / "to-itself").symlink_to(store)
    (store / "broken").symlink_to("nowhere")
    os.mkfifo(store / "fifo")
    assert survey(store, 100) == Survey(1, 1, 100, False)
    assert survey(store / "to-folder", 100) == Survey(0, 0, None, False)
    assert survey(store / "fifo", 100) == Survey(0, 0, None, False)


def test_a_directory_swapped_for_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "outside/file", 1000, 900)
    put(tmp_path / "store/folder/file", 1, 100)
    opened = os.open

    def swap(path: object, flags: int, **more: int) -> int:
        if path == "folder":
            (tmp_path / "store/folder").rename(tmp_path / "gone")
            (tmp_path / "store/folder").symlink_to(tmp_path / "outside")
        return opened(path, flags, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", swap)
    assert survey(tmp_path / "store", 100) == Survey(0, 0, None, False)


def test_what_vanishes_or_may_not_be_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "folder/file", 5, 100)
    put(tmp_path / "kept", 7, 100)
    for error in (errno.ENOENT, errno.EACCES):
        with monkeypatch.context() as patch:
            opened = os.open
            patch.setattr(os, "open", lambda p, f, e=error, o=opened, **m: o(p, f, **m) if p != "folder" else fail(e))
            assert survey(tmp_path, 100) == Survey(1, 7, 100, False)
    with pytest.raises(FileNotFoundError):
        survey(tmp_path / "missing", 100)


def fail(number: int) -> int:
    raise OSError(number, os.strerror(number))


def test_files_that_vanish_during_the_walk_are_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        put(tmp_path / str(number), 1, 100)
    scandir = os.scandir

    class Vanishing:
        def __init__(self, directory: int) -> None:
            self.listing = scandir(directory)

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            entries = list(self.listing)
            (tmp_path / "3").unlink()
            return iter(entries)

        def __exit__(self, *_: object) -> None:
            self.listing.close()

    monkeypatch.setattr(os, "scandir", Vanishing)
    assert survey(tmp_path, 100).files == 9


@pytest.mark.parametrize(("limit", "files", "truncated"), [(9, 9, True), (10, 10, False), (11, 10, False)])
def test_no_more_than_the_limit_is_looked_at(tmp_path: Path, limit: int, files: int, truncated: bool) -> None:
    for number in range(10):
        put(tmp_path / str(number), 1, 100)
    assert survey(tmp_path, limit) == Survey(files, files, 100, truncated)


def test_the_limit_counts_directories_too_and_ends_the_walk(tmp_path: Path) -> None:
    for number in range(50):
        put(tmp_path / f"{number}/file", 1, 100)
    found = survey(tmp_path, 60)
    assert (found.files, found.truncated) == (10, True)


def test_deep_nesting_is_bounded(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(storage.DEEPEST):
        folder /= "d"
    put(folder / "file", 1, 100)
    assert survey(tmp_path, 100) == Survey(1, 1, 100, False)
    put(folder / "d/file", 1, 100)
    assert survey(tmp_path, 100) == Survey(1, 1, 100, True)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    put(tmp_path / "a/b/c", 1, 100)
    before = len(os.listdir("/proc/self/fd"))
    for limit in (1, 2, 100):
        survey(tmp_path, limit)
        backups(tmp_path, NEW_YORK, limit)
    assert len(os.listdir("/proc/self/fd")) == before


def test_backups_are_as_old_as_their_names_say(tmp_path: Path) -> None:
    (tmp_path / "20250324_105530").mkdir()
    (tmp_path / "20250325_105530.tar.gz").touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "latest").symlink_to("20250324_105530")
    assert backups(tmp_path, NEW_YORK, 100) == Backups(2, 1742914530)  # 10:55:30 in New York is 14:55:30 UTC
    assert backups(tmp_path, ZoneInfo("UTC"), 100) == Backups(2, 1742900130)


@pytest.mark.parametrize("name", ["daily", "20251399_105530", "20250325_1055301", "99991231_235959", "2025-03-25"])
def test_backups_with_other_names_are_as_old_as_they_were_written(tmp_path: Path, name: str) -> None:
    put(tmp_path / name, 1, 1000)
    assert backups(tmp_path, NEW_YORK, 100) == Backups(1, 1000)


def test_no_backups(tmp_path: Path) -> None:
    assert backups(tmp_path, NEW_YORK, 100) == Backups(0, None)
    with pytest.raises(FileNotFoundError):
        backups(tmp_path / "missing", NEW_YORK, 100)


def test_growth_is_over_up_to_an_hour() -> None:
    growth = Growth()
    assert growth.add(0, 1000) is None
    assert growth.add(10, 1100) == 10
    assert growth.add(20, 900) == -5
    for minute in range(1, 121):
        rate = growth.add(minute * 60, 1000 + minute * 600)
    assert rate == 10
    assert len(growth._looks) <= 62


def test_growth_after_more_than_an_hour_of_silence_starts_anew() -> None:
    growth = Growth()
    growth.add(0, 1000)
    assert growth.add(4000, 2000) is None
    assert growth.add(4000, 2000) is None
    assert growth.add(4010, 2100) == 10
