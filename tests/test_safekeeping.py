"""Copies of the ledger: whole, made while it is written, and put back so that no counter falls without a word."""

import asyncio
import errno
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from exporter import books, safekeeping
from exporter.__main__ import main
from exporter.ledger import FILE, VERSIONS, Ledger
from exporter.safekeeping import Unkept, backup, restore
from exporter.sources.memory_bank import Batch
from exporter.sources.records import Trade
from tests.test_counters import of_version


def batch(number: int) -> Batch:
    one = Trade(b"%d" % number, b"d", 1.0, "WETH/USDC", "a", "b", "success", None, 10**18, 1, None, None)
    return Batch("memory_bank", complete=True, trades=[one])


async def trade(ledger: Ledger, number: int) -> None:
    await ledger.write(lambda db: books.Writer(db, "b", "memory_bank", 10, 9.0).put(batch(number), []))


async def keep(state: Path, *numbers: int) -> None:
    async with Ledger(state) as ledger:
        for number in numbers:
            await trade(ledger, number)


async def counted(state: Path) -> int:
    async with Ledger(state) as ledger:
        return (await ledger.read(lambda db: books.read(db, "b"))).sources["memory_bank"].success


async def test_a_copy_is_made_while_trades_are_written_and_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safekeeping, "PAGES", 3)
    stop = asyncio.Event()

    async def write(ledger: Ledger) -> int:
        number = 0
        while not stop.is_set():
            await trade(ledger, number)
            number += 1
        return number

    async with Ledger(tmp_path / "state") as ledger:
        for number in range(20):
            await trade(ledger, 10_000 + number)
        writing = asyncio.create_task(write(ledger))
        trades = await asyncio.to_thread(backup, tmp_path / "state", tmp_path / "copy")
        stop.set()
        written = 20 + await writing
    assert 20 <= trades <= written
    assert {path.name for path in tmp_path.iterdir()} == {"state", "copy"}
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(tmp_path / "copy")) as db:
        (total,) = db.execute("SELECT sum(success) FROM total").fetchone()
    assert total == trades, "rows and sums of the same moment"


async def test_a_copy_put_back_counts_on_from_there(tmp_path: Path) -> None:
    state = tmp_path / "state"
    await keep(state, 1, 2, 3)
    assert backup(state, tmp_path / "copy") == 3
    shutil.rmtree(state)
    assert restore(state, tmp_path / "copy") == []
    assert await counted(state) == 3
    await keep(state, 3, 4)
    assert await counted(state) == 4


async def test_no_counter_falls_without_a_word(tmp_path: Path) -> None:
    state = tmp_path / "state"
    await keep(state, 1, 2)
    backup(state, tmp_path / "copy")
    await keep(state, 3)
    words = [
        "successful trades of b memory_bank fall from 3 to 2",
        "gains in wei of b memory_bank fall from 3000000000000000000 to 2000000000000000000",
        "gas costs in wei of b memory_bank fall from 3 to 2",
    ]
    with pytest.raises(Unkept, match=f"{'; '.join(words)}; nothing was changed"):
        restore(state, tmp_path / "copy")
    assert await counted(state) == 3
    assert restore(state, tmp_path / "copy", accept_loss=True) == words
    assert await counted(state) == 2
    shutil.copy(state / f"{FILE}.before-1", tmp_path / "kept")
    assert restore(state, tmp_path / "kept") == []
    assert await counted(state) == 3, "what was put aside is whole"
    assert (state / f"{FILE}.before-2").exists()


