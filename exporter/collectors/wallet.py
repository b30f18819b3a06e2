"""The bot's wallets: ether, tokens, and transactions that wait to be mined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from exporter.collector import Collector, Poll, Sources
from exporter.config import Chain, Named
from exporter.metrics import Family, gauge
from exporter.sources.contracts import Contracts, Token
from exporter.sources.jsonrpc import Call, Malformed, RpcError, call_data, eth_call, quantity, words
from exporter.sources.rpc import Rpc

BALANCE = gauge("arb_wallet_balance_ether", "Ether in the wallet.", "wallet")
TOKENS = gauge("arb_wallet_token_balance", "Tokens in the wallet, in the token's own unit.", "wallet", "token")
PENDING = gauge("arb_wallet_pending_transactions", "Transactions sent and not mined yet.", "wallet")
NONCE = gauge("arb_wallet_nonce", "Transactions mined so far, which is the next nonce.", "wallet")

WEI = 10**18
BALANCE_OF = "0x70a08231"


@dataclass(frozen=True, slots=True)
class WalletState:
    """One wallet; None where the node gave no usable answer."""

    name: str
    balance_ether: float | None
    nonce: int | None
    pending_transactions: int | None
    tokens: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All wallets."""

    wallets: tuple[WalletState, ...]


async def read(rpc: Rpc, contracts: Contracts, chain: Chain) -> Snapshot:
    """All wallets in one batch.

    Raises:
        Unreachable: no endpoint answers.
    """
    await rpc.ready()  # else the contracts need not be looked up
    known = await contracts.known()
    tokens = [known.tokens[address] for address in chain.tokens if address in known.tokens]
    batches = [_calls(wallet, tokens) for wallet in chain.wallets]
    results = iter(await rpc.batch([call for calls in batches for call in calls]))
    names = _names(tokens)
    answers = [[next(results) for _ in calls] for calls in batches]
    return Snapshot(tuple(_state(w, tokens, names, a) for w, a in zip(chain.wallets, answers, strict=True)))


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
        None if balance is None else float(Fraction(balance, WEI)),
        mined,
        None if mined is None or sent is None else max(sent - mined, 0),
        tuple((name, amount) for name, amount in amounts if amount is not None),
    )


def _quantity(result: Any) -> int | None:
    try:
        return quantity(result)
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
    yield BALANCE.each(((w.name,), w.balance_ether) for w in wallets if w.balance_ether is not None)
    yield TOKENS.each(((w.name, symbol), amount) for w in wallets for symbol, amount in w.tokens)
    yield PENDING.each(((w.name,), w.pending_transactions) for w in wallets if w.pending_transactions is not None)
    yield NONCE.each(((w.name,), w.nonce) for w in wallets if w.nonce is not None)


def _open(sources: Sources) -> Poll | None:
    rpc, contracts, chain = sources.rpc, sources.contracts, sources.settings.chain
    if rpc is None or contracts is None or chain is None or not chain.wallets:
        return None
    return Poll(lambda: read(rpc, contracts, chain), every=2.0)


COLLECTOR = Collector(
    name="wallet",
    metrics=(BALANCE, TOKENS, PENDING, NONCE),
    open=_open,
    render=render,
    timeout=15.0,
    max_age=30.0,
    uses=("chain",),
    unset="chain.wallets: the bot's balances",
)
