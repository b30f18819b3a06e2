"""Events come in once each, whichever way; all of a delivery or nothing; durable first; forgotten after a month."""

import asyncio
import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exporter import books, event_intake, history
from exporter.config import Bot, Settings
from exporter.event_intake import REMEMBERED, Delivery, Intake, Reached, Receipt, put, totals
from exporter.ledger import VERSIONS, Ledger, fetch
from exporter.sources.event_records import Event, parse
from exporter.sources.log_files import Cursor
from tests.running import eventually
from tests.sources.event_documents import TYPES, event

NOW = 1_800_000_000.0
PLAIN = Settings(bot=Bot(name="b"), state=Path("/nowhere"))


def events(*keys: str, kind: str = "pool", **fields: Any) -> list[Event]:
    return [parse(event(kind, key, **fields)) for key in keys]


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for version in VERSIONS:
            db.executescript(version)
        yield db


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with database() as made:
        yield made


def took(db: sqlite3.Connection, *deliveries: Delivery, now: float = NOW, complete: bool = True) -> list[Receipt]:
    return put(db, PLAIN, deliveries, now, complete)


def test_an_id_counts_once_and_other_content_under_it_is_a_conflict(db: sqlite3.Connection) -> None:
    assert took(db, Delivery(events("1", "2", "1"))) == [Receipt(2, 1, 0)]
    assert took(db, Delivery(events("2", "3"))) == [Receipt(1, 1, 0)]
    assert took(db, Delivery(events("2", in_use=9))) == [Receipt(0, 0, 1)]
    found = totals(db, "b")
    assert found.facts == {"accepted": {"pool": 3}, "duplicate": {"": 2}, "conflict": {"": 1}}
    assert found.last == {"pool": 1_767_225_600.0}
    assert totals(db, "another").facts == {}


def test_every_type_is_counted_by_its_name(db: sqlite3.Connection) -> None:
    took(db, Delivery([parse(event(kind, kind)) for kind in TYPES]))
    assert totals(db, "b").of("accepted") == dict.fromkeys(TYPES, 1)


def test_deliveries_of_one_transaction_know_of_each_other(db: sqlite3.Connection) -> None:
    assert took(db, Delivery(events("1")), Delivery(events("1")), Delivery()) == [
        Receipt(1), Receipt(0, 1), Receipt(),
    ]  # fmt: skip


def test_what_is_no_event_is_counted_by_what_is_wrong(db: sqlite3.Connection) -> None:
    took(db, Delivery(invalid=Counter(json=2)), Delivery(events("1"), {"json": 1, "value": 1}))
    assert totals(db, "b").of("invalid") == {"json": 3, "value": 1}


def test_a_simulation_is_counted_as_one_and_nowhere_else(db: sqlite3.Connection) -> None:
    took(db, Delivery([parse(event(kind, kind, simulated=True)) for kind in TYPES]))
    assert totals(db, "b").of("simulated") == totals(db, "b").of("accepted") == dict.fromkeys(TYPES, 1)
    found = books.read(db, "b").sources["events"]
    assert (found.first_read, found.routes) == (True, {})
    assert books.opportunities(db, "b") == {}


def test_the_source_is_known_once_nothing_of_the_past_is_missing(db: sqlite3.Connection) -> None:
    took(db, Delivery(events("1")), complete=False)
    assert not totals(db, "b").known
    took(db, Delivery(events("2"), complete=True), Delivery(), complete=False)
    assert totals(db, "b").known
    took(db, Delivery(events("3")), complete=False)
    assert totals(db, "b").known


def test_an_empty_delivery_makes_the_source_known(db: sqlite3.Connection) -> None:
    took(db, Delivery())
    assert totals(db, "b").known
    assert totals(db, "b").facts == {}


def test_times_ahead_of_the_clock_are_not_believed(db: sqlite3.Connection) -> None:
    took(db, Delivery(events("1", time=NOW + 301) + events("2", time=NOW + 299, kind="component")))
    assert totals(db, "b").last == {"component": NOW + 299}


def test_the_place_in_a_file_is_put_down_with_what_was_read_there(db: sqlite3.Connection) -> None:
    cursors = [Cursor(n, f"/{n}", 1, n, 5, offset=10 * n) for n in (1, 2)]
    took(db, Delivery(events("1"), reached=Reached(cursors)))
    assert event_intake.cursors(db, "b") == cursors
    took(db, Delivery(reached=Reached(forgotten=[1])))
    assert event_intake.cursors(db, "b") == cursors[1:]


def test_an_id_is_known_for_thirty_days_and_no_more_are_forgotten_at_once_than_came(db: sqlite3.Connection) -> None:
    took(db, Delivery(events(*map(str, range(1200)))))
    took(db, Delivery(events("a")), now=NOW + REMEMBERED - 1)
    assert fetch(db, "SELECT count(*) FROM event") == [(1201,)]
    assert took(db, Delivery(events("b", "0")), now=NOW + REMEMBERED + 1) == [Receipt(1, 1, 0)]
    assert fetch(db, "SELECT count(*) FROM event") == [(702,)]
    event_intake.forget(db, PLAIN, NOW + REMEMBERED + 1, 10_000)
    assert fetch(db, "SELECT count(*) FROM event") == [(2,)]
    assert took(db, Delivery(events("1")), now=NOW + REMEMBERED + 2) == [Receipt(1)]
    event_intake.forget(db, PLAIN, 0.0, 10)


