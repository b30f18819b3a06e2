"""Which chain it is beyond its id, which anybody can copy: the hash of its first block, remembered in the ledger."""

from __future__ import annotations

import sqlite3
from typing import Any

from exporter import log
from exporter.ledger import Ledger, fetch
from exporter.sources.blocks import block_hash
from exporter.sources.jsonrpc import Malformed, RpcError, field, outcome
from exporter.worker import Busy

logger = log.get("genesis")

REMEMBER = """INSERT INTO chain (chain_id, genesis) VALUES (?, ?)
  ON CONFLICT (chain_id) DO UPDATE SET genesis = coalesce(genesis, excluded.genesis)"""


class Genesis:
    """The first genesis that was ever seen for a chain id; every other one is of another chain."""

    def __init__(self, chain_id: int, ledger: Ledger) -> None:
        self._chain_id, self._ledger = chain_id, ledger
        self._known: str | None = None

    def outcome(self, block: Any) -> str:
        """The class of an answer about block 0."""
        found = _hash(block)
        return "wrong_chain" if found is not None and self._known not in (None, found) else outcome(block)

    async def agrees(self, block: Any) -> bool:
        """Whether this block 0 is the one that is known; the first is remembered. A node without one is believed."""
        found = _hash(block)
        if found is None:
            logger.debug("an endpoint does not serve block 0, its chain id has to do")
            return True
        if self._known is None:
            known = await self._remember(found)
            self._known = self._known or known
        return self._known == found

    async def _remember(self, found: str) -> str:
        """The one in the ledger, which is this one if there was none; also while the ledger cannot be used."""
        try:
            known = await self._ledger.read(lambda db: _stored(db, self._chain_id))
            if known is None:
                await self._ledger.write(lambda db: db.execute(REMEMBER, (self._chain_id, found)).rowcount, shown=False)
        except (sqlite3.Error, OSError, Busy) as error:
            logger.warning("the genesis hash cannot be remembered", error=log.describe(error))
            return found
        return known or found


def _stored(db: sqlite3.Connection, chain_id: int) -> str | None:
    rows = fetch(db, "SELECT genesis FROM chain WHERE chain_id=?", chain_id)
    return rows[0][0] if rows else None


def _hash(block: Any) -> str | None:
    try:
        return block_hash(field(block, "hash"))
    except (Malformed, RpcError):
        return None
