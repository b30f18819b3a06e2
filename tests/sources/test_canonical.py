import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from exporter.sources import canonical
from exporter.sources.blocks import header, linked
from exporter.sources.canonical import Canonical
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.rpc import Rpc, Unreachable
from tests import fake_rpc
from tests.anvils import anvil
from tests.fake_chain import FakeChain, configured, place


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubts are overcome by looks alone, and each look asks for what is final."""
    monkeypatch.setattr(canonical, "BEHIND_SECONDS", 0.0)
    monkeypatch.setattr(canonical, "STUCK_SECONDS", 0.0)
    monkeypatch.setattr(canonical, "STUCK_INTERVALS", 0)
    monkeypatch.setattr(canonical, "FINAL_EVERY", 0.0)


class Follower:
    """A canonical chain that is read from a fake one."""

    def __init__(self, truth: FakeChain, node: fake_rpc.Node, reader: Rpc, finality: str | int) -> None:
        self.truth, self.node, self.found = truth, node, Canonical(reader, finality)

    async def look(self, times: int = 1) -> int | None:
        """The head's number after so many looks."""
        for _ in range(times):
            await self.found.look()
        return self.number

    @property
    def number(self) -> int | None:
        newest = self.found.window.newest
        return None if newest is None else newest.number

    @property
    def final(self) -> int | None:
        newest = self.found.finality.newest
        return None if newest is None else newest.number

    def agrees(self) -> bool:
        """Whether all that is known is the truth, up to the head."""
        known = list(self.found.window)
        blocks = self.truth.blocks[known[0].number :]
        return [h.hash for h in known] == [b["hash"] for b in blocks] and linked(known)


@pytest.fixture
async def one(request: pytest.FixtureRequest) -> AsyncIterator[Follower]:
    async with place() as made, Rpc(configured(made)) as reader:
        yield Follower(made.chain, made.node, reader, getattr(request, "param", "finalized"))


async def test_gaps_are_filled(one: Follower) -> None:
    assert await one.look() == 100
    one.truth.mine(7)
    assert await one.look() == 107
    assert len(one.found.window) == 8
    assert one.agrees()
    assert (one.found.reorgs, one.found.last_reorg_depth) == (0, None)


async def test_older_blocks_are_learned_once(one: Follower) -> None:
    await one.look()
    assert one.found.cadence.seconds is None
    await one.found.deepen()
    assert len(one.found.window) == 1 + canonical.PREFILLED
    assert one.found.cadence.seconds == 2.0
    assert one.agrees()
    asked = one.node.requests
    await one.found.deepen()
    assert one.node.requests == asked


@pytest.mark.parametrize("answer", [None, {"error": {"code": -32000, "message": "pruned"}}, {"number": "0x1"}])
async def test_a_node_without_older_blocks_costs_only_them(one: Follower, answer: Any) -> None:
    one.node.answers["eth_getBlockByNumber"] = lambda w, f: one.truth.get(w) if w.isalpha() else answer
    await one.look()
    await one.found.deepen()
    assert (one.number, len(one.found.window)) == (100, 1)


@pytest.mark.parametrize("depth", [1, 2, 3, 17, 64])
@pytest.mark.parametrize("longer", [0, 1, 5])
async def test_a_reorg_is_walked_back_to_the_last_common_ancestor(one: Follower, depth: int, longer: int) -> None:
    await one.look()
    await one.found.deepen()
    one.truth.mine(10)
    await one.look()
    one.truth.reorg(depth, longer)
    assert await one.look() == 110 + longer
    assert one.agrees()
    assert (one.found.reorgs, one.found.last_reorg_depth, one.found.fallbacks) == (1, depth, 0)


async def test_a_reorg_of_all_that_is_known_is_one_too(one: Follower) -> None:
    await one.look()
    one.truth.mine(2)
    await one.look()
    one.truth.reorg(50)
    await one.look()
    assert one.agrees()
    assert (one.found.reorgs, one.found.last_reorg_depth) == (1, 3)


async def test_a_shorter_chain_of_other_blocks_is_believed_after_some_looks(one: Follower) -> None:
    await one.look()
    one.truth.mine(5)
    await one.look()
    one.truth.rollback(4)
    one.truth.mine(1)
    assert await one.look(canonical.MOST_BEHIND - 1) == 105
    assert await one.look() == 102
    assert one.agrees()
    assert (one.found.reorgs, one.found.last_reorg_depth) == (1, 4)


async def test_a_head_that_falls_silently_is_believed_after_some_looks(one: Follower) -> None:
    await one.look()
    one.truth.mine(9)
    await one.look()
    one.truth.rollback(6)
    assert await one.look(canonical.MOST_BEHIND - 1) == 109
    assert await one.look() == 103
    assert (one.found.reorgs, one.found.last_reorg_depth, one.found.fallbacks) == (1, 6, 1)
    one.truth.mine(2)
    assert await one.look() == 105
    assert one.agrees()