def test_a_copy_takes_nobodys_name(tmp_path: Path) -> None:
    of_version(len(VERSIONS), tmp_path / "state")
    (tmp_path / "copy.part").write_text("the operator's own")
    assert backup(tmp_path / "state", tmp_path / "copy") == 3
    assert (tmp_path / "copy.part").read_text() == "the operator's own"
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(Unkept, match="exists already"):
        backup(tmp_path / "state", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert {file.name for file in tmp_path.iterdir()} == {"state", "copy", "copy.part", "link"}


@pytest.mark.parametrize("names", ["two names", "one name"])
def test_a_name_that_is_taken_while_the_copy_is_made_stays_who_has_it(
    names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError

    if names == "one name":
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    of_version(len(VERSIONS), tmp_path / "state")
    assert backup(tmp_path / "state", tmp_path / "first") == 3
    checked = safekeeping._checked

    def slowly(file: Path) -> int:
        (tmp_path / "copy").write_text("somebody's")
        return checked(file)

    monkeypatch.setattr(safekeeping, "_checked", slowly)
    with pytest.raises(Unkept, match="exists already"):
        backup(tmp_path / "state", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "somebody's"
    assert {file.name for file in tmp_path.iterdir()} == {"state", "first", "copy"}


async def test_who_may_not_restore_leaves_what_another_restores(tmp_path: Path) -> None:
    state = tmp_path / "state"
    await keep(state, 1)
    backup(state, tmp_path / "copy")
    part = state / f"{FILE}.part"
    part.write_text("half of it")
    with safekeeping._alone(state), pytest.raises(Unkept, match="stop it first"):
        restore(state, tmp_path / "copy")
    assert part.exists()
    assert restore(state, tmp_path / "copy") == []
    assert not part.exists(), "by an attempt that was cut short"


async def test_a_damaged_ledger_can_be_replaced(tmp_path: Path) -> None:
    state = tmp_path / "state"
    await keep(state, 1)
    backup(state, tmp_path / "copy")
    (state / FILE).write_bytes(b"\0" * 5_000)
    assert restore(state, tmp_path / "copy") == []
    assert await counted(state) == 1


async def test_a_ledger_that_is_not_folded_is_kept_whole(tmp_path: Path) -> None:
    state = tmp_path / "state"
    await keep(tmp_path / "other", 1)
    backup(tmp_path / "other", tmp_path / "copy")
    async with Ledger(tmp_path / "living") as ledger:
        await trade(ledger, 2)
        await trade(ledger, 3)
        shutil.copytree(tmp_path / "living", state)
    (state / f"{FILE}.before-1").touch()
    (state / f"{FILE}.before-2-wal").touch()
    (state / f"{FILE}.before-3").hardlink_to(state / FILE)  # by an attempt that was cut short
    assert (state / f"{FILE}-wal").stat().st_size, "there is much that only the log holds"
    assert restore(state, tmp_path / "copy", accept_loss=True)
    assert await counted(state) == 1
    assert restore(state, state / f"{FILE}.before-3") == []
    assert await counted(state) == 2


async def test_where_a_file_has_but_one_name_the_ledger_of_before_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    state = tmp_path / "state"
    await keep(state, 1, 2)
    backup(state, tmp_path / "copy")
    await keep(state, 3)
    assert restore(state, tmp_path / "copy", accept_loss=True)
    assert await counted(state) == 2
    assert restore(state, state / f"{FILE}.before-1") == []
    assert await counted(state) == 3


@pytest.fixture
async def unfolded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A damaged ledger of whose log SQLite makes nothing."""
    state = tmp_path / "state"
    await keep(state, 1)
    backup(state, tmp_path / "copy")
    monkeypatch.setattr(safekeeping, "_fold", lambda ledger: None)
    (state / FILE).write_bytes(b"\0" * 5_000)
    (state / f"{FILE}-wal").write_bytes(b"a log")
    return state


async def test_a_damaged_ledger_is_kept_with_its_log(unfolded: Path, tmp_path: Path) -> None:
    assert restore(unfolded, tmp_path / "copy") == []
    assert await counted(unfolded) == 1
    assert (unfolded / f"{FILE}.before-1").read_bytes() == b"\0" * 5_000
    assert (unfolded / f"{FILE}.before-1-wal").read_bytes() == b"a log"


async def test_a_disk_that_fails_at_the_last_step_takes_everything_back(
    unfolded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(Unkept, match="cannot be put back: OSError: Input/output error"):
        restore(unfolded, tmp_path / "copy")
    assert {path.name for path in unfolded.iterdir()} == {"lock", FILE, f"{FILE}-wal"}
    assert (unfolded / FILE).read_bytes() == b"\0" * 5_000
    assert (unfolded / f"{FILE}-wal").read_bytes() == b"a log"


async def test_what_cannot_be_done_changes_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with pytest.raises(Unkept, match="there is no ledger"):
        backup(state, tmp_path / "copy")
    async with Ledger(state) as ledger:
        await trade(ledger, 1)
        backup(state, tmp_path / "copy")
        with pytest.raises(Unkept, match="stop it first"):
            restore(state, tmp_path / "copy")
        (state / "lock").unlink()
        with pytest.raises(Unkept, match="stop it first"):
            restore(state, tmp_path / "copy")
    with pytest.raises(Unkept, match="exists already"):
        backup(state, tmp_path / "copy")
    with pytest.raises(Unkept, match="cannot be made"):
        backup(state, tmp_path / "absent" / "copy")
    for name, content in (("garbage", b"\0garbage" * 1_000), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Unkept):
            restore(state, tmp_path / name)
    torn = (tmp_path / "copy").read_bytes()
    (tmp_path / "torn").write_bytes(torn[: len(torn) // 2])
    with pytest.raises(Unkept):
        restore(state, tmp_path / "torn")
    shutil.copy(tmp_path / "copy", tmp_path / "newer")
    with closing(sqlite3.connect(tmp_path / "newer")) as db:
        db.execute(f"PRAGMA user_version={len(VERSIONS) + 1}")
    with pytest.raises(Unkept, match="newer"):
        restore(state, tmp_path / "newer")
    assert await counted(state) == 1
    assert not list(state.glob("*.before*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_what_root_puts_back_belongs_to_whom_the_state_belongs(tmp_path: Path) -> None:
    await keep(tmp_path / "state", 1)
    backup(tmp_path / "state", tmp_path / "copy")
    (tmp_path / "new").mkdir()
    os.chown(tmp_path / "new", 65534, 65533)
    assert restore(tmp_path / "new", tmp_path / "copy") == []
    found = [(tmp_path / "new" / name).stat() for name in (FILE, "lock")]
    assert [(each.st_uid, each.st_gid, each.st_mode & 0o777) for each in found] == [(65534, 65533, 0o600)] * 2


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    asyncio.run(keep(tmp_path / "state", 1, 2))
    copy = str(tmp_path / "copy")
    assert main(["backup", copy]) == 0
    assert main(["backup", copy]) == 2
    asyncio.run(keep(tmp_path / "state", 3))
    assert main(["restore", copy]) == 2
    assert main(["restore", "--accept-loss", copy]) == 0
    (tmp_path / "bad.yml").write_text("bot: [")
    assert main(["backup", f"--config.file={tmp_path / 'bad.yml'}", copy]) == 2
    out, errors = capsys.readouterr()
    assert out.splitlines()[0] == "copied; 2 trades"
    assert out.splitlines()[-1] == "restored; the ledger of before is kept beside it"
    assert "fall from 3 to 2" in errors
