"""The wallets' books: provisional, confirmed, taken back, forsaken; totals never fall and nothing counts twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from exporter import books, wallet_books
from exporter.ledger import VERSIONS, fetch
from exporter.sources.outcomes import Outcome
from exporter.sources.transactions import Mark
from exporter.wallet_books import CONFIRMED, ORPHANED, PROVISIONAL, Confirmation, FeeTotal
from tests.tiers import lives

CHAIN, ME = 8453, "0x" + "a" * 40


def database() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", isolation_level=None)
    for version in VERSIONS:
        made.executescript(version)
    return made


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    made = database()
    yield made
    made.close()


def mark(number: int, branch: int = 0) -> Mark:
    return Mark(number, f"0x{branch:02x}{number:062x}")


def outcome(nonce: int, number: int, branch: int = 0, **changes: Any) -> Outcome:
    facts: dict[str, Any] = {
        "hash": f"0x{nonce:064x}", "address": ME, "sender": ME, "nonce": nonce, "block_number": number,
        "block_hash": mark(number, branch).hash, "time": 1_750_000_000.0 + number, "succeeded": True, "reason": None,
        "trade": True, "gas_used": 100, "l2_wei": 2**70, "l1_wei": 3, "operator_wei": 1, "net_wei": -5, "unvalued": 0,
        "tokens": {}, "route": ("WETH/USDC", "a", "b"),
    }  # fmt: skip
    return Outcome(**(facts | changes))


def confirmation(number: int, branch: int = 0, complete: bool = True) -> Confirmation:
    return Confirmation(CHAIN, mark(number, branch), {ME: number}, complete, "bot", 100, 2e9)


def states(db: sqlite3.Connection) -> dict[int, int]:
    return dict(fetch(db, "SELECT nonce, confirmed FROM wallet_transaction"))


def begin(db: sqlite3.Connection) -> None:
    wallet_books.begin(db, CHAIN, mark(10), {ME: 0})


def test_nothing_before_it_has_begun(db: sqlite3.Connection) -> None:
    assert wallet_books.cursor(db, CHAIN) is None
    db.execute("INSERT INTO chain (chain_id, genesis) VALUES (?, '0x')", (CHAIN,))
    assert wallet_books.cursor(db, CHAIN) is None


def test_from_seen_to_counted(db: sqlite3.Connection) -> None:
    begin(db)
    failed = outcome(2, 14, succeeded=False, reason="slippage", trade=False, net_wei=None)
    wallet_books.put(db, CHAIN, mark(15), [outcome(0, 12), outcome(1, 14, unvalued=2), failed])
    cursor = wallet_books.cursor(db, CHAIN)
    assert cursor is not None
    assert (cursor.scanned, cursor.final, cursor.first_read, cursor.started) == (mark(15), mark(10), False, 10)
    assert wallet_books.read(db, CHAIN).provisional == {ME: 3}
    wallet_books.confirm(db, confirmation(13, complete=False))
    assert wallet_books.read(db, CHAIN).totals == {ME: {("success", ""): FeeTotal(1, 2**70, 3, 1)}}
    wallet_books.confirm(db, confirmation(15))
    found = wallet_books.read(db, CHAIN)
    assert found.totals[ME] == {
        ("success", ""): FeeTotal(2, 2**71, 6, 2),
        ("failed", "slippage"): FeeTotal(1, 2**70, 3, 1),
    }
    assert (found.provisional, found.unvalued, found.orphaned) == ({}, 1, 0)
    chain = books.read(db, "bot").sources["chain"]
    (route,) = chain.routes.items()
    assert route[0] == ("WETH/USDC", "a", "b")
    assert (chain.success, chain.failed, route[1].net_wei, route[1].gas_wei) == (2, 0, -10, 2 * (2**70 + 4))
    assert chain.last_trade == 1_750_000_014.0
    cursor = wallet_books.cursor(db, CHAIN)
    assert cursor is not None
    assert (cursor.final, cursor.first_read, cursor.nonces) == (mark(15), True, {ME: 15})


def test_confirming_again_counts_nothing(db: sqlite3.Connection) -> None:
    begin(db)
    wallet_books.put(db, CHAIN, mark(15), [outcome(0, 12)])
    for _ in range(2):
        wallet_books.confirm(db, confirmation(15))
        wallet_books.put(db, CHAIN, mark(15), [outcome(0, 12, net_wei=99)])
    assert wallet_books.read(db, CHAIN).totals[ME]["success", ""].count == 1
    assert books.read(db, "bot").sources["chain"].success == 1


def test_what_a_reorg_removes(db: sqlite3.Connection) -> None:
    begin(db)
    wallet_books.put(db, CHAIN, mark(12), [outcome(0, 12)])
    wallet_books.put(db, CHAIN, mark(15), [outcome(1, 14), outcome(2, 15)])
    waiting = wallet_books.waiting(db, CHAIN)
    assert [(w.nonce, w.block) for w in waiting] == [(0, mark(12)), (1, mark(14)), (2, mark(15))]
    wallet_books.go_back(db, CHAIN, mark(12), waiting[1:])
    assert states(db) == {0: PROVISIONAL}
    assert wallet_books.read(db, CHAIN).removed == {ME: 2}
    cursor = wallet_books.cursor(db, CHAIN)
    assert cursor is not None
    assert (cursor.scanned, cursor.marks) == (mark(12), (mark(12), mark(10)))
    wallet_books.put(db, CHAIN, mark(13, 1), [outcome(1, 13, 1)])
    assert [w.block for w in wallet_books.waiting(db, CHAIN)] == [mark(12), mark(13, 1)]


def test_what_was_final_and_is_no_more_stays_counted(db: sqlite3.Connection) -> None:
    begin(db)
    wallet_books.put(db, CHAIN, mark(15), [outcome(0, 12), outcome(1, 14), outcome(2, 15)])
    wallet_books.confirm(db, confirmation(14))
    wallet_books.forsake(db, CHAIN, mark(10))
    assert states(db) == {0: ORPHANED, 1: ORPHANED}
    assert wallet_books.read(db, CHAIN).orphaned == 2
    wallet_books.put(db, CHAIN, mark(16, 1), [outcome(1, 16, 1), outcome(3, 16, 1)])
    wallet_books.confirm(db, confirmation(16, 1))
    assert states(db) == {0: ORPHANED, 1: CONFIRMED, 3: CONFIRMED}
    assert wallet_books.read(db, CHAIN).totals[ME]["success", ""].count == 3
    assert books.read(db, "bot").sources["chain"].success == 3
    assert wallet_books.sent(db, CHAIN, 10, 16) == {ME: [1, 3]}


def test_beginning_again_keeps_what_is_counted(db: sqlite3.Connection) -> None:
    begin(db)
    wallet_books.put(db, CHAIN, mark(15), [outcome(0, 12), outcome(1, 15)])
    wallet_books.confirm(db, confirmation(14))
    wallet_books.begin(db, CHAIN, mark(5), {ME: 0})
    assert states(db) == {0: CONFIRMED}
    cursor = wallet_books.cursor(db, CHAIN)
    assert cursor is not None
    assert (cursor.started, cursor.scanned, cursor.marks) == (5, mark(5), (mark(5),))


def test_marks_below_finality_grow_fewer_with_age(db: sqlite3.Connection) -> None:
    begin(db)
    for number in range(11, 2000):
        wallet_books.put(db, CHAIN, mark(number), [])
        wallet_books.confirm(db, confirmation(number))
    cursor = wallet_books.cursor(db, CHAIN)
    assert cursor is not None
    ages = [1999 - m.number for m in cursor.marks]
    assert len(ages) < 25
    assert ages[:3] == [0, 1, 2]
    assert all(older <= 4 * younger for younger, older in pairwise(ages[1:]))
    assert ages[-1] > 500


def test_what_trades_brought_of_each_token_that_is_known(db: sqlite3.Connection) -> None:
    begin(db)
    for address, symbol in (("0x1", "WETH"), ("0x2", "USDC"), ("0x3", "USDC")):
        db.execute("INSERT INTO token VALUES (?,?,?,?)", (CHAIN, address, symbol, 6))
    moved = {"0x1": 3 * 10**30, "0x2": -(5 * 10**6), "0x3": 7, "0x4": 9}
    made = [outcome(0, 12, tokens=moved), outcome(1, 12, tokens={"0x1": 10**6}, trade=False, net_wei=None)]
    wallet_books.put(db, CHAIN, mark(13), [*made, outcome(2, 13, tokens={"0x2": 10**6})])
    wallet_books.confirm(db, confirmation(12))
    wallet_books.confirm(db, confirmation(13))
    assert wallet_books.read(db, CHAIN).flows == {"WETH": 3e24, "USDC": -4.0}


def test_two_chains_are_two_books(db: sqlite3.Connection) -> None:
    begin(db)
    wallet_books.put(db, CHAIN, mark(15), [outcome(0, 12)])
    wallet_books.confirm(db, confirmation(15))
    assert wallet_books.cursor(db, 1) is None
    assert wallet_books.read(db, 1) == wallet_books.WalletBooks()


class Books(RuleBasedStateMachine):
    """Any order of reading, reorgs above finality, and counting: totals are those of the blocks that are final."""

    @initialize()
    def start(self) -> None:
        self.db = database()
        begin(self.db)
        self.chain: dict[int, list[Outcome]] = {}
        self.head, self.final, self.branch, self.nonce, self.counted = 10, 10, 0, 0, 0

    @rule(sizes=st.lists(st.integers(0, 2), min_size=1, max_size=4))
    def mine(self, sizes: list[int]) -> None:
        for size in sizes:
            self.head += 1
            made = [outcome(self.nonce + i, self.head, self.branch) for i in range(size)]
            self.chain[self.head], self.nonce = made, self.nonce + size
        found = [o for number in self.chain for o in self.chain[number] if number > self.final]
        wallet_books.put(self.db, CHAIN, mark(self.head, self.branch), found)

    @rule(depth=st.integers(1, 6))
    def reorg(self, depth: int) -> None:
        to = max(self.head - depth, self.final)
        rows = [w for w in wallet_books.waiting(self.db, CHAIN) if w.block.number > to]
        wallet_books.go_back(self.db, CHAIN, mark(self.final, 0), rows)
        self.chain = {n: made for n, made in self.chain.items() if n <= to}
        self.nonce = sum(map(len, self.chain.values()))
        self.head, self.branch = to, self.branch + 1

    @rule(distance=st.integers(0, 3))
    def count(self, distance: int) -> None:
        at = max(self.head - distance, self.final)
        wallet_books.confirm(self.db, Confirmation(CHAIN, mark(at, 0), {}, True, "bot", 100, 2e9))
        wallet_books.put(self.db, CHAIN, mark(at, 0), [])
        self.final = at
        assert self.total() >= self.counted
        self.counted = self.total()

    def total(self) -> int:
        return sum(t.count for totals in wallet_books.read(self.db, CHAIN).totals.values() for t in totals.values())

    @invariant()
    def totals_are_those_of_final_blocks(self) -> None:
        truth = sum(len(made) for number, made in self.chain.items() if number <= self.final)
        assert self.total() == truth
        trades = books.read(self.db, "bot").sources
        assert (trades["chain"].success if "chain" in trades else 0) == truth

    def teardown(self) -> None:
        self.db.close()


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=lives(100), stateful_step_count=50, deadline=None)