async def test_a_fallen_head_must_stand_still_for_some_time_too(one: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "STUCK_SECONDS", 3600.0)
    await one.look()
    one.truth.mine(3)
    await one.look()
    one.truth.rollback(3)
    assert await one.look(20) == 103


async def test_a_node_that_lags_moves_nothing_back_however_long_it_does(one: Follower) -> None:
    await one.look()
    one.truth.mine(40)
    await one.look()
    behind = [one.truth.blocks[number] for number in range(110, 139)]
    one.node.answers["eth_getBlockByNumber"] = lambda w, f: one.truth.get(w) if w != "latest" else behind.pop(0)
    for _ in range(29):
        assert await one.look() == 140
    assert one.found.reorgs == 0


async def test_backends_that_disagree_move_nothing_back(one: Follower) -> None:
    await one.look()
    heads = [one.truth.head]
    for _ in range(30):
        one.truth.mine(1)
        heads.append(one.truth.head)
        behind = heads[-4] if len(heads) > 4 else heads[0]
        answers = [behind, one.truth.head, behind]
        one.node.answers["eth_getBlockByNumber"] = lambda w, f, a=answers: (
            one.truth.get(w) if w != "latest" else a.pop(0)
        )
        before = one.number
        assert before is not None
        for _ in range(3):
            assert await one.look() >= before  # type: ignore[operator]
    assert one.found.reorgs == 0
    assert one.agrees()


async def test_parents_that_do_not_fit_are_not_believed(one: Follower) -> None:
    await one.look()
    one.truth.mine(3)
    lie = one.truth.head | {"parentHash": "0x" + "ee" * 32}
    one.node.answers["eth_getBlockByNumber"] = lambda w, f: lie if w == "latest" else one.truth.get(w)
    for _ in range(5):
        with pytest.raises(Malformed, match="do not fit together"):
            await one.look()
        assert one.number == 100
    one.truth.serve(one.node)
    assert await one.look() == 103


async def test_a_block_in_a_gap_that_the_node_does_not_know_is_waited_for(one: Follower) -> None:
    await one.look()
    one.truth.mine(3)
    one.node.answers["eth_getBlockByNumber"] = lambda w, f: None if w == hex(102) else one.truth.get(w)
    with pytest.raises(Malformed, match="does not know"):
        await one.look()
    assert one.number == 100
    one.truth.serve(one.node)
    assert await one.look() == 103


@pytest.mark.parametrize("answer", [None, {"number": "0x1"}, "x", {"error": {"code": -32000, "message": "x"}}])
async def test_a_head_that_is_none_leaves_everything_as_it_was(one: Follower, answer: Any) -> None:
    await one.look()
    one.node.answers["eth_getBlockByNumber"] = lambda w, f: answer
    with pytest.raises((Malformed, RpcError)):
        await one.look()
    assert one.number == 100
    one.node.fault = fake_rpc.status(500)
    with pytest.raises(Unreachable):
        await one.look()
    assert one.number == 100


async def test_a_head_that_jumps_is_no_lie_only_if_the_time_allows_it(one: Follower) -> None:
    await one.look()
    await one.found.deepen()
    jump = one.truth.head | {"number": hex(10**9), "hash": "0x" + "ee" * 32}
    one.node.answers["eth_getBlockByNumber"] = lambda w, f: jump if w == "latest" else one.truth.get(w)
    assert await one.look(canonical.MOST_BEHIND - 1) == 100
    one.truth.serve(one.node)
    assert await one.look() == 100
    assert one.found.reorgs == 0
    one.truth.mine(5000)
    assert await one.look() == 5100
    assert one.found.reorgs == 0


async def test_a_jump_that_all_insist_on_is_believed_in_the_end(one: Follower) -> None:
    await one.look()
    one.truth.interval = 0
    one.truth.mine(5000)
    assert await one.look(canonical.MOST_BEHIND - 1) == 100
    assert await one.look() == 5100


async def test_a_successor_is_taken_at_once_and_nothing_else(one: Follower) -> None:
    assert not one.found.take(header(one.truth.head))
    await one.look()
    first, second = (header(block) for block in one.truth.mine(2))
    assert not one.found.take(second)
    assert one.found.take(first)
    assert not one.found.take(first)
    assert one.found.take(second)
    assert one.number == 102
    (other,) = one.truth.reorg(1)
    assert not one.found.take(header(other))
    (last,) = one.truth.mine(1)
    assert not one.found.take(header(last))
    assert await one.look() == 103
    assert one.agrees()
    assert one.found.reorgs == 1


async def test_heads_that_are_taken_while_a_gap_is_filled_are_no_reorg(one: Follower) -> None:
    await one.look()
    blocks = one.truth.mine(4)
    answer, taken = one.truth.get, []

    def get(which: str, full: bool) -> Any:
        if which == "latest":
            return blocks[1]
        taken.extend(one.found.take(header(block)) for block in blocks)
        return answer(which)

    one.node.answers["eth_getBlockByNumber"] = get
    await one.look()
    assert any(taken)
    assert (one.number, one.found.reorgs) == (104, 0)
    assert one.agrees()


