"""What the bot says about itself beside its opportunities: trades, flash loans, prices, and how its parts are."""

import os
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from web3 import Web3
from web3.types import TxReceipt

from demo.arbitrage import AFTER_FEE, FEE_BASE, Opportunity
from demo.bank import Books, MemoryBank, Trade
from demo.chain import Description, Pool
from demo.funnel import SWAPS, Sighting
from demo.market import Market, price
from demo.reports import STATUS_SECONDS, expected_gas_cost
from demo.reserves import READERS, Known
from exporter.client import Client, ether

ARBITRAGE_TOPIC = Web3.keccak(text="Arbitrage(address,address,uint256,uint256,uint256)")
ALLOCATION_SECONDS = 3600.0
SAY_SECONDS = 5.0
STALE_BLOCKS = 5  # a head that is so many block times old is a bad sign
TRADES_OF_GAS = 100  # a wallet that can pay for fewer attempts is running low

type Status = Literal["ok", "degraded", "down"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One transaction of ours and when it happened, in epoch seconds by the bot's own clock."""

    opportunity: Opportunity
    sighting: Sighting
    submitted_at: float
    included_at: float  # when the bot learned of it: blocks are stamped in whole seconds
    receipt: TxReceipt


class Voice:
    """Says everything through one client; nothing here waits."""

    def __init__(self, client: Client, w3: Web3, world: Description, bank: MemoryBank, books: Books) -> None:
        self._client, self._w3, self._world = client, w3, world
        self._bank, self._books = bank, books
        self._wallet = Web3.to_checksum_address(world.wallets["bot"])
        self._next = 0.0
        self._prices: dict[Pool, Decimal] = {}

    def trade(self, trade: Trade, attempt: Attempt) -> None:
        """A trade as the chain ended it, and the flash swap that it borrowed with."""
        proceeds = _proceeds(attempt.receipt, self._world.contracts["arbitrageur"])
        owed, received = proceeds or (0, 0)
        best = attempt.opportunity
        self._client.trade(
            pair=best.sell_at.pair,
            dex_buy=trade.dex_buy,
            dex_sell=trade.dex_sell,
            outcome="success" if trade.success else "failed",
            reason=trade.error,
            tx_hash=trade.tx_hash,
            opportunity_id=attempt.sighting.id,
            net_profit_eth=ether(trade.net_profit),
            gas_fee_eth=ether(trade.gas_cost),  # no `l1_fee_eth`: a local chain has no L1
            flash_loan_fee_eth=lender_fee(owed) if proceeds else None,
            dex_fee_eth=swap_fee(received) if proceeds else None,
            slippage_ratio=slippage(best, owed, received) if proceeds else None,
            amount_eth=ether(trade.amount),
            gas_used=attempt.receipt["gasUsed"],
            path_length=SWAPS,
            discovered_at=attempt.sighting.wanted_at or attempt.sighting.seen_at,
            submitted_at=attempt.submitted_at,
            included_at=attempt.included_at,
        )
        self._loan(trade, best, lender_fee(owed) if proceeds else None)

    def _loan(self, trade: Trade, best: Opportunity, fee: Decimal | None) -> None:
        token = best.sell_at.other
        self._client.flash_loan(
            provider=best.sell_at.dex,
            token=token.symbol,
            amount=Decimal(best.borrowed).scaleb(-token.decimals),
            fee_eth=fee,
            outcome="success" if trade.success else "failed",
        )

    def status(self, market: Market, known: Known) -> None:
        """How everything is, when it is time to say so."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SAY_SECONDS
        self._say_prices(market)
        self._say_cache(known)
        self._say_allocation()
        self._client.pool(name="readers", in_use=known.busiest(), size=READERS)
        self._client.component(name="node", status=self._node(market))
        self._client.component(name="memory_bank", status=self._memory_bank())
        self._client.component(name="wallet", status=self._funds(market))

    def node_is_away(self) -> None:
        """The last request failed."""
        self._client.component(name="node", status="down")
        self._next = 0.0  # say at once when it is back

    def _say_prices(self, market: Market) -> None:
        """Those that have changed."""
        for pool, reserves in market.reserves.items():
            now = Decimal(repr(price(pool, reserves)))
            if self._prices.get(pool) != now:
                self._prices[pool] = now
                self._client.price(pair=pool.pair, dex=pool.dex, price=now)

    def _say_cache(self, known: Known) -> None:
        self._client.cache(
            name="reserves", hits=known.hits, misses=known.misses, entries=known.entries, bytes=known.bytes
        )

    def _say_allocation(self) -> None:
        """Where the last hour's borrowed money went: the bot has none of its own at work."""
        since = time.time() - ALLOCATION_SECONDS
        recent = [trade for added, trade in self._books.history if added >= since]
        pairs, venues = Counter[str](), Counter[str]()
        for trade in recent:
            pairs[trade.token_pair] += trade.amount
            venues.update({trade.dex_buy: trade.amount, trade.dex_sell: trade.amount})
        for pair, amount in pairs.items():
            self._client.allocation(pair=pair, share_ratio=Decimal(amount) / pairs.total(), amount_eth=ether(amount))
        for dex, amount in venues.items():
            self._client.allocation(dex=dex, share_ratio=Decimal(amount) / venues.total(), amount_eth=ether(amount))

    def _node(self, market: Market) -> Status:
        age = time.time() - market.timestamp
        return "ok" if age < max(STALE_BLOCKS * self._world.block_time, STALE_BLOCKS) else "degraded"

    def _memory_bank(self) -> Status:
        """By the file that is written most often."""
        if not os.access(self._bank.root, os.W_OK):
            return "down"
        try:
            age = time.time() - (self._bank.root / "state" / "state.json").stat().st_mtime
        except FileNotFoundError:
            return "degraded"
        return "ok" if age < 3 * STATUS_SECONDS else "degraded"

    def _funds(self, market: Market) -> Status:
        """Whether the wallet can pay for its next attempts."""
        attempts = self._w3.eth.get_balance(self._wallet) // expected_gas_cost(market)
        return "ok" if attempts >= TRADES_OF_GAS else "degraded" if attempts else "down"


def lender_fee(owed: int) -> Decimal:
    """What the lending pair keeps of the `owed` wei that pay for its flash swap, in ether."""
    return ether(owed - owed * AFTER_FEE // FEE_BASE)


def swap_fee(received: int) -> Decimal:
    """What the other pair keeps, in ether: its fee is taken from the tokens, at the price it gave for the rest."""
    return ether(received * (FEE_BASE - AFTER_FEE) // AFTER_FEE)


def slippage(expected: Opportunity, owed: int, received: int) -> Decimal:
    """By how much less WETH was left than the reserves promised, as a share of what was promised to come back."""
    return Decimal(expected.profit - (received - owed)) / expected.received


def _proceeds(receipt: TxReceipt, contract: str) -> tuple[int, int] | None:
    """Wei of WETH that were owed to the lender and came from the other pair, by the contract's own event."""
    address = Web3.to_checksum_address(contract)
    for log in receipt["logs"]:
        if log["address"] == address and log["topics"][0] == ARBITRAGE_TOPIC:
            return int.from_bytes(log["data"][:32]), int.from_bytes(log["data"][32:64])
    return None
