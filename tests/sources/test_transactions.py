"""Finding transactions: by nonces where that suffices, else in every block, always on one chain."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import Named
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.rpc import Rpc, Unreachable
from exporter.sources.transactions import Mark, Moved, Reader
from tests.fake_rpc import Node, chain, node, status

ME, OTHER, EXECUTOR, STRANGER = ("0x" + digit * 40 for digit in "abcd")
UNKNOWN = {"error": {"code": -32000, "message": "missing trie node"}}


def name(number: int, branch: str = "") -> str:
    return "0x" + hashlib.sha256(f"{branch}{number}".encode()).hexdigest()


class Blocks:
    """A chain in which `sent` says who sends to whom in which block."""

    def __init__(self, own: Node, head: int, sent: dict[int, list[tuple[str, str]]]) -> None:
        self.node, self.head, self.sent, self.branch, self.final = own, head, sent, "", head - 2
        self.forgotten = -1
        own.answers |= {"eth_getBlockByNumber": self.block, "eth_getTransactionCount": self.nonce}

    def block(self, tag: str, whole: bool) -> Any:
        number = {"latest": self.head, "finalized": self.final}.get(tag) if not tag.startswith("0x") else int(tag, 16)
        if number is None or number > self.head:
            return None
        own = name(number, self.branch)
        listed = [
            {
                "hash": name(number, f"tx{place}"), "blockHash": own, "transactionIndex": hex(place), "from": giver,
                "to": taker, "nonce": "0x0", "value": "0x0", "gas": "0x5208", "input": "0x",
            }
            for place, (giver, taker) in enumerate(self.sent.get(number, []))
        ]  # fmt: skip
        return {
            "number": hex(number), "hash": own, "parentHash": name(number - 1, self.branch), "timestamp": "0x1",
            "gasUsed": "0x0", "transactions": listed if whole else [part["hash"] for part in listed],
        }  # fmt: skip

    def nonce(self, address: str, at: str) -> Any:
        if int(at, 16) <= self.forgotten:
            return UNKNOWN
        sent = [giver for number, all_ in self.sent.items() if number <= int(at, 16) for giver, _ in all_]
        return hex(sent.count(address))

    def mark(self, number: int) -> Mark:
        return Mark(number, name(number, self.branch))

    def bodies(self) -> int:
        return sum(method == "eth_getBlockByNumber" and params[1] for method, params in self.node.calls)


@asynccontextmanager
async def blocks(
    head: int, sent: dict[int, list[tuple[str, str]]], **more: Any
) -> AsyncIterator[tuple[Blocks, Reader]]:
    async with node() as own:
        parts = {"wallets": (Named("trader", ME), Named("spare", OTHER)), "contracts": ()} | more
        made = chain(own, **parts)
        async with Rpc(made) as rpc:
            yield Blocks(own, head, sent), Reader(rpc, made)


async def found(reader: Reader, after: Mark, last: int, whole: bool = False) -> list[int]:
    span = await reader.span(after, last, whole)
    assert span.end.number == last
    return [s.block.number for s in span.sightings for _ in s.ours]


async def test_only_blocks_in_which_a_nonce_moved_are_read() -> None:
    sent = {70: [(ME, STRANGER)], 71: [(STRANGER, ME)], 900: [(OTHER, ME), (STRANGER, STRANGER), (ME, OTHER)]}
    async with blocks(1000, sent) as (world, reader):
        assert await found(reader, world.mark(0), 1000) == [70, 900, 900]
        assert world.bodies() <= 16
        assert await found(reader, world.mark(900), 1000) == []
        assert world.bodies() <= 16


async def test_with_contracts_every_block_is_read() -> None:
    sent = {3: [(STRANGER, EXECUTOR)], 5: [(ME, STRANGER)], 6: [(STRANGER, OTHER)]}
    async with blocks(60, sent, contracts=(Named("executor", EXECUTOR),)) as (world, reader):
        span = await reader.span(world.mark(0), 60, whole=False)
        assert [(s.block.number, [reader.owner(t) for t in s.ours]) for s in span.sightings] == [
            (3, [EXECUTOR]), (5, [ME]),
        ]  # fmt: skip
        assert world.bodies() == 60
        assert span.end == world.mark(60)


async def test_without_old_states_every_block_is_read() -> None:
    async with blocks(40, {3: [(ME, STRANGER)]}) as (world, reader):
        world.forgotten = 30
        assert await found(reader, world.mark(0), 40) == [3]
        assert await reader.nonces(10) == {}
        assert await reader.nonces(35) == {ME: 1, OTHER: 0}


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.integers(1, 120), st.lists(st.sampled_from([ME, OTHER, STRANGER]), max_size=3), max_size=12))
async def test_both_ways_find_the_same(senders: dict[int, list[str]]) -> None:
    sent = {number: [(giver, STRANGER) for giver in givers] for number, givers in senders.items()}
    truth = sorted(number for number, givers in senders.items() for giver in givers if giver != STRANGER)
    async with blocks(120, sent) as (world, reader):
        assert await found(reader, world.mark(0), 120) == truth
        assert await found(reader, world.mark(0), 120, whole=True) == truth


@pytest.mark.parametrize("whole", [False, True])
async def test_a_chain_that_is_another_one_now_is_not_read(whole: bool) -> None:
    async with blocks(30, {}) as (_, reader):
        with pytest.raises(Moved):
            await reader.span(Mark(10, name(10, "other")), 30, whole)


async def test_a_chain_that_changes_while_it_is_read() -> None:
    async with blocks(30, {5: [(ME, STRANGER)]}) as (world, reader):
        after, count = world.mark(0), world.nonce
        world.node.answers["eth_getTransactionCount"] = lambda *p: (setattr(world, "branch", "new"), count(*p))[1]
        with pytest.raises(Moved):
            await reader.span(after, 30, whole=False)


async def test_a_block_that_is_not_there() -> None:
    async with blocks(30, {}) as (world, reader):
        with pytest.raises(Malformed):
            await reader.span(world.mark(20), 31, whole=True)
        with pytest.raises(Moved):
            await reader.span(world.mark(20), 31, whole=False)


async def test_a_busy_chain_is_read_in_small_batches() -> None:
    crowd = {number: [(STRANGER, STRANGER)] * 1 + [(STRANGER, OTHER)] for number in range(1, 41)}
    async with blocks(40, crowd, contracts=(Named("executor", EXECUTOR),)) as (world, reader):
        await reader.span(world.mark(0), 40, whole=True)
        assert reader._batch == 50
        crowd |= {number: [(STRANGER, STRANGER)] * 300 for number in range(1, 10)}
        await reader.span(world.mark(0), 9, whole=True)
        assert reader._batch == 1


async def test_a_look_is_one_moment() -> None:
    async with blocks(30, {}) as (world, reader):
        look = await reader.look([10, 31])
        assert (look.newest, look.final) == (world.mark(30), world.mark(28))
        assert look.hashes == {10: name(10), 31: None}
        assert world.node.requests == 2  # with the check of the chain


@pytest.mark.parametrize(
    "answer",
    [None, {"error": {"code": -39001, "message": "unknown block"}}, {"error": {"code": -32601, "message": "no"}}, {}],
)
async def test_a_node_that_cannot_tell_what_is_final(answer: Any) -> None:
    async with blocks(30, {}) as (world, reader):
        right = world.block
        world.node.answers["eth_getBlockByNumber"] = lambda tag, w: answer if tag == "finalized" else right(tag, w)
        assert (await reader.look([])).final is None


async def test_what_is_final_is_never_above_the_head() -> None:
    async with blocks(30, {}) as (world, reader):
        world.final, world.head = 30, 29
        world.node.answers["eth_getBlockByNumber"] = lambda tag, _: {
            "number": hex(40 if tag == "finalized" else 30),
            "hash": name(1),
        }
        assert (await reader.look([])).final is None


async def test_finality_as_a_number_of_blocks() -> None:
    async with blocks(30, {}, finality=12) as (world, reader):
        assert (await reader.look([])).final == world.mark(18)
    async with blocks(30, {}, finality=31) as (world, reader):
        assert (await reader.look([])).final is None


@pytest.mark.parametrize("answer", [{"number": "0x9", "hash": name(9)}, "0x", 7, {"number": "0x5"}, UNKNOWN])
async def test_odd_headers_are_errors(answer: Any) -> None:
    async with blocks(30, {}) as (world, reader):
        world.node.answers["eth_getBlockByNumber"] = lambda tag, w: answer
        with pytest.raises((Malformed, RpcError)):
            await reader.hashes([5])


async def test_a_testimony_is_of_a_node_that_has_the_final_block() -> None:
    async with blocks(30, {3: [(ME, STRANGER)]}) as (world, reader):
        told = await reader.testimony(world.mark(28), [31, 5, 5], 20)
        assert told.hashes == {5: name(5), 31: None}
        assert told.nonces == {ME: 1, OTHER: 0}
        final, world.branch = world.mark(28), "other"
        with pytest.raises(Moved):
            await reader.testimony(final, [5], 20)
        world.head = 27
        with pytest.raises(Moved):
            await reader.testimony(final, [5], 20)


async def test_a_node_that_is_down() -> None:
    async with blocks(30, {}) as (world, reader):
        world.node.fault = status(503)
        with pytest.raises(Unreachable):
            await reader.look([])
