"""What became of our transactions: fees to the last wei, what they moved, and what that is worth in ether."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from exporter.config import Chain, Pool
from exporter.metrics import UNKNOWN
from exporter.sources import flows, pools, receipts, reverts
from exporter.sources.contracts import Known
from exporter.sources.fee_oracle import FeeOracle
from exporter.sources.jsonrpc import Call, Malformed, RpcError
from exporter.sources.pairs import ADDRESSES
from exporter.sources.pools import Reading, Venue
from exporter.sources.receipts import DEPOSIT, LARGEST_WEI, Block, Receipt, Transaction, bounded
from exporter.sources.rpc import Rpc
from exporter.sources.states import States
from exporter.sources.transactions import Sighting

WRAPPED: Final = "WETH"
TRADE_SWAPS: Final = 2
WEI: Final = 10**18


@dataclass(frozen=True, slots=True)
class Outcome:
    """One transaction of ours in one block; amounts in wei, `tokens` raw by address.

    `net_wei` is what it earned after all fees, None if that is not asked of it (it is no trade); `unvalued` counts
    what is missing in it: tokens without a price in ether, and ether flows or fees that the node could not tell.
    """

    hash: str
    address: str
    sender: str
    nonce: int
    block_number: int
    block_hash: str
    time: float
    succeeded: bool
    reason: str | None
    trade: bool
    gas_used: int
    l2_wei: int
    l1_wei: int
    operator_wei: int
    net_wei: int | None
    unvalued: int
    tokens: dict[str, int]
    route: tuple[str, str, str]

    @property
    def fees_wei(self) -> int:
        """Everything paid for the transaction."""
        return self.l2_wei + self.l1_wei + self.operator_wei


@dataclass(frozen=True, slots=True)
class _Found:
    """A transaction of ours with its receipt and fees, before its worth is known."""

    transaction: Transaction
    receipt: Receipt
    l1_wei: int
    operator_wei: int
    untold: int
    tokens: dict[str, int]
    swaps: list[flows.Swap]

    @property
    def fees_wei(self) -> int:
        return self.receipt.l2_wei + self.l1_wei + self.operator_wei


class Accountant:
    """Accounts for sightings; asks for receipts, for balances around the block, and for prices in it."""

    def __init__(self, rpc: Rpc, chain: Chain) -> None:
        self._rpc, self._states = rpc, States(rpc)
        self._oracle = FeeOracle(self._states, chain.chain_id)
        self._wallets = frozenset(wallet.address for wallet in chain.wallets)
        self._contracts = frozenset(contract.address for contract in chain.contracts)
        self._ours = self._wallets | self._contracts
        self._pools = chain.pools

    async def outcomes(self, sighting: Sighting, known: Known) -> list[Outcome]:
        """Everything about the transactions of ours in one block.

        Raises:
            Unreachable, Malformed, RpcError, Moved: the node did not tell, or told what cannot be.
        """
        found = [await self._found(sighting.block, t, known) for t in sighting.ours]
        trades = [self._is_trade(one) for one in found]
        ether = await self._ether(sighting.block, found, trades, known) if any(trades) else [None] * len(found)
        venues = _venues(self._pools, known)
        prices = await self._prices(sighting.block, found, trades, venues, known)
        reasons = [await self._reason(sighting.block, one) for one in found]
        return [
            self._outcome(sighting.block, *facts, prices, venues, known)
            for facts in zip(found, trades, ether, reasons, strict=True)
        ]

    async def _found(self, block: Block, transaction: Transaction, known: Known) -> _Found:
        answer = await self._rpc.call("eth_getTransactionReceipt", [transaction.hash])
        receipt = receipts.receipt(answer, transaction, block.hash, block.base_fee_wei)
        l1 = await self._oracle.l1_fee(block, transaction) if receipt.l1_wei is None else receipt.l1_wei
        operator = await self._oracle.operator_fee(block, receipt)
        tokens = flows.of_tokens(receipt.logs, self._ours, wrapped(known))
        made = flows.swaps(receipt.logs)
        return _Found(transaction, receipt, l1 or 0, operator, int(l1 is None), tokens, made)

    def _is_trade(self, one: _Found) -> bool:
        if one.receipt.succeeded:
            return len(one.swaps) >= TRADE_SWAPS
        return one.transaction.to in self._contracts

    # --- ether ---

    async def _ether(
        self, block: Block, found: Sequence[_Found], trades: Sequence[bool], known: Known
    ) -> list[int | None]:
        """The ether that each transaction brought us, fees left out; None where the node cannot tell.

        It is the difference of our balances around the block, less what strangers sent us in it. What several of
        our transactions in one block moved inside of contracts cannot be told apart, but for what they wrapped and
        unwrapped: the last trade gets it.
        """
        difference = await self._difference(block)
        if difference is None:
            return [None] * len(found)
        own = [self._sent(one) + self._unwrapped(one, wrapped(known)) for one in found]
        fees = sum(one.fees_wei for one in found if one.transaction.sender in self._ours)
        rest = difference + fees - await self._from_strangers(block) - sum(own)
        last = max((i for i, one in enumerate(found) if trades[i] and one.receipt.succeeded), default=None)
        return [sent + (rest if place == last else 0) for place, sent in enumerate(own)]

    async def _difference(self, block: Block) -> int | None:
        around = [hex(block.number - 1), hex(block.number)] if block.number else []
        calls: list[Call] = [("eth_getBalance", [a, at]) for at in around for a in sorted(self._ours)]
        answers = await self._states.at(block, calls)
        try:
            balances = [bounded(answer, LARGEST_WEI) for answer in answers]
        except RpcError as error:
            self._states.missing("balances", block, error)  # else the node keeps no state as old as this
            return None
        self._states.told("balances", block)
        half = len(balances) // 2
        return sum(balances[half:]) - sum(balances[:half])

    def _sent(self, one: _Found) -> int:
        """The ether that a transaction itself takes along, seen from us."""
        if not one.receipt.succeeded or one.transaction.sender not in self._ours:
            return 0
        return 0 if one.transaction.to in self._ours else -one.transaction.value_wei

    def _unwrapped(self, one: _Found, ether: frozenset[str]) -> int:
        """The ether that a transaction unwrapped for us, less what it wrapped beside what it took along for that."""
        gained, given = flows.of_ether(one.receipt.logs, self._ours, ether)
        taken_along = -self._sent(one) if one.transaction.to in ether else 0
        return gained - given + min(taken_along, given)

    async def _from_strangers(self, block: Block) -> int:
        """Ether that others sent to us in a block, and that came from L1: no fruit of our trades."""
        minted = sum(t.mint_wei for t in block.transactions if t.kind == DEPOSIT and t.sender in self._ours)
        gifts = [
            t for t in block.transactions if t.value_wei and t.to in self._ours and t.sender not in self._ours
        ]  # fmt: skip
        for gift in gifts:
            answer = await self._rpc.call("eth_getTransactionReceipt", [gift.hash])
            receipt = receipts.receipt(answer, gift, block.hash, block.base_fee_wei)
            minted += gift.value_wei if receipt.succeeded else 0
        return minted

    # --- worth ---

    async def _prices(
        self, block: Block, found: Sequence[_Found], trades: Sequence[bool], venues: Sequence[Venue], known: Known
    ) -> dict[str, Fraction]:
        """Wei of ether for one raw unit of each token that trades moved, at the block's own prices."""
        ether = wrapped(known)
        moved = {token for one, trade in zip(found, trades, strict=True) if trade for token in one.tokens}
        useful = [v for v in venues if _sides(v) & ether and _sides(v) & (moved - ether)]
        readings = await self._readings(block, useful) if useful else []
        prices: dict[str, Fraction] = {}
        for venue, reading in zip(useful, readings, strict=True):
            if reading is not None and reading.price:
                token, price = _in_ether(venue, reading.price, ether)
                prices.setdefault(token, price)
        return prices

    async def _readings(self, block: Block, venues: Sequence[Venue]) -> list[Reading | None]:
        readings = await pools.read_venues(self._rpc, venues, hex(block.number))
        await self._states.at(block, [])
        if None in readings:
            self._states.missing("prices", block, Malformed("a pool's price cannot be read"))
        else:
            self._states.told("prices", block)
        return readings

    async def _reason(self, block: Block, one: _Found) -> str | None:
        """The class of a revert, by running it again on the state before its block, else on that of its block."""
        if one.receipt.succeeded:
            return None
        transaction = one.transaction
        request = {
            "from": transaction.sender, "to": transaction.to, "gas": hex(transaction.gas_limit),
            "value": hex(transaction.value_wei), "data": transaction.fields.get("input", "0x"),
        }  # fmt: skip
        calls: list[Call] = [("eth_call", [request, hex(at)]) for at in (block.number - 1, block.number) if at >= 0]
        data = ""
        for answer in await self._states.at(block, calls):
            data = data or (answer.data if isinstance(answer, RpcError) else "")
        return reverts.reason(data, one.receipt.gas_used, transaction.gas_limit)

    def _outcome(
        self, block: Block, one: _Found, trade: bool, ether_wei: int | None, reason: str | None,
        prices: dict[str, Fraction], venues: Sequence[Venue], known: Known,
    ) -> Outcome:  # fmt: skip
        transaction, receipt = one.transaction, one.receipt
        prices = prices | dict.fromkeys(wrapped(known), Fraction(1))
        unvalued = sum(token not in prices for token in one.tokens) + (ether_wei is None) + one.untold
        worth = sum((amount * prices[token] for token, amount in one.tokens.items() if token in prices), Fraction())
        net = round(worth) + (ether_wei or 0) - one.fees_wei
        address = transaction.sender if transaction.sender in self._wallets else transaction.to
        return Outcome(
            transaction.hash, address or "", transaction.sender, transaction.nonce, block.number, block.hash,
            float(block.timestamp), receipt.succeeded, reason, trade, receipt.gas_used, receipt.l2_wei, one.l1_wei,
            one.operator_wei, net if trade else None, unvalued if trade else 0, one.tokens,
            flows.route(one.swaps, {v.facts.address: v for v in venues}) if trade else (UNKNOWN, UNKNOWN, UNKNOWN),
        )  # fmt: skip


def wrapped(known: Known) -> frozenset[str]:
    """The tokens that stand for ether one to one."""
    sides = [token for pool in known.pools.values() for token in (pool.token0, pool.token1)]
    called_so = {token.address for token in (*sides, *known.tokens.values()) if token.symbol == WRAPPED}
    return frozenset(called_so | {ADDRESSES[WRAPPED]})


def _venues(configured: Iterable[Pool], known: Known) -> list[Venue]:
    facts = [(pool, known.pools.get(pool.address)) for pool in configured]
    return [pools.venue(pool, pool.dex, found) for pool, found in facts if found is not None]


def _sides(venue: Venue) -> set[str]:
    return {venue.facts.token0.address, venue.facts.token1.address}


def _in_ether(venue: Venue, price: Fraction, ether: frozenset[str]) -> tuple[str, Fraction]:
    """The token beside ether in a pool, and what one raw unit of it is worth in wei."""
    base, quote = venue.facts.token0, venue.facts.token1
    if venue.inverted:
        base, quote = quote, base
    if quote.address in ether:
        return base.address, price * Fraction(WEI, 10**base.decimals)
    return quote.address, Fraction(WEI, 10**quote.decimals) / price
