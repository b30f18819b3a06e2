"""What is known of the chain as JSON: prices, pools, fees and wallets, as the live topics and the API show them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from typing import Final

from exporter.board import Board
from exporter.collectors.wallet import WalletState
from exporter.config import Chain, Named, Pool
from exporter.live.amounts import ether, text
from exporter.live.shapes import Item, Items
from exporter.sources.curves import WHOLE, Concentrated, ConstantProduct
from exporter.sources.market import PoolState
from exporter.sources.weighing import Opportunity

ETHER: Final = "ETH"
_EXACT: Final = Context(prec=200)


def prices(board: Board) -> Items:
    """Pools that have a price, by pair, venue and pool."""
    snapshot = board.current("prices")
    states: Sequence[PoolState] = () if snapshot is None else snapshot.states
    return {(s.venue.pair, s.venue.dex, s.venue.label): _price(s) for s in states if s.reading.price is not None}


def _price(state: PoolState) -> Item:
    return {
        "pair": state.venue.pair,
        "dex": state.venue.dex,
        "pool": state.venue.label,
        "address": state.venue.facts.address,
        "price": text(state.reading.price),
        "liquidity": _liquidity(state),
        "block": state.block,
        "ts": state.learned,
    }


def _liquidity(state: PoolState) -> str | None:
    """Liquidity as concentrated pools count it, in raw units: of a constant product √(x·y), of other kinds unknown."""
    curve = state.reading.state.curve
    if isinstance(curve, Concentrated):
        return str(curve.liquidity)
    return str(math.isqrt(curve.reserve0 * curve.reserve1)) if isinstance(curve, ConstantProduct) else None


def price_spreads(board: Board) -> list[Item]:
    """The spread of each pair with a price at two venues or more."""
    snapshot = board.current("prices")
    return [] if snapshot is None else [_spread(found) for found in snapshot.opportunities]


def _spread(found: Opportunity) -> Item:
    return {
        "pair": found.spread.pair,
        "spread_ratio": found.spread.ratio,
        "net_spread_ratio": found.spread.net_ratio,
        "profit_eth": ether(found.profit_wei),
        "profitable": found.pays,
        "since": found.since,
    }


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
        "fee_ratio": state.reading.fee / WHOLE,
        "tokens": [
            {"symbol": token.symbol, "address": token.address, "decimals": token.decimals}
            for token in (facts.token0, facts.token1)
        ],
        "reserves": _reserves(state),
        "liquidity": _liquidity(state),
        "price": text(state.reading.price),
        "block": state.block,
        "learned": state.learned,
        "changed": state.changed,
        "changes": state.changes,
        "preconfirmed": state.preconfirmed,
    }


def _reserves(state: PoolState) -> list[str | None] | None:
    held, facts = state.reading.state.reserves, state.venue.facts
    if held is None:
        return None
    amounts = zip(held, (facts.token0, facts.token1), strict=True)
    return [text(Decimal(amount).scaleb(-token.decimals, _EXACT)) for amount, token in amounts]


def gas(board: Board) -> Items:
    """The fees, and the head of the chain; one item."""
    fees, head = board.current("gas"), board.current("chain")
    if fees is None:
        return {}
    item: Item = {
        "base_fee_wei": text(fees.base_fee_wei),
        "next_base_fee_wei": text(fees.next_base_fee_wei),
        "base_fee_window_wei": {str(p): text(fee) for p, fee in fees.window_wei.items()},
        "base_fee_trend_ratio": fees.trend_ratio,
        "block_used_ratio": fees.block_used_ratio,
        "priority_fee_wei": {str(p): text(fee) for p, fee in fees.priority_fee_wei.items()},
        "l1_base_fee_wei": text(fees.l1_base_fee_wei),
        "l1_blob_base_fee_wei": text(fees.l1_blob_base_fee_wei),
        "trade_l1_fee_wei": text(fees.trade_l1_fee_wei),
        "trade_cost_wei": text(fees.trade_cost_wei),
    }
    names = ("head_block", "head_timestamp_seconds", "finalized_block", "block_interval_seconds", "reorgs")
    return {(): item | {name: getattr(head, name, None) for name in names}}


def portfolio(board: Board) -> Items:
    """What is in the wallets, by wallet and token; ether's item tells of the wallet's transactions too."""
    snapshot = board.current("wallet")
    return {} if snapshot is None else {key: item for wallet in snapshot.wallets for key, item in _holdings(wallet)}


def _holdings(wallet: WalletState) -> Iterator[tuple[tuple[str, ...], Item]]:
    if wallet.balance_wei is not None:
        item = {"wallet": wallet.name, "token": ETHER, "balance": ether(wallet.balance_wei)}
        yield (wallet.name, ETHER), item | _transactions(wallet)
    for symbol, amount in wallet.tokens:
        yield (wallet.name, symbol), {"wallet": wallet.name, "token": symbol, "balance": text(amount)}


def _transactions(wallet: WalletState) -> Item:
    balance, rate = wallet.balance_wei, wallet.spend_wei_per_second
    return {
        "nonce": wallet.nonce,
        "nonce_gap": wallet.nonce_gap,
        "pending_transactions": wallet.pending_transactions,
        "stuck_transactions": wallet.stuck_transactions,
        "oldest_pending": None if wallet.wait is None else wallet.wait.since,
        "runway_seconds": None if balance is None or not rate else balance / rate,
    }


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
    return item | {"balance_eth": ether(state.balance_wei), "tokens": tokens} | _transactions(state)
