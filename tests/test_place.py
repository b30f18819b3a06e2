"""Nobody else gets in, whatever is removed; and files that are no longer the ledger's are noticed."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter import place as place_module
from exporter.log import describe
from exporter.place import Place

NAMES = ("book", "book-wal", "book-shm")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = opened(tmp_path / "state")
    made.lock()
    for name in NAMES:
        (tmp_path / "state" / name).write_text("")
    made.remember()
    yield made
    made.close()


def opened(state: Path) -> Place:
    made = Place(state, "book")
    made.open()
    return made


def is_taken(state: Path) -> bool:
    other = opened(state)
    try:
        other.lock()
    except BlockingIOError:
        return True
    finally:
        other.close()
    return False


def test_nobody_else_gets_in_also_without_the_lock_file_and_everybody_afterwards(place: Place, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert is_taken(state)
    (state / "lock").unlink()
    assert is_taken(state)
    state.rename(tmp_path / "moved")
    assert is_taken(tmp_path / "moved")
    assert not is_taken(state), "another directory of the same name"
    place.close()
    assert not is_taken(tmp_path / "moved")


def test_where_directories_cannot_be_locked_the_lock_file_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def files_only(descriptor: int, operation: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(descriptor, operation)

    monkeypatch.setattr(place_module.fcntl, "flock", files_only)
    first = opened(tmp_path)
    first.lock()
    assert is_taken(tmp_path)
    first.close()
    assert not is_taken(tmp_path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "replaced": lambda file: file.with_name("new").replace(file),
    "moved": lambda file: file.rename(file.with_name("old")),
    "its directory moved": lambda file: file.parent.rename(file.parent.with_name("other")),
    "no directory any more": lambda file: (file.parent.rename(file.parent.with_name("x")), file.parent.touch()),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_no_longer_the_one_is_noticed(change: str, name: str, place: Place, tmp_path: Path) -> None:
    file = tmp_path / "state" / name
    file.with_name("new").write_text("")
    assert place.displaced() is None
    file.write_text("another content is no other file")
    assert place.displaced() is None
    CHANGES[change](file)
    found = place.displaced()
    assert found is not None
    assert describe(found) == "its files were removed, replaced or moved; put them back, or restart the exporter"


def test_what_is_put_back_is_in_its_place_and_a_file_that_never_was_is_not_missed(place: Place, tmp_path: Path) -> None:
    (tmp_path / "state").rename(tmp_path / "moved")
    assert place.displaced() is not None
    (tmp_path / "moved").rename(tmp_path / "state")
    assert place.displaced() is None
    alone = Place(tmp_path, "none")
    alone.remember()
    (tmp_path / "none").touch()
    assert alone.displaced() is None


def test_a_disk_that_fails_says_nothing_about_the_place(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(_: Path) -> os.stat_result:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "stat", stat)
    found = place.displaced()
    monkeypatch.undo()
    assert found is None
