"""Durable before it returns, all or nothing, one exporter at a time, and honest about a full disk."""

import asyncio
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter import place
from exporter.ledger import FILE, TABLES, VERSIONS, InUse, Ledger, Unusable, fetch, rows
from exporter.place import Place
from exporter.worker import Busy
from tests.running import eventually

INSERT = "INSERT INTO route VALUES ('bot', 'events', ?, 'a', 'b')"


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with Ledger(tmp_path / "state") as made:
        yield made


def pairs(db: sqlite3.Connection) -> list[str]:
    return [row[0] for row in fetch(db, "SELECT pair FROM route ORDER BY pair")]


def add(pair: str):
    return lambda db: db.execute(INSERT, (pair,)).rowcount


async def test_what_is_written_can_be_read_and_survives(tmp_path: Path) -> None:
    for number in range(3):
        async with Ledger(tmp_path) as ledger:
            assert await ledger.write(add(str(number))) == 1
    async with Ledger(tmp_path) as ledger:
        assert await ledger.read(pairs) == ["0", "1", "2"]
        assert (await ledger.read(rows))["route"] == 3
        assert set(await ledger.read(rows)) == set(TABLES)


async def test_the_files_are_private_and_a_commit_is_synchronous(ledger: Ledger, tmp_path: Path) -> None:
    modes = {f.name: f.stat().st_mode & 0o777 for f in (tmp_path / "state").iterdir()}
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert await ledger.read(lambda db: fetch(db, "PRAGMA journal_mode")) == [("wal",)]
    assert await ledger.read(lambda db: fetch(db, "PRAGMA synchronous")) == [(2,)]


async def test_nothing_of_a_change_that_raises_is_kept(ledger: Ledger) -> None:
    def change(db: sqlite3.Connection) -> None:
        add("half")(db)
        raise KeyError("a mistake of the caller")

    with pytest.raises(KeyError):
        await ledger.write(change)
    assert await ledger.read(pairs) == []
    assert (ledger.version, ledger.degraded) == (0, False)
    await ledger.write(add("whole"))
    assert await ledger.read(pairs) == ["whole"]


async def test_the_version_grows_with_every_commit_and_only_then(ledger: Ledger) -> None:
    await ledger.write(add("a"))
    await ledger.read(pairs)
    with pytest.raises(sqlite3.IntegrityError):
        await ledger.write(add("a"))
    await ledger.write(add("b"))
    assert ledger.version == 2


async def test_a_write_whose_caller_was_cancelled_still_grows_the_version(ledger: Ledger) -> None:
    entered, release = threading.Event(), threading.Event()

    def change(db: sqlite3.Connection) -> None:
        entered.set()
        release.wait(20)
        add("a")(db)

    task = asyncio.create_task(ledger.write(change))
    await asyncio.to_thread(entered.wait, 20)
    task.cancel()
    release.set()
    await eventually(lambda: ledger.version == 1)
    await eventually(lambda: task.cancelled())
    assert await ledger.read(pairs) == ["a"]


@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("disk I/O error"), OSError(28, "full"), Busy("hung")], ids=repr
)
async def test_degraded_is_set_by_a_failed_write_cleared_by_a_good_one_and_logged_once(
    ledger: Ledger, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "exporter")

    def change(db: sqlite3.Connection) -> None:
        raise error

    for _ in range(3):
        with pytest.raises(type(error)):
            await ledger.write(change)
        assert ledger.degraded
    await ledger.write(add("a"))
    assert not ledger.degraded
    assert [record.getMessage() for record in caplog.records] == [
        "ledger cannot be written; figures stay as they were",
        "ledger can be written again",
    ]


async def test_a_transaction_left_open_is_ended_by_the_next_write(ledger: Ledger) -> None:
    assert ledger._db is not None
    ledger._db.execute("BEGIN")
    with pytest.raises(sqlite3.OperationalError):
        await ledger.write(add("a"))
    await ledger.write(add("b"))
    assert await ledger.read(pairs) == ["b"]


async def test_calls_take_turns(ledger: Ledger) -> None:
    await asyncio.gather(*(ledger.write(add(str(n))) for n in range(20)), *(ledger.read(pairs) for _ in range(20)))
    assert len(await ledger.read(pairs)) == 20


