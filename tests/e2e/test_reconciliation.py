"""A bank half true and half invented, reconciled by an exporter that is killed over and over, against a real server."""

import asyncio
import random
import signal
from pathlib import Path
from typing import Any

from exporter.sources.claims import MOST
from tests import bank
from tests.claimed_chain import EXECUTOR, GAS, OURS, PRICE, ClaimedChain, hash_of
from tests.fake_rpc import CHAIN_ID, Node, node
from tests.running import Running, until

TRADES, KILLS = 90, 5
STATUS, PROVENANCE = "arb_reconcile_trades", "arb_bot_data_provenance"


def fill(own: bank.Bank, truth: ClaimedChain) -> dict[str, int]:
    """Trades whose hashes the chain knows for every second one; every tenth of those has reverted. How many of each."""
    rng, expected = random.Random(5), {"confirmed": 0, "missing": 0, "reverted": 0, "mismatch": 0}
    for number in range(TRADES):
        changes: dict[str, Any] = {"success": True, "error": None, "tx_hash": hash_of(number), "gas_cost": None}
        if number % 2 == 0:
            truth.add(number, succeeded=number % 20 > 0)
            changes["gas_cost"] = GAS * PRICE / 10**18
        expected["missing" if number % 2 else "confirmed" if number % 20 else "reverted"] += 1
        own.put(bank.FIRST_EPOCH + number, bank.trade(rng, **changes))
    return expected


def settings(folder: Path, own: Node) -> dict[str, Any]:
    return {
        "bot": {"name": "b", "memory_bank": str(folder / "bank")},
        "chain": {
            "chain_id": CHAIN_ID,
            "endpoints": [{"name": "own", "http": own.url}],
            "contracts": [{"name": "executor", "address": EXECUTOR}],
            "wallets": [{"name": "trader", "address": OURS}],
        },
        "state": str(folder / "ledger"),
    }


def shown(exporter: Running) -> dict[str, int]:
    return {
        dict(labels)["status"]: int(value) for (name, labels), value in exporter.samples().items() if name == STATUS
    }


async def test_kills_neither_lose_nor_repeat_what_was_decided(tmp_path: Path) -> None:
    rng = random.Random(3)
    async with node() as own:
        truth = ClaimedChain(own)
        expected = await asyncio.to_thread(fill, bank.Bank(tmp_path / "bank"), truth)
        before: dict[str, int] = {}
        for _ in range(KILLS):
            exporter = Running(settings(tmp_path, own), tmp_path)
            try:
                await asyncio.to_thread(exporter.until_up)
                await asyncio.sleep(rng.random() * 1.5)
                found = await asyncio.to_thread(shown, exporter)
            finally:
                exporter.process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(exporter.process.wait)
            assert all(before.get(status, 0) <= count <= expected[status] for status, count in found.items())
            before = found or before
        await _until_all_is_decided(tmp_path, own, expected)
    asked = [params[0] for method, params in own.calls if method == "eth_getTransactionReceipt"]
    claimed = [tx_hash for tx_hash in asked if int(tx_hash, 16) < TRADES]
    assert len(claimed) <= TRADES + KILLS * MOST + expected["missing"]  # a look that a kill cut off, and one again


async def _until_all_is_decided(folder: Path, own: Node, expected: dict[str, int]) -> None:
    exporter = Running(settings(folder, own), folder)
    try:
        await asyncio.to_thread(exporter.until_up)
        await asyncio.to_thread(until, lambda: shown(exporter) == expected, 60, exporter)
        pending = await asyncio.to_thread(exporter.value, "arb_reconcile_pending_trades", bot="b")
        labels = {"bot": "b", "source": "memory_bank", "provenance": "unverified"}
        unverified = await asyncio.to_thread(exporter.value, PROVENANCE, **labels)
        assert (pending, unverified) == (0, 1)  # half of it is invented
    finally:
        await asyncio.to_thread(exporter.stop)
