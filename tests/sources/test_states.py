"""States around a block: of that block and no other, and missing only when that lasts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.sources import states
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.receipts import Block
from exporter.sources.rpc import Rpc
from exporter.sources.states import States
from exporter.sources.transactions import Moved
from tests.fake_rpc import chain, node

OWN, OTHER = "0x" + "1" * 64, "0x" + "2" * 64
BLOCK = Block(100, OWN, "0x" + "0" * 64, 1, 1, 1, ())
CALLS = [("eth_getBalance", ["0xaa", "0x64"])]


@pytest.mark.parametrize(("first", "last"), [(OTHER, OWN), (OWN, OTHER), (OTHER, OTHER), (OWN, None)])
async def test_the_block_is_looked_at_before_and_after(first: str, last: str | None) -> None:
    async with node() as own, Rpc(chain(own)) as rpc:
        hashes = iter((OWN, OWN, first, last))
        own.answers["eth_getBalance"] = "0x5"

        def block(number: str, full: bool) -> dict[str, str] | None:
            if number == "0x0":
                return None
            found = next(hashes)
            return None if found is None else {"number": number, "hash": found}

        own.answers["eth_getBlockByNumber"] = block
        looked = States(rpc)
        assert await looked.at(BLOCK, CALLS) == ["0x5"]
        with pytest.raises(Moved):
            await looked.at(BLOCK, CALLS)


async def test_single_errors_stand_in_their_place() -> None:
    async with node() as own, Rpc(chain(own)) as rpc:
        own.answers["eth_getBlockByNumber"] = lambda number, full: {"number": number, "hash": OWN}
        own.answers["eth_getBalance"] = {"error": {"code": -32000, "message": "missing trie node"}}
        (answer,) = await States(rpc).at(BLOCK, CALLS)
        assert isinstance(answer, RpcError)


def test_what_is_missing_is_believed_only_when_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(states.time, "monotonic", lambda: clock[0])
    looked = States(None)  # type: ignore[arg-type]

    def believed(now: float, number: int, what: str = "balances") -> bool:
        clock[0] = now
        try:
            looked.missing(what, replace(BLOCK, number=number), Malformed("x"))
        except Malformed:
            return False
        return True

    assert [believed(now, 100) for now in (0.0, 5.0, 9.9, 10.0)] == [False, False, False, True]
    assert not believed(10.0, 100, "prices")
    assert believed(10.0, 104)
    looked.told("balances", replace(BLOCK, number=110))
    assert believed(10.0, 109), "a newer state says nothing of older ones"
    assert not believed(10.0, 110), "the state of a newer block was told"
    assert believed(20.0, 112)
    looked.told("balances", replace(BLOCK, number=111))
    assert not believed(20.0, 109), "the state of an older block was told"
