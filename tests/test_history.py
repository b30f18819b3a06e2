"""Rows of the ledger: every page, every filter, nothing twice, nothing left out; and what is news and what history."""

import random
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest

from exporter import history
from exporter.books import Writer
from exporter.history import NEWEST, Place, Wanted
from exporter.ledger import VERSIONS
from exporter.sources.memory_bank import Batch
from exporter.sources.records import Opportunity, Trade

PAIRS, VENUES = ("WETH/USDC", "DAI/USDC"), ("alpha", "beta", "gamma")


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript("".join(VERSIONS))
    yield connection
    connection.close()


def trade(key: int, **changes: Any) -> Trade:
    told: dict[str, Any] = {
        "key": str(key).encode(), "digest": b"d", "time": 1.7e9 + key, "pair": "WETH/USDC", "dex_buy": "alpha",
        "dex_sell": "beta", "outcome": "success", "reason": None, "net_wei": 10**18 + key, "gas_wei": None,
        "expected_wei": 0, "tx_hash": None,
    }  # fmt: skip
    return Trade(**told | changes)


def opportunity(name: str) -> Opportunity:
    return Opportunity(name, b"d", "WETH/USDC", "alpha", "beta", 5)


def put(
    db: sqlite3.Connection,
    *things: Trade | Opportunity,
    source: str = "memory_bank",
    bot: str = "b",
    complete: bool = False,
) -> None:
    batch = Batch(
        source,
        trades=[t for t in things if isinstance(t, Trade)],
        opportunities=[t for t in things if isinstance(t, Opportunity)],
        complete=complete,
    )
    Writer(db, bot, source, 100, time.time()).put(batch, ())


def walk(db: sqlite3.Connection, wanted: Wanted, limit: int) -> list[history.TradeRow]:
    found, before = [], NEWEST
    while True:
        part = history.trades(db, "b", wanted, before, limit)
        assert len(part.rows) <= limit
        found += part.rows
        if part.next is None:
            return found
        before = part.next


def test_a_row_says_all_that_was_counted(db: sqlite3.Connection) -> None:
    put(db, trade(7, tx_hash="0x" + "a" * 64, reason="slippage", outcome="failed"))
    assert history.trades(db, "b", Wanted(), NEWEST, 10) == history.Slice([
        history.TradeRow(
            1, "memory_bank", 1.7e9 + 7, "WETH/USDC", "alpha", "beta", "failed", "slippage", 10**18 + 7, None, 0,
            "0x" + "a" * 64,
        )
    ], None)  # fmt: skip


def test_what_the_chain_says_of_a_trade_is_told_with_it(db: sqlite3.Connection) -> None:
    put(db, trade(1), trade(2))
    db.execute("INSERT INTO claim (trade, bot, source, status, due) VALUES (1, 'b', 'memory_bank', 'missing', 1.7e9)")
    for wanted in (Wanted(), Wanted(source="memory_bank")):
        found = history.trades(db, "b", wanted, NEWEST, 10).rows
        assert [(row.id, row.claim) for row in found] == [(2, None), (1, "missing")]


