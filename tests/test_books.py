import random
import sqlite3
import time
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter import books, fault_books, ledger
from exporter.books import RouteTotal, Writer
from exporter.sources import records
from exporter.sources.files import document
from exporter.sources.memory_bank import Batch, Fault
from exporter.sources.recent_list import Known, Rows
from exporter.sources.records import Execution, Opportunity, Trade
from tests import bank
from tests.tiers import lives

UTC = ZoneInfo("UTC")


def database() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript("".join(ledger.VERSIONS))
    return db


@pytest.fixture
def db():
    connection = database()
    yield connection
    connection.close()


def put(db: sqlite3.Connection, batch: Batch, executions: tuple[Execution, ...] = (), routes: int = 100) -> None:
    Writer(db, "b", batch.source, routes, time.time()).put(batch, executions)


def trade(**changes: object) -> Trade:
    fields = {
        "key": b"k", "digest": b"d", "time": 1.5e9, "pair": "WETH/USDC", "dex_buy": "a", "dex_sell": "b",
        "outcome": "success", "reason": None, "net_wei": 5, "gas_wei": 2, "expected_wei": 7, "tx_hash": None,
    } | changes  # fmt: skip
    return Trade(**fields)  # type: ignore[arg-type]


def test_a_trade_counts_once_and_other_content_under_its_key_is_a_conflict(db: sqlite3.Connection) -> None:
    batch = Batch("memory_bank", trades=[trade(), trade(), trade(digest=b"x", net_wei=100)])
    put(db, batch)
    put(db, batch)
    total = books.read(db, "b").sources["memory_bank"]
    assert total.routes == {("WETH/USDC", "a", "b"): RouteTotal(1, 0, 5, 5, 0, 2, 7)}
    assert fault_books.totals(db, "b") == {("trade", "conflict"): 1}


def test_sources_are_never_added_together(db: sqlite3.Connection) -> None:
    put(db, Batch("memory_bank", trades=[trade()]))
    put(db, Batch("recent", trades=[trade(digest=b"e")], complete=True))
    found = books.read(db, "b").sources
    assert (found["memory_bank"].success, found["recent"].success) == (1, 1)
    assert (found["memory_bank"].first_read, found["recent"].first_read) == (False, True)
    assert fault_books.totals(db, "b") == {}


def test_losses_failures_and_unknown_amounts(db: sqlite3.Connection) -> None:
    lost = trade(key=b"1", outcome="failed", reason="slippage", net_wei=-9)
    silent = trade(key=b"2", outcome="failed", reason="unknown", net_wei=None, gas_wei=None, expected_wei=None)
    put(db, Batch("memory_bank", trades=[lost, silent, trade(key=b"3", net_wei=10**30)]))
    total = books.read(db, "b").sources["memory_bank"]
    assert total.routes["WETH/USDC", "a", "b"] == RouteTotal(1, 2, 10**30 - 9, 10**30, 9, 4, 14)
    assert total.failures == {"slippage": 1, "unknown": 1}


def test_a_time_from_the_future_is_not_the_last_trade(db: sqlite3.Connection) -> None:
    put(db, Batch("memory_bank", trades=[trade(key=b"1", time=time.time() + 1e6), trade(key=b"2", time=None)]))
    assert books.read(db, "b").sources["memory_bank"].last_trade is None
    put(db, Batch("memory_bank", trades=[trade(key=b"3", time=5e8), trade(key=b"4", time=4e8)]))
    put(db, Batch("memory_bank"))
    assert books.read(db, "b").sources["memory_bank"].last_trade == 5e8


def test_an_execution_takes_the_route_of_its_opportunity(db: sqlite3.Connection) -> None:
    chance = Opportunity("op", b"d", "WETH/USDC", "x", "y", 11)
    put(db, Batch("memory_bank", opportunities=[chance, chance]))
    joined = Execution(trade(key=b"1", pair="unknown", dex_buy="unknown", dex_sell="unknown"), "op")
    alone = Execution(trade(key=b"2", pair="unknown", dex_buy="unknown", dex_sell="unknown"), "nobody")
    put(db, Batch("memory_bank"), (joined, alone))
    routes = books.read(db, "b").sources["memory_bank"].routes
    assert routes["WETH/USDC", "x", "y"].expected_wei == 11
    assert routes["unknown", "unknown", "unknown"].success == 1
    assert books.opportunities(db, "b") == {("memory_bank", "WETH/USDC", "x", "y", "detected"): 1}
    assert books.known_opportunities(db, "b", ["op", "nobody"]) == {"op"}


