"""Logs by hand, right and absurd; those of real contracts are in test_pools."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import pool_events
from exporter.sources.contracts import PoolFacts, Token
from exporter.sources.curves import Concentrated, ConstantProduct, Curve, Stable
from exporter.sources.jsonrpc import Malformed
from exporter.sources.pool_events import Change
from exporter.sources.shapes import State
from tests.fake_rpc import word

POOL = "0x" + "aa" * 20
Q96 = 2**96


def facts(kind: str) -> PoolFacts:
    return PoolFacts(POOL, kind, Token("0x" + "11" * 20, "DAI", 18), Token("0x" + "22" * 20, "USDC", 6), 500)


STATES: dict[str, tuple[str, Curve | None]] = {
    "pair": ("uniswap_v2", ConstantProduct(5, 5)),
    "volatile": ("solidly", ConstantProduct(5, 5, True)),
    "stable": ("solidly", Stable(5, 5, 10**18, 10**6)),
    "unknown": ("solidly", None),
    "v3": ("uniswap_v3", Concentrated(Q96, 1)),
    "slipstream": ("slipstream", Concentrated(Q96, 1)),
}


def log(topic: str, data: str, **more: Any) -> dict[str, Any]:
    return {"address": POOL, "topics": [topic], "data": data, "blockNumber": "0x64", "logIndex": "0x3",
            "blockHash": "0x" + "1" * 64, "removed": False} | more  # fmt: skip


def heard(name: str, entry: dict[str, Any]) -> Change | None:
    kind, curve = STATES[name]
    return pool_events.change(entry, facts(kind), State(curve, None, 500, (5, 5)))


def change(curve: Curve | None, place: tuple[int, int] | None = (100, 3), preconfirmed: bool = False) -> Change:
    return Change(POOL, curve, place, preconfirmed)


SYNC = log(pool_events.SYNC_V2, word(7, 8))
WIDE = log(pool_events.SYNC_SOLIDLY, word(2**120, 8))
SWAP = log(pool_events.SWAP_V3, word(5, 2**256 - 5, 2 * Q96, 99, 13863))
PANCAKE = log(pool_events.SWAP_PANCAKE, word(5, 2**256 - 5, 2 * Q96, 99, 13863, 1, 2))


@pytest.mark.parametrize(
    ("name", "entry", "curve"),
    [
        ("pair", SYNC, ConstantProduct(7, 8)), ("volatile", WIDE, ConstantProduct(2**120, 8, True)),
        ("stable", WIDE, Stable(2**120, 8, 10**18, 10**6)), ("unknown", WIDE, None),
        ("v3", SWAP, Concentrated(2 * Q96, 99)), ("v3", PANCAKE, Concentrated(2 * Q96, 99)),
        ("slipstream", SWAP, Concentrated(2 * Q96, 99)),
        ("v3", log(pool_events.MINT_V3, "0x"), None), ("slipstream", log(pool_events.BURN_V3, "0x"), None),
        ("v3", SWAP | {"removed": True}, None), ("pair", SYNC | {"removed": True, "data": "rubbish"}, None),
    ],
)  # fmt: skip
def test_what_each_event_tells(name: str, entry: dict[str, Any], curve: Curve | None) -> None:
    found = heard(name, entry)
    assert found is not None
    assert replace(found, amounts=(0, 0)) == change(curve)
    assert found.amounts == ((5, -5) if isinstance(curve, Concentrated) else (0, 0))


@pytest.mark.parametrize(
    ("name", "topic"),
    [("pair", pool_events.SWAP_V3), ("v3", pool_events.SYNC_V2), ("stable", pool_events.MINT_V3), ("pair", "0x1234")],
)
def test_events_that_say_nothing_of_such_a_pool_are_passed_over(name: str, topic: str) -> None:
    assert heard(name, log(topic, "rubbish")) is None


def test_time_and_promises() -> None:
    assert heard("pair", SYNC | {"blockTimestamp": "0x6b015b76"}) == Change(
        POOL, ConstantProduct(7, 8), (100, 3), False, 0x6B015B76
    )
    promise = SYNC | {"preconfirmed": True}
    assert heard("pair", promise) == change(ConstantProduct(7, 8), preconfirmed=True)
    assert heard("pair", promise | {"blockNumber": None}) == change(ConstantProduct(7, 8), None, preconfirmed=True)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("pair", SYNC | {"topics": []}), ("pair", SYNC | {"topics": [None]}), ("pair", SYNC | {"topics": "0x"}),
        ("pair", SYNC | {"data": word(7)}), ("pair", SYNC | {"data": word(2**112, 8)}), ("pair", SYNC | {"data": None}),
        ("pair", SYNC | {"data": "0x" + "zz" * 64}), ("volatile", log(pool_events.SYNC_SOLIDLY, word(2**160, 1))),
        ("pair", SYNC | {"blockNumber": None}), ("pair", SYNC | {"blockNumber": 100}),
        ("pair", SYNC | {"logIndex": "0x" + "f" * 20}), ("pair", SYNC | {"blockNumber": "100"}),
        ("v3", SWAP | {"data": word(1, 2, Q96, 5)}), ("v3", SWAP | {"data": word(1, 2, 7, 5, 0)}),
        ("v3", SWAP | {"data": word(1, 2, Q96, 2**128, 0)}), ("v3", SWAP | {"data": word(1, 2, Q96, 5, 2**23)}),
    ],
)  # fmt: skip
def test_logs_that_no_pool_writes_are_refused(name: str, entry: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        heard(name, entry)


def test_a_swap_that_tells_no_price_asks_for_a_look() -> None:
    assert heard("v3", SWAP | {"data": word(1, 2, 0, 0, 0)}) == change(None)


junk = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.text(max_size=70), max_size=3),
    st.lists(st.integers(0, 2**256 - 1), max_size=9).map(lambda numbers: word(*numbers)),
    st.integers(0, 2**70).map(hex), st.just([pool_events.SYNC_V2]), st.just([pool_events.SWAP_V3]),
)  # fmt: skip


@given(
    st.sampled_from(sorted(STATES)),
    st.dictionaries(
        st.sampled_from(["topics", "data", "blockNumber", "logIndex", "removed", "preconfirmed", "blockTimestamp"]),
        junk,
    ),
)
def test_rubbish_is_refused_and_nothing_else_happens(name: str, changed: dict[str, Any]) -> None:
    try:
        found = heard(name, (SWAP if name in ("v3", "slipstream") else SYNC) | changed)
    except Malformed:
        return
    assert found is None or found.address == POOL
