"""The transactions of our wallets and contracts, found from blocks in which a nonce moved, or from all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from exporter.config import Chain
from exporter.log import Plain
from exporter.sources import receipts
from exporter.sources.jsonrpc import Call, Malformed, RpcError, field, quantity
from exporter.sources.receipts import Block, Transaction
from exporter.sources.rpc import Rpc

FIRST: Final = 2
"""Blocks that are read at once before it is known how busy the chain is."""
SMALL: Final = 8
"""Blocks that are read at once without asking which of them are worth it, unless they are busy."""
MOST_BLOCKS: Final = 50
MOST_TRANSACTIONS: Final = 500
"""About so many are read in one answer, so that a busy chain's backfill needs no more memory than a quiet one's."""


class Moved(Plain):
    """The chain changed while it was read: it is read again."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A block by number and hash."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a node says at one moment: its newest block, the final one (None: it cannot tell), and hashes asked for."""

    newest: Mark
    final: Mark | None
    hashes: dict[int, str | None]


@dataclass(frozen=True, slots=True)
class Testimony:
    """Hashes of blocks by number, None where there is none, and next nonces by wallet, as far as they are known."""

    hashes: dict[int, str | None]
    nonces: dict[str, int]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A block with those of its transactions that are ours."""

    block: Block
    ours: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """What was found after one mark and up to another."""

    end: Mark
    sightings: tuple[Sighting, ...]


def mark(answer: Any) -> Mark:
    """The number and hash of a block.

    Raises:
        Malformed, RpcError: there is none.
    """
    return Mark(quantity(field(answer, "number")), receipts.hash_of(field(answer, "hash")))


