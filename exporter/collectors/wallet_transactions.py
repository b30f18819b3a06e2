"""Transactions of the wallets and contracts, from the chain: counted when final, with every fee, each exactly once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from exporter.backlog import Backlog
from exporter.collector import Collector, Follow, Progress, Sources, pause
from exporter.config import Chain
from exporter.metrics import Family, counter, gauge
from exporter.sources.outcomes import WEI
from exporter.sources.records import FAILED, SUCCESS
from exporter.wallet_books import FeeTotal
from exporter.wallet_reading import Following, State

EVERY: Final = 2.0

TRANSACTIONS = counter(
    "arb_wallet_transactions_total", "Transactions of the wallet that are final, by outcome.", "wallet", "outcome"
)
REMOVED = counter(
    "arb_wallet_transactions_reverted_by_reorg_total",
    "Transactions of the wallet that were seen in a block which then left the chain.",
    "wallet",
)
FEES = counter(
    "arb_wallet_fees_ether_total", "Fees of final transactions, by outcome and kind.", "wallet", "outcome", "kind"
)
REVERTS = counter("arb_wallet_reverts_total", "Final transactions that were reverted, by reason.", "wallet", "reason")
WASTED = counter("arb_wallet_reverts_fees_ether_total", "Fees of reverted transactions, by reason.", "wallet", "reason")
PROVISIONAL = gauge(
    "arb_wallet_transactions_provisional", "Transactions of the wallet in blocks that are not final yet.", "wallet"
)
SCANNED = gauge("arb_wallet_transactions_scanned_block", "Block up to which transactions were looked for.")
FINAL = gauge("arb_wallet_transactions_final_block", "Block up to which transactions are counted; never goes back.")
FROZEN = gauge("arb_wallet_transactions_frozen", "1 while the chain contradicts what was final: nothing is counted.")
ORPHANED = gauge(
    "arb_wallet_transactions_orphaned",
    "Counted transactions that a reorg below finality has taken from the chain; they stay counted.",
)
UNVALUED = gauge(
    "arb_wallet_transactions_unvalued",
    "Chain trades whose profit lacks a token without a price in ether, or a flow that the node could not tell.",
)
FLOW = gauge(
    "arb_wallet_trade_flow_tokens",
    "What final chain trades brought of a token over all wallets and contracts, in its own unit, before fees.",
    "token",
    lasting=True,
)
KINDS: Final = (("l2_execution", "l2_wei"), ("l1_data", "l1_wei"), ("operator", "operator_wei"))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How far the chain was read and what was counted; `names` are the labels of our addresses."""

    names: Mapping[str, str]
    state: State


async def read(
    following: Following, names: Mapping[str, str], progress: Progress, backlog: Backlog
) -> AsyncGenerator[Snapshot]:
    """A snapshot after every chunk of blocks while there is much to read, then one for every look."""
    begun = None
    try:
        while True:
            async with aclosing(following.steps()) as states:
                async for state in states:
                    begun = _tell(progress, begun, state)
                    backlog.tell("chain", state.late)
                    yield Snapshot(names, state)
            await pause(EVERY)
    finally:
        backlog.tell("chain", False)


def _tell(progress: Progress, begun: int | None, state: State) -> int | None:
    """Tell how far a first read is; returns the block it began with, None once it is over."""
    if state.first_read:
        if begun is not None:
            progress(1, 1)
        return None
    begun = state.scanned if begun is None else begun
    progress(state.scanned - begun, max(state.goal - begun, state.scanned - begun + 1))
    return begun


def names_of(chain: Chain) -> dict[str, str]:
    """The label of each address of ours: a wallet's name, else the contract's."""
    return {named.address: named.name for named in (*chain.contracts, *chain.wallets)}


def render(snapshot: Snapshot) -> Iterator[Family]:
    """All of it; counters only after the first complete read, so that history never looks like a burst."""
    state = snapshot.state
    yield SCANNED(state.scanned)
    yield FINAL(state.final)
    yield FROZEN(state.frozen)
    if not state.first_read:
        return
    yield from _counters(snapshot)
    provisional = dict.fromkeys(snapshot.names.values(), 0) | _named(snapshot, state.books.provisional)
    yield PROVISIONAL.each(((name,), count) for name, count in provisional.items())
    yield ORPHANED(state.books.orphaned)
    yield UNVALUED(state.books.unvalued)
    yield FLOW.each(((token,), amount) for token, amount in state.books.flows.items())


def _counters(snapshot: Snapshot) -> Iterator[Family]:
    books, names = snapshot.state.books, sorted(set(snapshot.names.values()))
    by_outcome: defaultdict[tuple[str, str], list[FeeTotal]] = defaultdict(list)
    reverts: defaultdict[tuple[str, str], list[FeeTotal]] = defaultdict(list)
    for address, totals in books.totals.items():
        for (outcome, reason), total in totals.items():
            if address in snapshot.names:
                by_outcome[snapshot.names[address], outcome].append(total)
                if outcome == FAILED:
                    reverts[snapshot.names[address], reason].append(total)
    keys = [(name, outcome, shown) for name in names for outcome, shown in ((SUCCESS, SUCCESS), (FAILED, "reverted"))]
    yield TRANSACTIONS.each(((n, shown), sum(t.count for t in by_outcome[n, o])) for n, o, shown in keys)
    yield REMOVED.each(((n,), c) for n, c in (dict.fromkeys(names, 0) | _named(snapshot, books.removed)).items())
    yield FEES.each(
        ((n, shown, kind), sum(getattr(t, amount) for t in by_outcome[n, o]) / WEI)
        for n, o, shown in keys
        for kind, amount in KINDS
    )
    yield REVERTS.each((key, sum(t.count for t in totals)) for key, totals in reverts.items())
    yield WASTED.each((key, sum(map(_fees, totals)) / WEI) for key, totals in reverts.items())


def _fees(total: FeeTotal) -> int:
    return total.l2_wei + total.l1_wei + total.operator_wei


def _named(snapshot: Snapshot, counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by name; those of addresses that are no longer configured are kept in the ledger only."""
    found: defaultdict[str, int] = defaultdict(int)
    for address, count in counts.items():
        if address in snapshot.names:
            found[snapshot.names[address]] += count
    return dict(found)


def _open(sources: Sources) -> Follow | None:
    rpc, contracts, chain = sources.rpc, sources.contracts, sources.settings.chain
    if rpc is None or contracts is None or chain is None or not (chain.wallets or chain.contracts):
        return None
    following = Following(rpc, sources.ledger, contracts, sources.settings)
    names, progress = names_of(chain), sources.progress("wallet_transactions")
    return Follow(lambda: read(following, names, progress, sources.backlog))


COLLECTOR = Collector(
    name="wallet_transactions",
    metrics=(
        TRANSACTIONS, REMOVED, FEES, REVERTS, WASTED, PROVISIONAL, SCANNED, FINAL, FROZEN, ORPHANED, UNVALUED, FLOW,
    ),
    open=_open,
    render=render,
    timeout=120.0,
    max_age=60.0,
    uses=("chain", "bot", "limits"),
    unset="chain.wallets, chain.contracts: what was really earned",
)  # fmt: skip
