"""What the collectors' snapshots look like as JSON: the one place that reads them for the live topics and the API."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Context, Decimal
from typing import Any, Final

from exporter.board import Board, State
from exporter.collectors.prices import spreads
from exporter.config import Chain
from exporter.live.amounts import text

type Item = dict[str, Any]
"""An object of JSON; amounts are decimal strings, times epoch seconds, and what is unknown is null."""
type Items = dict[tuple[str, ...], Item]
"""The items of a topic by the topic's key."""

# --- the chain -----------------------------------------------------------------------------------------------------


def prices(board: Board) -> Items:
    """Pools that have a price, by pair, venue and pool."""
    snapshot = board.current("prices")
    if snapshot is None:
        return {}
    read = board.states["prices"].last_success
    priced = [state for state in snapshot.states if state.price is not None]
    return {(s.venue.pair, s.venue.dex, s.venue.label): _price(s, read) for s in priced}


def _price(state: Any, read: float | None) -> Item:
    return {
        "pair": state.venue.pair,
        "dex": state.venue.dex,
        "pool": state.venue.label,
        "address": state.venue.facts.address,
        "price": text(state.price),
        "liquidity": _liquidity(state),
        "block": getattr(state, "block", None),
        "ts": getattr(state, "learned", read),
    }


def _liquidity(state: Any) -> str | None:
    """Liquidity as pools of concentrated liquidity count it, in raw units: for one with reserves √(x·y)."""
    if (active := getattr(state, "liquidity", None)) is not None:
        return str(active)
    reserves = getattr(state, "reserves", None)
    return None if reserves is None else str(math.isqrt(reserves.amount0 * reserves.amount1))


def price_spreads(board: Board) -> list[Item]:
    """The spread of each pair with a price at two venues or more."""
    snapshot = board.current("prices")
    found = {} if snapshot is None else spreads(snapshot.states)
    return [{"pair": pair, "spread_ratio": spread} for pair, spread in found.items()]


def pools(board: Board, chain: Chain | None) -> list[Item]:
    """The configured pools in the order of the settings, with what is known of each."""
    snapshot = board.current("prices")
    states = {} if snapshot is None else {state.venue.facts.address: state for state in snapshot.states}
    return [
        _pool(pool.dex, pool.kind, pool.address, states.get(pool.address)) for pool in (chain.pools if chain else ())
    ]


def _pool(dex: str, kind: str, address: str, state: Any) -> Item:
    item: Item = {"dex": dex, "kind": kind, "address": address, "up": state is not None}
    if state is None:
        return item
    facts = state.venue.facts
    tokens = [{"symbol": t.symbol, "address": t.address, "decimals": t.decimals} for t in (facts.token0, facts.token1)]
    return item | {
        "pair": state.venue.pair,
        "pool": state.venue.label,
        "fee_ratio": facts.fee / 1e6,
        "tokens": tokens,
        "reserves": _reserves(state),
        "liquidity": _liquidity(state),
        "price": text(state.price),
        "changes": state.changes,
    }


def _reserves(state: Any) -> list[str | None] | None:
    reserves, facts = getattr(state, "reserves", None), state.venue.facts
    if reserves is None:
        return None
    amounts = (reserves.amount0, facts.token0), (reserves.amount1, facts.token1)
    return [text(Decimal(amount).scaleb(-token.decimals, Context(prec=200))) for amount, token in amounts]


def gas(board: Board) -> Items:
    """The fees, and the head of the chain; one item."""
    fees, head = board.current("gas"), board.current("chain")
    if fees is None:
        return {}
    return {
        (): {
            "base_fee_wei": text(fees.base_fee_wei),
            "next_base_fee_wei": text(fees.next_base_fee_wei),
            "block_used_ratio": fees.block_used_ratio,
            "priority_fee_wei": {str(p): text(fee) for p, fee in fees.priority_fee_wei.items()},
            "l1_base_fee_wei": text(fees.l1_base_fee_wei),
            "l1_blob_base_fee_wei": text(fees.l1_blob_base_fee_wei),
            "head_block": getattr(head, "head_block", None),
            "finalized_block": getattr(head, "finalized_block", None),
        }
    }


ETHER: Final = "ETH"


def portfolio(board: Board) -> Items:
    """What is in the wallets, by wallet and token; ether's item tells of the wallet's transactions too."""
    snapshot = board.current("wallet")
    return {} if snapshot is None else {key: item for wallet in snapshot.wallets for key, item in _holdings(wallet)}


def _holdings(wallet: Any) -> Iterator[tuple[tuple[str, ...], Item]]:
    if wallet.balance_ether is not None:
        yield (
            (wallet.name, ETHER),
            {
                "wallet": wallet.name,
                "token": ETHER,
                "balance": text(wallet.balance_ether),
                "nonce": wallet.nonce,
                "pending_transactions": wallet.pending_transactions,
            },
        )
    for symbol, amount in wallet.tokens:
        yield (wallet.name, symbol), {"wallet": wallet.name, "token": symbol, "balance": text(amount)}


