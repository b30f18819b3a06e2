"""The wallets' books in the ledger: every transaction of ours on the chain, counted once it is final."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from exporter.books import UNBOUNDED, Writer
from exporter.ledger import fetch
from exporter.slots import Slots
from exporter.sources.memory_bank import Batch
from exporter.sources.outcomes import Outcome
from exporter.sources.records import FAILED, SUCCESS, Trade
from exporter.sources.transactions import Mark

SOURCE: Final = "chain"
PROVISIONAL, CONFIRMED, ORPHANED = 0, 1, 2
"""An orphan was counted, and then a reorg below finality took it: it stays counted, for totals never fall."""
NO_REASON: Final = ""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a chain has been read and counted; `marks` are blocks on the way, the newest first."""

    started: int
    scanned: Mark
    final: Mark
    first_read: bool
    marks: tuple[Mark, ...]
    nonces: Mapping[str, int | None]
    """Of every address that was looked for the next nonce after the final block, as far as it is known."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A provisional transaction's place."""

    hash: str
    address: str
    sender: str
    nonce: int
    block: Mark


@dataclass(frozen=True, slots=True)
class FeeTotal:
    """Transactions of one outcome and reason, and what they cost, in wei."""

    count: int = 0
    l2_wei: int = 0
    l1_wei: int = 0
    operator_wei: int = 0


@dataclass(frozen=True, slots=True)
class WalletBooks:
    """Everything counted, by address of ours: totals by (outcome, reason), and what reorgs took back."""

    totals: Mapping[str, Mapping[tuple[str, str], FeeTotal]] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)
    provisional: Mapping[str, int] = field(default_factory=dict)
    orphaned: int = 0
    unvalued: int = 0
    flows: Mapping[str, float] = field(default_factory=dict)
    """What trades brought of each token, by its symbol and in its own unit, fees left out; of known tokens only."""


def cursor(db: sqlite3.Connection, chain_id: int) -> Cursor | None:
    """How far this chain has been read; None before it is."""
    query = "SELECT started, scanned, final, first_read FROM chain WHERE chain_id=? AND final NOT NULL"
    found = fetch(db, query, chain_id)
    if not found:
        return None
    started, scanned, final, first_read = found[0]
    rows = fetch(db, "SELECT number, hash FROM chain_block WHERE chain_id=? ORDER BY number DESC", chain_id)
    marks = tuple(Mark(*row) for row in rows)
    hashes = dict(rows)
    nonces = dict(fetch(db, "SELECT address, nonce FROM wallet_nonce WHERE chain_id=?", chain_id))
    ends = Mark(scanned, hashes[scanned]), Mark(final, hashes[final])
    return Cursor(started, *ends, bool(first_read), marks, nonces)


def begin(db: sqlite3.Connection, chain_id: int, at: Mark, nonces: Mapping[str, int | None]) -> None:
    """Start, or start again, after a block; what was counted before stays counted."""
    db.execute("DELETE FROM chain_block WHERE chain_id=?", (chain_id,))
    db.execute("DELETE FROM wallet_transaction WHERE chain_id=? AND confirmed=?", (chain_id, PROVISIONAL))
    db.execute(
        "INSERT INTO chain (chain_id, started, scanned, final) VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET"
        " started=excluded.started, scanned=excluded.scanned, final=excluded.final",
        (chain_id, at.number, at.number, at.number),
    )
    _put_mark(db, chain_id, at)
    _put_nonces(db, chain_id, nonces)


def put(db: sqlite3.Connection, chain_id: int, end: Mark, outcomes: Iterable[Outcome]) -> None:
    """What was found up to a mark; provisional until it is confirmed. What is known already stays as it is."""
    for outcome in outcomes:
        _put_outcome(db, chain_id, outcome)
    _put_mark(db, chain_id, end)
    db.execute("UPDATE chain SET scanned=? WHERE chain_id=?", (end.number, chain_id))


def _put_outcome(db: sqlite3.Connection, chain_id: int, o: Outcome) -> None:
    db.execute(
        "INSERT INTO wallet_transaction VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET"
        " block_number=excluded.block_number, block_hash=excluded.block_hash, time=excluded.time,"
        " outcome=excluded.outcome, reason=excluded.reason, trade=excluded.trade, gas_used=excluded.gas_used,"
        " l2_wei=excluded.l2_wei, l1_wei=excluded.l1_wei, operator_wei=excluded.operator_wei,"
        " net_wei=excluded.net_wei, unvalued=excluded.unvalued, flows=excluded.flows, pair=excluded.pair,"
        " dex_buy=excluded.dex_buy, dex_sell=excluded.dex_sell WHERE confirmed=0",
        (
            chain_id, o.hash, o.address, o.sender, o.nonce, o.block_number, o.block_hash, o.time, PROVISIONAL,
            SUCCESS if o.succeeded else FAILED, o.reason, int(o.trade), o.gas_used, str(o.l2_wei), str(o.l1_wei),
            str(o.operator_wei), None if o.net_wei is None else str(o.net_wei), o.unvalued,
            json.dumps({token: str(amount) for token, amount in o.tokens.items()}), *o.route,
        ),
    )  # fmt: skip
    db.execute(
        "UPDATE wallet_transaction SET confirmed=?, block_number=?, block_hash=?"
        " WHERE chain_id=? AND hash=? AND confirmed=?",
        (CONFIRMED, o.block_number, o.block_hash, chain_id, o.hash, ORPHANED),
    )


