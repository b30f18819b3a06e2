"""Lies of a node, by name: what is wrong with single results, while everything else is as it should be."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.model.orders import name
from tests.model.server import Endpoint, Lied
from tests.model.story import ME, SPARE

type Change = Callable[[Any], Any]
DETECTED, HARMLESS = "detected", "harmless"


@dataclass(frozen=True, slots=True)
class Lie:
    """`tell` lets an endpoint tell it; `expected` says whether the reader has to notice."""

    name: str
    tell: Callable[[Endpoint], None]
    expected: str = DETECTED


def results(method: str, change: Change, when: Callable[[list[Any]], bool] = lambda params: True) -> Any:
    """Change the results of a method."""

    def tell(endpoint: Endpoint) -> None:
        def lie(called: str, params: list[Any], result: Any) -> Any:
            return change(copy.deepcopy(result)) if called == method and when(params) else result

        endpoint.lie = lie

    return tell


def replaced(**fields: Any) -> Change:
    """Other values in an object."""
    return lambda result: result if result is None else result | fields


def without(field: str) -> Change:
    return lambda result: result if result is None else {k: v for k, v in result.items() if k != field}


def raised(code: int, message: str) -> Change:
    def change(result: Any) -> Any:
        raise Lied({"code": code, "message": message})

    return change


def _full(params: list[Any]) -> bool:
    return bool(params[1])


def _header(params: list[Any]) -> bool:
    return not params[1]


def _latest(params: list[Any]) -> bool:
    return bool(params[0] == "latest")


def _finalized(params: list[Any]) -> bool:
    return bool(params[0] == "finalized")


# --- blocks -------------------------------------------------------------------------------------------------------


def _older(by: int) -> Callable[[Endpoint], None]:
    """The head is some blocks older than it is, everything else is there."""

    def tell(endpoint: Endpoint) -> None:
        def lie(called: str, params: list[Any], result: Any) -> Any:
            if called == "eth_getBlockByNumber" and params[0] == "latest":
                return endpoint.backend.answer(called, [hex(max(endpoint.world.head.number - by, 1)), params[1]])
            return result

        endpoint.lie = lie

    return tell


def _flapping(endpoint: Endpoint) -> None:
    """The newest block has another hash each time."""
    rng = random.Random(3)

    def lie(called: str, params: list[Any], result: Any) -> Any:
        newest = hex(endpoint.world.head.number)
        if called == "eth_getBlockByNumber" and result is not None and result["number"] == newest:
            return result | {"hash": name(rng.random())}
        return result

    endpoint.lie = lie


def _stuck(endpoint: Endpoint) -> None:
    endpoint.backend.stuck = endpoint.backend.head


def _apart(endpoint: Endpoint) -> None:
    """Two backends behind one name, three blocks apart."""
    rng = random.Random(5)
    endpoint.before = lambda: setattr(endpoint.backend, "lag", rng.choice((0, 3)))


def _omission(block: dict[str, Any] | None) -> Any:
    """The wallets' transactions are left out, and the places closed up; the hash stays."""
    if block is None:
        return None
    kept = [sent for sent in block["transactions"] if sent["from"] not in (ME, SPARE)]
    return block | {"transactions": [sent | {"transactionIndex": hex(place)} for place, sent in enumerate(kept)]}


def _moved_places(block: dict[str, Any] | None) -> Any:
    for place, transaction in enumerate(block["transactions"] if block else ()):
        transaction["transactionIndex"] = hex(place + 1)
    return block


def _twice(block: dict[str, Any] | None) -> Any:
    if block and block["transactions"]:
        again = block["transactions"][-1] | {"transactionIndex": hex(len(block["transactions"]))}
        block["transactions"].append(again)
    return block


def _anothers(endpoint: Endpoint) -> None:
    """The transactions of the block before."""

    def lie(called: str, params: list[Any], result: Any) -> Any:
        if called == "eth_getBlockByNumber" and params[1] and result is not None and int(result["number"], 16) > 1:
            before = endpoint.backend.answer(called, [hex(int(result["number"], 16) - 1), True])
            return result | {"transactions": before["transactions"]}
        return result

    endpoint.lie = lie


