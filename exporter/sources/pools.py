"""Reserves and prices of pools: exact arithmetic up to the last step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from exporter.config import Pool
from exporter.sources.contracts import PoolFacts
from exporter.sources.pairs import pair_of_tokens

GET_RESERVES: Final = "0x0902f1ac"
READABLE: Final = frozenset(("uniswap_v2",))
_LARGEST_RESERVE: Final = 2**112


@dataclass(frozen=True, slots=True)
class Venue:
    """A configured pool with what is known of it; `inverted` if its token0 is the pair's quote."""

    label: str
    dex: str
    facts: PoolFacts
    pair: str
    inverted: bool


@dataclass(frozen=True, slots=True)
class Reserves:
    """A pool's reserves, raw, in the order of its tokens."""

    amount0: int
    amount1: int

    @classmethod
    def of(cls, words: Sequence[int]) -> Reserves | None:
        """Reserves from the answer's words; None if they are more than a pair can hold."""
        return cls(words[0], words[1]) if max(words[:2]) < _LARGEST_RESERVE else None


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


def amounts(venue: Venue, reserves: Reserves) -> tuple[Fraction, Fraction]:
    """Reserves in the tokens' own units, in the order of the pool's tokens."""
    return (
        Fraction(reserves.amount0, 10**venue.facts.token0.decimals),
        Fraction(reserves.amount1, 10**venue.facts.token1.decimals),
    )


def price(venue: Venue, reserves: Reserves) -> Fraction | None:
    """Quote per base; None for an empty pool."""
    amount0, amount1 = amounts(venue, reserves)
    base, quote = (amount1, amount0) if venue.inverted else (amount0, amount1)
    return quote / base if base and quote else None