def waiting(db: sqlite3.Connection, chain_id: int, last: int | None = None) -> list[Waiting]:
    """Provisional transactions in blocks up to number `last`, in their order."""
    rows = fetch(
        db,
        "SELECT hash, address, sender, nonce, block_number, block_hash FROM wallet_transaction"
        " WHERE chain_id=? AND confirmed=? AND block_number<=? ORDER BY block_number, nonce",
        chain_id, PROVISIONAL, 2**62 if last is None else last,
    )  # fmt: skip
    return [Waiting(hash_, address, sender, nonce, Mark(*block)) for hash_, address, sender, nonce, *block in rows]


def sent(db: sqlite3.Connection, chain_id: int, after: int, last: int) -> dict[str, list[int]]:
    """The nonces of each sender's transactions in blocks after one and up to another, ascending."""
    rows = fetch(
        db,
        "SELECT sender, nonce FROM wallet_transaction WHERE chain_id=? AND confirmed IN (?,?)"
        " AND block_number>? AND block_number<=? ORDER BY nonce",
        chain_id, PROVISIONAL, CONFIRMED, after, last,
    )  # fmt: skip
    found: defaultdict[str, list[int]] = defaultdict(list)
    for sender, nonce in rows:
        found[sender].append(nonce)
    return dict(found)


def go_back(db: sqlite3.Connection, chain_id: int, to: Mark, removed: Sequence[Waiting]) -> None:
    """Read again from a mark on; `removed` are no longer on the chain, which is counted."""
    for one in removed:
        db.execute("DELETE FROM wallet_transaction WHERE chain_id=? AND hash=?", (chain_id, one.hash))
        db.execute(
            "INSERT INTO wallet_removed VALUES (?,?,1) ON CONFLICT DO UPDATE SET count=count+1",
            (chain_id, one.address),
        )
    db.execute("DELETE FROM chain_block WHERE chain_id=? AND number>?", (chain_id, to.number))
    db.execute("UPDATE chain SET scanned=? WHERE chain_id=?", (to.number, chain_id))


