"""What gas costs: base fee now, next and over an hour, priority fees, L1's fees, and all that one arbitrage costs."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from statistics import median_low
from typing import Any, Final

from exporter import expenses
from exporter.collector import Collector, Poll, Sources
from exporter.ledger import Ledger
from exporter.metrics import Family, gauge
from exporter.sources import l1_fees
from exporter.sources.costs import Costs
from exporter.sources.fee_window import FeeWindow
from exporter.sources.jsonrpc import Call, Malformed, field, quantity
from exporter.sources.l1_fees import ORACLE, Prices
from exporter.sources.node import Node
from exporter.sources.records import WEI
from exporter.sources.rpc import Rpc
from exporter.worker import Busy

BASE = gauge("arb_gas_base_fee_wei", "Base fee of the newest block.")
NEXT = gauge("arb_gas_next_base_fee_wei", "Base fee of the block after it.")
WINDOW = gauge("arb_gas_base_fee_window_wei", "Base fee as observed over the last hour, by percentile.", "percentile")
TREND = gauge("arb_gas_base_fee_trend_ratio", "Base fee now against its median of the last hour: 0.1 is 10 % above.")
FULLNESS = gauge("arb_gas_block_used_ratio", "Share of the newest block's gas limit that was used.")
PRIORITY = gauge("arb_gas_priority_fee_wei", "Priority fee paid in the newest block, by percentile.", "percentile")
L1_BASE = gauge("arb_gas_l1_base_fee_wei", "L1 base fee, as the chain's GasPriceOracle knows it.")
L1_BLOB = gauge("arb_gas_l1_blob_base_fee_wei", "L1 blob base fee, as the chain's GasPriceOracle knows it.")
TRADE = gauge(
    "arb_gas_trade_cost_ether",
    "All that an arbitrage costs in the next block: the bot's usual gas, L1 data fee and operator fee.",
)
TRADE_L1 = gauge("arb_gas_trade_l1_fee_ether", "L1 data fee of an arbitrage of the bot's usual size at L1's fees now.")

PERCENTILES: Final = (10, 50, 90)
LEARN_EVERY: Final = 30.0
WEIGHED: Final = 20
"""So many of the newest trades say how large one is to L1: their receipts are asked for, once each."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Fees in wei; L1's are None on a chain without the oracle, a trade's until there was one to learn from."""

    base_fee_wei: int
    next_base_fee_wei: int
    block_used_ratio: float
    priority_fee_wei: Mapping[int, int]
    l1_base_fee_wei: int | None
    l1_blob_base_fee_wei: int | None
    window_wei: Mapping[int, int]
    trend_ratio: float | None
    trade_l1_fee_wei: int | None
    trade_cost_wei: int | None