def _above_head(endpoint: Endpoint) -> None:
    def lie(called: str, params: list[Any], result: Any) -> Any:
        if called == "eth_getBlockByNumber" and params[0] == "finalized":
            number = endpoint.world.head.number + 5
            return result | {"number": hex(number), "hash": name("nowhere")}
        return result

    endpoint.lie = lie


def _final_falls(endpoint: Endpoint) -> None:
    """What is final goes back to the beginning at every second look."""
    looks = 0

    def lie(called: str, params: list[Any], result: Any) -> Any:
        nonlocal looks
        if called == "eth_getBlockByNumber" and params[0] == "finalized":
            looks += 1
            return endpoint.backend.answer(called, ["0x1", params[1]]) if looks % 2 else result
        return result

    endpoint.lie = lie


BLOCK, RECEIPT = "eth_getBlockByNumber", "eth_getTransactionReceipt"
HUGE = hex(2**256 - 1)

BLOCKS: Final = (
    Lie("no newest block", results(BLOCK, lambda block: None, _latest)),
    Lie("no block at all", results(BLOCK, lambda block: None)),
    Lie("a number that is none", results(BLOCK, replaced(number="0x"), _latest)),
    Lie("a number in capital letters", results(BLOCK, replaced(number="0XFF"), _latest)),
    Lie("a number in other digits", results(BLOCK, replaced(number="0x٣"), _latest)),
    Lie("a number as a number", results(BLOCK, replaced(number=7), _latest)),
    Lie("a head beyond all numbers", results(BLOCK, replaced(number=HUGE), _latest)),
    Lie("a head that jumps a million blocks", results(BLOCK, replaced(number=hex(10**6)), _latest)),
    Lie("a head that goes back by three", _older(3), HARMLESS),
    Lie("a head that goes back by thirty", _older(30), HARMLESS),
    Lie("a head that is stuck", _stuck, HARMLESS),
    Lie("the same height with a new hash each time", _flapping),
    Lie("two backends three blocks apart", _apart, HARMLESS),
    Lie("a wrong parent", results(BLOCK, replaced(parentHash=name("stranger")), _full)),
    Lie("another block than was asked for", results(BLOCK, replaced(number="0x5"), _full)),
    Lie("a hash that is short", results(BLOCK, replaced(hash="0x1234"), _full)),
    Lie("full blocks of another branch", results(BLOCK, replaced(hash=name("branch")), _full)),
    Lie("headers of another branch", results(BLOCK, replaced(hash=name("branch")), _header)),
    Lie("no transactions in a block", results(BLOCK, without("transactions"), _full)),
    Lie("blocks without our wallets' transactions", results(BLOCK, _omission, _full)),
    Lie("transactions of another block", _anothers),
    Lie("transactions at other places", results(BLOCK, _moved_places, _full)),
    Lie("a transaction twice in a block", results(BLOCK, _twice, _full)),
    Lie("a block of the year 10^12", results(BLOCK, replaced(timestamp=HUGE), _full)),
    Lie("gas of a block beyond all numbers", results(BLOCK, replaced(gasUsed=HUGE), _full)),
    Lie("a base fee beyond all numbers", results(BLOCK, replaced(baseFeePerGas=HUGE), _full)),
    Lie("a base fee above what anybody pays", results(BLOCK, replaced(baseFeePerGas=hex(10**15)), _full)),
    Lie("finality is unknown", results(BLOCK, raised(-39001, "unknown block"), _finalized), HARMLESS),
    Lie("finality is no method", results(BLOCK, raised(-32601, "no such method"), _finalized), HARMLESS),
    Lie("finality is an odd parameter", results(BLOCK, raised(-32602, "invalid tag"), _finalized), HARMLESS),
    Lie("what is final is above the head", _above_head, HARMLESS),
    Lie("what is final goes back", _final_falls, HARMLESS),
    Lie("what is final is on no chain", results(BLOCK, replaced(hash=name("nowhere")), _finalized)),
)
"""About blocks: of those that are harmless nothing has to be noticed, because nothing false can follow."""
