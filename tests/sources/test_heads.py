import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from exporter.config import Pool
from exporter.sources import canonical, feed, heads
from exporter.sources.blocks import header
from exporter.sources.heads import Heads
from exporter.sources.jsonrpc import Malformed
from exporter.sources.rpc import Rpc, Unreachable
from tests import fake_rpc
from tests.anvils import anvil
from tests.fake_chain import FakeChain, Place, configured, log, place
from tests.running import eventually

POOL = Pool("a", "uniswap_v2", "0x" + "ab" * 20)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (canonical, "BEHIND_SECONDS", 0.05), (canonical, "STUCK_SECONDS", 0.1), (canonical, "STUCK_INTERVALS", 0),
        (canonical, "FINAL_EVERY", 0.0), (feed, "RETRY_FIRST", 0.05), (heads, "POLL_LONGEST", 0.2),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)


@asynccontextmanager
async def following(*places: Place, **more: Any) -> AsyncIterator[Heads]:
    made = configured(*places, pools=(POOL,), **more)
    async with Rpc(made) as reader, Heads(reader, made) as found:
        await eventually(lambda: found.newest is not None)
        yield found


@pytest.fixture
async def own() -> AsyncIterator[Place]:
    async with place() as made:
        yield made


@pytest.fixture
async def http() -> AsyncIterator[Place]:
    async with place() as made:
        made.ws_url = ""
        yield made


def at(found: Heads) -> int | None:
    return None if found.newest is None else found.newest.number


async def by_websocket(own: Place, found: Heads) -> None:
    await eventually(lambda: own.socket.subscribed("newHeads", "logs"))
    await own.mine()
    await eventually(lambda: found.by_websocket)


async def test_without_a_websocket_the_head_is_asked_for(http: Place) -> None:
    async with following(http) as found:
        http.chain.mine(3)
        await eventually(lambda: at(found) == 103)
        await eventually(lambda: found.interval_seconds == pytest.approx(2.0))
        assert (found.error, found.by_websocket, found.reorgs) == (None, False, 0)
        await eventually(lambda: found.finalized is not None and found.finalized.number == 93)
        assert found.header(101) == header(http.chain.blocks[101])
        assert found.header(104) is None


async def test_heads_that_come_by_themselves_are_taken_without_asking(
    own: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "POLL_LONGEST", 3600.0)
    async with following(own) as found:
        await by_websocket(own, found)
        await eventually(lambda: at(found) == 101)
        await asyncio.sleep(heads.BREATH * 3)
        asked = own.node.requests
        for _ in range(20):
            version = found.version
            await own.mine()
            assert await asyncio.wait_for(found.changed(version), 10) > version
        assert at(found) == 121
        assert own.node.requests == asked


async def test_the_head_is_asked_for_beside_the_websocket(own: Place) -> None:
    async with following(own) as found:
        await by_websocket(own, found)
        own.chain.mine(4)  # of which no word comes
        await eventually(lambda: at(found) == 105)
        own.chain.rollback(3)
        await eventually(lambda: at(found) == 102)
        assert (found.reorgs, found.fallbacks, found.last_reorg_depth) == (1, 1, 3)


