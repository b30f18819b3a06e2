"""Verdicts one by one, and a bot's claims against a chain that is seen through nodes that lag, fail and forget."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter import verdict
from exporter.sources.claims import Mined, Seen, Unsettled, View
from exporter.verdict import AGAIN, DAY, Claim, Verdict, agree, judge
from tests.tiers import lives

OURS, THEIRS = "0x" + "aa" * 20, "0x" + "bb" * 20
ETHER = 10**18


def claim(**changes: Any) -> Claim:
    fields = {
        "trade": 1, "tx_hash": "0x" + "11" * 32, "time": None, "succeeded": True, "net_wei": None, "gas_wei": None,
    } | changes  # fmt: skip
    return Claim(**fields)


def mined(**changes: Any) -> Mined:
    fields = {"block": 50, "succeeded": True, "sender": OURS, "to": THEIRS, "l2_wei": 10**14, "l1_wei": 10**13}
    return Mined(**(fields | changes))


def view(head: int = 100, final: int | None = 90, final_time: int | None = 10**9) -> View:
    return View(head, final, final_time, ())


def status(made: Claim, seen: Seen, at: View | None = None, own: Any = (OURS,), realised: int | None = None) -> Any:
    found = judge(made, seen, at or view(), own, realised)
    return found.status if found.reason is None else (found.status, found.reason)


@pytest.mark.parametrize(
    ("claimed", "found", "expected"),
    [
        ({}, {}, "confirmed"),
        ({"succeeded": False}, {"succeeded": False}, "confirmed"),
        ({}, {"succeeded": False}, "reverted"),
        ({"succeeded": False}, {}, ("mismatch", "outcome")),
        ({}, {"sender": THEIRS}, ("mismatch", "stranger")),
        ({}, {"sender": THEIRS, "to": OURS}, "confirmed"),
        ({}, {"sender": THEIRS, "to": None, "succeeded": False}, ("mismatch", "stranger")),
        ({"gas_wei": 10**14}, {}, "confirmed"),  # of L2 alone
        ({"gas_wei": 11 * 10**13}, {}, "confirmed"),  # with L1's part
        ({"gas_wei": 101 * 10**12}, {}, "confirmed"),  # rounded
        ({"gas_wei": 105 * 10**12}, {}, ("mismatch", "gas_cost")),
        ({"gas_wei": 0}, {}, ("mismatch", "gas_cost")),
        ({"gas_wei": 0}, {"l2_wei": 10**9, "l1_wei": 0}, "confirmed"),  # a billionth of an ether
        ({"gas_wei": 0}, {"l2_wei": 10**9 + 1, "l1_wei": 0}, ("mismatch", "gas_cost")),
    ],
)
def test_a_final_transaction_is_held_against_the_claim(claimed: Any, found: Any, expected: Any) -> None:
    assert status(claim(**claimed), mined(**found)) == expected


def test_without_addresses_of_ours_nobody_is_a_stranger() -> None:
    assert status(claim(), mined(sender=THEIRS), own=()) == "confirmed"


def test_profit_is_compared_once_the_realised_one_is_known() -> None:
    assert status(claim(net_wei=ETHER), mined()) == "confirmed"
    assert status(claim(net_wei=ETHER), mined(), realised=ETHER * 100 // 101) == "confirmed"
    assert status(claim(net_wei=ETHER), mined(), realised=ETHER // 2) == ("mismatch", "net_profit")
    assert status(claim(net_wei=ETHER), mined(), realised=-ETHER) == ("mismatch", "net_profit")
    assert status(claim(), mined(), realised=-ETHER) == "confirmed"


def test_amounts_agree_within_what_bots_round_away() -> None:
    assert agree(0, 10**9)
    assert agree(-(10**9), 0)
    assert not agree(0, 10**9 + 1)
    assert agree(-101 * ETHER, -100 * ETHER)
    assert not agree(100 * ETHER, -100 * ETHER)


@pytest.mark.parametrize("seen", [mined(block=91), Unsettled.WAITING, Unsettled.UNANSWERED, Unsettled.UNKNOWN])
def test_nothing_is_decided_of_what_is_not_final(seen: Seen) -> None:
    found = judge(claim(), seen, view(), (), None)
    assert (found.status, found.looks, found.block) == ("pending", 1, 100)


def test_what_is_younger_than_finality_is_not_missing() -> None:
    first = judge(claim(), Unsettled.UNKNOWN, view(head=100, final=90), (), None)
    again = claim(status=first.status, looks=first.looks, block=first.block)
    assert status(again, Unsettled.UNKNOWN, view(head=150, final=99)) == "pending"
    assert status(again, Unsettled.UNKNOWN, view(head=150, final=None, final_time=None)) == "pending"
    assert status(again, Unsettled.UNKNOWN, view(head=150, final=100)) == "missing"
    assert status(again, Unsettled.WAITING, view(head=150, final=100)) == "pending"


def test_what_is_more_than_a_day_old_is_missing_at_once_but_not_by_a_node_that_is_as_old() -> None:
    old = claim(time=1e9 - DAY)
    assert status(old, Unsettled.UNKNOWN, view(final_time=10**9)) == "missing"
    assert status(old, Unsettled.UNKNOWN, view(final_time=10**9 - 1)) == "pending"


def after(made: Claim, found: Verdict) -> Claim:
    return claim(time=made.time, status=found.status, reason=found.reason, looks=found.looks, block=found.block)


def waits(made: Claim, seen: Seen, times: int, at: View | None = None) -> list[float]:
    """Seconds between looks that all see the same."""
    found = []
    for _ in range(times):
        decided = judge(made, seen, at or view(), (), None)
        found.append(decided.wait)
        made = after(made, decided)
    return found


def test_looks_become_rare() -> None:
    missing = claim(time=1e9 - DAY)
    assert waits(missing, Unsettled.UNKNOWN, 6) == [60, 600, 3600, DAY, DAY, DAY]
    assert waits(claim(), Unsettled.WAITING, 9) == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert waits(claim(), Unsettled.UNANSWERED, 7) == [60, 120, 240, 480, 960, 3600, 3600]
    assert waits(claim(), mined(), 3) == [AGAIN, AGAIN, AGAIN]


@pytest.mark.parametrize("time", [None, 1e9 - 2 * DAY])
def test_what_vanishes_is_missing_after_three_looks_a_day_apart_each_past_its_block(time: float | None) -> None:
    first = claim(time=time)
    made = after(first, judge(first, mined(block=80), view(), (), None))
    behind = view(head=85, final=79)
    for at in (behind, view(), behind, behind, view()):
        found = judge(made, Unsettled.UNKNOWN, at, (), None)
        assert (found.status, found.wait) == ("confirmed", DAY)
        made = after(made, found)
    gone = judge(made, Unsettled.UNKNOWN, view(), (), None)
    assert (gone.status, gone.reason, gone.wait) == ("missing", None, DAY)
    assert status(after(made, gone), mined(block=80)) == "confirmed"


def test_what_is_seen_again_starts_to_vanish_anew() -> None:
    made = claim(status="mismatch", reason="stranger", looks=2, block=80)
    found = judge(made, mined(sender=THEIRS), view(), (OURS,), None)
    assert (found.status, found.reason, found.looks) == ("mismatch", "stranger", 0)
    for seen in (Unsettled.WAITING, Unsettled.UNANSWERED, mined(block=95)):
        kept = judge(made, seen, view(), (OURS,), None)
        assert (kept.status, kept.reason, kept.looks, kept.wait) == ("mismatch", "stranger", 2, DAY)


class Reconciling(RuleBasedStateMachine):
    """A chain grows, loses unfinal blocks to reorgs, and is seen through a node that may lag behind it.

    A backend that lags knows a prefix of the chain, its own head, and what is final by them; a transaction may be in
    no block yet, in one that a reorg removes, or never be mined at all.
    """

    FINALITY = 5

    def __init__(self) -> None:
        super().__init__()
        self.head = 20
        self.at: int | None = None
        self.made = claim()
        self.decided: str | None = None
        self.transaction = mined()
        self.truth = "missing"

    @initialize(succeeded=st.booleans(), says=st.booleans(), stranger=st.booleans())
    def claims(self, succeeded: bool, says: bool, stranger: bool) -> None:
        self.made = claim(succeeded=says)
        self.transaction = mined(succeeded=succeeded, sender=THEIRS if stranger else OURS)
        self.truth = self._truth(succeeded, says, stranger)

    def _truth(self, succeeded: bool, says: bool, stranger: bool) -> str:
        if stranger or (succeeded and not says):
            return "mismatch"
        return "reverted" if says and not succeeded else "confirmed"

    @property
    def final(self) -> int:
        return self.head - self.FINALITY

    @rule(blocks=st.integers(1, 8))
    def grows(self, blocks: int) -> None:
        self.head += blocks

    @rule()
    @precondition(lambda self: self.at is None and self.made.block is None)
    def is_mined(self) -> None:
        """Before it is claimed, for bots write a trade down when they have its receipt."""
        self.head += 1
        self.at = self.head

    @rule(further=st.integers(0, 2))
    @precondition(lambda self: self.at is not None and self.at > self.final)
    def moves_in_a_reorg(self, further: int) -> None:
        """Within what is not final: to another block, never back below finality."""
        assert self.at is not None
        self.at = max(self.final + 1, min(self.at + further, self.head))

    @rule(lag=st.integers(0, 12), answers=st.booleans())
    def is_looked_up(self, lag: int, answers: bool) -> None:
        head = self.head - lag
        seen: Seen = Unsettled.UNKNOWN
        if not answers:
            seen = Unsettled.UNANSWERED
        elif self.at is not None and self.at <= head:
            seen = mined(block=self.at, succeeded=self.transaction.succeeded, sender=self.transaction.sender)
        # The head is the newest that any node told, and what is final the least: see `View.within`.
        at = View(self.head, head - self.FINALITY, 10**9, (seen,))
        found = judge(self.made, seen, at, (OURS,), None)
        self.made = claim(
            succeeded=self.made.succeeded, status=found.status, reason=found.reason, looks=found.looks,
            block=found.block,
        )  # fmt: skip

    @invariant()
    def what_is_decided_is_true(self) -> None:
        if self.made.status != "pending":
            assert self.made.status == (self.truth if self.at is not None else "missing")

    @invariant()
    def and_was_final(self) -> None:
        if self.made.found:
            assert self.at is not None
            assert self.at <= self.final

    @invariant()
    def and_does_not_change(self) -> None:
        assert self.decided in (None, self.made.status)
        self.decided = None if self.made.status == "pending" else self.made.status

    def teardown(self) -> None:
        """In the end everything is decided."""
        self.head += 20
        for _ in range(2):
            self.is_looked_up(0, True)
            self.head += 20
        assert self.made.status == (self.truth if self.at is not None else "missing")


Reconciling.TestCase.settings = settings(max_examples=lives(150), stateful_step_count=20, deadline=None)
TestReconciling = Reconciling.TestCase


def test_statuses_and_reasons_are_closed_sets() -> None:
    assert set(verdict.STATUSES) == {"confirmed", "missing", "reverted", "mismatch"}
    assert verdict.PENDING not in verdict.STATUSES
