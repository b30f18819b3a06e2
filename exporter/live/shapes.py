"""What is known of the machine, the stores and the memory bank as JSON, as the live topics and the API show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from exporter.board import Board, State

type Item = dict[str, Any]
"""An object of JSON; amounts are decimal strings, times epoch seconds, and what is unknown is null."""
type Items = dict[tuple[str, ...], Item]
"""The items of a topic by the topic's key."""


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