class Reader:
    """Reads a chain's blocks in search of transactions that our wallets send, or that call our contracts."""

    def __init__(self, rpc: Rpc, chain: Chain) -> None:
        self._rpc, self._finality = rpc, chain.finality
        self.wallets = frozenset(wallet.address for wallet in chain.wallets)
        self.contracts = frozenset(contract.address for contract in chain.contracts)
        self.ours = self.wallets | self.contracts
        self._batch = FIRST

    async def look(self, numbers: Sequence[int]) -> Look:
        """The state of the chain, by one backend at one moment.

        Raises:
            Unreachable, Malformed, RpcError: there is no usable answer.
        """
        tag = self._finality if isinstance(self._finality, str) else "latest"
        newest, final, *answers = await self._rpc.batch(
            [_header("latest"), _header(tag), *(_header(hex(number)) for number in numbers)]
        )
        tip = mark(newest)
        hashes = {number: _hash(answer, number) for number, answer in zip(numbers, answers, strict=True)}
        return Look(tip, await self._final(tip, final), hashes)

    async def _final(self, tip: Mark, answer: Any) -> Mark | None:
        if isinstance(self._finality, int):
            number = tip.number - self._finality
            (answer,) = await self._rpc.batch([_header(hex(number))]) if number >= 0 else (None,)
        try:
            found = mark(answer)
        except (Malformed, RpcError):
            return None  # before there is a final block, and on nodes that do not know the tag
        return found if found.number <= tip.number else None

    async def hashes(self, numbers: Iterable[int]) -> dict[int, str | None]:
        """The canonical hashes of blocks, None where there is no such block.

        Raises:
            Unreachable: no endpoint answers.
        """
        asked = list(numbers)
        answers = await self._rpc.batch([_header(hex(number)) for number in asked])
        return {number: _hash(answer, number) for number, answer in zip(asked, answers, strict=True)}

    async def nonces(self, number: int) -> dict[str, int]:
        """The wallets' next nonces after a block; without those that the node has forgotten.

        Raises:
            Unreachable: no endpoint answers.
        """
        return self._told(await self._rpc.batch(self._counts(number)))

    def _counts(self, number: int) -> list[Call]:
        return [("eth_getTransactionCount", [wallet, hex(number)]) for wallet in sorted(self.wallets)]

    def _told(self, answers: Iterable[Any]) -> dict[str, int]:
        found = {w: _number(answer) for w, answer in zip(sorted(self.wallets), answers, strict=True)}
        return {wallet: nonce for wallet, nonce in found.items() if nonce is not None}

    async def testimony(self, final: Mark, numbers: Iterable[int], at: int) -> Testimony:
        """What a node that has this final block says of other blocks, and of the nonces after one of them.

        Behind one name there may be several nodes, some of them on a branch that is dead by now.

        Raises:
            Unreachable, Malformed, RpcError: there is no usable answer. Moved: it does not have the final block.
        """
        asked = sorted(set(numbers))
        headers = [_header(hex(number)) for number in (*asked, final.number)]
        first, *answers = await self._rpc.batch([headers[-1], *self._counts(at), *headers])
        if any(_hash(answer, final.number) != final.hash for answer in (first, answers[-1])):
            raise Moved("the chain is another one now")
        nonces, blocks = answers[: len(self.wallets)], answers[len(self.wallets) : -1]
        hashes = {number: _hash(answer, number) for number, answer in zip(asked, blocks, strict=True)}
        return Testimony(hashes, self._told(nonces))

    async def span(self, after: Mark, last: int, whole: bool) -> Span:
        """Everything of ours in the blocks after a mark, up to number `last`.

        Unless `whole`, blocks before and after which no wallet's nonce differs are not read: only the calls of
        strangers to our contracts would be missed by that, so with contracts it is always whole.

        Raises:
            Unreachable, Malformed, RpcError, Moved: it could not be read, or not as one chain.
        """
        if whole or self.contracts:
            blocks, end = await self._chained(after, last)
        else:
            blocks, end = await self._worthwhile(after, last)
        return Span(end, tuple(Sighting(b, self._ours(b)) for b in blocks if self._ours(b)))

    async def _chained(self, after: Mark, last: int) -> tuple[list[Block], Mark]:
        """All blocks, each the child of the one before; only those with something of ours are kept."""
        kept, end = [], after
        while end.number < last:
            numbers = range(end.number + 1, min(last, end.number + self._batch) + 1)
            for block in await self._blocks(numbers):
                if block.parent != end.hash:
                    raise Moved("blocks do not follow one another")
                end = Mark(block.number, block.hash)
                if self._ours(block):
                    kept.append(block)
        return kept, end

    async def _worthwhile(self, after: Mark, last: int) -> tuple[list[Block], Mark]:
        before = await self.hashes([after.number, last])
        end = before[last]
        if before[after.number] != after.hash or end is None:
            raise Moved("the chain is another one now")
        found: list[Block] = []
        for numbers in await self._moved(after.number, last):
            found += await self._blocks(numbers)
        if (await self.hashes([last]))[last] != end:
            raise Moved("the chain is another one now")
        return found, Mark(last, end)

    async def _moved(self, first: int, last: int) -> list[range]:
        """Ranges of blocks after `first` in which a nonce moved, found by halves."""
        before, after = await self.nonces(first), await self.nonces(last)
        if len(before) == len(self.wallets) and before == after:
            return []
        if last - first <= min(SMALL, self._batch):
            return [range(first + 1, last + 1)]
        middle = (first + last) // 2
        return await self._moved(first, middle) + await self._moved(middle, last)

    async def _blocks(self, numbers: Sequence[int]) -> list[Block]:
        calls: list[Call] = [("eth_getBlockByNumber", [hex(number), True]) for number in numbers]
        answers = await self._rpc.batch(calls)
        blocks = [receipts.block(answer, n, self.ours) for answer, n in zip(answers, numbers, strict=True)]
        busiest = max((len(answer["transactions"]) for answer in answers), default=0)
        self._batch = max(1, min(MOST_BLOCKS, self._batch * 2, MOST_TRANSACTIONS // max(busiest, 1)))
        return blocks

    def _ours(self, block: Block) -> tuple[Transaction, ...]:
        return tuple(t for t in block.transactions if self.owner(t) is not None)

    def owner(self, transaction: Transaction) -> str | None:
        """The address of ours that a transaction belongs to: its sender, else the contract it calls."""
        if transaction.sender in self.wallets:
            return transaction.sender
        return transaction.to if transaction.to in self.contracts else None


def _header(block: str) -> Call:
    return "eth_getBlockByNumber", [block, False]


def _hash(answer: Any, number: int) -> str | None:
    """A block's hash; None if there is no such block, which is what nodes say of those they have not seen.

    Raises:
        Malformed, RpcError: there is no usable answer.
    """
    if answer is None:
        return None
    found = mark(answer)
    if found.number != number:
        raise Malformed("the node answered with another block")
    return found.hash


def _number(answer: Any) -> int | None:
    try:
        return quantity(answer)
    except (Malformed, RpcError):
        return None
