"""Fees by the oracle's word: what the model's chain took is what is reckoned, whoever tells of it."""

from __future__ import annotations

import random

import pytest

from exporter.sources import receipts, states
from exporter.sources.fee_oracle import FeeOracle
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.rpc import Rpc
from exporter.sources.states import States
from tests.fake_rpc import chain
from tests.model import story
from tests.model.orders import Rules
from tests.model.server import Endpoint, served
from tests.model.story import Story


class Node:
    """What `chain` wants to know of a served endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.url = endpoint.http


@pytest.mark.parametrize("rules", story.RULES)
async def test_what_the_chain_took_is_what_the_oracle_tells(rules: Rules) -> None:
    world = story.world(rules)
    Story(random.Random(5), world).mine(40)
    kinds = set()
    async with served(world) as endpoint, Rpc(chain(Node(endpoint))) as rpc:  # type: ignore[arg-type]
        oracle = FeeOracle(States(rpc), world.chain_id)
        for of in [found for found in world.by_hash.values() if found.entries][:15]:
            block = receipts.block(endpoint.backend.answer("eth_getBlockByNumber", [hex(of.number), True]), of.number,
                                   {entry.order.sender for entry in of.entries})  # fmt: skip
            entries = {entry.order.hash: entry for entry in of.entries}
            for sent in (t for t in block.transactions if t.hash in entries and t.kind != receipts.DEPOSIT):
                told = endpoint.backend.answer("eth_getTransactionReceipt", [sent.hash])
                receipt = receipts.receipt(told, sent, block.hash, block.base_fee_wei)
                assert await oracle.l1_fee(block, sent) == entries[sent.hash].l1_fee
                assert await oracle.operator_fee(block, receipt) == entries[sent.hash].operator_fee
                kinds.add(sent.kind)
    assert kinds == {0, 1, 2}


async def test_a_node_that_has_forgotten_is_asked_again_and_then_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = story.world(Rules(l1="oracle"))
    Story(random.Random(5), world).mine(10)
    async with served(world) as endpoint, Rpc(chain(Node(endpoint))) as rpc:  # type: ignore[arg-type]
        oracle = FeeOracle(States(rpc), world.chain_id)
        of = next(found for found in world.by_hash.values() if found.entries)
        block = receipts.block(endpoint.backend.answer("eth_getBlockByNumber", [hex(of.number), True]), of.number,
                               {entry.order.sender for entry in of.entries})  # fmt: skip
        sent = next(t for t in block.transactions if t.hash == of.entries[0].order.hash)
        assert await oracle.l1_fee(block, sent) == of.entries[0].l1_fee
        endpoint.lie = lambda method, params, result: "0x" if method == "eth_call" else result
        with pytest.raises(Malformed):
            await oracle.l1_fee(block, sent)
        endpoint.lie, endpoint.backend.keeps = None, 1
        world.mine()
        world.mine()
        with pytest.raises(RpcError):
            await oracle.l1_fee(block, sent)
        monkeypatch.setattr(states, "PATIENCE", 0.0)
        assert await oracle.l1_fee(block, sent) is None
