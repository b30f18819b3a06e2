"""What must survive a restart: one SQLite file, committed before anything it holds is shown."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from exporter import log
from exporter.place import Place
from exporter.worker import Busy, Worker

FILE: Final = "ledger.sqlite3"
MOMENT: Final = 0.5
"""Seconds that a look at the ledger's files may take."""
TABLES: Final = (
    "trade", "route", "total", "failure", "opportunity", "opportunity_total", "fault",
    "log_cursor", "log_total", "token", "pool", "chain", "chain_block", "wallet_transaction", "wallet_total", "claim",
    "event", "slot", "event_total",
)  # fmt: skip

# Amounts are decimal text of wei: SQLite's integers end at 9.2 ether.
SCHEMA: Final = """
CREATE TABLE source (bot TEXT, source TEXT, first_read INTEGER NOT NULL DEFAULT 0, last_trade REAL,
  PRIMARY KEY (bot, source)) WITHOUT ROWID;
CREATE TABLE trade (id INTEGER PRIMARY KEY, bot TEXT NOT NULL, source TEXT NOT NULL, key BLOB NOT NULL,
  digest BLOB NOT NULL, time REAL, pair TEXT NOT NULL, dex_buy TEXT NOT NULL, dex_sell TEXT NOT NULL,
  outcome TEXT NOT NULL, reason TEXT, net_wei TEXT, gas_wei TEXT, expected_wei TEXT, tx_hash TEXT);
CREATE UNIQUE INDEX trade_key ON trade (bot, source, key);
CREATE TABLE route (bot TEXT, source TEXT, pair TEXT, dex_buy TEXT, dex_sell TEXT,
  PRIMARY KEY (bot, source, pair, dex_buy, dex_sell)) WITHOUT ROWID;
CREATE TABLE total (bot TEXT, source TEXT, pair TEXT, dex_buy TEXT, dex_sell TEXT,
  success INTEGER NOT NULL, failed INTEGER NOT NULL, net_wei TEXT NOT NULL, gain_wei TEXT NOT NULL,
  loss_wei TEXT NOT NULL, gas_wei TEXT NOT NULL, expected_wei TEXT NOT NULL,
  PRIMARY KEY (bot, source, pair, dex_buy, dex_sell)) WITHOUT ROWID;
CREATE TABLE failure (bot TEXT, source TEXT, reason TEXT, count INTEGER NOT NULL,
  PRIMARY KEY (bot, source, reason)) WITHOUT ROWID;
CREATE TABLE opportunity (bot TEXT, source TEXT, id TEXT, digest BLOB NOT NULL, pair TEXT NOT NULL,
  dex_buy TEXT NOT NULL, dex_sell TEXT NOT NULL, expected_wei TEXT, PRIMARY KEY (bot, source, id)) WITHOUT ROWID;
CREATE TABLE opportunity_total (bot TEXT, source TEXT, pair TEXT, dex_buy TEXT, dex_sell TEXT, stage TEXT,
  count INTEGER NOT NULL, PRIMARY KEY (bot, source, pair, dex_buy, dex_sell, stage)) WITHOUT ROWID;
CREATE TABLE fault (key BLOB PRIMARY KEY, bot TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE fault_total (bot TEXT, kind TEXT, reason TEXT, count INTEGER NOT NULL,
  PRIMARY KEY (bot, kind, reason)) WITHOUT ROWID;
CREATE TABLE log_cursor (log TEXT, file INTEGER, state TEXT NOT NULL, PRIMARY KEY (log, file)) WITHOUT ROWID;
CREATE TABLE log_total (log TEXT, kind TEXT, name TEXT, count INTEGER NOT NULL,
  PRIMARY KEY (log, kind, name)) WITHOUT ROWID;
CREATE TABLE token (chain_id INTEGER, address TEXT, symbol TEXT NOT NULL, decimals INTEGER NOT NULL,
  PRIMARY KEY (chain_id, address)) WITHOUT ROWID;
CREATE TABLE pool (chain_id INTEGER, address TEXT, kind TEXT NOT NULL, token0 TEXT NOT NULL, token1 TEXT NOT NULL,
  fee INTEGER NOT NULL, PRIMARY KEY (chain_id, address)) WITHOUT ROWID;
"""
# What the chain says. `scanned` and `final` are the last blocks that were read and that were counted; a transaction
# is provisional (`confirmed` 0) between the two. `chain_block` holds hashes of blocks on the way, to find reorgs by.
CHAIN_TRUTH: Final = """
CREATE TABLE chain (chain_id INTEGER PRIMARY KEY, genesis TEXT, started INTEGER, scanned INTEGER, final INTEGER,
  first_read INTEGER NOT NULL DEFAULT 0);
CREATE TABLE chain_block (chain_id INTEGER, number INTEGER, hash TEXT NOT NULL,
  PRIMARY KEY (chain_id, number)) WITHOUT ROWID;
CREATE TABLE wallet_transaction (chain_id INTEGER, hash TEXT, address TEXT NOT NULL, sender TEXT NOT NULL,
  nonce INTEGER NOT NULL, block_number INTEGER NOT NULL, block_hash TEXT NOT NULL, time REAL NOT NULL,
  confirmed INTEGER NOT NULL DEFAULT 0, outcome TEXT NOT NULL, reason TEXT, trade INTEGER NOT NULL,
  gas_used INTEGER NOT NULL, l2_wei TEXT NOT NULL, l1_wei TEXT NOT NULL, operator_wei TEXT NOT NULL,
  net_wei TEXT, unvalued INTEGER NOT NULL DEFAULT 0, flows TEXT NOT NULL,
  pair TEXT NOT NULL, dex_buy TEXT NOT NULL, dex_sell TEXT NOT NULL, PRIMARY KEY (chain_id, hash)) WITHOUT ROWID;
CREATE INDEX wallet_transaction_block ON wallet_transaction (chain_id, confirmed, block_number);
CREATE INDEX wallet_transaction_unvalued ON wallet_transaction (chain_id) WHERE unvalued > 0;
CREATE TABLE wallet_nonce (chain_id INTEGER, address TEXT, nonce INTEGER,
  PRIMARY KEY (chain_id, address)) WITHOUT ROWID;
CREATE TABLE wallet_total (chain_id INTEGER, address TEXT, outcome TEXT, reason TEXT, count INTEGER NOT NULL,
  l2_wei TEXT NOT NULL, l1_wei TEXT NOT NULL, operator_wei TEXT NOT NULL,
  PRIMARY KEY (chain_id, address, outcome, reason)) WITHOUT ROWID;
CREATE TABLE wallet_flow (chain_id INTEGER, token TEXT, amount TEXT NOT NULL,
  PRIMARY KEY (chain_id, token)) WITHOUT ROWID;
CREATE TABLE wallet_removed (chain_id INTEGER, address TEXT, count INTEGER NOT NULL,
  PRIMARY KEY (chain_id, address)) WITHOUT ROWID;
"""
# What became of each trade that the bot claims with a hash. `looks` counts looks in a row that changed nothing, `due`
# is the time of the next; `block` is the head when it was first looked for, and later the block it was found in.
CLAIMS: Final = """
CREATE TABLE claim (trade INTEGER PRIMARY KEY, bot TEXT NOT NULL, source TEXT NOT NULL, status TEXT NOT NULL,
  reason TEXT, looks INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL, checked REAL, block INTEGER,
  claimed_wei TEXT, realised_wei TEXT);
CREATE INDEX claim_status ON claim (bot, source, status);
CREATE INDEX claim_due ON claim (bot, due);
CREATE INDEX trade_hash ON trade (bot, tx_hash) WHERE tx_hash IS NOT NULL;
"""
# Trades by their time; opportunities in the order in which they became known, and since when (epoch seconds).
ORDER: Final = """
CREATE INDEX trade_time ON trade (bot, ifnull(time, 0), id);
ALTER TABLE opportunity RENAME TO opportunity_before;
CREATE TABLE opportunity (seq INTEGER PRIMARY KEY, bot TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL,
  digest BLOB NOT NULL, pair TEXT NOT NULL, dex_buy TEXT NOT NULL, dex_sell TEXT NOT NULL, expected_wei TEXT,
  seen REAL);
INSERT INTO opportunity (bot, source, id, digest, pair, dex_buy, dex_sell, expected_wei)
  SELECT * FROM opportunity_before;
DROP TABLE opportunity_before;
CREATE UNIQUE INDEX opportunity_key ON opportunity (bot, source, id);
"""
# Events by the hash of their ids, in the order in which they came, and since when (epoch seconds);
# how many of each kind, and the newest time of one; how far the file of events was read.
EVENTS: Final = """
CREATE TABLE event (seq INTEGER PRIMARY KEY, bot TEXT NOT NULL, key BLOB NOT NULL, digest BLOB NOT NULL,
  seen REAL NOT NULL);
CREATE UNIQUE INDEX event_key ON event (bot, key);
CREATE TABLE event_count (bot TEXT, fact TEXT, name TEXT, count INTEGER NOT NULL, last REAL,
  PRIMARY KEY (bot, fact, name)) WITHOUT ROWID;
CREATE TABLE event_cursor (bot TEXT, file INTEGER, state TEXT NOT NULL, PRIMARY KEY (bot, file)) WITHOUT ROWID;
ALTER TABLE opportunity ADD COLUMN stage TEXT NOT NULL DEFAULT 'detected';
ALTER TABLE opportunity ADD COLUMN reason TEXT;
"""
# Names that have series of their own; totals made of events, as decimal text, by up to two labels; the bot's last
# word on each subject (epoch seconds; values parted by a space); trades told before the opportunity they refer to;
# and of every source of trades its net profit so far, and the highest that was.
EVENT_TOTALS: Final = """
CREATE TABLE slot (bot TEXT, kind TEXT, name TEXT, PRIMARY KEY (bot, kind, name)) WITHOUT ROWID;
CREATE TABLE event_total (bot TEXT, what TEXT, one TEXT, two TEXT, amount TEXT NOT NULL,
  PRIMARY KEY (bot, what, one, two)) WITHOUT ROWID;
CREATE TABLE word (bot TEXT, what TEXT, name TEXT, time REAL NOT NULL, said TEXT NOT NULL,
  PRIMARY KEY (bot, what, name)) WITHOUT ROWID;
CREATE TABLE awaited (bot TEXT, opportunity TEXT, trade INTEGER, seen REAL NOT NULL,
  PRIMARY KEY (bot, opportunity, trade)) WITHOUT ROWID;
CREATE TABLE course (bot TEXT, source TEXT, net_wei TEXT NOT NULL, peak_wei TEXT NOT NULL,
  PRIMARY KEY (bot, source)) WITHOUT ROWID;
CREATE INDEX opportunity_seen ON opportunity (bot, seen) WHERE source='events';
"""
# Faults by the hash of what is wrong, in the order in which they were last seen, and when (epoch seconds).
FAULTS: Final = """
ALTER TABLE fault RENAME TO fault_before;
CREATE TABLE fault (seq INTEGER PRIMARY KEY, key BLOB NOT NULL, seen REAL NOT NULL);
INSERT INTO fault (key, seen) SELECT key, strftime('%s', 'now') FROM fault_before;
DROP TABLE fault_before;
CREATE UNIQUE INDEX fault_key ON fault (key);
"""
VERSIONS: Final = (SCHEMA, CHAIN_TRUTH + CLAIMS, ORDER, EVENTS + EVENT_TOTALS, FAULTS)
"""What each version of the ledger adds to the one before it."""

