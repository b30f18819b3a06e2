"""Copies of the ledger: made while the exporter runs, and put back so that no counter falls without a word."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

from exporter import counters, log
from exporter.ledger import FILE, VERSIONS
from exporter.place import Place

PAGES: Final = 2_000
"""Pages copied at a time; between two parts the exporter writes."""
LOGS: Final = ("-wal", "-journal")
"""Ends of names under which SQLite keeps what belongs to a file and is not in it yet."""
PATIENCE: Final = 10.0
"""Seconds to wait for a writer."""


class Unkept(log.Plain):
    """The copy could not be made, read or put back; the words say why."""


def backup(state: Path, to: Path) -> int:
    """Copy the ledger of a state directory to a file, which is whole or not there; how many trades it holds.

    The exporter may run. Nothing that is there already is overwritten.

    Raises:
        Unkept: there is no copy.
    """
    try:
        _refuse_known(to)
        with _part(to.with_name(f"{to.name}.part-{secrets.token_hex(8)}")) as part:  # a name that nobody else has
            with _reading(state / FILE) as source:
                _copy(source, part)
            trades = _checked(part)
            _name(part, to)
    except (sqlite3.Error, OSError) as error:
        raise Unkept(f"the copy cannot be made: {log.describe(error)}") from None
    return trades


def restore(state: Path, copy: Path, accept_loss: bool = False) -> list[str]:
    """Put a copy in the place of the ledger, which is kept beside it; what counts less than before, in words.

    Unless `accept_loss`, nothing is changed if any counter would fall: Prometheus takes that for a restart
    from zero. What the bot's files and the chain still hold is counted again by itself afterwards.

    Whatever happens meanwhile, the ledger is the one of before or the copy.

    Raises:
        Unkept: nothing has been changed, or the words say what.
    """
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(state):
            _checked(copy)
            fallen = _fallen(state / FILE, copy)
            if fallen and not accept_loss:
                raise Unkept("; ".join([*fallen, "nothing was changed, see --accept-loss"]))
            _drop(state / f"{FILE}.part")  # of an attempt that was cut short
            with _part(state / f"{FILE}.part") as part:
                with _reading(copy) as source:
                    _copy(source, part)
                _hand_over(state, part)
                with _kept_beside(state):
                    part.replace(state / FILE)
            _confirm(state)
    except (sqlite3.Error, OSError) as error:
        raise Unkept(f"the copy cannot be put back: {log.describe(error)}") from None
    return fallen


@contextmanager
def _reading(file: Path) -> Iterator[sqlite3.Connection]:
    if not file.is_file():
        raise Unkept("there is no ledger")
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as db:
        yield db


@contextmanager
def _part(file: Path) -> Iterator[Path]:
    """A new file under this name, of which nothing half made is left in the end."""
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        yield file
    finally:
        _drop(file)


def _copy(source: sqlite3.Connection, part: Path) -> None:
    with closing(sqlite3.connect(part, isolation_level=None)) as db:
        source.backup(db, pages=PAGES, sleep=0.01)
        db.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    with part.open("rb") as opened:
        os.fsync(opened.fileno())


def _hand_over(state: Path, part: Path) -> None:
    """Let it belong to whom the state belongs: root may put back what another user's exporter has to open."""
    if os.geteuid() == 0:
        owner = state.stat()
        for file in (part, state / "lock"):
            os.chown(file, owner.st_uid, owner.st_gid)


def _drop(part: Path) -> None:
    """Leave nothing half made, if the disk lets it be removed."""
    for file in (part, part.with_name(f"{part.name}-journal")):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _name(part: Path, to: Path) -> None:
    """Give a whole copy its name, which nobody else has; it has none if it is not sure that it keeps it."""
    try:
        to.hardlink_to(part)
    except OSError:  # it is taken meanwhile, or the file system knows no second names
        _refuse_known(to)
        part.rename(to)
    _drop(part)
    try:
        _flush(to.parent)
    except OSError:
        to.unlink()
        raise


def _refuse_known(to: Path) -> None:
    if os.path.lexists(to):  # a link that leads nowhere is somebody's, too
        raise Unkept("the file exists already")


def _confirm(state: Path) -> None:
    try:
        _flush(state)
    except OSError as error:
        words = "the copy is in its place, but the disk does not confirm it; look again after its next start"
        raise Unkept(f"{words}: {log.describe(error)}") from None


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checked(file: Path) -> int:
    """How many trades a copy holds that is whole and that this version can read."""
    with _reading(file) as db:
        if db.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            raise Unkept("the copy is damaged")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if not 1 <= version <= len(VERSIONS):
            raise Unkept("the copy is of a newer arb-exporter, or no ledger")
        return int(db.execute("SELECT count(*) FROM trade").fetchone()[0])


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    place = Place(state, FILE)
    try:
        place.open()
        place.lock()
        yield
    except BlockingIOError:
        raise Unkept("an arb-exporter is running on this state; stop it first") from None
    finally:
        place.close()


def _fallen(now: Path, copy: Path) -> list[str]:
    """Counters that are lower in the copy than now."""
    try:
        before = _counts(now)
    except sqlite3.OperationalError:
        raise  # the disk fails, which says nothing about the ledger
    except (sqlite3.DatabaseError, Unkept):
        return []  # there is nothing that could be compared, or lost
    return counters.fallen(before, _counts(copy))


def _counts(file: Path) -> counters.Counts:
    with _reading(file) as db:
        try:
            return counters.read(db)
        except ValueError:
            raise Unkept("the copy holds a sum that is no number") from None


@contextmanager
def _kept_beside(state: Path) -> Iterator[None]:
    """Within it the ledger of now has a second name, and no log of its own any more; without effect if it fails.

    The ledger's first name is there all the while, to be taken over in one step. A log that stayed there would be
    taken for that of the copy.
    """
    if (state / FILE).exists():
        _fold(state / FILE)
    names = _names(state)
    try:
        for file, name in names.items():
            _link(file, name)
        _flush(state)
        for suffix in (*LOGS, "-shm"):
            (state / f"{FILE}{suffix}").unlink(missing_ok=True)
        yield
    except OSError:
        _take_back(names)
        raise


def _fold(ledger: Path) -> None:
    """Make one file of a ledger and its log; one that is damaged stays as it is."""
    try:
        with closing(sqlite3.connect(ledger, isolation_level=None, timeout=PATIENCE)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return
    if busy:
        raise Unkept("somebody reads the ledger; nothing was changed")


def _names(state: Path) -> dict[Path, Path]:
    """The first names that are free for the ledger's files, or that they have since an attempt that was cut short."""
    all_names = ({state / f"{FILE}{end}": state / f"{FILE}.before-{n}{end}" for end in ("", *LOGS)} for n in count(1))
    names = next(names for names in all_names if all(_is_free(name, file) for file, name in names.items()))
    return {file: name for file, name in names.items() if file.exists()}


def _is_free(name: Path, file: Path) -> bool:
    return not name.exists() or (file.exists() and name.samefile(file))


def _link(file: Path, name: Path) -> None:
    if name.exists():
        return
    try:
        name.hardlink_to(file)
    except OSError:  # some file systems know no second names
        shutil.copyfile(file, name)
        with name.open("rb") as opened:
            os.fsync(opened.fileno())


def _take_back(names: dict[Path, Path]) -> None:
    """All that was there has its first name again, as far as the disk lets it, and that alone."""
    for file, name in names.items():
        with suppress(OSError):
            if file.exists():
                name.unlink(missing_ok=True)
            else:
                name.rename(file)
