"""What pools say of themselves, of every kind, at one block: prices as exact fractions, reserves, liquidity, fees."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Final
from weakref import WeakKeyDictionary

from exporter.config import Pool
from exporter.sources import multicall, shapes
from exporter.sources.contracts import PoolFacts
from exporter.sources.curves import Concentrated
from exporter.sources.jsonrpc import Malformed
from exporter.sources.multicall import Read
from exporter.sources.pairs import pair_of_tokens
from exporter.sources.rpc import Rpc
from exporter.sources.shapes import Nature, State, Unprobed

KINDS: Final = frozenset(shapes.SHAPES)
"""Kinds of pools that are read."""


@dataclass(frozen=True, slots=True)
class Venue:
    """A configured pool with what is known of it; `inverted` if its token0 is the pair's quote."""

    label: str
    dex: str
    facts: PoolFacts
    pair: str
    inverted: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """A pool's state as its pair sees it: `price` in quote for one base, without fee; None for an empty pool."""

    state: State
    price: Fraction | None

    @property
    def fee(self) -> int:
        """In hundredths of a bip, as valid at that block."""
        return self.state.fee

    @property
    def liquidity(self) -> int | None:
        """Liquidity in range, of kinds that have such."""
        curve = self.state.curve
        return curve.liquidity if isinstance(curve, Concentrated) else None


@dataclass(frozen=True, slots=True)
class Seen:
    """What pools said, None for those without a usable answer, and the block they said it at, if that was told."""

    block: int | None
    time: int | None
    readings: list[Reading | None]


def venue(pool: Pool, label: str, facts: PoolFacts) -> Venue:
    """A pool with its pair."""
    token0, token1 = facts.token0, facts.token1
    pair, inverted = pair_of_tokens((token0.symbol, token0.address), (token1.symbol, token1.address))
    return Venue(label, pool.dex, facts, pair, inverted)


def labels(pools: Sequence[Pool], fees: Sequence[int | None]) -> list[str]:
    """A label for each pool: its name, else `<dex>-<fee>`, made unique by `-2`, `-3` in the order of the settings."""
    taken = {pool.name for pool in pools if pool.name is not None}
    made = []
    for pool, fee in zip(pools, fees, strict=True):
        label = base = pool.name or f"{pool.dex}-{'unknown' if fee is None else fee}"
        number = 1
        while pool.name is None and label in taken:
            number += 1
            label = f"{base}-{number}"
        taken.add(label)
        made.append(label)
    return made


def reading(venue: Venue, state: State) -> Reading:
    """A state as the pair of the venue sees it."""
    price = state.price
    if price is not None:
        facts = venue.facts
        price *= Fraction(10**facts.token0.decimals, 10**facts.token1.decimals)
        price = 1 / price if venue.inverted else price
    return Reading(state, price)


class Reader:
    """Reads pools; remembers what they never change, and how much to ask stable ones about."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._natures: dict[str, Nature] = {}
        self._asked: dict[str, tuple[int, int]] = {}
        self._last: dict[str, tuple[_Question, list[bytes | None], Reading]] = {}

    async def read(self, venues: Sequence[Venue], block: str = "latest") -> Seen:
        """All of these at one block, a tag or a hex number: one call, and two more before for what is new.

        Raises:
            Unreachable: no endpoint answers.
        """
        await self._learn(venues, block)
        seen = await self._once(venues, block)
        odd = [place for place, found in enumerate(seen.readings) if isinstance(found, Unprobed)]
        if odd:
            at = block if block.startswith("0x") or seen.block is None else hex(seen.block)
            again = await self._once([venues[place] for place in odd], at)
            for place, found in zip(odd, again.readings, strict=True):
                seen.readings[place] = found
        made = [found if isinstance(found, Reading) else None for found in seen.readings]
        return Seen(seen.block, seen.time, made)

    async def _learn(self, venues: Sequence[Venue], block: str) -> None:
        strangers = [v.facts for v in venues if v.facts.kind == "solidly" and v.facts.address not in self._natures]
        if not strangers:
            return
        answers = await multicall.read(self._rpc, [r for facts in strangers for r in shapes.nature_reads(facts)], block)
        for place, facts in enumerate(strangers):
            with suppress(Malformed):
                self._natures[facts.address] = shapes.nature(answers.data[2 * place : 2 * place + 2])

    async def _once(self, venues: Sequence[Venue], block: str) -> _Tried:
        """One call; `Unprobed` in place of a stable pool that was asked about amounts that do not suit it."""
        questions = [self._question(venue) for venue in venues]
        answers = await multicall.read(self._rpc, [read for question in questions for read in question.reads], block)
        data = iter(answers.data)
        readings = [self._reading(question, [next(data) for _ in question.reads]) for question in questions]
        return _Tried(answers.block, answers.time, readings)

    def _question(self, venue: Venue) -> _Question:
        facts = venue.facts
        own = self._natures.get(facts.address) if facts.kind == "solidly" else shapes.PLAIN
        asked = self._asked.get(facts.address)
        reads = shapes.SHAPES[facts.kind].reads(facts, own, asked) if own is not None else []
        return _Question(venue, own, asked, reads)

    def _reading(self, question: _Question, data: list[bytes | None]) -> Reading | Unprobed | None:
        facts = question.venue.facts
        if question.nature is None:
            return None
        last = self._last.get(facts.address)
        if last is not None and last[:2] == (question, data):
            return last[2]
        try:
            state = shapes.SHAPES[facts.kind].state(facts, question.nature, question.asked, data)
        except Unprobed as unprobed:
            self._asked[facts.address] = unprobed.amounts
            return unprobed
        except Malformed:
            return None
        made = reading(question.venue, state)
        self._last[facts.address] = question, data, made
        return made


@dataclass(frozen=True, slots=True)
class _Question:
    venue: Venue
    nature: Nature | None
    asked: tuple[int, int] | None
    reads: list[Read]


@dataclass(frozen=True, slots=True)
class _Tried:
    block: int | None
    time: int | None
    readings: list[Reading | Unprobed | None]


_READERS: Final[WeakKeyDictionary[Rpc, Reader]] = WeakKeyDictionary()


async def read_venues(rpc: Rpc, venues: Sequence[Venue], block: str = "latest") -> list[Reading | None]:
    """What these pools say at a block, a tag or a hex number; None for a pool without a usable answer.

    Raises:
        Unreachable: no endpoint answers.
    """
    if rpc not in _READERS:
        _READERS[rpc] = Reader(rpc)
    return (await _READERS[rpc].read(venues, block)).readings
