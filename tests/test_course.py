import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import books, course, ledger
from exporter.course import Course
from exporter.ledger import Ledger
from exporter.sources.memory_bank import Batch


def database() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript("".join(ledger.VERSIONS))
    return db


@given(batches=st.lists(st.lists(st.integers(-(10**24), 10**24), max_size=5), max_size=6))
def test_the_highest_sum_so_far_over_any_batches(batches: list[list[int]]) -> None:
    db = database()
    for batch in batches:
        taken = Course(db, "b", "events")
        taken.find()
        for net in batch:
            taken.add(net)
        taken.save()
    every = [net for batch in batches for net in batch]
    sums = [sum(every[:end]) for end in range(len(every) + 1)]
    assert course.read(db, "b") == ({"events": (sums[-1], max(sums))} if batches else {})
    db.close()


@pytest.mark.parametrize("nets", [[], ["5", "-7", None, "1"], ["-3"], [str(10**30), "-1"]])
def test_a_ledger_from_before_is_walked_through_once(nets: list[str | None]) -> None:
    db = database()
    for number, net in enumerate(nets):
        db.execute(
            "INSERT INTO trade (bot, source, key, digest, pair, dex_buy, dex_sell, outcome, net_wei)"
            " VALUES ('b', 'recent', ?, x'00', '', '', '', 'success', ?)", (bytes([number]), net),
        )  # fmt: skip
    Course(db, "b", "recent").save()
    known = [int(net) for net in nets if net is not None]
    sums = [sum(known[:end]) for end in range(len(known) + 1)]
    assert course.read(db, "b") == {"recent": (sums[-1], max(sums))}
    db.execute("DELETE FROM trade")
    again = Course(db, "b", "recent")
    again.find()
    assert (again.net_wei, again.peak_wei) == (sums[-1], max(sums))
    db.close()


async def test_a_file_of_the_version_before_goes_on_with_its_course(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / ledger.FILE)) as db:
        db.executescript("".join(ledger.VERSIONS[:3]) + "PRAGMA user_version=3;")
        db.executemany(
            "INSERT INTO trade (bot, source, key, digest, pair, dex_buy, dex_sell, outcome, net_wei)"
            " VALUES ('b', 'recent', ?, x'00', '', '', '', 'success', ?)", [(b"1", "7"), (b"2", "-3")],
        )  # fmt: skip
        db.execute("INSERT INTO source VALUES ('b', 'recent', 1, NULL)")
        db.commit()
    async with Ledger(tmp_path) as opened:
        found = (await opened.read(lambda db: books.read(db, "b"))).sources["recent"]
        assert (found.peak_wei, found.below_wei) == (None, None), "not known before the next trade"
        await opened.write(lambda db: books.Writer(db, "b", "recent", 9, 2e9).put(Batch("recent"), ()))
        found = (await opened.read(lambda db: books.read(db, "b"))).sources["recent"]
    assert (found.peak_wei, found.below_wei) == (7, 3)
