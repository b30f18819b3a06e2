"""What a look at the chain makes of a bot's claim: final blocks decide, and a node that lags undoes nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from exporter.sources.claims import Mined, Seen, Unsettled, View

PENDING: Final = "pending"
CONFIRMED, MISSING, REVERTED, MISMATCH = "confirmed", "missing", "reverted", "mismatch"
STATUSES: Final = (CONFIRMED, MISSING, REVERTED, MISMATCH)
"""What a claim can be once it is decided; until then it is pending."""
REASONS: Final = ("stranger", "outcome", "gas_cost", "net_profit")

DAY: Final = 86_400.0
OLD: Final = DAY
"""Seconds that a claim's own time must lie behind the final block to be believed: bots mistake time zones."""
SLACK: Final = 0.01
LEAST_SLACK_WEI: Final = 10**9
"""Amounts agree within 1 % or a billionth of an ether: bots write floats, rounded."""
VANISHED: Final = 3
"""Looks, a day apart, that must all fail to find a transaction again before its claim is called missing."""

_SOON: Final = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0)
_UNANSWERED: Final = (60.0, 120.0, 240.0, 480.0, 960.0, 3600.0)
_MISSING: Final = (60.0, 600.0, 3600.0, DAY)
AGAIN: Final = 7 * DAY


@dataclass(frozen=True, slots=True)
class Claim:
    """A trade's claim as the ledger has it. Amounts in wei, None where the bot tells none; `time` in epoch seconds."""

    trade: int
    tx_hash: str
    time: float | None
    succeeded: bool
    net_wei: int | None
    gas_wei: int | None
    status: str = PENDING
    reason: str | None = None
    looks: int = 0
    block: int | None = None

    @property
    def found(self) -> bool:
        """Whether a final block had its transaction."""
        return self.status not in (PENDING, MISSING)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim's status after a look, and in how many seconds to look again."""

    status: str
    reason: str | None
    looks: int
    wait: float
    block: int | None


def judge(claim: Claim, seen: Seen, view: View, own: Collection[str], realised: int | None) -> Verdict:
    """What a look makes of a claim; `own` are the bot's addresses, `realised` its net profit by the wallet's ledger.

    Only a final block decides: that it has the transaction, or that it is past where the transaction would be.
    """
    if isinstance(seen, Mined):
        if view.final is None or seen.block > view.final:
            return _unchanged(claim, view, _SOON)
        status, reason = _compare(claim, seen, own, realised)
        return Verdict(status, reason, 0, AGAIN, seen.block)
    if seen is Unsettled.UNANSWERED:
        return _unchanged(claim, view, _UNANSWERED)
    if seen is Unsettled.WAITING or not _is_past(claim, view):
        return _unchanged(claim, view, _SOON)
    return _unknown(claim, view)


def _unknown(claim: Claim, view: View) -> Verdict:
    """The chain is final where the transaction would be, and it is not there."""
    looks = 1 if claim.status == PENDING else claim.looks + 1
    if not claim.found:
        return Verdict(MISSING, None, looks, _rung(_MISSING, looks - 1), _block(claim, view))
    if looks < VANISHED:
        return Verdict(claim.status, claim.reason, looks, DAY, claim.block)
    return Verdict(MISSING, None, 1, DAY, claim.block)


def _unchanged(claim: Claim, view: View, waits: tuple[float, ...]) -> Verdict:
    if claim.found:  # looks that do not miss it are not counted
        return Verdict(claim.status, claim.reason, claim.looks, DAY, claim.block)
    return Verdict(claim.status, claim.reason, claim.looks + 1, _rung(waits, claim.looks), _block(claim, view))


def _block(claim: Claim, view: View) -> int:
    """The head when it was looked for first."""
    return view.head if claim.block is None else claim.block


def _rung(waits: tuple[float, ...], looks: int) -> float:
    return waits[min(looks, len(waits) - 1)]


def _is_past(claim: Claim, view: View) -> bool:
    """Whether the chain is final beyond where the transaction would be, by this node's own word."""
    if view.final is None or view.final_time is None:
        return False
    if not claim.found and claim.time is not None and claim.time + OLD <= view.final_time:
        return True
    return view.final >= _block(claim, view)


def _compare(claim: Claim, mined: Mined, own: Collection[str], realised: int | None) -> tuple[str, str | None]:
    if own and mined.sender not in own and mined.to not in own:
        return MISMATCH, "stranger"
    if claim.succeeded and not mined.succeeded:
        return REVERTED, None
    if mined.succeeded and not claim.succeeded:
        return MISMATCH, "outcome"
    costs = (mined.l2_wei, mined.l2_wei + mined.l1_wei)
    if claim.gas_wei is not None and not any(agree(claim.gas_wei, cost) for cost in costs):
        return MISMATCH, "gas_cost"
    if claim.net_wei is not None and realised is not None and not agree(claim.net_wei, realised):
        return MISMATCH, "net_profit"
    return CONFIRMED, None


def agree(claimed_wei: int, true_wei: int) -> bool:
    """Whether a claimed amount is the true one, as exactly as bots write them."""
    return abs(claimed_wei - true_wei) <= max(abs(true_wei) * SLACK, LEAST_SLACK_WEI)
