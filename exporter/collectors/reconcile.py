"""The bot's claims against the chain: each trade with a hash is looked up, and what was claimed held against it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from exporter import log, reconciliation
from exporter.collector import Collector, Poll, Sources
from exporter.config import Chain
from exporter.metrics import Family, gauge
from exporter.reconciliation import Sums
from exporter.sources import claims
from exporter.sources.records import WEI
from exporter.sources.rpc import Rpc
from exporter.verdict import PENDING, REASONS, STATUSES

TRADES = gauge(
    "arb_reconcile_trades",
    "Trades that the bot claims with a transaction hash, by what became of them in final blocks.",
    "bot",
    "status",
    lasting=True,
)
WAITING = gauge(
    "arb_reconcile_pending_trades",
    "Claimed trades that are not decided: not looked up yet, or not final yet.",
    "bot",
    lasting=True,
)
MISMATCHES = gauge("arb_reconcile_mismatches", "Claims that the chain belies, by how.", "bot", "reason", lasting=True)
CLAIMED = gauge(
    "arb_reconcile_claimed_profit_ether",
    "Net profit claimed for trades whose realised one is known.",
    "bot",
    "source",
    lasting=True,
)
REALISED = gauge(
    "arb_reconcile_realised_profit_ether",
    "Net profit that the same trades realised, after every fee.",
    "bot",
    "source",
    lasting=True,
)
LAST_CHECK = gauge("arb_reconcile_last_check_timestamp_seconds", "When a claim was last looked up.", "bot")

EVERY: Final = 1.0
"""Seconds between two looks of up to `claims.MOST` hashes each: 10,000 claims take nine minutes."""
CHUNK: Final = 5_000
SETTLE_EVERY: Final = 10.0
SHARE: Final = 50
"""Sums are made anew no sooner than this many times their own duration later, while there is more to look up."""
MANY: Final = 100
"""New claims at once that are worth a line in the log."""

logger = log.get("reconcile")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The claims of a bot as far as they are durable."""

    bot: str
    sums: Sums


class Reconciliation:
    """Looks claims up, a batch at each step; all of its progress is in the ledger."""

    def __init__(
        self,
        sources: Sources,
        rpc: Rpc,
        chain: Chain,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._bot = sources.ledger, sources.settings.bot.name
        self._rpc, self._chain, self._heads = rpc, chain, sources.heads
        self._own = frozenset(named.address for named in (*chain.wallets, *chain.contracts))
        self._clock, self._monotonic = clock, monotonic
        self._newest: Snapshot | None = None
        self._enrolled_version = self._settled_version = -1
        self._after = 0
        self._settle_at = self._sum_at = 0.0
        self._stale = False

    async def step(self) -> Snapshot:
        """Look up what is due, a batch of it at most; everything is durable before it shows.

        Raises:
            Unreachable, Malformed, RpcError: no node answers, and nothing was decided.
            sqlite3.Error, OSError, Busy: the ledger cannot be used.
        """
        self._stale |= await self._enrol()
        self._stale |= await self._settle()
        looked = await self._look()
        self._stale |= looked > 0
        may_sum = looked < claims.MOST or self._monotonic() >= self._sum_at
        if self._newest is None or (self._stale and may_sum):
            self._newest = await self._sum()
        return self._newest

    async def _enrol(self) -> bool:
        """Make claims of the bot's new trades, and say whether there were any."""
        version, after = self._ledger.version, self._after
        if version == self._enrolled_version:
            return False
        newest, count = await self._ledger.read(lambda db: reconciliation.unclaimed(db, self._bot, after))
        if count >= MANY:
            logger.info("claims to look up", trades=count)
        now = self._clock()
        for _ in range(0, count, CHUNK):
            await self._ledger.write(lambda db: reconciliation.enrol(db, self._bot, after, now, CHUNK))
        self._enrolled_version, self._after = version, newest
        return count > 0

    async def _settle(self) -> bool:
        """Take over profits that the wallets' ledger has learned since, and say whether there were any."""
        now, version = self._monotonic(), self._ledger.version
        if version == self._settled_version or now < self._settle_at:
            return False
        self._settle_at = now + SETTLE_EVERY
        chain_id = self._chain.chain_id
        found = await self._ledger.read(lambda db: reconciliation.unsettled(db, chain_id, self._bot, CHUNK))
        if found:
            await self._ledger.write(lambda db: reconciliation.settle(db, found))
        self._settled_version = version
        return bool(found)

    async def _look(self) -> int:
        """Look up a batch of what is due, and say how many that were."""
        now = self._clock()
        due = await self._ledger.read(lambda db: reconciliation.due(db, self._bot, now, claims.MOST))
        if due:
            view = await claims.look_up(self._rpc, [claim.tx_hash for claim in due], self._chain.finality)
            seen = view if self._heads is None else view.within(self._heads)
            chain_id, now = self._chain.chain_id, self._clock()
            await self._ledger.write(lambda db: reconciliation.put(db, chain_id, due, seen, self._own, now))
        return len(due)

    async def _sum(self) -> Snapshot:
        started = self._monotonic()
        found = await self._ledger.read(lambda db: reconciliation.sums(db, self._bot))
        self._sum_at = self._monotonic() + SHARE * (self._monotonic() - started)
        self._stale = False
        return Snapshot(self._bot, found)


def render(snapshot: Snapshot) -> Iterator[Family]:
    """Statuses once something was looked up, all four of them; before that only how much there is to do."""
    bot, sums = snapshot.bot, snapshot.sums
    looked = sums.last_look is not None
    yield TRADES.each(((bot, status), sums.statuses.get(status, 0)) for status in STATUSES if looked)
    yield WAITING.each([((bot,), sums.statuses.get(PENDING, 0))])
    yield MISMATCHES.each(((bot, reason), sums.reasons.get(reason, 0)) for reason in REASONS if looked)
    yield CLAIMED.each(((bot, source), claimed / WEI) for source, (claimed, _) in sums.profits.items())
    yield REALISED.each(((bot, source), realised / WEI) for source, (_, realised) in sums.profits.items())
    yield LAST_CHECK.each([((bot,), sums.last_look)] if sums.last_look is not None else [])


def _open(sources: Sources) -> Poll | None:
    rpc, chain = sources.rpc, sources.settings.chain
    return None if rpc is None or chain is None else Poll(Reconciliation(sources, rpc, chain).step, every=EVERY)


COLLECTOR = Collector(
    name="reconcile",
    metrics=(TRADES, WAITING, MISMATCHES, CLAIMED, REALISED, LAST_CHECK),
    open=_open,
    render=render,
    timeout=30.0,
    max_age=60.0,
    uses=("bot", "chain"),
)
