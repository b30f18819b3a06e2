"""What is known of the chain as JSON: prices, pools, fees and wallets, as the live topics and the API show them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from exporter.board import Board
from exporter.collectors.prices import PoolState, spreads
from exporter.collectors.wallet import WalletState
from exporter.config import Chain, Named, Pool
from exporter.live.amounts import text
from exporter.live.shapes import Item, Items
from exporter.sources.pools import amounts

ETHER: Final = "ETH"


def prices(board: Board) -> Items:
    """Pools that have a price, by pair, venue and pool."""
    snapshot = board.current("prices")
    if snapshot is None:
        return {}
    read = board.states["prices"].last_success
    priced = [state for state in snapshot.states if state.price is not None]
    return {(s.venue.pair, s.venue.dex, s.venue.label): _price(s, read) for s in priced}


def _price(state: PoolState, read: float | None) -> Item:
    return {
        "pair": state.venue.pair,
        "dex": state.venue.dex,
        "pool": state.venue.label,
        "address": state.venue.facts.address,
        "price": text(state.price),
        "liquidity": _liquidity(state),
        "block": None,
        "ts": read,
    }


def _liquidity(state: PoolState) -> str:
    """Liquidity as concentrated pools count it, in raw units: of a constant product √(x·y)."""
    return str(math.isqrt(state.reserves.amount0 * state.reserves.amount1))


def price_spreads(board: Board) -> list[Item]:
    """The spread of each pair with a price at two venues or more."""
    snapshot = board.current("prices")
    found = {} if snapshot is None else spreads(snapshot.states)
    unknown = dict.fromkeys(("net_spread_ratio", "profit_eth", "profitable", "since"))
    return [{"pair": pair, "spread_ratio": spread} | unknown for pair, spread in found.items()]


def pools(board: Board, chain: Chain | None) -> list[Item]:
    """The configured pools in the order of the settings, with what is known of each."""
    snapshot = board.current("prices")
    states = {} if snapshot is None else {state.venue.facts.address: state for state in snapshot.states}
    return [_pool(pool, states.get(pool.address)) for pool in (chain.pools if chain else ())]


def _pool(pool: Pool, state: PoolState | None) -> Item:
    item: Item = {"dex": pool.dex, "kind": pool.kind, "address": pool.address, "up": state is not None}
    if state is None:
        return item
    facts = state.venue.facts
    return item | {
        "pair": state.venue.pair,
        "pool": state.venue.label,
        "fee_ratio": facts.fee / 1e6,
        "tokens": [
            {"symbol": token.symbol, "address": token.address, "decimals": token.decimals}
            for token in (facts.token0, facts.token1)
        ],
        "reserves": _reserves(state),
        "liquidity": _liquidity(state),
        "price": text(state.price),
        "block": None,
        "learned": None,
        "changed": state.changed,
        "changes": state.changes,
        "preconfirmed": False,
    }


def _reserves(state: PoolState) -> list[str | None]:
    return [text(amount) for amount in amounts(state.venue, state.reserves)]


def gas(board: Board) -> Items:
    """The fees, and the head of the chain; one item."""
    fees, head = board.current("gas"), board.current("chain")
    if fees is None:
        return {}
    item: Item = {
        "base_fee_wei": text(fees.base_fee_wei),
        "next_base_fee_wei": text(fees.next_base_fee_wei),
        "block_used_ratio": fees.block_used_ratio,
        "priority_fee_wei": {str(p): text(fee) for p, fee in fees.priority_fee_wei.items()},
        "l1_base_fee_wei": text(fees.l1_base_fee_wei),
        "l1_blob_base_fee_wei": text(fees.l1_blob_base_fee_wei),
    }
    names = ("head_block", "head_timestamp_seconds", "finalized_block", "block_interval_seconds")
    return {(): item | {name: getattr(head, name, None) for name in names}}


def portfolio(board: Board) -> Items:
    """What is in the wallets, by wallet and token; ether's item tells of the wallet's transactions too."""
    snapshot = board.current("wallet")
    return {} if snapshot is None else {key: item for wallet in snapshot.wallets for key, item in _holdings(wallet)}


def _holdings(wallet: WalletState) -> Iterator[tuple[tuple[str, ...], Item]]:
    if wallet.balance_ether is not None:
        item = {"wallet": wallet.name, "token": ETHER, "balance": text(wallet.balance_ether)}
        yield (wallet.name, ETHER), item | _transactions(wallet)
    for symbol, amount in wallet.tokens:
        yield (wallet.name, symbol), {"wallet": wallet.name, "token": symbol, "balance": text(amount)}


def _transactions(wallet: WalletState) -> Item:
    return {"nonce": wallet.nonce, "pending_transactions": wallet.pending_transactions}


def wallets(board: Board, chain: Chain | None) -> list[Item]:
    """The configured wallets in the order of the settings, with what is known of each."""
    snapshot = board.current("wallet")
    states = {} if snapshot is None else {state.name: state for state in snapshot.wallets}
    return [_wallet(named, states.get(named.name)) for named in (chain.wallets if chain else ())]


def _wallet(named: Named, state: WalletState | None) -> Item:
    item: Item = {"wallet": named.name, "address": named.address}
    if state is None:
        return item
    tokens = {symbol: text(amount) for symbol, amount in state.tokens}
    return item | {"balance_eth": text(state.balance_ether), "tokens": tokens} | _transactions(state)
