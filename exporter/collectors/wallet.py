"""The bot's wallets: ether, tokens, how long the ether lasts, and transactions that wait, are stuck or leave a gap."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

from exporter import expenses
from exporter.collector import Collector, Poll, Sources
from exporter.config import Chain, Named
from exporter.ledger import Ledger
from exporter.metrics import Family, gauge
from exporter.sources.contracts import Contracts, Token
from exporter.sources.jsonrpc import Call, Malformed, RpcError, call_data, eth_call, quantity, words
from exporter.sources.node import Node
from exporter.sources.records import WEI
from exporter.sources.rpc import Rpc
from exporter.sources.waiting import Queue, Wait, nonce_gap
from exporter.worker import Busy

BALANCE = gauge("arb_wallet_balance_ether", "Ether in the wallet.", "wallet")
TOKENS = gauge("arb_wallet_token_balance", "Tokens in the wallet, in the token's own unit.", "wallet", "token")
SPEND = gauge(
    "arb_wallet_spend_ether_per_second", "Fees that the wallet paid, on average over up to the last day.", "wallet"
)
RUNWAY = gauge("arb_wallet_runway_seconds", "How long the wallet's ether pays such fees.", "wallet")
PENDING = gauge("arb_wallet_pending_transactions", "Transactions sent and not mined yet.", "wallet")
STUCK = gauge(
    "arb_wallet_stuck_transactions",
    "Transactions that wait though none was mined for a minute, or 30 blocks if that is longer.",
    "wallet",
)
OLDEST = gauge(
    "arb_wallet_oldest_pending_timestamp_seconds",
    "Since when the wallet's next transaction has been seen to wait.",
    "wallet",
)
GAP = gauge("arb_wallet_nonce_gap", "Nonces missing below transactions that the node has queued.", "wallet")
NONCE = gauge("arb_wallet_nonce", "Transactions mined so far, which is the next nonce.", "wallet")

BALANCE_OF: Final = "0x70a08231"
SPEND_EVERY: Final = 30.0
GAP_EVERY: Final = 15.0
NO_POOL_EVERY: Final = 3_600.0
NO_METHOD: Final = -32601


@dataclass(frozen=True, slots=True)
class WalletState:
    """One wallet; None where the node gave no usable answer, or nothing is spent, waits or is told."""

    name: str
    balance_wei: int | None
    nonce: int | None
    pending_transactions: int | None
    tokens: tuple[tuple[str, float], ...]
    wait: Wait | None = None
    nonce_gap: int | None = None
    spend_wei_per_second: float | None = None

    @property
    def stuck_transactions(self) -> int | None:
        """How many are stuck; None while it is not known whether any is pending."""
        if self.pending_transactions is None:
            return None
        return 0 if self.wait is None else self.wait.stuck


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All wallets."""

    wallets: tuple[WalletState, ...]


class Spending:
    """What each wallet pays in fees, by the wallets' ledger, looked up now and then."""

    def __init__(self, ledger: Ledger, chain: Chain) -> None:
        self._ledger, self._chain_id = ledger, chain.chain_id
        self._senders = tuple(wallet.address for wallet in chain.wallets)
        self._due = 0.0
        self._rates: Mapping[str, float] = {}

    async def rates(self) -> Mapping[str, float]:
        """Wei per second by address; what was known last while the ledger does not answer."""
        if time.monotonic() < self._due:
            return self._rates
        self._due, now = time.monotonic() + SPEND_EVERY, time.time()
        with suppress(sqlite3.Error, OSError, Busy):
            self._rates = await self._ledger.read(lambda db: expenses.rates(db, self._chain_id, self._senders, now))
        return self._rates


class Gaps:
    """Nonce gaps by the pool of the node in use, asked for now and then, and seldom where it does not tell."""

    def __init__(self, rpc: Rpc, wallets: Sequence[Named]) -> None:
        self._rpc, self._wallets = rpc, wallets
        self._node: Node | None = None
        self._due = 0.0
        self._gaps: Mapping[str, int] = {}

    async def look(self, mined: Mapping[str, int]) -> Mapping[str, int]:
        """By address, for those whose next nonce is known; empty where the node does not tell.

        Raises:
            Unreachable: no endpoint answers.
        """
        node, asked = self._rpc.active, [w.address for w in self._wallets if w.address in mined]
        if not asked or (node is self._node and time.monotonic() < self._due):
            return self._gaps
        answers = await self._rpc.batch([("txpool_contentFrom", [address]) for address in asked])
        untold = any(isinstance(answer, RpcError) and answer.code == NO_METHOD for answer in answers)
        self._node, self._due = node, time.monotonic() + (NO_POOL_EVERY if untold else GAP_EVERY)
        gaps = {address: _gap(mined[address], answer) for address, answer in zip(asked, answers, strict=True)}
        self._gaps = {address: gap for address, gap in gaps.items() if gap is not None}
        return self._gaps