def test_each_step_and_trade_is_news_once_the_source_is_known(db: sqlite3.Connection) -> None:
    took(db, Delivery())
    place = history.present(db, "b")
    took(db, Delivery([parse(event("opportunity", "1")), parse(event("opportunity", "2", stage="detected"))]))
    took(db, Delivery([parse(event("trade", "3")), parse(event("trade", "4", simulated=True))]))
    news = history.news(db, "b", place, 10)
    assert [(row.stage, row.reason) for row in news.opportunities] == [("rejected", "gas_too_high"), ("detected", None)]
    assert [(row.source, row.net_wei) for row in news.trades] == [("events", 15 * 10**14)]


# --- whichever way -------------------------------------------------------------------------------------------------

STREAM = [
    event("opportunity", f"o{n}", stage=stage, time=1_767_225_600 + n, expected_profit_eth=f"0.00{n}")
    for n, stage in enumerate(["detected", "executed", "rejected", "missed"])
] + [
    event("trade", f"t{n}", time=1_767_225_600 + n, tx_hash=f"0x{n:064x}" if n % 2 else None, net_profit_eth=f"{n}.5",
          outcome="success" if n % 3 else "failed", opportunity_id=f"o{n % 5}", strategy=f"s{n % 2}")
    for n in range(8)
] + [
    event("flash_loan", "f"), event("bundle", "b"), event("component", "c"), event("trade", "s", simulated=True),
]  # fmt: skip
EVENTS = [parse(document) for document in STREAM]


def state(db: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """All totals, whatever order they were made in."""
    tables = {
        "total": "pair, dex_buy, dex_sell, success, failed, net_wei, gain_wei, loss_wei, gas_wei, expected_wei",
        "opportunity_total": "pair, dex_buy, dex_sell, stage, count",
        "event_total": "what, one, two, amount",
        "failure": "source, reason, count",
        "source": "source, first_read, last_trade",
    }
    return {table: sorted(fetch(db, f"SELECT {names} FROM {table}")) for table, names in tables.items()}  # noqa: S608


def plain() -> dict[str, list[tuple[Any, ...]]]:
    with database() as db:
        took(db, Delivery(EVENTS))
        return state(db)


@hypothesis_settings(deadline=None, max_examples=60)
@given(st.data())
def test_however_a_stream_is_reordered_doubled_and_split_the_totals_are_the_same(data: st.DataObject) -> None:
    told = data.draw(st.permutations([*EVENTS, *data.draw(st.lists(st.sampled_from(EVENTS), max_size=20))]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(told)), max_size=6)))
    parts: list[Sequence[Event]] = [told[a:b] for a, b in itertools.pairwise([0, *cuts, len(told)])]
    with database() as db:
        for number, part in enumerate(parts):
            took(db, Delivery(part, reached=Reached([Cursor(1, "/f", 1, 1, number)]) if number % 2 else None))
        assert state(db) == plain()
        assert totals(db, "b").of("accepted") == Counter(each.kind for each in EVENTS)
        assert sum(totals(db, "b").of("duplicate").values()) == len(told) - len(EVENTS)


# --- together, and durable -----------------------------------------------------------------------------------------


async def test_deliveries_that_wait_share_a_transaction(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        intake = Intake(ledger, lambda: PLAIN)
        receipts = await asyncio.gather(*(intake.put(Delivery(events(str(n), "same"))) for n in range(20)))
        assert sum(receipt.accepted for receipt in receipts) == 21
        assert receipts[0] == Receipt(2)
        assert ledger.version <= 3
        assert intake.news.is_set()


async def test_one_transaction_is_bounded_but_a_delivery_is_whole(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(event_intake, "TOGETHER", 3)
    async with Ledger(tmp_path) as ledger:
        intake = Intake(ledger, lambda: PLAIN)
        sizes = (1, 4, 2, 1, 1)
        deliveries = [Delivery(events(*(f"{n}-{i}" for i in range(size)))) for n, size in enumerate(sizes)]
        receipts = await asyncio.gather(*map(intake.put, deliveries))
        assert [receipt.accepted for receipt in receipts] == list(sizes)
        assert ledger.version == 4


async def test_what_cannot_be_made_durable_is_not_received_and_can_be_sent_again(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        intake = Intake(ledger, lambda: PLAIN)
        await ledger.write(lambda db: db.execute("ALTER TABLE event_count RENAME TO hidden"))
        with pytest.raises(sqlite3.OperationalError):
            await intake.put(Delivery(events("1")))
        await ledger.write(lambda db: db.execute("ALTER TABLE hidden RENAME TO event_count"))
        assert await intake.put(Delivery(events("1"))) == Receipt(1)


async def test_whoever_has_left_costs_nobody_else(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        intake = Intake(ledger, lambda: PLAIN)
        gone = asyncio.create_task(intake.put(Delivery(events("1"))))
        other = asyncio.create_task(intake.put(Delivery(events("2"))))
        await asyncio.sleep(0)
        gone.cancel()
        assert await other == Receipt(1)
        await eventually(gone.cancelled)
        assert await intake.put(Delivery(events("1", "2"))) == Receipt(0, 2)


async def test_a_file_that_is_configured_holds_the_source_back_until_it_was_looked_at(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        intake = Intake(ledger, lambda: Settings(bot=Bot(name="b", events=tmp_path / "e"), state=tmp_path))
        await intake.put(Delivery(events("1")))
        assert not (await ledger.read(lambda db: totals(db, "b"))).known
        intake.first_read = False
        await intake.put(Delivery())
        assert (await ledger.read(lambda db: totals(db, "b"))).known