async def test_a_missed_head_is_filled_in_at_once(own: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async with following(own) as found:
        await by_websocket(own, found)
        await eventually(lambda: at(found) == 101)
        monkeypatch.setattr(heads, "POLL_LONGEST", 3600.0)
        await asyncio.sleep(0.5)
        own.chain.mine(2)
        await own.mine()
        await eventually(lambda: at(found) == 104)
        assert found.header(102) == header(own.chain.blocks[102])


async def test_doubled_heads_change_nothing(own: Place) -> None:
    async with following(own) as found:
        await by_websocket(own, found)
        (block,) = await own.mine()
        await eventually(lambda: at(found) == 102)
        version = found.version
        await own.socket.push("newHeads", *[block] * 5, own.chain.blocks[101], block)
        await asyncio.sleep(0.3)
        assert (found.reorgs, at(found)) == (0, 102)
        assert found.version - version <= 1  # what is final may have moved


async def test_a_reorg_by_websocket_is_seen_with_its_depth(own: Place) -> None:
    async with following(own) as found:
        await by_websocket(own, found)
        await own.mine(10)
        await eventually(lambda: at(found) == 111)
        blocks = own.chain.reorg(7, 1)
        await own.socket.push("newHeads", *blocks)
        await eventually(lambda: found.newest == header(own.chain.head))
        assert (found.reorgs, found.last_reorg_depth, found.fallbacks) == (1, 7, 0)


async def test_lies_by_websocket_move_nothing(own: Place) -> None:
    async with following(own) as found:
        await by_websocket(own, found)
        true = own.chain.head
        wrong = "0x" + "ee" * 32
        for lie in (
            {"number": hex(10**9)}, {"number": "0x5"}, {"parentHash": wrong, "number": hex(102), "hash": wrong},
            {"number": hex(2**60)}, {"hash": wrong}, {"number": hex(103), "parentHash": true["hash"], "hash": wrong},
        ):  # fmt: skip
            await own.socket.push("newHeads", true | lie)
        await own.mine()
        await eventually(lambda: at(found) == 102)
        await asyncio.sleep(0.3)
        assert (at(found), found.reorgs) == (102, 0)
        assert found.newest == header(own.chain.head)


async def test_a_false_successor_is_corrected_by_the_next_look(own: Place) -> None:
    async with following(own) as found:
        await by_websocket(own, found)
        lie = own.chain.head | {"number": hex(102), "parentHash": own.chain.head["hash"], "hash": "0x" + "ee" * 32}
        await own.socket.push("newHeads", lie)
        await own.mine()
        await eventually(lambda: found.newest == header(own.chain.head))


async def test_a_websocket_far_behind_counts_as_silent(own: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "SHORTEST_PATIENCE", 0.5)
    monkeypatch.setattr(feed, "INTERVALS", 0)
    async with following(own) as found:
        await by_websocket(own, found)
        own.chain.mine(100)
        await eventually(lambda: at(found) == 201)
        for number in range(102, 150):
            await own.socket.push("newHeads", own.chain.blocks[number])
            await asyncio.sleep(0.02)
        await eventually(lambda: own.socket.connections >= 2)
        assert found.reorgs == 0


async def test_whoever_waits_for_a_change_is_told_once_for_all_that_changed(http: Place) -> None:
    async with following(http) as found:
        await eventually(lambda: found.finalized is not None)
        version = found.version
        waiting = [asyncio.create_task(found.changed(version)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in waiting)
        http.chain.mine(5)
        versions = await asyncio.wait_for(asyncio.gather(*waiting), 10)
        assert set(versions) == {versions[0]} and versions[0] > version
        assert await found.changed(version) == found.version  # late comers do not wait
        assert at(found) == 105


async def test_logs_arrive_each_once_and_a_reconnection_says_so(own: Place) -> None:
    async with following(own) as found, aclosing(found.logs()) as logs:

        async def more() -> list[Any]:
            return await asyncio.wait_for(anext(logs), 10)

        assert await more() == []
        await by_websocket(own, found)
        first, second = (log(POOL.address, own.chain.head, index) for index in range(2))
        gone = first | {"removed": True}
        received: list[Any] = []
        for entry in (first, first, second, gone, first):
            await own.socket.push("logs", entry)
        while len(received) < 4:
            received += await more()
        assert received == [first, second, gone, first]
        await own.socket.close()
        assert await more() == []  # the new connection stands: what was before has to be read


async def test_a_reader_of_logs_that_has_gone_is_forgotten(own: Place) -> None:
    async with following(own) as found:
        logs = found.logs()
        assert await anext(logs) == []
        assert len(found._mailboxes) == 1
        await logs.aclose()
        assert found._mailboxes == []


async def test_preconfirmed_logs_are_shown_as_such(own: Place) -> None:
    del own.socket.refused["pendingLogs"]
    async with following(own) as found, aclosing(found.logs()) as logs:
        assert await anext(logs) == []
        assert not found.preconfirmations_active
        async with asyncio.timeout(20):
            while not found.preconfirmations_active:
                await own.mine()  # each block is a chance to ask for them
                await own.socket.push("pendingLogs", log(POOL.address, own.chain.head))
                await asyncio.sleep(0.05)
            batch: list[dict[str, Any]] = []
            while not batch:
                batch = await anext(logs)
        assert {entry["preconfirmed"] for entry in batch} == {True}


async def test_failures_are_told_and_forgotten_and_the_head_stays(http: Place) -> None:
    async with following(http) as found:
        http.node.answers["eth_getBlockByNumber"] = lambda w, f: None
        await eventually(lambda: isinstance(found.error, Malformed))
        assert at(found) == 100
        http.node.fault = fake_rpc.status(500)
        await eventually(lambda: isinstance(found.error, Unreachable))
        http.node.fault = None
        http.chain.serve(http.node)
        http.chain.mine()
        await eventually(lambda: found.error is None and at(found) == 101)


async def test_a_bug_of_ours_costs_a_look_and_not_the_following(
    http: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with following(http) as found:
        whole = found._chain.look
        broken = True

        async def look() -> None:
            if broken:
                raise KeyError("x")
            await whole()

        monkeypatch.setattr(found._chain, "look", look)
        await eventually(lambda: isinstance(found.error, KeyError))
        broken = False
        await eventually(lambda: found.error is None)
    assert "the head cannot be followed" in caplog.text


FAULTS: dict[str, Any] = {
    "silent": fake_rpc.silent, "hangs up": fake_rpc.hang_up, "500": fake_rpc.status(500), "empty": fake_rpc.text(""),
    "reset": fake_rpc.reset, "limited": fake_rpc.status(429), "a trickle": fake_rpc.trickle,
}  # fmt: skip


@pytest.mark.parametrize(("name", "seconds"), [(n, 0.4) for n in FAULTS] + [("silent", 3.0), ("500", 3.0)])
async def test_after_a_fault_there_is_a_fresh_head_within_two_seconds(http: Place, name: str, seconds: float) -> None:
    async with following(http) as found:
        await eventually(lambda: found.error is None)
        http.node.fault = FAULTS[name]
        await asyncio.sleep(seconds)
        http.chain.mine()
        http.node.fault = None
        over = time.monotonic()
        await eventually(lambda: at(found) == 101)
        assert time.monotonic() - over < 2.0


async def test_a_real_node_by_websocket() -> None:
    with anvil() as url:
        async with place(FakeChain(0)) as own:
            own.node.url, own.ws_url = url, url.replace("http", "ws")
            made = configured(own, pools=(POOL,), finality=5)
            async with Rpc(made) as reader, Heads(reader, made) as found:
                await reader.call("anvil_mine", ["0x14", "0x2"])
                await eventually(lambda: at(found) == 20)
                while not found.by_websocket:
                    await reader.call("anvil_mine", ["0x1", "0x2"])
                    await asyncio.sleep(0.05)
                number = at(found)
                assert number is not None
                await reader.call("anvil_reorg", [4, []])
                await eventually(lambda: found.reorgs == 1)
                assert found.last_reorg_depth == 4
                await reader.call("anvil_rollback", [2])
                await eventually(lambda: found.fallbacks == 1)
                await reader.call("anvil_mine", ["0x3", "0x2"])
                await eventually(lambda: at(found) == number + 1)
                newest = await reader.call("eth_getBlockByNumber", ["latest", False])
                assert found.newest == header(newest)
                assert found.finalized is not None and found.finalized.number == number - 4
