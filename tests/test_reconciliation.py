import sqlite3
from typing import Any

import pytest

from exporter import ledger, reconciliation
from exporter.books import Writer
from exporter.reconciliation import Sums
from exporter.sources.claims import Mined, Seen, Unsettled, View
from exporter.sources.memory_bank import Batch
from exporter.sources.records import Trade
from exporter.verdict import AGAIN, DAY
from tests.wallet_rows import CHAIN_ID, SENDER, hash_of, put, row

ETHER = 10**18
NOW = 2e9
FINAL = 90


@pytest.fixture
def db():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for version in ledger.VERSIONS:
        connection.executescript(version)
    yield connection
    connection.close()


def tell(db: sqlite3.Connection, *numbers: int, bot: str = "b", source: str = "memory_bank", **changes: Any) -> None:
    """Trades that a source tells of, each with the hash of its number."""
    fields = {
        "digest": b"d", "time": 1e9, "pair": "WETH/USDC", "dex_buy": "a", "dex_sell": "b", "outcome": "success",
        "reason": None, "net_wei": ETHER, "gas_wei": None, "expected_wei": None,
    } | changes  # fmt: skip
    trades = [Trade(**({"key": b"t%d" % n, "tx_hash": hash_of(n)} | fields)) for n in numbers]  # type: ignore[arg-type]
    Writer(db, bot, source, 100, NOW).put(Batch(source, trades=trades, complete=True), [])


def enrol(db: sqlite3.Connection, bot: str = "b") -> None:
    reconciliation.enrol(db, bot, 0, NOW, 1000)


def mined(block: int = 50, succeeded: bool = True) -> Mined:
    return Mined(block, succeeded, SENDER, None, 10**14, 0)


def look(db: sqlite3.Connection, *seen: Seen, now: float = NOW) -> None:
    """Look up what is due, and see this."""
    claims = reconciliation.due(db, "b", now, 1000)
    assert len(claims) == len(seen)
    reconciliation.put(db, CHAIN_ID, claims, View(100, FINAL, 15 * 10**8, seen), (SENDER,), now)


def statuses(db: sqlite3.Connection, bot: str = "b") -> dict[str, int]:
    return reconciliation.sums(db, bot).statuses


def test_every_trade_with_a_hash_is_claimed_once_but_for_the_chains_own(db: sqlite3.Connection) -> None:
    tell(db, 1, 2)
    tell(db, 2, source="recent")
    tell(db, 3, source="chain")
    tell(db, 4, tx_hash=None)
    tell(db, 5, bot="another")
    assert reconciliation.unclaimed(db, "b", 0) == (6, 3)
    enrol(db)
    enrol(db)
    assert reconciliation.unclaimed(db, "b", 0) == (6, 0)
    assert statuses(db) == {"pending": 3}
    assert statuses(db, "another") == {}
    tell(db, 7)
    assert reconciliation.unclaimed(db, "b", 6) == (7, 1)


def test_claims_are_enrolled_a_part_at_a_time(db: sqlite3.Connection) -> None:
    tell(db, *range(10))
    for left in (7, 4, 1, 0, 0):
        reconciliation.enrol(db, "b", 0, NOW, 3)
        assert reconciliation.unclaimed(db, "b", 0)[1] == left


def test_a_look_decides_what_is_final_and_leaves_the_rest(db: sqlite3.Connection) -> None:
    tell(db, 1, 2, 3)
    tell(db, 4, time=None)
    enrol(db)
    look(db, mined(), Unsettled.UNKNOWN, Unsettled.UNANSWERED, mined(block=95))
    assert statuses(db) == {"confirmed": 1, "missing": 1, "pending": 2}
    assert reconciliation.due(db, "b", NOW, 10) == []
    due = reconciliation.due(db, "b", NOW + 60, 10)
    assert [(claim.tx_hash, claim.status, claim.looks, claim.block) for claim in due] == [
        (hash_of(4), "pending", 1, 100),
        (hash_of(2), "missing", 1, 100),
        (hash_of(3), "pending", 1, 100),
    ]
    assert reconciliation.sums(db, "b").last_look == NOW


def test_a_claim_that_is_due_in_the_far_future_is_due_now(db: sqlite3.Connection) -> None:
    tell(db, 1)
    enrol(db)
    ahead = NOW + 30 * DAY
    look(db, mined(), now=ahead)
    assert len(reconciliation.due(db, "b", NOW, 10)) == 1
    assert reconciliation.due(db, "b", ahead, 10) == []
    assert len(reconciliation.due(db, "b", ahead + AGAIN, 10)) == 1


