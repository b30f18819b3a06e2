"""What a node answers: every method that reads, at any block, as one backend sees the chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from eth_abi import decode, encode

from tests.model import contracts, shapes
from tests.model.deeds import Reverted, State
from tests.model.world import GAS_LIMIT, Block, Entry, World

CLIENT = "Geth/v1.101511.1-stable/linux-amd64/go1.24.2"


class Refusal(Exception):
    """An error as JSON-RPC has it."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.body = {"code": code, "message": message} | ({} if data is None else {"data": data})


class Backend:
    """One node's sight of the world. `lag` blocks behind, `stuck` at a block, or on a `branch` of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lag = 0
        self.stuck: Block | None = None
        self.branch: Block | None = None
        self.knows_finality = True
        self.keeps: int | None = None
        """Blocks below the head whose states are kept; None: all."""
        self.methods: dict[str, Callable[..., Any]] = {
            method: getattr(self, method) for method in dir(self) if method.startswith(("eth_", "net_", "txpool_"))
        } | {"web3_clientVersion": lambda: CLIENT}

    @property
    def head(self) -> Block:
        """The newest block this node knows."""
        return self.branch or self.stuck or self.world.head.back(self.lag)

    def answer(self, method: str, params: list[Any]) -> Any:
        """The result.

        Raises:
            Refusal: there is none.
        """
        if method not in self.methods:
            raise Refusal(-32601, f"the method {method} does not exist/is not available")
        try:
            return self.methods[method](*params)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise Refusal(-32602, f"invalid argument: {error}") from error

    # --- which block ---

    def block(self, which: Any) -> Block | None:
        """By number in hexadecimal, by tag, or by an object with a hash."""
        if isinstance(which, dict):
            return self._by_hash(which["blockHash"]) if "blockHash" in which else self.block(which["blockNumber"])
        if which in ("latest", "pending"):
            return self.head
        if which in ("finalized", "safe"):
            return self._final()
        number = 0 if which == "earliest" else int(which, 16)
        return self.head.at(number)

    def _final(self) -> Block | None:
        if not self.knows_finality or not self.world.final:
            raise Refusal(-39001, "unknown block")
        found = self.head.at(min(self.world.final, self.head.number))
        while found is not None and self.world.head.at(found.number) is not found:
            found = found.parent  # a node that stands still on a dead branch saw nothing of it become final
        return found

    def _by_hash(self, own: str) -> Block | None:
        found = self.world.by_hash.get(own)
        return found if found is not None and found.number <= self.head.number else None

    def _known(self, which: Any) -> Block:
        found = self.block(which)
        if found is None:
            raise Refusal(-32000, "header not found")
        return found

    def _state(self, which: Any) -> Block:
        """A block whose state is still there."""
        found = self._known(which)
        if self.keeps is not None and found.number < self.head.number - self.keeps:
            raise Refusal(-32000, f"missing trie node {found.hash[2:]} (path )")
        return found

    def _mined(self, own: str) -> tuple[Block, Entry] | None:
        """Where this node's chain has a transaction."""
        for block in self.world.mined.get(own, ()):
            if self.head.at(block.number) is block:
                return block, next(entry for entry in block.entries if entry.order.hash == own)
        return None

    # --- the chain ---

    def eth_chainId(self) -> str:  # noqa: N802
        return hex(self.world.chain_id)

    def net_version(self) -> str:
        return str(self.world.chain_id)

    def eth_syncing(self) -> bool:
        return False

    def eth_blockNumber(self) -> str:  # noqa: N802
        return hex(self.head.number)

    def eth_getBlockByNumber(self, which: str, full: bool) -> Any:  # noqa: N802
        found = self.block(which)
        return None if found is None else shapes.block(self.world, found, full)

    def eth_getBlockByHash(self, own: str, full: bool) -> Any:  # noqa: N802
        found = self._by_hash(own)
        return None if found is None else shapes.block(self.world, found, full)

    def eth_getBlockReceipts(self, which: Any) -> Any:  # noqa: N802
        found = self.block(which)
        return None if found is None else [shapes.receipt(self.world, found, e) for e in found.entries]

    def eth_getTransactionByHash(self, own: str) -> Any:  # noqa: N802
        place = self._mined(own)
        if place is not None:
            return shapes.transaction(self.world, *place)
        waiting = next((order for order in self.world.pending if order.hash == own), None)
        if waiting is None:
            return None
        nowhere = {"blockHash": None, "blockNumber": None, "transactionIndex": None}
        return shapes.sent(self.world, waiting) | nowhere

    def eth_getTransactionReceipt(self, own: str) -> Any:  # noqa: N802
        place = self._mined(own)
        return None if place is None else shapes.receipt(self.world, *place)

    def eth_getLogs(self, wanted: dict[str, Any]) -> Any:  # noqa: N802
        found: list[Any] = []
        for block in self._range(wanted):
            for entry in block.entries:
                found += [log for log in shapes.logs(self.world, block, entry) if matches(log, wanted)]
        return found

    def _range(self, wanted: dict[str, Any]) -> Iterable[Block]:
        if "blockHash" in wanted:
            return [self._known(wanted)]
        last = self._known(wanted.get("toBlock", "latest"))
        first = self._known(wanted.get("fromBlock", "latest"))
        return reversed([last.back(steps) for steps in range(last.number - first.number + 1)])

    # --- accounts ---

    def eth_getBalance(self, who: str, which: Any) -> str:  # noqa: N802
        return hex(self._state(which).state["ether", who.lower()])

    def eth_getTransactionCount(self, who: str, which: Any) -> str:  # noqa: N802
        mined = self._state(which).state["nonce", who.lower()]
        waiting = sum(order.sender == who.lower() for order in self.world.pending) if which == "pending" else 0
        return hex(mined + waiting)

    def eth_getCode(self, who: str, which: Any) -> str:  # noqa: N802
        self._known(which)
        return "0x60806040" if contracts.is_there(self.world, who.lower()) else "0x"

    def txpool_contentFrom(self, who: str) -> Any:  # noqa: N802
        waiting = [order for order in self.world.pending if order.sender == who.lower()]
        return {"pending": {str(order.nonce): shapes.sent(self.world, order) for order in waiting}, "queued": {}}

    # --- fees ---

    def eth_gasPrice(self) -> str:  # noqa: N802
        return hex(self.head.base_fee + 10**6)

    def eth_feeHistory(self, count: str | int, newest: Any, percentiles: list[float]) -> Any:  # noqa: N802
        last, many = self._known(newest), count if isinstance(count, int) else int(count, 16)
        blocks = [last.back(steps) for steps in reversed(range(min(many, last.number + 1)))]
        tips = [sorted(entry.order.tip for entry in block.entries) or [0] for block in blocks]
        return {
            "oldestBlock": hex(blocks[0].number),
            "baseFeePerGas": [hex(block.base_fee) for block in [*blocks, last]],
            "gasUsedRatio": [block.gas_used / GAS_LIMIT for block in blocks],
            "reward": [[hex(t[min(int(len(t) * p / 100), len(t) - 1)]) for p in percentiles] for t in tips],
        }

    # --- calls ---

    def eth_call(self, request: dict[str, Any], which: Any = "latest") -> str:
        block = self._state(which)
        data = request.get("data") or request.get("input") or "0x"
        order = None if data == "0x" else self.world.by_data.get(data)
        try:
            if order is not None:
                order.deed.run(State(block.state))
                return "0x"
            if request["to"].lower() == contracts.MULTICALL and contracts.is_there(self.world, contracts.MULTICALL):
                return self._multicall(block, data)
            return contracts.call(self.world, block, request["to"].lower(), data)
        except Reverted as reverted:
            raise Refusal(3, "execution reverted", reverted.data) from None

    def _multicall(self, block: Block, data: str) -> str:
        if data.startswith("0x42cbb15c"):
            return f"0x{block.number:064x}"
        if data.startswith("0x0f28c97d"):
            return f"0x{block.timestamp:064x}"
        if data.startswith("0x4d2301cc"):
            return f"0x{block.state['ether', '0x' + data[-40:]]:064x}"
        if not data.startswith("0x82ad56cb"):
            raise Reverted()
        (parts,) = decode(["(address,bool,bytes)[]"], bytes.fromhex(data[10:]))
        results = [self._part(block, *part) for part in parts]
        return "0x" + encode(["(bool,bytes)[]"], [results]).hex()

    def _part(self, block: Block, target: str, may_fail: bool, data: bytes) -> tuple[bool, bytes]:
        try:
            to, text = target.lower(), "0x" + data.hex()
            found = self._multicall(block, text) if to == contracts.MULTICALL else contracts.call(
                self.world, block, to, text)  # fmt: skip
        except Reverted as reverted:
            if not may_fail:
                raise
            return False, bytes.fromhex(reverted.data[2:])
        return True, bytes.fromhex(found[2:])


def matches(log: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a log is of the wanted addresses and topics."""
    addresses = wanted.get("address") or []
    listed = [addresses] if isinstance(addresses, str) else addresses
    if listed and log["address"] not in {address.lower() for address in listed}:
        return False
    for place, options in enumerate(wanted.get("topics") or []):
        allowed = [options] if isinstance(options, str) else options
        if allowed is not None and (place >= len(log["topics"]) or log["topics"][place] not in allowed):
            return False
    return True
