"""Reads the chain on from the ledger's cursor: scans for transactions of ours, sees reorgs, counts what is final."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Final

from exporter import log, wallet_books
from exporter.config import Settings
from exporter.ledger import Ledger
from exporter.slots import room
from exporter.sources import nonces
from exporter.sources.contracts import Contracts, Known
from exporter.sources.outcomes import Accountant, Outcome
from exporter.sources.rpc import Rpc
from exporter.sources.transactions import Look, Mark, Moved, Reader
from exporter.wallet_books import Confirmation, Cursor, Waiting, WalletBooks

FIRST_BLOCKS: Final = 64
MOST_BLOCKS: Final = 4_096
QUICK: Final = 2.0
"""Blocks read before what was found is put down; more while that takes fewer seconds than this."""
AT_ONCE: Final = 8
"""Blocks whose transactions are accounted for at the same time."""
MOST_MARKS: Final = 50
FIRST_DEPTH: Final = 128
"""Blocks below the head where to begin on a node that does not tell what is final."""
PATIENCE: Final = 120.0
"""Seconds to wait for the pools to become known, without which trades would have no route and tokens no worth."""
ROLLED_BACK: Final = 10.0
"""Seconds that a head may stay behind what was read before this is a chain rolled back, and not a node that lags."""
LATE_BLOCKS: Final = 64
"""Final blocks that are not read yet when they are long past: who follows the head has read them before."""
BELIEVED: Final = 60.0
"""Seconds after which to accept a chain that left ours below finality, or nonces without transactions (EIP-7702)."""

logger = log.get("wallet_transactions")


@dataclass(frozen=True, slots=True)
class State:
    """The wallets' books as far as they are durable, and how far the chain was read and counted.

    `late` while blocks are read that were final long before.
    """

    books: WalletBooks
    scanned: int
    final: int
    first_read: bool
    frozen: bool
    goal: int
    late: bool = False


class Behind(log.Plain):
    """The node does not have what is needed yet."""


@dataclass(slots=True)
class Doubt:
    """Something that one look shows and that only a lasting sight makes true; seconds of the monotonic clock."""

    about: object = None
    since: float = 0.0

    def lasts(self, about: object) -> float:
        """Seconds for which the same has been seen; 0 at first sight."""
        now = time.monotonic()
        if self.about != about:
            self.about, self.since = about, now
        return now - self.since

    def over(self) -> None:
        """It was nothing, or has been acted on."""
        self.about = None


class Following:
    """Follows one chain; safe to go on with after any failure, and after the end of the process at any point."""

    def __init__(self, rpc: Rpc, ledger: Ledger, contracts: Contracts, settings: Settings) -> None:
        if settings.chain is None:
            raise ValueError("there is no chain to follow")
        self._settings, self._chain, self._chain_id = settings, settings.chain, settings.chain.chain_id
        self._ledger, self._contracts = ledger, contracts
        self._reader, self._accountant = Reader(rpc, settings.chain), Accountant(rpc, settings.chain)
        self._born = time.monotonic()
        self._behind, self._fork, self._contradiction, self._gap = Doubt(), Doubt(), Doubt(), Doubt()
        self._whole_until = -1
        self._chunk = FIRST_BLOCKS
        self._books: tuple[int, WalletBooks] | None = None

    async def step(self) -> State:
        """Read as far as the chain is now; everything is durable before it returns.

        Raises:
            Unreachable, Malformed, RpcError, Moved, Behind, sqlite3.Error: it could not be; what was read is kept.
        """
        async for state in self.steps():
            newest = state
        return newest

    async def steps(self) -> AsyncGenerator[State]:
        """As `step`, with the state after every chunk of blocks."""
        cursor = await self._cursor()
        look = await self._reader.look([cursor.final.number, cursor.scanned.number])
        if not await self._on_course(cursor, look):
            yield await self._state(look)
            return
        known = await self._known()
        cursor = await self._cursor()
        late = look.final is not None and look.final.number - cursor.scanned.number > LATE_BLOCKS
        while cursor.scanned.number < look.newest.number:
            await self._scan(cursor, look, known)
            cursor = await self._confirm(await self._cursor(), look)
            yield await self._state(look, late)
        await self._confirm(cursor, look)
        yield await self._state(look)

    async def _state(self, look: Look, late: bool = False) -> State:
        version = self._ledger.version
        if self._books is None or self._books[0] != version:
            self._books = version, await self._ledger.read(lambda db: wallet_books.read(db, self._chain_id))
        at = await self._cursor()
        frozen, goal = self._contradiction.about is not None, (look.final or look.newest).number
        return State(self._books[1], at.scanned.number, at.final.number, at.first_read, frozen, goal, late)

    # --- where to begin ---

    async def _cursor(self) -> Cursor:
        found = await self._ledger.read(lambda db: wallet_books.cursor(db, self._chain_id))
        if found is None or self._asks_for_more(found):
            await self._begin(found)
            found = await self._ledger.read(lambda db: wallet_books.cursor(db, self._chain_id))
        if found is None:
            raise Behind("the ledger lost its place")
        return found

    def _asks_for_more(self, cursor: Cursor) -> bool:
        """Whether the settings ask for earlier blocks, or for addresses not looked for."""
        wanted = self._chain.backfill_from
        if wanted is None or wanted > cursor.final.number:
            return False
        return max(wanted - 1, 0) < cursor.started or not self._reader.ours <= cursor.nonces.keys()

    async def _begin(self, old: Cursor | None) -> None:
        """Begin before the first block that the settings ask for, else after the newest final one."""
        look, wanted = await self._reader.look([]), self._chain.backfill_from
        if wanted is not None:
            at = await self._mark(max(min(wanted - 1, (look.final or look.newest).number), 0))
        else:
            at = look.final or await self._mark(max(look.newest.number - FIRST_DEPTH, 0))
        if wanted is not None and wanted - 1 > at.number:
            logger.warning("chain.backfill_from lies beyond the final block, from which on is read", final=at.number)
        before = {**dict.fromkeys(self._reader.ours), **await self._reader.nonces(at.number)}
        await self._ledger.write(lambda db: wallet_books.begin(db, self._chain_id, at, before))
        logger.info("looking for transactions", first_block=at.number + 1, again=old is not None)

    async def _mark(self, number: int) -> Mark:
        found = (await self._reader.hashes([number]))[number]
        if found is None:
            raise Behind("the node does not have the block to begin with")
        return Mark(number, found)

    async def _known(self) -> Known:
        """The pools; without them trades would have no route, so that they are waited for a little."""
        known = await self._contracts.known()
        missing = any(pool.address not in known.pools for pool in self._chain.pools)
        if missing and known.pending and time.monotonic() - self._born < PATIENCE:
            raise Behind("what the pools are is being looked up")
        return known

    # --- whether the chain is still the one that was read ---

    async def _on_course(self, cursor: Cursor, look: Look) -> bool:
        """Whether to read on now. One look decides nothing: nodes lag, disagree, and change their minds."""
        if look.newest.number < cursor.final.number or look.hashes[cursor.final.number] is None:
            return False
        if look.hashes[cursor.final.number] != cursor.final.hash:
            return await self._contradicted(cursor, look)
        self._contradiction.over()
        now = look.hashes[cursor.scanned.number]
        if now is None or look.newest.number < cursor.scanned.number:
            if self._behind.lasts("behind") < ROLLED_BACK:
                return False
        elif now != cursor.scanned.hash and not self._seen_twice(now):
            return False
        self._behind.over()
        self._fork.over()
        if now != cursor.scanned.hash:
            await self._go_back(cursor, look.newest.number)
        return True

    def _seen_twice(self, fork: str) -> bool:
        again = self._fork.about == fork
        self._fork.lasts(fork)
        return again

    async def _go_back(self, cursor: Cursor, newest: int) -> None:
        """To the newest block that was read and is still there; what is no longer there is taken back."""
        marks = [m for m in cursor.marks if cursor.final.number <= m.number <= newest]
        to = await self._common(marks) or cursor.final
        rows = await self._ledger.read(lambda db: wallet_books.waiting(db, self._chain_id))
        removed = await self._gone([row for row in rows if row.block.number > to.number])
        await self._ledger.write(lambda db: wallet_books.go_back(db, self._chain_id, to, removed))
        logger.info("reorg", back_to=to.number, from_=cursor.scanned.number, removed=len(removed))

    async def _common(self, marks: Sequence[Mark]) -> Mark | None:
        for start in range(0, len(marks), MOST_MARKS):
            some = marks[start : start + MOST_MARKS]
            now = await self._reader.hashes(mark.number for mark in some)
            for mark in some:
                if now[mark.number] == mark.hash:
                    return mark
        return None

    async def _gone(self, rows: Iterable[Waiting]) -> list[Waiting]:
        """Those whose block is not on the chain."""
        listed = list(rows)
        now = await self._reader.hashes(sorted({row.block.number for row in listed})) if listed else {}
        return [row for row in listed if now[row.block.number] != row.block.hash]

    async def _contradicted(self, cursor: Cursor, look: Look) -> bool:
        """What was final is not there: count nothing until it is back, or until the other chain has proved to last."""
        if self._contradiction.about is None:
            logger.error("the chain contradicts what was final; nothing is counted", block=cursor.final.number)
        lasting = self._contradiction.lasts("contradiction")
        if lasting < BELIEVED or look.final is None or look.final.number < cursor.final.number:
            return False
        marks = [mark for mark in cursor.marks if mark.number <= cursor.final.number]
        to = await self._common(marks) or await self._mark(min(cursor.started, marks[-1].number))
        await self._ledger.write(lambda db: wallet_books.forsake(db, self._chain_id, to))
        logger.error("a reorg below finality is accepted; what was counted stays counted", back_to=to.number)
        self._contradiction.over()
        return True

    # --- reading and counting ---

    async def _scan(self, cursor: Cursor, look: Look, known: Known) -> None:
        start, began = cursor.scanned.number, time.monotonic()
        whole = start < self._whole_until
        size, self._chunk = self._chunk, max(self._chunk // 4, 1)  # should this one be cut short
        span = await self._reader.span(cursor.scanned, min(look.newest.number, start + size), whole)
        found: list[Outcome] = []
        for some in batched(span.sightings, AT_ONCE):
            answers = await asyncio.gather(*(self._accountant.outcomes(s, known) for s in some), return_exceptions=True)
            found += _all_of(answers)
        await self._ledger.write(lambda db: wallet_books.put(db, self._chain_id, span.end, found), shown=bool(found))
        quick = time.monotonic() - began < QUICK
        self._chunk = min(size * 2, MOST_BLOCKS) if quick else max(size // 2, 1)

    async def _confirm(self, cursor: Cursor, look: Look) -> Cursor:
        """Count up to the final block, once every block with a transaction of ours is seen to be on the chain."""
        if look.final is None:
            return cursor
        at = min(look.final.number, cursor.scanned.number)
        complete = not cursor.first_read and at >= look.final.number
        if at < cursor.final.number or (at == cursor.final.number and not complete):
            return cursor
        rows = await self._ledger.read(lambda db: wallet_books.waiting(db, self._chain_id, at))
        asked = (at, cursor.scanned.number, *(row.block.number for row in rows))
        told = await self._reader.testimony(look.final, asked, at)
        mark = _canonical(cursor, at, told.hashes)
        gone = [row for row in rows if told.hashes[row.block.number] != row.block.hash]
        after = {**dict.fromkeys(self._reader.ours), **told.nonces}
        sent = await self._ledger.read(lambda db: wallet_books.sent(db, self._chain_id, cursor.final.number, at))
        missed = nonces.missed(cursor.nonces, sent, after)
        if gone or (missed and at > self._whole_until):
            return await self._again(cursor, gone)
        if missed and self._gap.lasts("gap") < BELIEVED:
            raise Behind("a wallet's nonces and its transactions do not agree")
        self._gap.over()
        await self._count(mark, nonces.following(cursor.nonces, sent, after), complete)
        return await self._cursor()

    async def _again(self, cursor: Cursor, gone: Sequence[Waiting]) -> Cursor:
        """Read everything since the final block once more, and every block of it."""
        logger.warning("transactions are missing; reading again", from_=cursor.final.number, to=cursor.scanned.number)
        self._whole_until = cursor.scanned.number
        await self._ledger.write(lambda db: wallet_books.go_back(db, self._chain_id, cursor.final, gone))
        return await self._cursor()

    async def _count(self, at: Mark, after: Mapping[str, int | None], complete: bool) -> None:
        bot, routes = self._settings.bot.name, self._settings.limits.routes_per_source
        what = Confirmation(self._chain_id, at, after, complete, bot, routes, time.time(), room(self._settings))
        await self._ledger.write(lambda db: wallet_books.confirm(db, what))


def _all_of(answers: Iterable[list[Outcome] | BaseException]) -> Iterator[Outcome]:
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        yield from answer


def _canonical(cursor: Cursor, at: int, hashes: Mapping[int, str | None]) -> Mark:
    """The block to count up to; what was read is known to be of the chain if its end is, for it is one chain.

    Raises:
        Moved: what was read is of another one.
    """
    found = hashes[at]
    if found is None or any(hashes.get(seen.number, seen.hash) != seen.hash for seen in cursor.marks):
        raise Moved("the chain is another one now")
    return Mark(at, found)
