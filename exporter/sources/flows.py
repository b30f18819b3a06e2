"""What a transaction moved: tokens to and from our addresses, and swaps at pools, from the logs of its receipt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.metrics import UNKNOWN
from exporter.sources.pools import Venue
from exporter.sources.receipts import Log, words_of

TRANSFER: Final = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
DEPOSIT: Final = "0xe1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c"
WITHDRAWAL: Final = "0x7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65"
SWAPS: Final[Mapping[str, str]] = {
    "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822": "in_out",  # Uniswap V2
    "0xb3e2773606abfd36b5bd91394b3a54d1398336c65005baf7bf7a05efeffaf75b": "in_out",  # Aerodrome, Solidly
    "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67": "signed",  # Uniswap V3, Slipstream
    "0x19b47279256b2a23a1665c810c8d55a1758940ee09377d4f8d26497a3577dc83": "signed",  # Pancake V3
    "0x40e9cecb9f5f1f1c5b9c97dec2917b7ee92e57ba5563708daca94dd84ad7112f": "elsewhere",  # Uniswap V4's manager
    "0x2170c741c41531aec20e7c107c24eecfdd15e69c9bb0a8dd37b1840b9e0b207b": "elsewhere",  # Balancer V2's vault
    "0x8b3e96f2b889fa771c53c981b40daf005f63f637f1869f707052d15a3dd97140": "elsewhere",  # Curve
    "0xb2e76ae99761dc136e598d4a629bb347eccb9532a5f8bbd72e18467c3c34cc98": "elsewhere",  # Curve, of other tokens
}
"""Events of a swap, and how they tell the amounts; `elsewhere` are those of exchanges that no pool of ours can be."""
_SIGN: Final = 2**255
_ZERO: Final = "0x" + "0" * 40


@dataclass(frozen=True, slots=True)
class Swap:
    """One swap; amounts as the pool sees them, raw, positive if they went in. None where they are not told so."""

    pool: str
    amount0: int | None
    amount1: int | None


def of_tokens(logs: Iterable[Log], ours: Collection[str], wrapped: Collection[str]) -> dict[str, int]:
    """What our addresses gained of each ERC-20 token, raw, negative if they lost; tokens that evened out are left out.

    `wrapped` are the tokens that stand for ether: these report wrapping by events of their own, some with a
    transfer from or to nobody beside them, which must not count twice.
    """
    moved: defaultdict[str, int] = defaultdict(int)
    minted: set[tuple[str, str, int]] = set()
    wraps: list[tuple[str, str, int]] = []
    for log in logs:
        if log.topics[:1] == (TRANSFER,) and len(log.topics) == 3 and (amount := _amount(log)) is not None:
            giver, taker = map(_address, log.topics[1:])
            moved[log.address] += amount * ((taker in ours) - (giver in ours))
            minted |= {(log.address, taker, amount)} if giver == _ZERO else set()
            minted |= {(log.address, giver, -amount)} if taker == _ZERO else set()
        elif log.address in wrapped and log.topics[:1] in ((DEPOSIT,), (WITHDRAWAL,)) and len(log.topics) == 2:
            amount = _amount(log) or 0
            wraps.append((log.address, _address(log.topics[1]), amount if log.topics[0] == DEPOSIT else -amount))
    for token, who, amount in wraps:
        if who in ours and (token, who, amount) not in minted:
            moved[token] += amount
    return {token: amount for token, amount in moved.items() if amount}


def of_ether(logs: Iterable[Log], ours: Collection[str], wrapped: Collection[str]) -> tuple[int, int]:
    """What our addresses gained of ether, in wei, by unwrapping, and what they gave for wrapping."""
    gained = given = 0
    for log in logs:
        if log.address in wrapped and len(log.topics) == 2 and _address(log.topics[1]) in ours:
            gained += (_amount(log) or 0) * (log.topics[0] == WITHDRAWAL)
            given += (_amount(log) or 0) * (log.topics[0] == DEPOSIT)
    return gained, given


def _amount(log: Log) -> int | None:
    words = words_of(log, 1)
    return words[0] if words else None


def _address(topic: str) -> str:
    return "0x" + topic[-40:]


def swaps(logs: Iterable[Log]) -> list[Swap]:
    """The swaps that were made, in their order."""
    return [_swap(log) for log in logs if log.topics and log.topics[0] in SWAPS]


def _swap(log: Log) -> Swap:
    shape = SWAPS[log.topics[0]]
    words = words_of(log, {"in_out": 4, "signed": 2, "elsewhere": 0}[shape])
    if not words:
        return Swap(log.address, None, None)
    if shape == "in_out":
        return Swap(log.address, words[0] - words[2], words[1] - words[3])
    return Swap(log.address, _signed(words[0]), _signed(words[1]))


def _signed(word: int) -> int:
    return word - 2 * _SIGN if word >= _SIGN else word


def route(made: Sequence[Swap], venues: Mapping[str, Venue]) -> tuple[str, str, str]:
    """The pair, the venue its base was bought at, and the one it was sold at, as far as the pools are configured.

    Over several pairs (a triangle) it is the pair of the first swap, with the venues of the first and the last one.
    """
    known = [(venues[swap.pool], swap) for swap in made if swap.pool in venues]
    if not known:
        return UNKNOWN, UNKNOWN, UNKNOWN
    pair = known[0][0].pair
    if any(venue.pair != pair for venue, _ in known):
        ends = [venues[made[place].pool].dex if made[place].pool in venues else UNKNOWN for place in (0, -1)]
        return pair, ends[0], ends[1]
    bought = [venue.dex for venue, swap in known if _base_into(venue, swap) < 0]
    sold = [venue.dex for venue, swap in known if _base_into(venue, swap) > 0]
    return pair, bought[0] if bought else UNKNOWN, sold[-1] if sold else UNKNOWN


def _base_into(venue: Venue, swap: Swap) -> int:
    return (swap.amount1 if venue.inverted else swap.amount0) or 0
