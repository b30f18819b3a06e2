"""The bot's claims in the ledger: which are to be looked up, what became of each, and how far a source is real."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from exporter.ledger import fetch
from exporter.sources.claims import View
from exporter.sources.records import SUCCESS
from exporter.verdict import AGAIN, CONFIRMED, DAY, MISMATCH, MISSING, PENDING, REVERTED, Claim, Verdict, agree, judge

COMPARED: Final = (CONFIRMED, REVERTED, MISMATCH)
"""Claims whose profit is held against what was realised, as far as that is known."""
REAL, SIMULATED, UNVERIFIED = "real", "simulated", "unverified"
SHARE_OF_REAL: Final = 0.95
CHAIN: Final = "chain"
"""The one source that claims nothing: it is the chain."""


def unclaimed(db: sqlite3.Connection, bot: str, after: int) -> tuple[int, int]:
    """The newest trade of all, and how many of this bot after that one have a hash but no claim yet."""
    (newest,) = fetch(db, "SELECT coalesce(max(id), 0) FROM trade")[0]
    (count,) = fetch(
        db, "SELECT count(*) FROM trade LEFT JOIN claim ON claim.trade=trade.id WHERE id>? AND +trade.bot=?"
        " AND tx_hash IS NOT NULL AND trade.source<>? AND claim.trade IS NULL", after, bot, CHAIN,
    )[0]  # fmt: skip
    return newest, count


def enrol(db: sqlite3.Connection, bot: str, after: int, now: float, most: int) -> None:
    """Make claims of trades after that one that have none, up to so many, each to be looked up now."""
    db.execute(
        "INSERT INTO claim (trade, bot, source, status, due) SELECT id, trade.bot, trade.source, ?, ? FROM trade"
        " LEFT JOIN claim ON claim.trade=trade.id WHERE id>? AND +trade.bot=? AND tx_hash IS NOT NULL"
        " AND trade.source<>? AND claim.trade IS NULL ORDER BY id LIMIT ?",
        (PENDING, now, after, bot, CHAIN, most),
    )


def due(db: sqlite3.Connection, bot: str, now: float, most: int) -> list[Claim]:
    """Claims whose time has come, the longest due first; also any far ahead, for which our clock was wrong once."""
    rows = fetch(db, f"{_DUE} AND due<=? ORDER BY due, trade LIMIT ?", bot, now, most)
    rows = rows or fetch(db, f"{_DUE} AND due>? ORDER BY due, trade LIMIT ?", bot, now + AGAIN + DAY, most)
    return [_claim(*row) for row in rows]


_DUE: Final = (
    "SELECT id, tx_hash, time, outcome, net_wei, gas_wei, status, claim.reason, looks, block FROM claim"
    " JOIN trade ON id=trade WHERE claim.bot=?"
)


def _claim(
    trade: int, tx_hash: str, time: float | None, outcome: str, net: str | None, gas: str | None, status: str,
    reason: str | None, looks: int, block: int | None,
) -> Claim:  # fmt: skip
    return Claim(trade, tx_hash, time, outcome == SUCCESS, _number(net), _number(gas), status, reason, looks, block)


def put(
    db: sqlite3.Connection, chain_id: int, claims: Iterable[Claim], view: View, own: Collection[str], now: float
) -> None:
    """Write down what a look found."""
    for claim, seen in zip(claims, view.seen, strict=True):
        realised = _realised(db, chain_id, claim.tx_hash)
        verdict = judge(claim, seen, view, own, realised)
        _write(db, claim, verdict, realised, now)


def _write(db: sqlite3.Connection, claim: Claim, verdict: Verdict, realised: int | None, now: float) -> None:
    amounts = _text(claim.net_wei), _text(realised)
    db.execute(
        "UPDATE claim SET status=?, reason=?, looks=?, due=?, checked=?, block=?, claimed_wei=?, realised_wei=?"
        " WHERE trade=?",
        (verdict.status, verdict.reason, verdict.looks, now + verdict.wait, now, verdict.block, *amounts, claim.trade),
    )


_NET: Final = (
    "SELECT net_wei FROM wallet_transaction WHERE chain_id=? AND hash=? AND confirmed=1 AND unvalued=0"
    " AND net_wei IS NOT NULL"
)


def _realised(db: sqlite3.Connection, chain_id: int, tx_hash: str) -> int | None:
    """What a transaction earned, where the wallet's ledger knows all of it for good."""
    found = fetch(db, _NET, chain_id, tx_hash)
    return int(found[0][0]) if found else None


