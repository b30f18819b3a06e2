"""The bot's trades by its own word and by the chain's: counts, profit, gas and failures, each once from the ledger."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter import books, event_totals, reconciliation
from exporter.books import Books, RouteTotal
from exporter.collector import Collector, Follow, Kept, Sources, pause
from exporter.metrics import Family, counter, gauge
from exporter.slots import Route, Slots, room
from exporter.sources.memory_bank import Bank, Batch, Recent
from exporter.sources.records import WEI, Execution

EVERY: Final = 0.5
CHUNK: Final = 480
PATIENCE: Final = 2.0
"""Seconds that an execution waits for the opportunity that names its pair, before it counts without."""
PROVENANCES: Final = (reconciliation.REAL, reconciliation.SIMULATED, reconciliation.UNVERIFIED)

_ROUTE = ("bot", "source", "pair", "dex_buy", "dex_sell")
TRADES = counter("arb_bot_trades_total", "Trades the source reports, by route and outcome.", *_ROUTE, "outcome")
BY_OUTCOME = counter(
    "arb_bot_trades_by_outcome_total", "Trades the source reports; there from 0 on.", "bot", "source", "outcome"
)
FAILURES = counter(
    "arb_bot_trade_failures_total", "Failed trades by what their error text means.", "bot", "source", "reason"
)
NET = gauge(
    "arb_bot_net_profit_ether",
    "Net profit after the source's own fees, summed over all its trades.",
    *_ROUTE,
    lasting=True,
)
GAIN = counter("arb_bot_gain_ether_total", "Sum of the profits of trades that gained.", *_ROUTE)
LOSS = counter("arb_bot_loss_ether_total", "Sum of the losses of trades that lost.", *_ROUTE)
GAS = counter("arb_bot_gas_cost_ether_total", "Gas paid, by the source's own figures.", *_ROUTE)
EXPECTED = counter("arb_bot_expected_profit_ether_total", "Profit the bot expected of its trades.", *_ROUTE)
LAST = gauge("arb_bot_last_trade_timestamp_seconds", "When the source's newest trade was made.", "bot", "source")
PROVENANCE = gauge(
    "arb_bot_data_provenance",
    "Whether the source's trades were found on the chain (real), are known to be made up, or neither.",
    "bot",
    "source",
    "provenance",
    lasting=True,
)
PEAK = gauge(
    "arb_bot_peak_net_profit_ether",
    "The highest that the source's net profit ever was, in the order of counting.",
    "bot",
    "source",
    lasting=True,
)
DRAWDOWN = gauge(
    "arb_bot_drawdown_ether", "How far the source's net profit is below its highest.", "bot", "source", lasting=True
)
BACKFILL = gauge(
    "arb_bot_backfill_active", "1 while trades of the past are being read, and for a minute after it.", "bot"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The bot's books as far as they are durable."""

    bot: str
    books: Books
    provenance: Mapping[str, str]
    backfill: bool


async def read(reading: Reading) -> AsyncGenerator[Snapshot | Kept]:
    """A snapshot at once if the ledger has one, then one after every pass over the bank, and during long ones.

    Opened again after a failure, it first shows what other sources have brought meanwhile: the bank may still be gone.
    """
    snapshot = await reading.snapshot()
    if any(total.first_read for total in snapshot.books.sources.values()):
        again, reading.given = reading.given, True
        yield Kept(snapshot) if again else snapshot
    while True:
        async for snapshot in reading.one_pass():
            reading.given = True
            yield snapshot
        await pause(EVERY)


@dataclass(slots=True)
class _Waiting:
    execution: Execution
    since: float


