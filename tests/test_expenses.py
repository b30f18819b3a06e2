import random
import sqlite3

import pytest

from exporter import expenses, ledger
from exporter.expenses import DAY, HOUR, Trade
from tests.wallet_rows import CHAIN_ID, SENDER, hash_of, put, row

NOW = 1.8e9
OTHER = "0x" + "bb" * 20


@pytest.fixture
def db():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for version in ledger.VERSIONS:
        connection.executescript(version)
    yield connection
    connection.close()


def rates(db: sqlite3.Connection) -> dict[str, float]:
    return expenses.rates(db, CHAIN_ID, (SENDER, OTHER), NOW)


def test_the_last_trades_are_confirmed_successful_arbitrages_newest_first(db: sqlite3.Connection) -> None:
    put(db, row(1, l1_wei=str(10**30)), row(2, gas_used=7), row(3, trade=0), row(4, confirmed=0), row(5, confirmed=2))
    put(db, row(6, outcome="failed"), row(7, chain_id=1))
    assert expenses.last_trades(db, CHAIN_ID) == [Trade(hash_of(2), 7, 0), Trade(hash_of(1), 200_000, 10**30)]


def test_a_hundred_trades_are_enough(db: sqlite3.Connection) -> None:
    put(db, *map(row, range(130)))
    found = expenses.last_trades(db, CHAIN_ID)
    assert [trade.tx_hash for trade in found] == [hash_of(n) for n in range(129, 29, -1)]


def test_without_transactions_there_is_no_rate(db: sqlite3.Connection) -> None:
    assert rates(db) == {}
    put(db, row(1, time=NOW - DAY - 1, l2_wei="5"), row(2, time=NOW - 5, l2_wei="0"))
    assert rates(db) == {}


def test_a_rate_is_over_the_time_since_the_first_transaction_but_over_an_hour_at_least(db: sqlite3.Connection) -> None:
    put(db, row(1, time=NOW - 10, l2_wei="3600", l1_wei="1800", operator_wei="1800"))
    assert rates(db) == {SENDER: 7200 / HOUR}
    put(db, row(2, time=NOW - 2 * HOUR, l2_wei="7200", confirmed=0, outcome="failed", block_number=0))
    assert rates(db) == {SENDER: 14400 / (2 * HOUR)}


def test_each_wallet_has_its_own_rate_and_strangers_have_none(db: sqlite3.Connection) -> None:
    put(db, row(1, time=NOW - 3 * DAY, l2_wei="99"), row(2, time=NOW - 20, l2_wei="86400"))
    put(db, row(3, sender=OTHER, time=NOW - 10, l2_wei=str(10**30)))
    put(db, row(4, sender="0x" + "cc" * 20, time=NOW, l2_wei="1"), row(5, chain_id=1, time=NOW, l2_wei="1"))
    assert rates(db) == {SENDER: 1.0, OTHER: 10**30 / HOUR}


def test_what_a_deep_reorg_took_was_not_paid(db: sqlite3.Connection) -> None:
    put(db, row(1, time=NOW, l2_wei="3600"), row(2, time=NOW, l2_wei="3600", confirmed=2))
    assert rates(db) == {SENDER: 1.0}


def test_rates_are_the_sums_of_the_last_day(db: sqlite3.Connection) -> None:
    rng = random.Random(3)
    rows = [
        row(n, time=NOW - 2 * DAY + n * 864, confirmed=int(n < 180), l2_wei=str(rng.getrandbits(80)),
            sender=rng.choice((SENDER, OTHER)))
        for n in range(200)
    ]  # fmt: skip
    put(db, *rows)
    fees = {
        s: sum(int(r["l2_wei"]) for r in rows if r["sender"] == s and r["time"] >= NOW - DAY) for s in (SENDER, OTHER)
    }
    assert rates(db) == pytest.approx({sender: fee / DAY for sender, fee in fees.items()})