def unsettled(db: sqlite3.Connection, chain_id: int, bot: str, most: int) -> list[tuple[int, str, str]]:
    """Claims found on the chain whose net profit has become known since: (trade, claimed or none, realised)."""
    return fetch(
        db, "SELECT claim.trade, trade.net_wei, found.net_wei FROM claim JOIN trade ON trade.id=claim.trade"
        " CROSS JOIN wallet_transaction AS found ON found.chain_id=? AND found.hash=trade.tx_hash AND found.confirmed=1"
        " AND found.unvalued=0 AND found.net_wei IS NOT NULL WHERE claim.bot=? AND claim.realised_wei IS NULL"
        " AND claim.status NOT IN (?,?) LIMIT ?", chain_id, bot, PENDING, MISSING, most,
    )  # fmt: skip


def settle(db: sqlite3.Connection, found: Iterable[tuple[int, str | None, str]]) -> None:
    """Write down net profits that have become known; a claim that they belie is a mismatch from here on."""
    for trade, claimed, realised in found:
        db.execute("UPDATE claim SET claimed_wei=?, realised_wei=? WHERE trade=?", (claimed, realised, trade))
        if claimed is not None and not agree(int(claimed), int(realised)):
            db.execute(
                "UPDATE claim SET status=?, reason='net_profit' WHERE trade=? AND status=?",
                (MISMATCH, trade, CONFIRMED),
            )


@dataclass(slots=True)
class Sums:
    """Claims of a bot by status and reason; by source, what the same trades claimed and realised, in wei."""

    last_look: float | None = None
    statuses: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    profits: dict[str, tuple[int, int]] = field(default_factory=dict)


def sums(db: sqlite3.Connection, bot: str) -> Sums:
    """All of it, row by row."""
    made = Sums()
    rows = db.execute(
        "SELECT source, status, reason, checked, claimed_wei, realised_wei FROM claim WHERE bot=?", (bot,)
    )
    for source, status, reason, checked, claimed, realised in rows:
        made.statuses[status] = made.statuses.get(status, 0) + 1
        if checked is not None:
            made.last_look = max(checked, made.last_look or 0.0)
        if reason is not None:
            made.reasons[reason] = made.reasons.get(reason, 0) + 1
        if status in COMPARED and claimed is not None and realised is not None:
            said, true = made.profits.get(source, (0, 0))
            made.profits[source] = said + int(claimed), true + int(realised)
    return made


def provenance(db: sqlite3.Connection, bot: str, simulated: Collection[str] = ()) -> dict[str, str]:
    """Of each source whether its trades are real, simulated (which it says itself) or unverified."""
    counts: dict[str, dict[str, int]] = {}
    for source, status, count in fetch(
        db, "SELECT source, status, count(*) FROM claim WHERE bot=? GROUP BY source, status", bot
    ):
        counts.setdefault(source, {})[status] = count
    sources = [source for (source,) in fetch(db, "SELECT source FROM source WHERE bot=? ORDER BY 1", bot)]
    return {source: _provenance(source, counts.get(source, {}), simulated) for source in sources}


def _provenance(source: str, counts: dict[str, int], simulated: Collection[str]) -> str:
    if source in simulated:
        return SIMULATED
    decided = sum(count for status, count in counts.items() if status != PENDING)
    found = decided > 0 and counts.get(CONFIRMED, 0) >= SHARE_OF_REAL * decided
    return REAL if source == CHAIN or found else UNVERIFIED


def _text(amount: int | None) -> str | None:
    return None if amount is None else str(amount)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