def wallets(board: Board, chain: Chain | None) -> list[Item]:
    """The configured wallets in the order of the settings, with what is known of each."""
    snapshot = board.current("wallet")
    states = {} if snapshot is None else {state.name: state for state in snapshot.wallets}
    return [_wallet(named.name, named.address, states.get(named.name)) for named in (chain.wallets if chain else ())]


def _wallet(name: str, address: str, state: Any) -> Item:
    item: Item = {"wallet": name, "address": address}
    if state is None:
        return item
    return item | {
        "balance_eth": text(state.balance_ether),
        "nonce": state.nonce,
        "pending_transactions": state.pending_transactions,
        "tokens": {symbol: text(amount) for symbol, amount in state.tokens},
    }


# --- the machine and what is on it ---------------------------------------------------------------------------------


def system(board: Board) -> Items:
    """The machine, the bot's process, the exporter, its endpoints and its collectors; one item."""
    parts = {"host": _host(board), "process": _process(board), "exporter": _exporter(board)}
    return {
        (): parts
        | {
            "endpoints": _endpoints(board),
            "collectors": {name: _health(state) for name, state in board.states.items()},
        }
    }


def _host(board: Board) -> Item | None:
    sample = board.current("host")
    if sample is None:
        return None
    return {
        "cpu_usage_ratio": sample.cpu_usage_ratio,
        "memory_used_bytes": sample.memory_used_bytes,
        "memory_total_bytes": sample.memory_total_bytes,
        "swap_used_bytes": sample.swap_used_bytes,
        "swap_total_bytes": sample.swap_total_bytes,
        "load1": sample.load1,
        "file_systems": [
            {"mountpoint": f.mountpoint, "size_bytes": f.size_bytes, "free_bytes": f.free_bytes}
            for f in sample.file_systems
        ],
        "network_receive_bytes": sample.network and sample.network[0],
        "network_transmit_bytes": sample.network and sample.network[1],
        "disk_read_bytes": sample.disk and sample.disk[0],
        "disk_written_bytes": sample.disk and sample.disk[1],
    }


def _process(board: Board) -> Item | None:
    snapshot = board.current("process")
    if snapshot is None:
        return None
    found = snapshot.process
    if found is None:
        return {"up": False}
    names = ("resident_memory_bytes", "cpu_seconds", "open_fds", "threads", "start_timestamp_seconds")
    return {"up": True} | {name: getattr(found, name) for name in names}


def _exporter(board: Board) -> Item | None:
    snapshot = board.current("exporter")
    if snapshot is None:
        return None
    names = (
        "start_timestamp_seconds",
        "resident_bytes",
        "cpu_seconds",
        "open_fds",
        "loop_lag_seconds",
        "ledger_degraded",
    )
    return {name: getattr(snapshot, name) for name in names}


def _endpoints(board: Board) -> dict[str, Item]:
    snapshot = board.current("rpc")
    return {} if snapshot is None else {e.name: {"up": e.up, "active": e.active} for e in snapshot.endpoints}


def _health(state: State) -> Item:
    return {"success": state.success, "error": state.error or None}


def storage(board: Board) -> Items:
    """The stores that have been looked at."""
    snapshot = board.current("storage")
    return {} if snapshot is None else {(state.store,): _store(state) for state in snapshot.stores}


def _store(state: Any) -> Item:
    item: Item = {"store": state.store, "up": state.survey is not None}
    if state.survey is None:
        return item
    item |= _survey(state.survey) | {"growth_bytes_per_second": state.growth}
    return item | ({} if state.backups is None else {"backups": _fields(state.backups)})


def _survey(survey: Any) -> Item:
    return {
        "files": survey.files,
        "bytes": survey.bytes,
        "last_write": survey.last_write,
        "truncated": survey.truncated,
    }


def _fields(backups: Any) -> Item:
    return {"count": backups.count, "newest": backups.newest}


BANK: Final = "."


def memory_bank(board: Board) -> Items:
    """The directories of the bank, and as `.` the bank itself."""
    snapshot = board.current("memory_bank")
    if snapshot is None:
        return {}
    faults = [{"kind": kind, "reason": why, "count": count} for (kind, why), count in snapshot.faults.items()]
    whole: Item = {"directory": BANK, "up": snapshot.up, "invalid_files": faults}
    if snapshot.up:
        whole |= {"backups": snapshot.backups, "documents": [_document(d) for d in snapshot.documents]}
    found: Mapping[str, Any] = snapshot.directories
    items: Items = {(name,): {"directory": name} | _survey(survey) for name, survey in found.items()}
    return {(BANK,): whole, **items}


def _document(document: Any) -> Item:
    return {
        "directory": document.kind,
        "document": document.name,
        "valid": document.valid,
        "last_write": document.last_write,
    }