@dataclass(slots=True)
class Reading:
    """A hold on the bank that outlives failures: what was seen, what waits, and the newest snapshot, if `given`.

    `telling` while a first read is under way.
    """

    sources: Sources
    bank: Bank | None
    waiting: list[_Waiting] = field(default_factory=list)
    newest: Snapshot | None = None
    version: int = -1
    given: bool = False
    telling: bool = False

    async def snapshot(self) -> Snapshot:
        """The ledger's totals; the same object for as long as they are the same."""
        bot, ledger = self.sources.settings.bot.name, self.sources.ledger
        backfill = self.sources.backlog.active
        stale = self.newest is None or self.version != ledger.version or self.newest.backfill != backfill
        if stale:
            version = ledger.version
            totals = await ledger.read(lambda db: (books.read(db, bot), _provenance(db, bot)))
            made = Snapshot(bot, *totals, backfill)
            self.newest = self.newest if self.newest == made else made
            self.version = version
        assert self.newest is not None  # noqa: S101
        return self.newest

    async def one_pass(self) -> AsyncGenerator[Snapshot]:
        """Read what is new, chunk by chunk; each is durable before its snapshot is given."""
        if self.bank is not None:
            async for snapshot in self._through(self.bank):
                yield snapshot
        yield await self.snapshot()

    async def _through(self, bank: Bank) -> AsyncGenerator[Snapshot]:
        worker = self.sources.worker("trades")
        names = await worker.run(bank.changed)
        first = not await self._has_read("memory_bank")
        behind = len(names) > CHUNK
        self.sources.backlog.tell("memory_bank", behind)
        for start in range(0, len(names), CHUNK):
            batch = await worker.run(bank.read, names[start : start + CHUNK])
            await self._put(bank, batch)
            if first:
                self._tell(min(start + CHUNK, len(names)), len(names))
            if behind:
                yield await self.snapshot()
        await self._finish(first)
        recent = await worker.run(bank.recent, CHUNK)
        if recent is not None:
            async for snapshot in self._through_list(bank, recent):
                yield snapshot
        if self.telling:  # of files or rows that are gone now
            self._tell(0, 0)
        self.sources.backlog.tell("memory_bank", False)

    async def _through_list(self, bank: Bank, recent: Recent) -> AsyncGenerator[Snapshot]:
        worker = self.sources.worker("trades")
        first = not await self._has_read("recent")
        behind, done = recent.rows > CHUNK, 0
        if behind:
            self.sources.backlog.tell("memory_bank", True)
        while (batch := await worker.run(next, recent.batches, None)) is not None:
            await self._put(bank, batch)
            done = min(done + CHUNK, recent.rows)
            if behind:
                if first:
                    self._tell(done, recent.rows)
                yield await self.snapshot()

    def _tell(self, done: int, total: int) -> None:
        """How far a first read is."""
        self.telling = done < total
        self.sources.progress("trades")(done, total)

    async def _finish(self, first: bool) -> None:
        """Count executions that need not wait any more, and mark a first read as complete."""
        due = await self._due(first)
        if due or first:
            await self._write(Batch("memory_bank", complete=True), [waiting.execution for waiting in due])
            self.waiting = [waiting for waiting in self.waiting if waiting not in due]

    async def _due(self, first: bool) -> list[_Waiting]:
        if first or not self.waiting:
            return self.waiting.copy()
        ids = {w.execution.opportunity_id for w in self.waiting if w.execution.opportunity_id is not None}
        bot = self.sources.settings.bot.name
        known = await self.sources.ledger.read(lambda db: books.known_opportunities(db, bot, ids))
        late = time.monotonic() - PATIENCE
        return [w for w in self.waiting if w.since <= late or w.execution.opportunity_id in known]

    async def _put(self, bank: Bank, batch: Batch) -> None:
        if not batch.empty or batch.complete:
            await self._write(batch, [])
        now = time.monotonic()
        self.waiting += [_Waiting(execution, now) for execution in batch.executions]
        bank.keep(batch)

    async def _write(self, batch: Batch, executions: list[Execution]) -> None:
        settings = self.sources.settings
        bot, most, now = settings.bot.name, settings.limits.routes_per_source, time.time()

        def put(db: sqlite3.Connection) -> None:
            slots = Slots(db, bot, room(settings))
            books.Writer(db, bot, batch.source, most, now, slots).put(batch, executions)

        await self.sources.ledger.write(put)

    async def _has_read(self, source: str) -> bool:
        total = (await self.snapshot()).books.sources.get(source)
        return total is not None and total.first_read


def _provenance(db: sqlite3.Connection, bot: str) -> dict[str, str]:
    return reconciliation.provenance(db, bot, event_totals.simulated(db, bot))


def render(snapshot: Snapshot) -> Iterator[Family]:
    """Sources whose first read is complete; of the others nothing, so that history never looks like a burst."""
    bot = snapshot.bot
    read_once = {name: total for name, total in snapshot.books.sources.items() if total.first_read}
    routes = [(source, route, total) for source, all_ in read_once.items() for route, total in all_.routes.items()]
    yield TRADES.each(_outcomes(bot, routes))
    yield BY_OUTCOME.each(
        ((bot, source, outcome), getattr(total, outcome))
        for source, total in read_once.items()
        for outcome in ("success", "failed")
    )
    yield FAILURES.each(
        ((bot, source, reason), n) for source, total in read_once.items() for reason, n in total.failures.items()
    )
    for metric, amount in (
        (NET, "net_wei"),
        (GAIN, "gain_wei"),
        (LOSS, "loss_wei"),
        (GAS, "gas_wei"),
        (EXPECTED, "expected_wei"),
    ):
        yield metric.each(((bot, source, *route), getattr(total, amount) / WEI) for source, route, total in routes)
    yield LAST.each(((bot, s), t.last_trade) for s, t in read_once.items() if t.last_trade is not None)
    for metric, amount in ((PEAK, "peak_wei"), (DRAWDOWN, "below_wei")):
        known = ((source, getattr(total, amount)) for source, total in read_once.items())
        yield metric.each(((bot, source), wei / WEI) for source, wei in known if wei is not None)
    yield PROVENANCE.each(
        ((bot, source, each), each == snapshot.provenance.get(source, reconciliation.UNVERIFIED))
        for source in read_once
        for each in PROVENANCES
    )
    yield BACKFILL.each([((bot,), snapshot.backfill)])


def _outcomes(bot: str, routes: list[tuple[str, Route, RouteTotal]]) -> Iterator[tuple[tuple[str, ...], float]]:
    for source, route, total in routes:
        for outcome, count in (("success", total.success), ("failed", total.failed)):
            if count:
                yield (bot, source, *route, outcome), count


def _open(sources: Sources) -> Follow:
    """Always: events may come, and the chain's own trades."""
    bot, limit = sources.settings.bot, sources.settings.limits.file_bytes
    bank = None if bot.memory_bank is None else Bank(bot.memory_bank, bot.timezone, limit)
    reading = Reading(sources, bank)
    return Follow(lambda: read(reading))


COLLECTOR = Collector(
    name="trades",
    metrics=(TRADES, BY_OUTCOME, FAILURES, NET, GAIN, LOSS, GAS, EXPECTED, LAST, PROVENANCE, PEAK, DRAWDOWN, BACKFILL),
    open=_open,
    render=render,
    timeout=60.0,
    max_age=60.0,
    uses=("bot", "limits", "chain", "storage"),
)