class Wallets:
    """Reads all wallets in one batch, and remembers since when each one's transactions wait."""

    def __init__(
        self,
        sources: Sources,
        rpc: Rpc,
        contracts: Contracts,
        chain: Chain,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rpc, self._contracts, self._chain, self._heads = rpc, contracts, chain, sources.heads
        self._queues = {wallet.address: Queue(monotonic=monotonic) for wallet in chain.wallets}
        self._spending, self._gaps = Spending(sources.ledger, chain), Gaps(rpc, chain.wallets)

    async def read(self) -> Snapshot:
        """All wallets now.

        Raises:
            Unreachable: no endpoint answers.
        """
        await self._rpc.ready()  # else the contracts need not be looked up
        known = await self._contracts.known()
        tokens = [known.tokens[address] for address in self._chain.tokens if address in known.tokens]
        batches = [_calls(wallet, tokens) for wallet in self._chain.wallets]
        results = iter(await self._rpc.batch([call for calls in batches for call in calls]))
        names = _names(tokens)
        states = [_state(w, tokens, names, [next(results) for _ in calls]) for w, calls in self._each(batches)]
        return Snapshot(tuple(await self._health(states)))

    def _each(self, batches: list[list[Call]]) -> Iterator[tuple[Named, list[Call]]]:
        return zip(self._chain.wallets, batches, strict=True)

    async def _health(self, states: list[WalletState]) -> list[WalletState]:
        """The same with what only a series of looks, the ledger or the node's pool can tell."""
        by_address = {wallet.address: state for wallet, state in zip(self._chain.wallets, states, strict=True)}
        rates = await self._spending.rates()
        gaps = await self._gaps.look({a: s.nonce for a, s in by_address.items() if s.nonce is not None})
        return [
            replace(state, wait=self._wait(address, state), nonce_gap=gaps.get(address), spend_wei_per_second=rate)
            for address, state in by_address.items()
            for rate in [rates.get(address)]
        ]

    def _wait(self, address: str, state: WalletState) -> Wait | None:
        if state.nonce is None or state.pending_transactions is None:
            return None
        seconds = None if self._heads is None else self._heads.interval_seconds
        return self._queues[address].look(state.nonce, state.pending_transactions, seconds)


def _names(tokens: list[Token]) -> list[str]:
    """The tokens' symbols; one that is taken by an earlier token gets `-2`, `-3` in the order of the settings."""
    count = Counter[str]()
    names = []
    for token in tokens:
        count[token.symbol] += 1
        names.append(token.symbol if count[token.symbol] == 1 else f"{token.symbol}-{count[token.symbol]}")
    return names


def _calls(wallet: Named, tokens: list[Token]) -> list[Call]:
    return [
        ("eth_getBalance", [wallet.address, "latest"]),
        ("eth_getTransactionCount", [wallet.address, "latest"]),
        ("eth_getTransactionCount", [wallet.address, "pending"]),
        *(eth_call(token.address, call_data(BALANCE_OF, int(wallet.address, 16))) for token in tokens),
    ]


def _state(wallet: Named, tokens: list[Token], names: list[str], results: list[Any]) -> WalletState:
    balance, mined, sent = map(_quantity, results[:3])
    amounts = zip(names, map(_amount, results[3:], tokens), strict=True)
    return WalletState(
        wallet.name,
        balance,
        mined,
        None if mined is None or sent is None else max(sent - mined, 0),
        tuple((name, amount) for name, amount in amounts if amount is not None),
    )


def _quantity(result: Any) -> int | None:
    try:
        return quantity(result)
    except (Malformed, RpcError):
        return None


def _gap(mined: int, content: Any) -> int | None:
    try:
        return nonce_gap(mined, content)
    except (Malformed, RpcError):
        return None


def _amount(result: Any, token: Token) -> float | None:
    try:
        return float(Fraction(words(result, 1)[0], 10**token.decimals))
    except (Malformed, RpcError):
        return None


def render(snapshot: Snapshot) -> Iterator[Family]:
    """What is known of each wallet."""
    wallets = snapshot.wallets
    yield BALANCE.each(((w.name,), w.balance_wei / WEI) for w in wallets if w.balance_wei is not None)
    yield TOKENS.each(((w.name, symbol), amount) for w in wallets for symbol, amount in w.tokens)
    yield SPEND.each(((w.name,), rate / WEI) for w, rate in _spenders(wallets))
    yield RUNWAY.each(((w.name,), w.balance_wei / rate) for w, rate in _spenders(wallets) if w.balance_wei is not None)
    yield PENDING.each(_told(wallets, "pending_transactions"))
    yield STUCK.each(_told(wallets, "stuck_transactions"))
    yield OLDEST.each(((w.name,), w.wait.since) for w in wallets if w.wait is not None)
    yield GAP.each(_told(wallets, "nonce_gap"))
    yield NONCE.each(_told(wallets, "nonce"))


def _spenders(wallets: Sequence[WalletState]) -> Iterator[tuple[WalletState, float]]:
    return ((w, w.spend_wei_per_second) for w in wallets if w.spend_wei_per_second)


def _told(wallets: Sequence[WalletState], what: str) -> Iterator[tuple[tuple[str, ...], float]]:
    values = ((w.name, getattr(w, what)) for w in wallets)
    return (((name,), value) for name, value in values if value is not None)


def _open(sources: Sources) -> Poll | None:
    rpc, contracts, chain = sources.rpc, sources.contracts, sources.settings.chain
    if rpc is None or contracts is None or chain is None or not chain.wallets:
        return None
    return Poll(Wallets(sources, rpc, contracts, chain).read, every=2.0)


COLLECTOR = Collector(
    name="wallet",
    metrics=(BALANCE, TOKENS, SPEND, RUNWAY, PENDING, STUCK, OLDEST, GAP, NONCE),
    open=_open,
    render=render,
    timeout=15.0,
    max_age=30.0,
    uses=("chain",),
    unset="chain.wallets: the bot's balances",
)
