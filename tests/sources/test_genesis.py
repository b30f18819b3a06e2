import logging
from pathlib import Path
from typing import Any

import pytest

from exporter.ledger import Ledger, fetch
from exporter.sources.genesis import Genesis
from exporter.sources.jsonrpc import Malformed, RpcError

OURS, OTHER = {"hash": "0x" + "Ab" * 32}, {"hash": "0x" + "cd" * 32}


async def test_the_first_is_remembered_and_every_other_refused_also_after_a_restart(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        found = Genesis(8453, ledger)
        assert found.outcome(OTHER) == "ok"  # nothing is known yet
        assert await found.agrees(OURS)
        assert (found.outcome(OURS), found.outcome(OTHER)) == ("ok", "wrong_chain")
        assert not await found.agrees(OTHER)
        assert await Genesis(1, ledger).agrees(OTHER)  # another chain id has its own
    async with Ledger(tmp_path) as ledger:
        found = Genesis(8453, ledger)
        assert not await found.agrees(OTHER)
        assert await found.agrees({"hash": OURS["hash"].lower()})


async def test_a_row_without_a_genesis_gets_one(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        await ledger.write(lambda db: db.execute("INSERT INTO chain (chain_id, scanned) VALUES (8453, 77)").rowcount)
        assert await Genesis(8453, ledger).agrees(OURS)
        rows = await ledger.read(lambda db: fetch(db, "SELECT genesis, scanned FROM chain"))
        assert rows == [("0x" + "ab" * 32, 77)]


@pytest.mark.parametrize("block", [None, RpcError(-32000), Malformed("x"), {}, {"hash": "0x1"}, 5])
async def test_a_node_that_does_not_serve_it_is_believed(
    tmp_path: Path, block: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "exporter")
    async with Ledger(tmp_path) as ledger:
        found = Genesis(8453, ledger)
        assert await found.agrees(OURS)
        assert await found.agrees(block)
        assert found.outcome(block) in ("ok", "rpc_error", "malformed")
    assert "does not serve block 0" in caplog.text


async def test_a_ledger_that_cannot_be_used_costs_only_the_memory(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    async with ledger:
        await ledger.write(lambda db: db.execute("DROP TABLE chain").rowcount)
        found = Genesis(8453, ledger)
        assert await found.agrees(OURS)
        assert not await found.agrees(OTHER)  # of this run