class Trades:
    """What the bot's arbitrages usually take, learned from its confirmed ones; None until there is one."""

    def __init__(
        self, ledger: Ledger, rpc: Rpc, chain_id: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger, self._rpc, self._chain_id, self._monotonic = ledger, rpc, chain_id, monotonic
        self._version, self._due = -1, 0.0
        self._weights: dict[str, Fraction] = {}
        self.gas: int | None = None
        self._l1_paid_wei: int | None = None

    async def learn(self) -> None:
        """Look at the newest trades, now and then.

        Raises:
            sqlite3.Error, Busy, Unreachable: they cannot be read now; what was learned stays.
        """
        version = self._ledger.version
        if version == self._version or self._monotonic() < self._due:
            return
        self._due = self._monotonic() + LEARN_EVERY
        trades = await self._ledger.read(lambda db: expenses.last_trades(db, self._chain_id))
        if trades:
            self.gas = median_low(trade.gas_used for trade in trades)
            self._l1_paid_wei = median_low(trade.l1_wei for trade in trades)
        await self._weigh([trade.tx_hash for trade in trades[:WEIGHED] if trade.l1_wei])
        self._version = version

    async def _weigh(self, hashes: list[str]) -> None:
        new = [own for own in hashes if own not in self._weights]
        answers = await self._rpc.batch([("eth_getTransactionReceipt", [own]) for own in new]) if new else []
        known = self._weights | {own: w for own, w in zip(new, map(l1_fees.weight, answers), strict=True) if w}
        self._weights = {own: known[own] for own in hashes if own in known}

    def l1_fee_wei(self, prices: Prices) -> int | None:
        """The usual data fee at these prices; what was paid for it, where neither oracle nor receipts tell more."""
        if self._weights and prices.unit is not None:
            return int(median_low(self._weights.values()) * prices.unit)
        return self._l1_paid_wei or None


class Fees:
    """Reads fees in one batch; whether there is an oracle is found out once for each endpoint in use."""

    def __init__(self, rpc: Rpc, trades: Trades | None = None, costs: Costs | None = None) -> None:
        self._rpc, self._trades, self._costs = rpc, trades, costs
        self._oracle: tuple[Node | None, bool] = (None, False)
        self._window = FeeWindow()

    async def read(self) -> Snapshot:
        """The fees now.

        Raises:
            Unreachable, Malformed, RpcError: there is no usable answer.
        """
        oracle, gas = await self._has_oracle(), await self._trade_gas()
        history: Call = ("eth_feeHistory", ["0x1", "latest", list(PERCENTILES)])
        reads = [*l1_fees.PRICES, *([] if gas is None else [l1_fees.operator_fee(gas)])] if oracle else []
        answer, *answers = await self._rpc.batch([history, *reads])
        prices = l1_fees.prices(answers[: len(l1_fees.PRICES)]) if oracle else None
        operator = [l1_fees.word(fee) or 0 for fee in answers[len(l1_fees.PRICES) :]]
        snapshot = self._snapshot(answer, prices, sum(operator))
        if self._costs is not None:
            self._costs.trade_cost_wei = snapshot.trade_cost_wei
        return snapshot

    async def _trade_gas(self) -> int | None:
        if self._trades is None:
            return None
        with suppress(sqlite3.Error, OSError, Busy):  # fees are known also while the ledger is not
            await self._trades.learn()
        return self._trades.gas

    async def _has_oracle(self) -> bool:
        node = self._rpc.active
        if node is None or self._oracle[0] is not node:
            (code,) = await self._rpc.batch([("eth_getCode", [ORACLE, "latest"])])
            if not isinstance(code, str):
                return False  # no answer costs L1's fees only, until the next look
            self._oracle = self._rpc.active, len(code) > 2
        return self._oracle[1]

    def _snapshot(self, history: Any, prices: Prices | None, operator_wei: int) -> Snapshot:
        bases, used = field(history, "baseFeePerGas"), field(history, "gasUsedRatio")
        if not isinstance(bases, list) or len(bases) < 2 or not isinstance(used, list) or not used:
            raise Malformed("the fee history is incomplete")
        base, following, ratio, tips = quantity(bases[-2]), quantity(bases[-1]), _ratio(used[-1]), _percentiles(history)
        self._window.add(base)
        l1 = None if prices is None or self._trades is None else self._trades.l1_fee_wei(prices)
        spread = {percent: self._window.percentile(percent) for percent in PERCENTILES}
        return Snapshot(
            base,
            following,
            ratio,
            tips,
            None if prices is None else prices.base_fee_wei,
            None if prices is None else prices.blob_base_fee_wei,
            {percent: fee for percent, fee in spread.items() if fee is not None},
            self._window.trend(),
            l1,
            self._trade_cost(following + tips.get(50, 0), l1, operator_wei, prices is not None),
        )

    def _trade_cost(self, price_wei: int, l1_wei: int | None, operator_wei: int, rollup: bool) -> int | None:
        """None while a part is unknown that must be there: the gas, or on a rollup the data fee."""
        if self._trades is None or self._trades.gas is None or (rollup and l1_wei is None):
            return None
        return self._trades.gas * price_wei + (l1_wei or 0) + operator_wei


def _ratio(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2:
        raise Malformed("the block's fullness is not a ratio")
    return float(value)


def _percentiles(history: Any) -> dict[int, int]:
    """Priority fees; nodes leave them out for empty blocks."""
    rewards = history.get("reward") or [[]]
    last = rewards[-1] if isinstance(rewards, list) and isinstance(rewards[-1], list) else []
    return {p: quantity(fee) for p, fee in zip(PERCENTILES, last, strict=False)}


def render(snapshot: Snapshot) -> Iterator[Family]:
    """All of it."""
    yield BASE(snapshot.base_fee_wei)
    yield NEXT(snapshot.next_base_fee_wei)
    yield WINDOW.each(((str(p),), fee) for p, fee in snapshot.window_wei.items())
    yield TREND.maybe(snapshot.trend_ratio)
    yield FULLNESS(snapshot.block_used_ratio)
    yield PRIORITY.each(((str(p),), fee) for p, fee in snapshot.priority_fee_wei.items())
    yield L1_BASE.maybe(snapshot.l1_base_fee_wei)
    yield L1_BLOB.maybe(snapshot.l1_blob_base_fee_wei)
    yield TRADE.maybe(_ether(snapshot.trade_cost_wei))
    yield TRADE_L1.maybe(_ether(snapshot.trade_l1_fee_wei))


def _ether(amount_wei: int | None) -> float | None:
    return None if amount_wei is None else amount_wei / WEI


def _open(sources: Sources) -> Poll | None:
    rpc, chain = sources.rpc, sources.settings.chain
    if rpc is None or chain is None:
        return None
    trades = Trades(sources.ledger, rpc, chain.chain_id)
    return Poll(Fees(rpc, trades, sources.costs).read, every=1.0)


COLLECTOR = Collector(
    name="gas",
    metrics=(BASE, NEXT, WINDOW, TREND, FULLNESS, PRIORITY, L1_BASE, L1_BLOB, TRADE, TRADE_L1),
    open=_open,
    render=render,
    timeout=15.0,
    max_age=15.0,
    uses=("chain",),
)