def test_an_opportunity_told_differently_is_a_conflict(db: sqlite3.Connection) -> None:
    put(db, Batch("memory_bank", opportunities=[Opportunity("op", b"1", "p", "x", "y", 1)]))
    put(db, Batch("memory_bank", opportunities=[Opportunity("op", b"2", "p", "x", "y", 2)]))
    assert fault_books.totals(db, "b") == {("opportunity", "conflict"): 1}


def test_routes_are_first_come_first_kept_and_the_rest_is_other(db: sqlite3.Connection) -> None:
    for i in range(5):
        put(db, Batch("memory_bank", trades=[trade(key=bytes([i]), dex_buy=f"d{i}")]), routes=3)
    for i in range(5):
        put(db, Batch("memory_bank", trades=[trade(key=bytes([9, i]), dex_buy=f"d{4 - i}")]), routes=3)
    routes = books.read(db, "b").sources["memory_bank"].routes
    assert {route[1]: total.success for route, total in routes.items()} == {"d0": 2, "d1": 2, "d2": 2, "other": 4}


def test_a_fault_counts_once(db: sqlite3.Connection) -> None:
    fault = Fault("trade", "json", b"k")
    put(db, Batch("memory_bank", faults=[fault, fault]))
    put(db, Batch("memory_bank", faults=[fault, Fault("trade", "json", b"l")]))
    assert fault_books.totals(db, "b") == {("trade", "json"): 2}


class Ledgered(RuleBasedStateMachine):
    """A bank that is appended to, duplicated, reordered, pruned and rewritten, in transactions that may be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.db = database()
        self.rng = random.Random(0)
        self.files: list[dict[str, object]] = []
        self.rows: list[dict[str, object]] = []
        self.known = Known()
        self.oracle = {"memory_bank": bank.Oracle(), "recent": bank.Oracle()}
        self.least = {"memory_bank": 0, "recent": 0}

    @rule(seed=st.integers(0, 10**6), twice=st.booleans())
    def trade(self, seed: int, twice: bool) -> None:
        record = bank.trade(random.Random(seed))
        self.files += [record] * (1 + twice)

    @rule(seed=st.integers(0, 50), place=st.integers(0, 5))
    def row(self, seed: int, place: int) -> None:
        self.rows.insert(place, bank.row(random.Random(seed)))

    @rule(data=st.randoms(use_true_random=False))
    def reorder(self, data: random.Random) -> None:
        data.shuffle(self.files)
        data.shuffle(self.rows)

    @rule(keep=st.integers(0, 10))
    def prune(self, keep: int) -> None:
        del self.files[keep:]
        del self.rows[keep:]

    @rule()
    def restart(self) -> None:
        self.known = Known()

    @rule(lost=st.booleans())
    def read(self, lost: bool) -> None:
        raw = [
            records.from_file("trade_1743976596.json", document(bank.json.dumps(f).encode()), UTC) for f in self.files
        ]
        rows = Rows(bank.json.dumps(self.rows), UTC, self.known)
        self.db.execute("BEGIN")
        put(self.db, Batch("memory_bank", trades=[t for t in raw if isinstance(t, Trade)], complete=True))
        put(self.db, Batch("recent", trades=[r for r in rows if isinstance(r, Trade)], complete=True))
        self.db.execute("ROLLBACK" if lost else "COMMIT")
        if not lost:
            self.known = rows.known
            for record in self.files:
                self.oracle["memory_bank"].trade(record)
            seen: dict[str, int] = {}
            for row in self.rows:
                text = bank.json.dumps(row, sort_keys=True)
                self.oracle["recent"].row(row, seen.get(text, 0))
                seen[text] = seen.get(text, 0) + 1

    @invariant()
    def equals_the_oracle_and_never_falls(self) -> None:
        for source, total in books.read(self.db, "b").sources.items():
            oracle = self.oracle[source]
            counts = {(*r, "success"): t.success for r, t in total.routes.items() if t.success}
            counts |= {(*r, "failed"): t.failed for r, t in total.routes.items() if t.failed}
            assert counts == dict(oracle.counts)
            for sums, name in ((oracle.net, "net_wei"), (oracle.gas, "gas_wei"), (oracle.expected, "expected_wei")):
                for route, amount in sums.items():
                    assert abs(Fraction(getattr(total.routes[route], name), 10**18) - amount) < Fraction(1, 10**9)
            assert total.success + total.failed >= self.least[source]
            self.least[source] = total.success + total.failed

    def teardown(self) -> None:
        self.db.close()


TestLedgered = Ledgered.TestCase
TestLedgered.settings = settings(max_examples=lives(60), stateful_step_count=25, deadline=None)