def test_pages_show_every_trade_once_the_newest_first_whatever_the_page(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SPAN", 7)
    rng = random.Random(4)
    times: list[float | None] = [rng.choice((None, 1.7e9, 1.7e9 + 1, 1.7e9 + rng.randrange(50))) for _ in range(200)]
    put(db, *(trade(n, time=t) for n, t in enumerate(times)))
    put(db, trade(1000), bot="another")
    expected = sorted(range(1, 201), key=lambda n: (times[n - 1] or 0, n), reverse=True)
    for limit in (1, 3, 7, 8, 1000):
        assert [row.id for row in walk(db, Wanted(), limit)] == expected, limit


WISHES = [
    Wanted(source="recent"),
    Wanted(pair="DAI/USDC"),
    Wanted(dex="gamma"),
    Wanted(outcome="failed"),
    Wanted(since=1.7e9 + 30),
    Wanted(until=1.7e9 + 30),
    Wanted(since=1.7e9 + 30, until=1.7e9 + 30),
    Wanted(since=1.7e9 + 10, until=1.7e9 + 60, dex="alpha", pair="WETH/USDC"),
    Wanted("memory_bank", "WETH/USDC", "beta", "success", 1.7e9, 2e9),
    Wanted(pair="absent"),
    Wanted(since=0.0),
]


@pytest.mark.parametrize("wanted", WISHES)
def test_filters_let_through_what_fits_and_nothing_else(
    db: sqlite3.Connection, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SPAN", 10)
    rng = random.Random(5)
    trades = [
        trade(
            n, pair=rng.choice(PAIRS), dex_buy=rng.choice(VENUES), dex_sell=rng.choice(VENUES),
            outcome=rng.choice(("success", "failed")), time=rng.choice((None, 1.7e9 + rng.randrange(100))),
        )
        for n in range(120)
    ]  # fmt: skip
    sources = {t.key: rng.choice(("memory_bank", "recent")) for t in trades}
    for made in trades:
        put(db, made, source=sources[made.key])
    expected = {
        n for n, t in enumerate(trades, 1)
        if wanted.source in (None, sources[t.key]) and wanted.pair in (None, t.pair)
        and (wanted.dex is None or wanted.dex in (t.dex_buy, t.dex_sell)) and wanted.outcome in (None, t.outcome)
        and (wanted.since is None or (t.time is not None and t.time >= wanted.since))
        and (wanted.until is None or (t.time is not None and t.time < wanted.until))
    }  # fmt: skip
    found = [row.id for row in walk(db, wanted, 4)]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_what_fits_nothing_costs_a_bounded_look(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SPAN", 10)
    put(db, *(trade(n) for n in range(35)))
    assert history.trades(db, "b", Wanted(pair="absent"), NEWEST, 100) == history.Slice([], 26)
    assert history.trades(db, "b", Wanted(pair="absent"), 6, 100) == history.Slice([], None)


def test_a_cursor_that_never_was_is_the_end(db: sqlite3.Connection) -> None:
    put(db, trade(1))
    assert history.trades(db, "b", Wanted(), 99, 10) == history.Slice([], None)
    assert history.trades(db, "another", Wanted(), 1, 10) == history.Slice([], None)


def test_pages_are_found_by_the_index(db: sqlite3.Connection) -> None:
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    history.trades(db, "b", Wanted(dex="alpha", until=2e9), NEWEST, 5)
    db.set_trace_callback(None)
    plan = " ".join(str(row[3]) for query in asked for row in db.execute(f"EXPLAIN QUERY PLAN {query}"))
    assert "USING INDEX trade_time (bot=? AND <expr>>? AND <expr><?)" in plan
    assert "claim USING INTEGER PRIMARY KEY" in plan
    assert "SCAN trade" not in plan
    assert "TEMP B-TREE" not in plan


def test_what_comes_next_is_found_without_sorting_all_there_is(db: sqlite3.Connection) -> None:
    put(db, *map(trade, range(20)), opportunity("a"))
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    history.news(db, "b", Place(3, 0), 5)
    history.opportunities(db, "b", NEWEST, 5)
    db.set_trace_callback(None)
    plans = [[row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}")] for query in asked if "ORDER BY" in query]
    assert len(plans) == 3
    assert all(len(plan) == 1 and "INTEGER PRIMARY KEY" in plan[0] for plan in plans), plans


def test_opportunities_come_in_the_order_in_which_they_became_known(db: sqlite3.Connection) -> None:
    began = time.time()
    put(db, opportunity("z"), opportunity("a"), opportunity("m"))
    put(db, opportunity("a"))
    first = history.opportunities(db, "b", NEWEST, 2)
    assert [row.id for row in first.rows] == [3, 2]
    assert first.next == 2
    last = history.opportunities(db, "b", 2, 2)
    assert ([row.id for row in last.rows], last.next) == ([1], None)
    row = last.rows[0]
    assert (row.source, row.pair, row.dex_buy, row.dex_sell, row.expected_wei) == (
        "memory_bank", "WETH/USDC", "alpha", "beta", 5,
    )  # fmt: skip
    assert began <= (row.seen or 0) <= time.time()


def test_opportunities_known_before_their_order_was_noted_are_kept() -> None:
    with sqlite3.connect(":memory:", isolation_level=None) as db:
        db.executescript("".join(VERSIONS[:2]))
        db.execute("INSERT INTO opportunity VALUES ('b', 'memory_bank', 'x', x'00', 'WETH/USDC', 'a', 'b', '7')")
        db.executescript("".join(VERSIONS[2:]))
        put(db, opportunity("y"), opportunity("x"))
        found = history.opportunities(db, "b", NEWEST, 10).rows
        assert [(row.id, row.seen is None, row.expected_wei) for row in found] == [(2, False, 5), (1, True, 7)]
    db.close()


# --- news ----------------------------------------------------------------------------------------------------------


def test_a_first_read_is_history_and_what_comes_after_it_is_news(db: sqlite3.Connection) -> None:
    place = history.present(db, "b")
    assert place == Place()
    put(db, *(trade(n) for n in range(10)), opportunity("o"))
    found = history.news(db, "b", place, 4)
    assert (found.trades, found.opportunities, found.more) == ([], [], True)
    while found.more:
        found = history.news(db, "b", found.place, 4)
        assert found.trades == []
    put(db, trade(10), complete=True)
    found = history.news(db, "b", found.place, 4)
    assert (found.trades, found.place.complete) == ([], {"memory_bank"})
    put(db, trade(11), opportunity("p"))
    put(db, trade(12), source="recent", complete=True)
    found = history.news(db, "b", found.place, 4)
    assert [row.id for row in found.trades] == [12]
    assert [row.id for row in found.opportunities] == [2]
    put(db, trade(13), source="recent")
    assert [row.id for row in history.news(db, "b", found.place, 4).trades] == [14]


def test_news_are_told_once_in_order_however_they_are_asked_for(db: sqlite3.Connection) -> None:
    put(db, complete=True)
    place, told = history.present(db, "b"), []
    rng = random.Random(6)
    for start in range(0, 300, 30):
        put(db, *(trade(n, time=rng.choice((None, rng.random() * 1e9 + 1.5e9))) for n in range(start, start + 30)))
        put(db, trade(start), bot="another")
        more = True
        while more:
            news = history.news(db, "b", place, rng.randrange(1, 50))
            told += [row.id for row in news.trades]
            place, more = news.place, news.more
    assert told == [row.id for row in sorted(walk(db, Wanted(), 100), key=lambda row: row.id)]
    assert len(told) == 300
