"""What the logs of pools say of their state, as nodes write them. No input or output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from exporter.sources import shapes
from exporter.sources.contracts import PoolFacts
from exporter.sources.curves import Concentrated, ConstantProduct, Curve, Stable
from exporter.sources.jsonrpc import Malformed
from exporter.sources.shapes import State

SYNC_V2: Final = "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
SYNC_SOLIDLY: Final = "0xcf2aa50876cdfbb541206f89af0ee78d44a2abf8d328e37fa4917f982149848a"
SWAP_V3: Final = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
SWAP_PANCAKE: Final = "0x19b47279256b2a23a1665c810c8d55a1758940ee09377d4f8d26497a3577dc83"
MINT_V3: Final = "0x7a53080ba414158be7ec69b987b5fb7d07dee101fe85488f0853ae16239d0bde"
BURN_V3: Final = "0x0c396cd989a39f4459b5fa1aed6a9a8dcdbc45908acfd67e028cd568da98982c"
INITIALIZE_V3: Final = "0x98636036cb66a9c19a37435efc1e90142190214e8abeb821bdba3f2990dd4c95"
SWAPS: Final = frozenset((SWAP_V3, SWAP_PANCAKE))
UNTOLD: Final = frozenset((MINT_V3, BURN_V3, INITIALIZE_V3))
"""These change a pool without telling its new state, so that it has to be read."""
SYNC_BITS: Final[Mapping[str, int]] = {"uniswap_v2": 112, "solidly": 160}
CONCENTRATED: Final = frozenset(("uniswap_v3", "slipstream"))
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{64}){1,16}")
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,13}")


@dataclass(frozen=True, slots=True)
class Change:
    """A pool has changed at a place in the chain: `curve` None if only that is told, `place` None if it is in no block.

    A place is (block, index of the log); `time` is the block's in epoch seconds, if the node adds it. `amounts` are
    what a swap brought into a pool with concentrated liquidity, raw, negative for what left it.
    """

    address: str
    curve: Curve | None
    place: tuple[int, int] | None
    preconfirmed: bool
    time: int | None = None
    amounts: tuple[int, int] = (0, 0)


def change(entry: Mapping[str, Any], facts: PoolFacts, state: State) -> Change | None:
    """What a log of this pool, last seen in this state, says; None for one that changes nothing.

    Raises:
        Malformed: it is no log that such a pool writes.
    """
    topics = entry.get("topics")
    topic = topics[0] if isinstance(topics, list) and topics else None
    if not isinstance(topic, str):
        raise Malformed("a log without topics")
    told, untold = _tells(topic.lower(), facts.kind)
    if not told and not untold:
        return None
    gone = entry.get("removed") is True
    words = _words(entry.get("data")) if told and not gone else []
    curve = _curve(words, facts, state) if words else None
    preconfirmed = entry.get("preconfirmed") is True
    place = None if preconfirmed and entry.get("blockNumber") is None else _place(entry)
    time = _number(entry.get("blockTimestamp"))
    return Change(facts.address, curve, place, preconfirmed, time, _amounts(curve, words))


def _tells(topic: str, kind: str) -> tuple[bool, bool]:
    """Whether an event tells a pool's state, and whether it changes it without telling."""
    if kind in CONCENTRATED:
        return topic in SWAPS, topic in UNTOLD
    return topic in (SYNC_V2, SYNC_SOLIDLY), False


def _amounts(curve: Curve | None, words: list[int]) -> tuple[int, int]:
    return (shapes.signed(words[0]), shapes.signed(words[1])) if isinstance(curve, Concentrated) else (0, 0)


def _curve(words: list[int], facts: PoolFacts, state: State) -> Curve | None:
    if facts.kind in CONCENTRATED:
        if len(words) < 5:
            raise Malformed("a swap without a price")
        shapes.signed24(words[4])
        made = shapes.concentrated(words[2], words[3])
        return made if made.sqrt_price_x96 else None
    if len(words) < 2:
        raise Malformed("no reserves")
    held = shapes.reserves(words[0], words[1], SYNC_BITS[facts.kind])
    if isinstance(state.curve, Stable):
        return shapes.stable_curve(facts, held)
    return ConstantProduct(*held, fee_first=facts.kind == "solidly") if state.curve is not None else None


def _words(data: Any) -> list[int]:
    if not isinstance(data, str) or not _DATA.fullmatch(data):
        raise Malformed("a log's data is none")
    return [int(data[start : start + 64], 16) for start in range(2, len(data), 64)]


def _place(entry: Mapping[str, Any]) -> tuple[int, int]:
    block, index = _number(entry.get("blockNumber")), _number(entry.get("logIndex"))
    if block is None or index is None:
        raise Malformed("a log without a place")
    return block, index


def _number(value: Any) -> int | None:
    return int(value, 16) if isinstance(value, str) and _QUANTITY.fullmatch(value) else None