def test_profits_are_summed_over_the_same_trades(db: sqlite3.Connection) -> None:
    tell(db, 1, 2, 3, 4, 5, net_wei=2 * ETHER)
    tell(db, 6, net_wei=None)
    tell(db, 7, source="events", net_wei=5 * ETHER)
    enrol(db)
    put(db, row(1, net_wei=str(2 * ETHER)), row(2, net_wei=str(ETHER)), row(3, net_wei=str(ETHER), confirmed=0))
    put(db, row(4, net_wei=str(ETHER), unvalued=1), row(6, net_wei="1"), row(7, net_wei=str(-ETHER)))
    look(db, *[mined()] * 7)
    found = reconciliation.sums(db, "b")
    assert found.statuses == {"confirmed": 5, "mismatch": 2}
    assert found.reasons == {"net_profit": 2}
    assert found.profits == {"memory_bank": (4 * ETHER, 3 * ETHER), "events": (5 * ETHER, -ETHER)}


def test_profits_that_become_known_later_are_taken_over(db: sqlite3.Connection) -> None:
    tell(db, 1, 2, 3)
    tell(db, 4, outcome="failed", net_wei=None)
    tell(db, 5, net_wei=None)
    tell(db, 6, 7)
    enrol(db)
    look(db, mined(), mined(), Unsettled.UNKNOWN, *[mined()] * 4)
    assert reconciliation.unsettled(db, CHAIN_ID, "b", 10) == []
    earned = {1: ETHER, 2: 7, 3: 7, 4: 7, 5: -7}
    put(db, *[row(n, net_wei=str(net)) for n, net in earned.items()])
    put(db, row(1, chain_id=1, net_wei="1"), row(6, unvalued=1), row(7, confirmed=0))
    found = reconciliation.unsettled(db, CHAIN_ID, "b", 10)
    assert found == [(1, str(ETHER), str(ETHER)), (2, str(ETHER), "7"), (4, None, "7"), (5, None, "-7")]
    reconciliation.settle(db, found)
    assert reconciliation.unsettled(db, CHAIN_ID, "b", 10) == []
    sums = reconciliation.sums(db, "b")
    assert sums.statuses == {"confirmed": 4, "mismatch": 2, "missing": 1}
    assert sums.reasons == {"net_profit": 1, "outcome": 1}
    assert sums.profits == {"memory_bank": (2 * ETHER, ETHER + 7)}


def test_what_vanishes_takes_its_profit_along(db: sqlite3.Connection) -> None:
    tell(db, 1)
    enrol(db)
    put(db, row(1, net_wei=str(ETHER)))
    look(db, mined())
    assert reconciliation.sums(db, "b").profits == {"memory_bank": (ETHER, ETHER)}
    now = NOW + AGAIN
    for _ in range(3):
        look(db, Unsettled.UNKNOWN, now=now)
        now += DAY
    assert reconciliation.sums(db, "b") == Sums(now - DAY, {"missing": 1}, {}, {})


def test_a_source_is_real_when_nearly_all_that_is_decided_was_found(db: sqlite3.Connection) -> None:
    tell(db, *range(100))
    tell(db, 200, source="chain")
    tell(db, 300, source="recent", tx_hash=None)
    assert reconciliation.provenance(db, "b") == {
        "chain": "real", "memory_bank": "unverified", "recent": "unverified",
    }  # fmt: skip
    enrol(db)
    look(db, *[mined()] * 95, *[Unsettled.UNKNOWN] * 5)
    assert reconciliation.provenance(db, "b")["memory_bank"] == "real"
    assert reconciliation.provenance(db, "b", {"memory_bank"})["memory_bank"] == "simulated"
    tell(db, 101)
    enrol(db)
    look(db, Unsettled.WAITING)
    assert reconciliation.provenance(db, "b")["memory_bank"] == "real"  # what is not decided says nothing
    tell(db, 102)
    enrol(db)
    look(db, mined(succeeded=False))
    assert reconciliation.provenance(db, "b")["memory_bank"] == "unverified"
    assert reconciliation.provenance(db, "another") == {}


def test_a_bank_of_invented_trades_is_unverified(db: sqlite3.Connection) -> None:
    tell(db, *range(50))
    enrol(db)
    look(db, *[Unsettled.UNKNOWN] * 50)
    assert statuses(db) == {"missing": 50}
    assert reconciliation.provenance(db, "b") == {"memory_bank": "unverified"}
