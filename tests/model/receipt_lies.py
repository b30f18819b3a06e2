"""Lies about receipts, accounts and pools, by name."""

from __future__ import annotations

from typing import Any, Final

from tests.model.answers import Refusal
from tests.model.contracts import ORACLE
from tests.model.deeds import TRANSFER, WETH, topic, words
from tests.model.lies import BLOCK, HARMLESS, HUGE, RECEIPT, Lie, raised, replaced, results, without
from tests.model.orders import name
from tests.model.server import Endpoint
from tests.model.story import ME, STRANGERS


def _shifted(endpoint: Endpoint) -> None:
    """The receipt of the transaction before, whichever was asked for."""
    last: list[Any] = []

    def lie(called: str, params: list[Any], result: Any) -> Any:
        if called == RECEIPT and result is not None:
            last.append(result)
            return last[-2] if len(last) > 1 and last[-2] != result else None
        return result

    endpoint.lie = lie


def _log(**fields: Any) -> Any:
    """Something else in every log of a receipt."""

    def change(receipt: Any) -> Any:
        for log in receipt["logs"] if receipt else ():
            log.update(fields)
        return receipt

    return change


def _logs_twice(receipt: Any) -> Any:
    return receipt and receipt | {"logs": receipt["logs"] * 2 or [_forged(receipt)] * 2}


def _logs_backwards(receipt: Any) -> Any:
    return receipt and receipt | {"logs": receipt["logs"][::-1]}


def _forged(receipt: dict[str, Any]) -> dict[str, Any]:
    return {
        "address": ORACLE, "topics": [], "data": "0x", "transactionHash": receipt["transactionHash"],
        "blockHash": receipt["blockHash"], "logIndex": "0x0", "removed": False,
    }  # fmt: skip


def _failed_with_logs(receipt: Any) -> Any:
    return receipt and receipt | {"status": "0x0", "logs": receipt["logs"] or [_forged(receipt)]}


def _count(by: int) -> Any:
    return lambda nonce: hex(max(int(nonce, 16) + by, 0))


def _of_oracle(params: list[Any]) -> bool:
    return bool(params[0].get("to") == ORACLE)


COUNT, BALANCE, CALL = "eth_getTransactionCount", "eth_getBalance", "eth_call"

RECEIPTS: Final = (
    Lie("a receipt that is late", results(RECEIPT, lambda receipt: None)),
    Lie("receipts are being indexed", results(RECEIPT, raised(-32000, "transaction indexing is in progress"))),
    Lie("the receipt of another transaction", _shifted),
    Lie("a receipt with another hash", results(RECEIPT, replaced(transactionHash=name("other")))),
    Lie("a receipt of another block", results(RECEIPT, replaced(blockHash=name("other")))),
    Lie("a receipt of another place", results(RECEIPT, replaced(transactionIndex="0x77"))),
    Lie("no gas used", results(RECEIPT, replaced(gasUsed="0x0"))),
    Lie("more gas than there was", results(RECEIPT, replaced(gasUsed=hex(10**8)))),
    Lie("gas beyond all numbers", results(RECEIPT, replaced(gasUsed=HUGE))),
    Lie("negative gas", results(RECEIPT, replaced(gasUsed="-0x5208"))),
    Lie("gas with a fraction", results(RECEIPT, replaced(gasUsed=21000.5))),
    Lie("a price below the base fee", results(RECEIPT, replaced(effectiveGasPrice="0x1"))),
    Lie("a price above what was allowed", results(RECEIPT, replaced(effectiveGasPrice=hex(10**12)))),
    Lie("a price beyond all numbers", results(RECEIPT, replaced(effectiveGasPrice=HUGE))),
    Lie("no price", results(RECEIPT, without("effectiveGasPrice"))),
    Lie("no status", results(RECEIPT, without("status"))),
    Lie("a status of null", results(RECEIPT, replaced(status=None))),
    Lie("a status of 2", results(RECEIPT, replaced(status="0x2"))),
    Lie("a failure with logs", results(RECEIPT, _failed_with_logs)),
    Lie("an L1 fee beyond all numbers", results(RECEIPT, replaced(l1Fee=HUGE))),
    Lie("a negative L1 fee", results(RECEIPT, replaced(l1Fee="-0x1"))),
    Lie("an L1 fee of text", results(RECEIPT, replaced(l1Fee="much"))),
    Lie("no L1 fee where there was one", results(RECEIPT, without("l1Fee")), HARMLESS),
    Lie("no logs at all", results(RECEIPT, without("logs"))),
    Lie("every log twice", results(RECEIPT, _logs_twice)),
    Lie("logs with one index", results(RECEIPT, _log(logIndex="0x1"))),
    Lie("logs in another order", results(RECEIPT, _logs_backwards)),
    Lie("logs that were removed", results(RECEIPT, _log(removed=True))),
    Lie("logs of another transaction", results(RECEIPT, _log(transactionHash=name("other")))),
    Lie("logs of another block", results(RECEIPT, _log(blockHash=name("other")))),
    Lie("logs of nobody", results(RECEIPT, _log(address="0x12"))),
    Lie("logs with half a byte", results(RECEIPT, _log(data="0x123"))),
    Lie("logs with five topics", results(RECEIPT, _log(topics=[name(i) for i in range(5)]))),
)