async def test_what_is_final_by_tag(one: Follower) -> None:
    await one.look()
    assert one.final == 90
    one.truth.mine(5)
    await one.look()
    assert one.final == 95
    one.truth.final = 30
    await one.look()
    assert one.final == 95


@pytest.mark.parametrize("one", [12, 500, 0], indirect=True)
async def test_what_is_final_by_a_number_of_blocks(one: Follower) -> None:
    await one.look()
    await one.look()
    depth = one.found._wanted
    assert isinstance(depth, int)
    expected = None if depth > 100 else 100 - depth
    assert one.final == expected
    one.truth.mine(3)
    await one.look(2)
    assert one.final == (None if expected is None else expected + 3)


@pytest.mark.parametrize("answer", [None, {"error": {"code": -39001, "message": "x"}}, {"number": "x"},
                                    {"error": {"code": -32601, "message": "no such tag"}}])  # fmt: skip
async def test_a_node_that_cannot_tell_what_is_final_is_normal(one: Follower, answer: Any) -> None:
    one.node.answers["eth_getBlockByNumber"] = lambda w, f: answer if w == "finalized" else one.truth.get(w)
    assert await one.look(3) == 100
    assert one.final is None
    one.truth.serve(one.node)
    await one.look()
    assert one.final == 90


async def test_a_reorg_below_what_is_final_is_shown_freezes_it_and_heals(one: Follower) -> None:
    await one.look()
    await one.found.deepen()
    old = list(one.truth.blocks)
    one.truth.reorg(20, 1)
    await one.look()
    assert (one.number, one.final, one.found.finality.violated) == (101, 90, True)
    one.truth.mine(30)
    await one.look()
    assert (one.number, one.final, one.found.finality.violated) == (131, 90, True)
    one.truth.blocks = old
    one.truth.mine(40)
    await one.look()
    await one.look()
    assert (one.number, one.final, one.found.finality.violated) == (140, 130, False)


async def test_a_final_block_that_is_not_remembered_is_asked_for(one: Follower) -> None:
    await one.look()
    assert one.found.window.get(90) is None
    one.truth.mine(5)
    lie = one.truth.blocks[90] | {"hash": "0x" + "ee" * 32}
    one.node.answers["eth_getBlockByNumber"] = lambda w, f: lie if w == hex(90) else one.truth.get(w)
    await one.look()
    assert (one.final, one.found.finality.violated) == (90, True)
    one.truth.serve(one.node)
    await one.look()
    assert (one.final, one.found.finality.violated) == (95, False)


async def test_final_blocks_beyond_the_head_are_a_lie(one: Follower) -> None:
    lie = one.truth.mine(5)[-1]
    one.truth.rollback(5)
    one.node.answers["eth_getBlockByNumber"] = lambda w, f: lie if w == "finalized" else one.truth.get(w)
    assert await one.look(3) == 100
    assert one.final is None


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_the_chain_does_the_truth_is_known_in_the_end(one: Follower, seed: int) -> None:
    dice = random.Random(seed)
    one.truth.final = 70
    await one.look()
    await one.found.deepen()
    final = 0
    for _ in range(30):
        depth = dice.randint(1, 30)
        what = dice.choice(("mine", "mine", "reorg", "rollback", "look"))
        if what == "mine":
            one.truth.mine(dice.randint(1, 40))
        elif what == "reorg":
            one.truth.reorg(depth, dice.randint(0, 3))
        elif what == "rollback":
            one.truth.rollback(depth)
        if dice.random() < 0.5:
            await one.look(dice.randint(1, 4))
            assert one.final is not None and one.final >= final
            final = one.final
    await one.look(canonical.MOST_BEHIND + 1)
    assert one.agrees()


async def ask(reader: Rpc, method: str, *params: Any) -> Any:
    return await reader.call(method, list(params))


@pytest.mark.parametrize("seed", range(3))
async def test_a_real_node_that_reorgs_and_rolls_back(seed: int) -> None:
    dice = random.Random(seed)
    with anvil() as url:
        node = fake_rpc.Node()
        node.url = url
        async with Rpc(fake_rpc.chain(node)) as reader:
            found = Canonical(reader, 64)
            await ask(reader, "anvil_mine", hex(80), "0x2")
            for step in range(12):
                await found.look()
                if step % 3 == 0:
                    await ask(reader, "anvil_mine", hex(dice.randint(1, 20)), "0x2")
                elif step % 3 == 1:
                    await ask(reader, "anvil_reorg", dice.randint(1, 20), [])
                else:
                    await ask(reader, "anvil_rollback", dice.randint(1, 5))
            for _ in range(canonical.MOST_BEHIND + 1):
                await found.look()
            known = list(found.window)
            numbers = [hex(h.number) for h in known]
            truth = await reader.batch([("eth_getBlockByNumber", [number, False]) for number in numbers])
            assert [h.hash for h in known] == [block["hash"] for block in truth]
            assert found.window.newest == header(await ask(reader, "eth_getBlockByNumber", "latest", False))
            assert found.reorgs >= 4
            assert found.fallbacks >= 1