logger = log.get("ledger")


class InUse(log.Plain):
    """Another exporter works on the same state directory."""


class Unusable(log.Plain):
    """The state directory cannot be made or written, or its ledger cannot be read by this version."""


class Ledger:
    """The connection, its one thread, and whether it can be written right now.

    Calls come one after the other; each write is one transaction, on disk (`synchronous=FULL`) before it returns.
    """

    def __init__(self, state: Path) -> None:
        self._file, self._place = state / FILE, Place(state, FILE)
        self._worker, self._watcher = Worker("ledger"), Worker("ledger's place")
        self._turn = asyncio.Lock()
        self._db: sqlite3.Connection | None = None
        self.degraded = False
        self.version = 0
        """Grows with every commit: what is made from the ledger is stale once this has moved."""

    async def __aenter__(self) -> Ledger:
        try:
            await self._worker.run(self._open)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            async with asyncio.timeout(2):
                while not await self._closed():  # noqa: ASYNC110  a thread sets no asyncio.Event
                    await asyncio.sleep(0.01)
        except Exception as error:
            logger.warning("ledger not closed cleanly; it recovers by itself", error=log.describe(error))
        self._worker.close()
        self._watcher.close()

    async def _closed(self) -> bool:
        try:
            await self._worker.run(self._close)
        except Busy:  # with the last write of a collector that has been cancelled
            return False
        return True

    async def read[T](self, query: Callable[[sqlite3.Connection], T]) -> T:
        """What `query` reads, in the ledger's thread.

        Raises:
            sqlite3.Error, Busy: it cannot be read now.
        """
        async with self._turn:
            return await self._worker.run(lambda: query(self._connection()))

    async def look(self) -> None:
        """Notice that its files were taken away, though nothing is written; a hung disk is waited for a moment."""
        with suppress(Busy, TimeoutError):
            async with asyncio.timeout(MOMENT):
                displaced = await self._watcher.run(self._place.displaced)
            if displaced is not None:
                self._degrade(displaced)

    async def write[T](self, change: Callable[[sqlite3.Connection], T], shown: bool = True) -> T:
        """What `change` returns, after everything it wrote is durable; nothing of it is kept if it raises.

        Not `shown` is what no figure is made from, such as how far a source has been read.

        Raises:
            sqlite3.Error, OSError, Busy: nothing was written; `degraded` is set until a write succeeds.
        """
        async with self._turn:
            try:
                result = await self._worker.run(lambda: self._transact(change, shown))
            except (sqlite3.Error, OSError, Busy) as error:
                self._degrade(error)
                raise
        if self.degraded:
            logger.info("ledger can be written again")
        self.degraded = False
        return result

    def _degrade(self, error: Exception) -> None:
        if not self.degraded:
            logger.error("ledger cannot be written; figures stay as they were", error=error)
        self.degraded = True

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise Unusable("the ledger is not open")
        return self._db

    def _transact[T](self, change: Callable[[sqlite3.Connection], T], shown: bool) -> T:
        db = self._connection()
        try:
            db.execute("BEGIN IMMEDIATE")
            result = change(db)
            if (displaced := self._place.displaced()) is not None:
                raise displaced
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self.version += shown  # here, because a caller that has been cancelled does not come back to say so
        return result

    def _open(self) -> None:
        try:
            self._place.open()
        except OSError as error:
            raise Unusable(f"cannot be written: {error.strerror}") from None
        try:
            self._place.lock()
        except BlockingIOError:
            raise InUse("is used by another arb-exporter that is still running") from None
        except OSError as error:
            raise Unusable(f"cannot be locked: {error.strerror}") from None
        try:
            self._connect()
            self._place.remember()
        except (sqlite3.Error, OSError) as error:
            why = getattr(error, "sqlite_errorname", type(error).__name__)  # SQLITE_NOTADB, SQLITE_CANTOPEN, ...
            raise Unusable(f"holds a ledger that cannot be opened: {why}") from None

    def _connect(self) -> None:
        os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))  # not for others' eyes
        db = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False, cached_statements=256)
        self._db = db
        if db.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):  # a disk that fails then raises nothing
            raise Unusable("cannot be written: its disk does not take the ledger's log")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA cache_size=-256")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found > len(VERSIONS):
            raise Unusable("holds a ledger of a newer arb-exporter; use that version or another directory")
        if not found:
            db.execute(f"PRAGMA application_id={secrets.randbits(31)}")  # so that nobody takes it for another
        for version in range(found, len(VERSIONS)):
            db.executescript(f"BEGIN IMMEDIATE; {VERSIONS[version]} PRAGMA user_version={version + 1}; COMMIT;")

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        self._place.close()


def rows(db: sqlite3.Connection) -> dict[str, int]:
    """How many rows each table holds."""
    return {table: int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in TABLES}  # noqa: S608


def fetch(db: sqlite3.Connection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    return db.execute(query, values).fetchall()