ACCOUNTS: Final = (
    Lie("a nonce lower than it is", results(COUNT, _count(-2))),
    Lie("a nonce higher than it is", results(COUNT, _count(3))),
    Lie("a nonce of text", results(COUNT, lambda nonce: "many"), HARMLESS),
    Lie("nonces are not told", results(COUNT, raised(-32000, "missing trie node")), HARMLESS),
    Lie("a balance beyond all numbers", results(BALANCE, lambda balance: HUGE)),
    Lie("a balance larger than all ether", results(BALANCE, lambda balance: hex(2**130))),
    Lie("a balance of text", results(BALANCE, lambda balance: "0xrich")),
    Lie("balances are not told", results(BALANCE, raised(-32000, "missing trie node"))),
    Lie("balances are limited", results(BALANCE, raised(-32005, "limit exceeded"))),
    Lie("reserves beyond a pair's", results(CALL, lambda data: words(2**200, 2**200, 1))),
    Lie("reserves of nothing", results(CALL, lambda data: "0x")),
    Lie("calls are not answered", results(CALL, raised(-32000, "missing trie node"))),
    Lie("calls are answered with half a byte", results(CALL, lambda data: "0x123")),
)


def _reasons(endpoint: Endpoint) -> None:
    """Every revert is said to be a panic."""
    answer = endpoint.backend.methods["eth_call"]

    def call(request: dict[str, Any], which: Any = "latest") -> Any:
        try:
            return answer(request, which)
        except Refusal:
            raise Refusal(3, "execution reverted", "0x4e487b71" + words(0x11)[2:]) from None

    endpoint.backend.methods["eth_call"] = call


def _poorer(receipt: Any) -> Any:
    """WETH that nobody sent to us."""
    if receipt is None or receipt["status"] != "0x1" or not receipt["logs"]:
        return receipt
    last = receipt["logs"][-1]
    gift = last | {
        "address": WETH, "topics": [TRANSFER, topic(STRANGERS[0]), topic(ME)], "data": words(10**18),
        "logIndex": hex(int(last["logIndex"], 16) + 1),
    }  # fmt: skip
    return receipt | {"logs": [*receipt["logs"], gift]}


def _strangers_left_out(block: Any) -> Any:
    """Strangers' transactions at the end of a block are not in the list; before ours the places would betray it."""
    while block and block["transactions"] and block["transactions"][-1]["from"] in STRANGERS:
        block["transactions"].pop()
    return block


class Drift:
    """A little more each time."""

    def __init__(self) -> None:
        self._more = 0

    def __call__(self, balance: str) -> str:
        self._more += 10**15
        return hex(int(balance, 16) + self._more)


def _halved(field: str) -> Any:
    return lambda receipt: receipt and receipt | {field: hex(max(int(receipt[field], 16) // 2, 1))}


def _reserves(data: Any) -> Any:
    return words(10**21, 10**13, 1) if len(data) == 2 + 3 * 64 else data


BELIEVED: Final = (
    Lie("less gas than was used", results(RECEIPT, _halved("gasUsed"))),
    Lie("a lower L1 fee", results(RECEIPT, _halved("l1Fee"))),
    Lie("a price between the base fee and the highest", results(RECEIPT, replaced(effectiveGasPrice=hex(8 * 10**6)))),
    Lie("a failure that is called a success", results(RECEIPT, replaced(status="0x1"))),
    Lie("logs that no contract wrote", results(RECEIPT, _poorer)),
    Lie("a balance that could be", results(BALANCE, Drift())),
    Lie("reserves that could be", results(CALL, _reserves)),
    Lie("another reason of reverts", _reasons),
    Lie("strangers' calls of our contracts left out", results(BLOCK, _strangers_left_out, lambda params: params[1])),
)
"""Lies that fit everything else the same node says. Only another node could tell, or a proof that nodes do not give:
blocks name roots of their transactions and receipts, which would have to be computed from all of them."""