async def test_a_closed_ledger_says_so(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        pass
    with pytest.raises(Unusable):
        await ledger.read(pairs)
    ledger._worker.close()


# --- what cannot be opened -----------------------------------------------------------------------------------------


async def refused(state: Path) -> str:
    descriptors, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    with pytest.raises((InUse, Unusable)) as raised:
        async with Ledger(state):
            pass
    await eventually(lambda: threading.active_count() == threads)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    return f"{type(raised.value).__name__}: {raised.value}"


async def test_a_second_instance_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    assert await refused(tmp_path / "state") == "InUse: is used by another arb-exporter that is still running"


async def test_a_second_instance_is_refused_also_without_the_lock_file(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "state" / "lock").unlink()
    assert await refused(tmp_path / "state") == "InUse: is used by another arb-exporter that is still running"
    await ledger.write(add("a"))


async def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute(f"PRAGMA user_version={len(VERSIONS) + 1}")
    db.close()
    before = (tmp_path / FILE).read_bytes()
    assert (await refused(tmp_path)).startswith("Unusable: holds a ledger of a newer arb-exporter")
    db = sqlite3.connect(tmp_path / FILE)
    assert fetch(db, "PRAGMA user_version") == [(len(VERSIONS) + 1,)]
    assert fetch(db, "SELECT * FROM sqlite_master") == []
    db.close()
    assert len(before) == (tmp_path / FILE).stat().st_size


async def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\0garbage" * 1000)
    assert await refused(tmp_path) == "Unusable: holds a ledger that cannot be opened: SQLITE_NOTADB"
    assert (tmp_path / FILE).read_bytes() == b"\0garbage" * 1000


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert await refused(tmp_path / "file") == "Unusable: cannot be written: File exists"
    assert await refused(tmp_path / "file" / "below") == "Unusable: cannot be written: Not a directory"
    (tmp_path / "lock").mkdir()
    assert await refused(tmp_path) == "Unusable: cannot be written: Is a directory"


async def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(place.fcntl, "flock", flock)
    assert await refused(tmp_path) == "Unusable: cannot be locked: No locks available"


async def test_an_unwritable_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    assert await refused(tmp_path) == "Unusable: holds a ledger that cannot be opened: IsADirectoryError"


async def test_a_file_system_that_takes_no_index_of_the_log_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / f"{FILE}-shm").mkdir()
    said = await refused(tmp_path)
    assert re.fullmatch(r"Unusable: holds a ledger that cannot be opened: SQLITE_(READONLY|CANTOPEN)", said)


# --- no longer there -----------------------------------------------------------------------------------------------

GONE = "ledger cannot be written; figures stay as they were"


