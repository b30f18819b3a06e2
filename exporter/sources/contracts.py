"""What is known of pools and tokens: from the ledger, and what is not there from a short-lived child that uses web3."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from exporter import log
from exporter.config import Chain
from exporter.ledger import Ledger, fetch

CHILD: Final = (sys.executable, "-m", "exporter.sources.discovery")
TIMEOUT: Final = 60.0
RETRY_FIRST, RETRY_DOWN, RETRY_LAST = 2.0, 30.0, 300.0
LARGEST: Final = 4 << 20

logger = log.get("contracts")


@dataclass(frozen=True, slots=True)
class Token:
    """An ERC-20 token."""

    address: str
    symbol: str
    decimals: int


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """What a pool is, by its own word; `fee` in hundredths of a bip."""

    address: str
    kind: str
    token0: Token
    token1: Token
    fee: int


@dataclass(frozen=True, slots=True)
class Known:
    """Everything known now, by address; `pending` while something asked for is not."""

    pools: Mapping[str, PoolFacts] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)
    pending: bool = True


class Contracts:
    """The configured pools and tokens; asks the child in the background, so that nobody waits for it."""

    def __init__(
        self, chain: Chain, ledger: Ledger, ask: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]] | None = None
    ) -> None:
        self._chain, self._ledger, self._ask = chain, ledger, ask or ask_child
        self._known: Known | None = None
        self._task: asyncio.Task[None] | None = None
        self._due = 0.0
        self._wait = RETRY_FIRST
        self._told: set[str] = set()

    async def known(self) -> Known:
        """What is known; what is not is being looked up meanwhile.

        Raises:
            sqlite3.Error: the ledger cannot be read.
        """
        if self._known is None:
            self._known = await self._load()
        idle = self._task is None or self._task.done()
        if self._known.pending and idle and time.monotonic() >= self._due:
            self._task = asyncio.create_task(self._discover(self._known))
        return self._known

    async def close(self) -> None:
        """End a look-up in progress, with its child."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _load(self) -> Known:
        chain_id = self._chain.chain_id
        return await self._ledger.read(lambda db: self._complete(*_read(db, chain_id)))

    def _complete(self, pools: dict[str, PoolFacts], tokens: dict[str, Token]) -> Known:
        pending = any(p.address not in pools for p in self._chain.pools) or any(
            t not in tokens for t in self._chain.tokens
        )
        return Known(pools, tokens, pending)

    async def _discover(self, known: Known) -> None:
        request: dict[str, Any] = {
            "urls": [endpoint.url for endpoint in self._chain.endpoints],
            "chain_id": self._chain.chain_id,
            "pools": [p.address for p in self._chain.pools if p.address not in known.pools],
            "tokens": [t for t in self._chain.tokens if t not in known.tokens],
        }
        logger.info("looking up contracts", pools=len(request["pools"]), tokens=len(request["tokens"]))
        longest = RETRY_DOWN
        try:
            found = await self._ask(request)
            await self._ledger.write(lambda db: _write(db, self._chain.chain_id, found))
            self._known = await self._load()
            self._tell_strangers(found)
            if all(found[part].keys() >= set(request[part]) for part in ("pools", "tokens")):
                longest = RETRY_LAST  # what has been asked about in vain is hardly worth asking about again
        except Exception as error:
            logger.warning("contracts could not be looked up", error=log.describe(error))
        if _size(self._known) > _size(known):
            self._wait = RETRY_FIRST
        self._due = time.monotonic() + min(self._wait, longest)
        self._wait = min(self._wait * 2, RETRY_LAST)

    def _tell_strangers(self, found: dict[str, Any]) -> None:
        """What the settings call a pool or a token and the chain does not, once."""
        for pool in self._chain.pools:
            if found["pools"].get(pool.address, pool) is None and pool.address not in self._told:
                logger.warning("this is no pool of a known kind", pool=pool.name or pool.dex, address=pool.address)
                self._told.add(pool.address)
        for token in self._chain.tokens:
            if found["tokens"].get(token, token) is None and token not in self._told:
                logger.warning("this is no token", address=token)
                self._told.add(token)


def _size(known: Known | None) -> int:
    return len(known.pools) + len(known.tokens) if known else 0


class NoAnswer(log.Plain):
    """The child could not find anything out."""


async def ask_child(request: dict[str, Any]) -> dict[str, Any]:
    """The child's answer; the URLs go through its standard input, where nobody else can read them.

    Raises:
        NoAnswer: it failed, or took too long.
    """
    child = await asyncio.create_subprocess_exec(
        *CHILD,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=LARGEST,
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            output, _ = await child.communicate(json.dumps(request).encode())
    except TimeoutError:
        raise NoAnswer("the look-up took too long") from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    try:
        answer = json.loads(output)
    except ValueError:
        raise NoAnswer("no node answered the look-up") from None
    if child.returncode != 0 or not isinstance(answer, dict):
        raise NoAnswer("no node answered the look-up")
    return answer


def _read(db: sqlite3.Connection, chain_id: int) -> tuple[dict[str, PoolFacts], dict[str, Token]]:
    rows = fetch(db, "SELECT address, symbol, decimals FROM token WHERE chain_id=?", chain_id)
    tokens = {address: Token(address, symbol, decimals) for address, symbol, decimals in rows}
    query = "SELECT address, kind, token0, token1, fee FROM pool WHERE chain_id=?"
    pools = {
        address: PoolFacts(address, kind, tokens[token0], tokens[token1], fee)
        for address, kind, token0, token1, fee in fetch(db, query, chain_id)
        if token0 in tokens and token1 in tokens
    }
    return pools, tokens


def _write(db: sqlite3.Connection, chain_id: int, found: dict[str, Any]) -> None:
    for address, token in found["tokens"].items():
        if token is not None:
            row = (chain_id, address, token["symbol"], token["decimals"])
            db.execute("INSERT OR REPLACE INTO token VALUES (?,?,?,?)", row)
    for address, pool in found["pools"].items():
        if pool is not None:
            facts = (chain_id, address, pool["kind"], pool["token0"], pool["token1"], pool["fee"])
            db.execute("INSERT OR REPLACE INTO pool VALUES (?,?,?,?,?,?)", facts)
