"""What gas costs: base fee now and next, priority fees, how full blocks are, and L1's fees where an oracle has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from exporter.collector import Collector, Poll, Sources
from exporter.metrics import Family, gauge
from exporter.sources.jsonrpc import Call, Malformed, RpcError, eth_call, field, quantity, words
from exporter.sources.rpc import Node, Rpc

BASE = gauge("arb_gas_base_fee_wei", "Base fee of the newest block.")
NEXT = gauge("arb_gas_next_base_fee_wei", "Base fee of the block after it.")
FULLNESS = gauge("arb_gas_block_used_ratio", "Share of the newest block's gas limit that was used.")
PRIORITY = gauge("arb_gas_priority_fee_wei", "Priority fee paid in the newest block, by percentile.", "percentile")
L1_BASE = gauge("arb_gas_l1_base_fee_wei", "L1 base fee, as the chain's GasPriceOracle knows it.")
L1_BLOB = gauge("arb_gas_l1_blob_base_fee_wei", "L1 blob base fee, as the chain's GasPriceOracle knows it.")

PERCENTILES: Final = (10, 50, 90)
ORACLE: Final = "0x420000000000000000000000000000000000000f"
L1_BASE_FEE, BLOB_BASE_FEE = "0x519b4bd3", "0xf8206140"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Fees in wei; L1's are None on a chain without the oracle."""

    base_fee_wei: int
    next_base_fee_wei: int
    block_used_ratio: float
    priority_fee_wei: Mapping[int, int]
    l1_base_fee_wei: int | None
    l1_blob_base_fee_wei: int | None


class Fees:
    """Reads fees in one batch; whether there is an oracle is found out once for each endpoint in use."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._oracle: tuple[Node | None, bool] = (None, False)

    async def read(self) -> Snapshot:
        """The fees now.

        Raises:
            Unreachable, Malformed, RpcError: there is no usable answer.
        """
        oracle = await self._has_oracle()
        history: Call = ("eth_feeHistory", ["0x1", "latest", list(PERCENTILES)])
        reads = [eth_call(ORACLE, L1_BASE_FEE), eth_call(ORACLE, BLOB_BASE_FEE)] if oracle else []
        results = await self._rpc.batch([history, *reads])
        l1 = [_first_word(result) for result in results[1:]] or [None, None]
        return _snapshot(results[0], l1)

    async def _has_oracle(self) -> bool:
        node = self._rpc.active
        if node is None or self._oracle[0] is not node:
            (code,) = await self._rpc.batch([("eth_getCode", [ORACLE, "latest"])])
            if not isinstance(code, str):
                return False  # no answer costs L1's fees only, until the next look
            self._oracle = self._rpc.active, len(code) > 2
        return self._oracle[1]


def _first_word(result: Any) -> int | None:
    """A fee of the oracle; some forks lack one of the functions, which is normal."""
    try:
        return words(result, 1)[0]
    except (Malformed, RpcError):
        return None


def _snapshot(history: Any, l1: list[int | None]) -> Snapshot:
    bases, used = field(history, "baseFeePerGas"), field(history, "gasUsedRatio")
    if not isinstance(bases, list) or len(bases) < 2 or not isinstance(used, list) or not used:
        raise Malformed("the fee history is incomplete")
    ratio = used[-1]
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 <= ratio <= 2:
        raise Malformed("the block's fullness is not a ratio")
    return Snapshot(quantity(bases[-2]), quantity(bases[-1]), float(ratio), _percentiles(history), l1[0], l1[1])


def _percentiles(history: Any) -> dict[int, int]:
    """Priority fees; nodes leave them out for empty blocks."""
    rewards = history.get("reward") or [[]]
    last = rewards[-1] if isinstance(rewards, list) and isinstance(rewards[-1], list) else []
    return {p: quantity(fee) for p, fee in zip(PERCENTILES, last, strict=False)}


def render(snapshot: Snapshot) -> Iterator[Family]:
    """All of it."""
    yield BASE(snapshot.base_fee_wei)
    yield NEXT(snapshot.next_base_fee_wei)
    yield FULLNESS(snapshot.block_used_ratio)
    yield PRIORITY.each(((str(p),), fee) for p, fee in snapshot.priority_fee_wei.items())
    yield L1_BASE.maybe(snapshot.l1_base_fee_wei)
    yield L1_BLOB.maybe(snapshot.l1_blob_base_fee_wei)


def _open(sources: Sources) -> Poll | None:
    return None if sources.rpc is None else Poll(Fees(sources.rpc).read, every=1.0)


COLLECTOR = Collector(
    name="gas",
    metrics=(BASE, NEXT, FULLNESS, PRIORITY, L1_BASE, L1_BLOB),
    open=_open,
    render=render,
    timeout=15.0,
    max_age=15.0,
    uses=("chain",),
)
