"""Copies of the ledger: made while the exporter runs, and put back so that no counter falls without a word."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from exporter import log
from exporter.ledger import FILE, VERSIONS

PAGES: Final = 2_000
"""Pages copied at a time; between two parts the exporter writes."""
PATIENCE: Final = 10.0
"""Seconds to wait for a writer."""
COUNTERS: Final = {
    "trades": "SELECT bot || ' ' || source, sum(success + failed) FROM total GROUP BY 1",
    "failures": "SELECT bot || ' ' || source, sum(count) FROM failure GROUP BY 1",
    "opportunities": "SELECT bot || ' ' || source, sum(count) FROM opportunity_total GROUP BY 1",
    "invalid files": "SELECT bot, sum(count) FROM fault_total GROUP BY 1",
    "log messages": "SELECT log || ' ' || kind, sum(count) FROM log_total GROUP BY 1",
    "wallet transactions": "SELECT address, sum(count) FROM wallet_total GROUP BY 1",
    "events": "SELECT bot || ' ' || fact, sum(count) FROM event_count GROUP BY 1",
}


class Unkept(log.Plain):
    """The copy could not be made, read or put back; the words say why."""


def backup(state: Path, to: Path) -> int:
    """Copy the ledger of a state directory to a file, which is whole or not there; how many trades it holds.

    The exporter may run. Nothing that is there already is overwritten.

    Raises:
        Unkept: there is no copy.
    """
    if to.exists():
        raise Unkept("the file exists already")
    part = to.with_name(f"{to.name}.part")
    try:
        with _reading(state / FILE) as source:
            _copy(source, part)
        trades = _checked(part)
        part.rename(to)
        _flush(to.parent)
    except (sqlite3.Error, OSError) as error:
        raise Unkept(f"the copy cannot be made: {log.describe(error)}") from None
    finally:
        part.unlink(missing_ok=True)
    return trades


def restore(state: Path, copy: Path, accept_loss: bool = False) -> list[str]:
    """Put a copy in the place of the ledger, which is kept beside it; what counts less than before, in words.

    Unless `accept_loss`, nothing is changed if any counter would fall: Prometheus takes that for a restart
    from zero. What the bot's files and the chain still hold is counted again by itself afterwards.

    Raises:
        Unkept: nothing has been changed.
    """
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(state):
            _checked(copy)
            fallen = _fallen(state / FILE, copy)
            if fallen and not accept_loss:
                raise Unkept("; ".join([*fallen, "nothing was changed, see --accept-loss"]))
            part = state / f"{FILE}.part"
            with _reading(copy) as source:
                _copy(source, part)
            _put_aside(state)
            part.rename(state / FILE)
            _flush(state)
    except (sqlite3.Error, OSError) as error:
        raise Unkept(f"the copy cannot be put back: {log.describe(error)}") from None
    return fallen


@contextmanager
def _reading(file: Path) -> Iterator[sqlite3.Connection]:
    if not file.is_file():
        raise Unkept("there is no ledger")
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as db:
        yield db


def _copy(source: sqlite3.Connection, part: Path) -> None:
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(part, isolation_level=None)) as db:
        source.backup(db, pages=PAGES, sleep=0.01)
        db.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    with part.open("rb") as opened:
        os.fsync(opened.fileno())


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
    descriptor = os.open(state / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Unkept("an arb-exporter is running on this state; stop it first") from None
    finally:
        os.close(descriptor)


def _fallen(now: Path, copy: Path) -> list[str]:
    """Counters that are lower in the copy than now."""
    try:
        before = _counts(now)
    except (sqlite3.Error, Unkept):
        return []  # there is nothing that could be compared, or lost
    after = _counts(copy)
    return [
        f"{what} of {name} fall from {count} to {after.get((what, name), 0)}"
        for (what, name), count in before.items()
        if after.get((what, name), 0) < count
    ]


def _counts(file: Path) -> dict[tuple[str, str], int]:
    with _reading(file) as db:
        known = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        queries = {what: sql for what, sql in COUNTERS.items() if sql.split(" FROM ")[1].split()[0] in known}
        return {(what, name): count for what, sql in queries.items() for name, count in db.execute(sql)}


def _put_aside(state: Path) -> None:
    """Keep the ledger of now, with what belongs to it, under the first name that is free."""
    number = next(n for n in range(1, 10_000) if not (state / f"{FILE}.before-{n}").exists())
    for suffix in ("-wal", "-shm", ""):
        file = state / f"{FILE}{suffix}"
        if file.exists():
            file.rename(state / f"{FILE}.before-{number}{suffix}")