@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
async def test_nothing_is_durable_in_files_that_were_removed(
    end: str, ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await ledger.write(add("a"))
    (tmp_path / "state" / f"{FILE}{end}").unlink()
    for _ in range(3):
        with pytest.raises(OSError, match="its files were removed, replaced or moved"):
            await ledger.write(add("b"))
    assert (ledger.degraded, ledger.version, await ledger.read(pairs)) == (True, 1, ["a"])
    assert [record.getMessage() for record in caplog.records] == [GONE]


async def test_a_look_is_enough_to_notice_it_and_what_is_put_back_is_written_again(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "exporter")
    await ledger.write(add("a"))
    (tmp_path / "state").rename(tmp_path / "moved")
    for _ in range(2):
        await ledger.look()
        assert (await ledger.read(pairs), ledger.degraded) == (["a"], True)
    (tmp_path / "moved").rename(tmp_path / "state")
    await ledger.write(add("b"))
    assert (ledger.degraded, ledger.version, await ledger.read(pairs)) == (False, 2, ["a", "b"])
    assert [record.getMessage() for record in caplog.records] == [GONE, "ledger can be written again"]


async def test_a_look_at_a_disk_that_hangs_keeps_nobody_waiting(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(Place, "displaced", lambda _: release.wait(60))
    for _ in range(2):
        await asyncio.wait_for(ledger.look(), 30)
        assert (await ledger.read(pairs), ledger.degraded) == ([], False)
    release.set()


async def test_who_is_displaced_spoils_nothing_of_the_ledger_in_its_place(tmp_path: Path) -> None:
    async with Ledger(tmp_path / "state") as displaced:
        await displaced.write(add("old"))
        (tmp_path / "state").rename(tmp_path / "moved")
        async with Ledger(tmp_path / "state") as ledger:
            await ledger.write(add("new"))
            with pytest.raises(OSError, match="moved"):
                await displaced.write(add("lost"))
            await displaced.__aexit__()
            await ledger.write(add("newer"))
            assert (ledger.degraded, await ledger.read(pairs)) == (False, ["new", "newer"])
    for folder, expected in (("state", ["new", "newer"]), ("moved", ["old"])):
        async with Ledger(tmp_path / folder) as ledger:
            assert await ledger.read(pairs) == expected


# --- hung, killed, full --------------------------------------------------------------------------------------------


async def test_closing_waits_for_the_last_write_and_is_clean(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entered, release = threading.Event(), threading.Event()

    def change(db: sqlite3.Connection) -> None:
        entered.set()
        release.wait(20)
        add("a")(db)

    async with Ledger(tmp_path) as ledger:
        task = asyncio.create_task(ledger.write(change))
        await asyncio.to_thread(entered.wait, 20)
        task.cancel()
        asyncio.get_running_loop().call_later(0.1, release.set)
    assert caplog.records == []
    assert not (tmp_path / f"{FILE}-wal").exists()
    async with Ledger(tmp_path) as ledger:
        assert await ledger.read(pairs) == ["a"]


async def test_a_hung_disk_does_not_hold_up_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    ledger = Ledger(tmp_path)
    async with asyncio.timeout(20), ledger:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ledger.read(lambda _: release.wait())
        with pytest.raises(Busy):
            await ledger.read(pairs)
        with pytest.raises(Busy):
            await ledger.write(add("a"))
        assert ledger.degraded
    assert "ledger not closed cleanly" in caplog.text
    release.set()
    await eventually(lambda: not ledger._worker._running)
    ledger._close()


KILLED = """
import asyncio, sys
from pathlib import Path
from exporter.ledger import Ledger

async def main():
    async with Ledger(Path(sys.argv[1])) as ledger:
        for number in range(10**9):
            await ledger.write(lambda db: db.execute("INSERT INTO route VALUES ('', '', ?, '', '')", (number,)))
            print(number, flush=True)

asyncio.run(main())
"""


def test_what_write_returned_from_is_there_after_a_kill(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.kill()
        said = 19 + len(process.stdout.read().splitlines())

    async def found_pairs() -> list[str]:
        async with Ledger(tmp_path) as ledger:
            return await ledger.read(pairs)

    found = sorted(map(int, asyncio.run(found_pairs())))
    assert found[: said + 1] == list(range(said + 1))
    assert len(found) <= said + 2, "at most the one that was about to return"


FULL = """
import asyncio, resource, sqlite3, sys
from pathlib import Path
from exporter.ledger import Ledger, fetch

def add(db):
    db.executemany("INSERT INTO route VALUES ('', '', hex(randomblob(500)), '', ?)", [(str(i),) for i in range(50)])

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    async with Ledger(Path(sys.argv[1])) as ledger:
        await ledger.write(add)
        limit((Path(sys.argv[1]) / "ledger.sqlite3-wal").stat().st_size + 8192)
        for _ in range(3):
            try:
                await ledger.write(add)
            except sqlite3.OperationalError as error:
                print(type(error).__name__, ledger.degraded, ledger.version)
        print(await ledger.read(lambda db: fetch(db, "SELECT count(*) FROM route")))
        limit(resource.RLIM_INFINITY)
        await ledger.write(add)
        print(ledger.degraded, ledger.version, await ledger.read(lambda db: fetch(db, "SELECT count(*) FROM route")))

asyncio.run(main())
"""


def test_a_full_disk_degrades_shows_nothing_more_and_heals(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == [*["OperationalError True 1"] * 3, "[(50,)]", "False 2 [(100,)]"], done.stderr