def forsake(db: sqlite3.Connection, chain_id: int, to: Mark) -> None:
    """Accept a chain that left ours below finality: go back to a mark of both; what was counted stays counted."""
    db.execute("DELETE FROM wallet_transaction WHERE chain_id=? AND confirmed=?", (chain_id, PROVISIONAL))
    db.execute(
        "UPDATE wallet_transaction SET confirmed=? WHERE chain_id=? AND confirmed=? AND block_number>?",
        (ORPHANED, chain_id, CONFIRMED, to.number),
    )
    db.execute("DELETE FROM chain_block WHERE chain_id=? AND number>?", (chain_id, to.number))
    db.execute("UPDATE wallet_nonce SET nonce=NULL WHERE chain_id=?", (chain_id,))
    db.execute("UPDATE chain SET scanned=?, final=? WHERE chain_id=?", (to.number, to.number, chain_id))


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is to be counted: everything up to `at`, whose blocks were seen to be canonical; for which bot."""

    chain_id: int
    at: Mark
    nonces: Mapping[str, int | None]
    complete: bool
    bot: str
    routes: int
    now: float
    room: int = UNBOUNDED


def confirm(db: sqlite3.Connection, what: Confirmation) -> None:
    """Count what is final, in the wallets' totals and, trades, in the bot's books."""
    rows = fetch(
        db,
        "SELECT hash, address, outcome, reason, l2_wei, l1_wei, operator_wei, trade, net_wei, flows, time, pair,"
        " dex_buy, dex_sell FROM wallet_transaction WHERE chain_id=? AND confirmed=? AND block_number<=?"
        " ORDER BY block_number, nonce",
        what.chain_id, PROVISIONAL, what.at.number,
    )  # fmt: skip
    trades, flows = [], Counter[str]()
    for hash_, address, outcome, reason, l2, l1, operator, trade, net, moved, time, *route in rows:
        fees = FeeTotal(1, int(l2), int(l1), int(operator))
        _add(db, what.chain_id, (address, outcome, reason or NO_REASON), fees)
        if trade:
            trades.append(_trade(hash_, outcome, reason, int(net), fees, time, route))
            flows.update({token: int(amount) for token, amount in json.loads(moved).items()})
    _add_flows(db, what.chain_id, flows)
    db.execute(
        "UPDATE wallet_transaction SET confirmed=? WHERE chain_id=? AND confirmed=? AND block_number<=?",
        (CONFIRMED, what.chain_id, PROVISIONAL, what.at.number),
    )
    db.execute(
        "UPDATE chain SET final=?, first_read=max(first_read, ?) WHERE chain_id=?",
        (what.at.number, int(what.complete), what.chain_id),
    )
    _put_mark(db, what.chain_id, what.at)
    _put_nonces(db, what.chain_id, what.nonces)
    _thin_out(db, what.chain_id, what.at.number)
    if trades or what.complete:
        writer = Writer(db, what.bot, SOURCE, what.routes, what.now, Slots(db, what.bot, what.room))
        writer.put(Batch(SOURCE, trades=trades, complete=what.complete), [])


def _trade(
    hash_: str, outcome: str, reason: str | None, net_wei: int, fees: FeeTotal, time: float, route: Sequence[str]
) -> Trade:
    key, (pair, dex_buy, dex_sell) = bytes.fromhex(hash_[2:]), route
    gas = fees.l2_wei + fees.l1_wei + fees.operator_wei
    return Trade(key, key, time, pair, dex_buy, dex_sell, outcome, reason, net_wei, gas, None, hash_)


def _add(db: sqlite3.Connection, chain_id: int, key: tuple[str, str, str], fees: FeeTotal) -> None:
    found = fetch(
        db, "SELECT count, l2_wei, l1_wei, operator_wei FROM wallet_total"
        " WHERE chain_id=? AND address=? AND outcome=? AND reason=?", chain_id, *key,
    )  # fmt: skip
    old = FeeTotal(*map(int, found[0])) if found else FeeTotal()
    sums = (old.l2_wei + fees.l2_wei, old.l1_wei + fees.l1_wei, old.operator_wei + fees.operator_wei)
    db.execute(
        "INSERT OR REPLACE INTO wallet_total VALUES (?,?,?,?,?,?,?,?)",
        (chain_id, *key, old.count + fees.count, *map(str, sums)),
    )


def _add_flows(db: sqlite3.Connection, chain_id: int, flows: Mapping[str, int]) -> None:
    for token, amount in flows.items():
        found = fetch(db, "SELECT amount FROM wallet_flow WHERE chain_id=? AND token=?", chain_id, token)
        total = amount + (int(found[0][0]) if found else 0)
        db.execute("INSERT OR REPLACE INTO wallet_flow VALUES (?,?,?)", (chain_id, token, str(total)))


def _put_mark(db: sqlite3.Connection, chain_id: int, at: Mark) -> None:
    db.execute("INSERT OR REPLACE INTO chain_block VALUES (?,?,?)", (chain_id, at.number, at.hash))


def _put_nonces(db: sqlite3.Connection, chain_id: int, nonces: Mapping[str, int | None]) -> None:
    rows = [(chain_id, address, nonce) for address, nonce in nonces.items()]
    db.executemany("INSERT OR REPLACE INTO wallet_nonce VALUES (?,?,?)", rows)


def _thin_out(db: sqlite3.Connection, chain_id: int, final: int) -> None:
    """Of the blocks below finality keep fewer the older they are: enough to find where another chain left ours."""
    rows = fetch(db, "SELECT number FROM chain_block WHERE chain_id=? AND number<?", chain_id, final)
    by_age: defaultdict[int, list[int]] = defaultdict(list)
    for (number,) in rows:
        by_age[(final - number).bit_length()].append(number)
    # The oldest of each age comes of the next age one day, and then there must be a younger one to follow it.
    kept = {end(numbers) for numbers in by_age.values() for end in (min, max)}
    dropped = [(chain_id, number) for (number,) in rows if number not in kept]
    db.executemany("DELETE FROM chain_block WHERE chain_id=? AND number=?", dropped)


def read(db: sqlite3.Connection, chain_id: int) -> WalletBooks:
    """Everything counted on a chain."""
    totals: defaultdict[str, dict[tuple[str, str], FeeTotal]] = defaultdict(dict)
    query = "SELECT address, outcome, reason, count, l2_wei, l1_wei, operator_wei FROM wallet_total WHERE chain_id=?"
    for address, outcome, reason, *sums in fetch(db, query, chain_id):
        totals[address][outcome, reason] = FeeTotal(*map(int, sums))
    removed = dict(fetch(db, "SELECT address, count FROM wallet_removed WHERE chain_id=?", chain_id))
    query = "SELECT address, count(*) FROM wallet_transaction WHERE chain_id=? AND confirmed=? GROUP BY 1"
    provisional = dict(fetch(db, query, chain_id, PROVISIONAL))
    query = "SELECT count(*) FROM wallet_transaction WHERE chain_id=? AND confirmed=?"
    orphaned = fetch(db, query, chain_id, ORPHANED)[0][0]
    unvalued = fetch(db, f"{query} AND unvalued>0", chain_id, CONFIRMED)[0][0]
    return WalletBooks(dict(totals), removed, provisional, orphaned, unvalued, _flows(db, chain_id))


def _flows(db: sqlite3.Connection, chain_id: int) -> dict[str, float]:
    rows = fetch(
        db,
        "SELECT symbol, decimals, amount FROM wallet_flow JOIN token ON wallet_flow.token = token.address"
        " AND wallet_flow.chain_id = token.chain_id WHERE wallet_flow.chain_id=? ORDER BY token",
        chain_id,
    )
    found: dict[str, float] = {}
    for symbol, decimals, amount in rows:
        found.setdefault(symbol, float(Fraction(int(amount), 10**decimals)))  # a second one of that name is left out
    return found
