import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from exporter.log import describe
from exporter.sources import endpoint, rpc
from exporter.sources import node as node_module
from exporter.sources.endpoint import Failed
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.node import LATEST
from exporter.sources.pace import Pace
from exporter.sources.rpc import Rpc, Unreachable
from tests import fake_rpc
from tests.fake_chain import Place, configured, place
from tests.fake_rpc import KEY, Node, chain, node
from tests.running import eventually, free_port

HEAD = [("eth_blockNumber", [])]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "RETRY_FIRST", 0.05)


def drop_id(answer: list[dict[str, object]], _: object) -> object:
    return [{k: v for k, v in part.items() if k != "id"} for part in answer]


FAULTS: dict[str, tuple[object, str]] = {
    "silent": (fake_rpc.silent, "timeout"),
    "a byte now and then": (fake_rpc.trickle, "timeout"),
    "closed at once": (fake_rpc.hang_up, "malformed"),
    "reset mid-body": (fake_rpc.reset, "malformed"),
    "gzip bomb": (fake_rpc.bomb, "too_large"),
    "endless": (fake_rpc.flood, "too_large"),
    "20 MB": (fake_rpc.text(b"[" + b" " * 20_000_000 + b"]"), "too_large"),
    "a bomb of JSON": (fake_rpc.text(b"[" + b"[]," * 2_000_000 + b"0]"), "malformed"),
    "infinity": (fake_rpc.text('[{"id":0,"result":1e999}]'), "malformed"),
    "nothing for anybody": (fake_rpc.text("[]"), "malformed"),
    "an odd chain id": (lambda own: fake_rpc.changed(lambda a, _: [a[0] | {"result": "0x"}], own), "malformed"),
    "no chain id": (lambda own: fake_rpc.changed(lambda a, _: [a[0] | {"result": None}], own), "malformed"),
    "another chain": (lambda own: fake_rpc.changed(lambda a, _: [a[0] | {"result": "0x1"}], own), "wrong_chain"),
    "413": (fake_rpc.status(413), "rpc_error"),
    "html": (fake_rpc.text("<html>down</html>"), "malformed"),
    "empty": (fake_rpc.text(""), "malformed"),
    "null": (fake_rpc.text("null"), "malformed"),
    "not gzip": (fake_rpc.status(200, Content_Encoding="gzip"), "malformed"),
    "403 naming the key": (fake_rpc.status(403), "http"),
    "500": (fake_rpc.status(500), "http"),
    "redirect": (fake_rpc.status(302, Location="http://127.0.0.1:1/"), "http"),
    "429": (fake_rpc.status(429, Retry_After="1"), "rate_limited"),
    "429 until a date": (fake_rpc.status(429, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"), "rate_limited"),
    "429 for ever": (fake_rpc.status(429, Retry_After="9" * 30), "rate_limited"),
    "429 in negative time": (fake_rpc.status(429, Retry_After="-1"), "rate_limited"),
    "a limit for each call": (fake_rpc.text('[{"id":0,"error":{"code":-32005}}]'), "rate_limited"),
    "200 with a limit": (fake_rpc.text(json.dumps({"id": None, "error": {"code": -32005}})), "rate_limited"),
    "ids as text": (lambda own: fake_rpc.changed(lambda a, _: [p | {"id": str(p["id"])} for p in a], own), "malformed"),
    "no ids": (lambda own: fake_rpc.changed(drop_id, own), "malformed"),
    "doubled": (lambda own: fake_rpc.changed(lambda a, _: a + a, own), "malformed"),
    "ids of another batch": (lambda own: fake_rpc.changed(lambda a, _: [p | {"id": 77} for p in a], own), "malformed"),
}


def install(own: Node, fault: object) -> None:
    made = fault(own) if getattr(fault, "__name__", "") == "<lambda>" else fault  # type: ignore[operator]
    own.fault = made  # type: ignore[assignment]


@pytest.mark.parametrize("name", FAULTS)
async def test_every_fault_is_classed_hides_the_key_and_the_next_endpoint_takes_over(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, outcome = FAULTS[name]
    if outcome == "timeout":
        monkeypatch.setattr(endpoint, "TIMEOUT", 1.0)
    with caplog.at_level(logging.DEBUG):
        async with node() as bad, node() as good:
            good.answers["eth_blockNumber"] = "0x10"
            install(bad, fault)
            async with Rpc(chain(bad, good)) as reader:
                assert await reader.batch(HEAD) == ["0x10"]
                first, second = reader.nodes
                assert (first.usable, second.usable, reader.active) == (False, True, second)
                assert {o for _, o in first.requests} == {outcome}
                assert {outcome for _, outcome in first.requests} <= set(node_module.OUTCOMES)
                assert KEY not in first.reason
                with pytest.raises(Unreachable) as caught:
                    good.fault = fake_rpc.status(500)
                    await reader.batch(HEAD)
                assert KEY not in str(caught.value)
                assert str(good.url.rpartition(":")[2][:5]) not in str(caught.value)
    ours = [record.__dict__ for record in caplog.records if record.name != "aiohttp.access"]
    assert KEY not in repr(ours)  # the access log is the test server's own


async def test_an_endpoint_that_breaks_while_in_use_is_replaced_within_the_call() -> None:
    async with node() as first, node() as second:
        for one in (first, second):
            one.answers["eth_blockNumber"] = "0x1"
        async with Rpc(chain(first, second)) as reader:
            await reader.batch(HEAD)
            first.fault = fake_rpc.status(500)  # before anybody has asked the second
            assert await reader.batch(HEAD) == ["0x1"]
            assert reader.active is reader.nodes[1]


async def test_a_redirect_is_not_followed() -> None:
    async with node() as bad, node() as trap:
        bad.fault = fake_rpc.status(307, Location=trap.url)
        async with Rpc(chain(bad)) as reader:
            with pytest.raises(Unreachable):
                await reader.batch(HEAD)
        assert trap.requests == 0


async def test_one_outage_seen_by_many_is_one_failure() -> None:
    async with node() as own:
        own.answers["eth_blockNumber"] = "0x1"
        async with Rpc(chain(own)) as reader:
            await reader.batch(HEAD)
            own.fault = fake_rpc.status(500)
            for wait in (0.05, 0.1):
                asked = await asyncio.gather(*(reader.batch(HEAD) for _ in range(5)), return_exceptions=True)
                assert all(isinstance(error, Unreachable) for error in asked)
                assert reader.nodes[0]._wait == pytest.approx(2 * wait)
                before = own.requests
                await asyncio.sleep(wait)
            await asyncio.gather(*(reader.batch(HEAD) for _ in range(5)), return_exceptions=True)
            assert own.requests == before + 1  # one check for all who wait


@pytest.mark.parametrize(
    "refusal",
    [
        lambda _: web.Response(status=413),
        lambda _: web.json_response({"jsonrpc": "2.0", "id": None, "error": {"code": -32014, "message": "too many"}}),
        lambda _: web.json_response({"id": None, "error": {"code": -32005, "message": "Batch size too large"}}),
        lambda body: web.json_response(
            [{"id": body[0]["id"], "error": {"code": -32600, "message": "batch too large"}}]
        ),
        lambda body: web.json_response([{"id": p["id"], "error": {"code": -32000, "message": "batch"}} for p in body]),
    ],
)
async def test_a_node_that_takes_small_batches_only_gets_them(refusal: object) -> None:
    async with node() as own:
        own.answers["eth_call"] = lambda call, _: call
        own.fault = fake_rpc.batches_up_to(10, own, refusal)  # type: ignore[arg-type]
        async with Rpc(chain(own)) as reader:
            calls = [("eth_call", [f"0x{i}", "latest"]) for i in range(50)]
            assert await reader.batch(calls) == [f"0x{i}" for i in range(50)]  # type: ignore[arg-type]
            asked = own.requests
            await reader.batch(calls)  # type: ignore[arg-type]
            assert own.requests == asked + 9  # in sixes, without asking anew
            assert reader.nodes[0].requests["eth_call", "ok"] == 100


async def test_nothing_to_ask_is_no_request_but_a_check() -> None:
    async with node() as own:
        async with Rpc(chain(own)) as reader:
            await reader.ready()
            assert reader.active is reader.nodes[0]
            await reader.ready()
            assert await reader.batch([]) == []
        assert [method for method, _ in own.calls] == ["eth_chainId"]


async def test_a_refused_connection_is_classed() -> None:
    dead = Node()
    dead.url = f"http://127.0.0.1:{free_port()}/{KEY}"
    async with Rpc(chain(dead)) as reader:
        with pytest.raises(Unreachable) as caught:
            await reader.batch(HEAD)
        assert str(caught.value) == "no endpoint answers: first cannot be connected to"
        assert reader.nodes[0].requests == {("eth_chainId", "refused"): 1}
        assert reader.active is None


async def test_a_call_that_fails_costs_only_itself() -> None:
    async with node() as own:
        own.answers["eth_blockNumber"] = "0x10"
        async with Rpc(chain(own)) as reader:
            head, odd = await reader.batch([*HEAD, ("eth_strange", [])])
            assert head == "0x10"
            assert isinstance(odd, RpcError)
            assert KEY not in describe(odd)
            assert reader.nodes[0].requests == {
                ("eth_chainId", "ok"): 1,
                ("eth_blockNumber", "ok"): 1,
                ("other", "rpc_error"): 1,
            }
            with pytest.raises(RpcError):
                await reader.call("eth_strange", [])
            assert await reader.call("eth_blockNumber", []) == "0x10"


async def test_a_missing_member_costs_only_itself() -> None:
    async with node() as own, Rpc(chain(own)) as reader:
        await reader.call("eth_chainId", [])
        own.fault = fake_rpc.changed(lambda answer, _: answer[:1], own)
        own.answers["eth_blockNumber"] = "0x10"
        first, second = await reader.batch(HEAD * 2)
        assert first == "0x10"
        assert isinstance(second, Malformed)
        assert reader.nodes[0].requests["eth_blockNumber", "malformed"] == 1


@pytest.mark.parametrize("answer", ["0x1", None, "8453", {"error": {"code": -32601, "message": "no"}}])
async def test_another_chain_is_not_used(answer: object) -> None:
    async with node() as own:
        own.answers["eth_chainId"] = answer
        async with Rpc(chain(own)) as reader:
            with pytest.raises(Unreachable):
                await reader.batch(HEAD)
            assert not reader.nodes[0].usable
            assert [method for method, _ in own.calls] == ["eth_chainId"]


async def test_the_chain_is_checked_again_after_a_failure() -> None:
    async with node() as own:
        own.answers["eth_blockNumber"] = "0x1"
        async with Rpc(chain(own)) as reader:
            await reader.batch(HEAD)
            own.fault = fake_rpc.status(500)
            with pytest.raises(Unreachable):
                await reader.batch(HEAD)
            own.fault = None
            own.answers["eth_chainId"] = "0x1"
            await asyncio.sleep(0.1)
            with pytest.raises(Unreachable, match="serves another chain"):
                await reader.batch(HEAD)


async def test_a_failing_endpoint_is_left_alone_for_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(rpc.time, "monotonic", lambda: now[0])
    waits = []
    async with node() as own:
        own.fault = fake_rpc.status(500)
        async with Rpc(chain(own)) as reader:
            for _ in range(12):
                with pytest.raises(Unreachable):
                    await reader.batch(HEAD)
                waits.append(reader.nodes[0].look_at - now[0])
                asked = own.requests
                with pytest.raises(Unreachable):
                    await reader.batch(HEAD)
                assert own.requests == asked
                now[0] = reader.nodes[0].look_at
    assert waits[:4] == pytest.approx([0.05, 0.1, 0.2, 0.4])
    assert waits[-1] == node_module.RETRY_LAST


async def test_what_a_node_asks_for_is_honoured_up_to_a_minute() -> None:
    async with node() as own, Rpc(chain(own)) as reader:
        own.fault = fake_rpc.status(503, Retry_After="40")
        with pytest.raises(Unreachable):
            await reader.batch(HEAD)
        assert 35 < reader.nodes[0].look_at - rpc.time.monotonic() <= 40
        reader.nodes[0].look_at = 0.0
        own.fault = fake_rpc.status(429, Retry_After="4000")
        with pytest.raises(Unreachable):
            await reader.batch(HEAD)
        assert 55 < reader.nodes[0].look_at - rpc.time.monotonic() <= 60


async def test_the_preferred_endpoint_comes_back_by_itself_without_delaying_anybody() -> None:
    async with node() as preferred, node() as spare:
        for one in (preferred, spare):
            one.answers["eth_blockNumber"] = "0x1"
        async with Rpc(chain(preferred, spare)) as reader:
            preferred.fault = fake_rpc.status(500)
            await reader.batch(HEAD)
            assert reader.active is reader.nodes[1]
            preferred.fault = None

            async def back() -> bool:
                await reader.batch(HEAD)
                return reader.active is reader.nodes[0]

            for _ in range(200):
                if await back():
                    break
                await asyncio.sleep(0.02)
            assert reader.active is reader.nodes[0]
            spare.fault = fake_rpc.status(500)
            reader.nodes[1].look_at = 0.0
            await reader.batch(HEAD)
            await eventually(lambda: not reader.nodes[1].usable)
            assert reader.active is reader.nodes[0]


async def test_a_long_good_time_forgives_old_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    async with node() as own, Rpc(chain(own)) as reader:
        await reader.call("eth_chainId", [])
        one = reader.nodes[0]
        one._wait, one._since = 30.0, one._since - node_module.STEADY - 1
        one._failed(Failed("http", "x"), one._failures, 0.0)
        assert one._wait == pytest.approx(0.1)


async def test_a_large_batch_is_sent_in_parts() -> None:
    async with node() as own:
        own.answers["eth_blockNumber"] = "0x1"
        async with Rpc(chain(own)) as reader:
            assert await reader.batch(HEAD * 250) == ["0x1"] * 250
        assert own.requests == 4


async def test_a_closed_reader_says_so() -> None:
    async with node() as own:
        with pytest.raises(Unreachable):
            await Rpc(chain(own)).batch(HEAD)


async def test_probes_end_with_the_reader() -> None:
    async with node() as good, node() as stuck:
        good.answers["eth_blockNumber"] = "0x1"
        stuck.fault = fake_rpc.silent
        async with Rpc(chain(good, stuck)) as reader:
            await reader.batch(HEAD)
            await reader.batch(HEAD)
            probes = list(reader._probes.values())
            await reader.batch(HEAD)
            assert list(reader._probes.values()) == probes  # one at a time
            assert len(probes) == 1
        assert all(task.done() for task in probes)
        assert not reader._probes


# --- which endpoint is used -----------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proofs of an endpoint in a tenth of the time."""
    monkeypatch.setattr(rpc, "RETURN_EVERY", 0.05)
    monkeypatch.setattr(rpc, "RETURN_AFTER", 0.3)
    monkeypatch.setattr(node_module, "STANDBY_EVERY", 0.05)


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Place, Place, Rpc]]:
    """Two endpoints of one chain, and a reader that has used the first."""
    async with place() as first, place() as second:
        second.chain.blocks = list(first.chain.blocks)
        async with Rpc(configured(first, second)) as reader:
            assert await reader.batch([LATEST]) == [first.chain.head]
            yield first, second, reader


async def used(reader: Rpc) -> str:
    """The endpoint that a look at the head goes to."""
    await asyncio.sleep(0.02)
    with suppress(Unreachable):
        await reader.batch([LATEST])
    assert reader.active is not None
    return reader.active.name


async def until_used(reader: Rpc, name: str, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while await used(reader) != name:
            pass


async def test_an_endpoint_that_comes_and_goes_is_not_preferred_again(hasty: None) -> None:
    async with two() as (first, _, reader):
        first.node.fault = fake_rpc.status(500)
        await until_used(reader, "second")
        for _ in range(30):  # well for a moment, and then not
            first.node.fault = None
            for _ in range(3):
                assert await used(reader) == "second"
            first.node.fault = fake_rpc.status(500)
            await asyncio.sleep(0.05)
            assert await used(reader) == "second"
        first.node.fault = None
        await until_used(reader, "first")


async def test_an_endpoint_that_is_behind_is_not_preferred_until_it_has_caught_up(hasty: None) -> None:
    async with two() as (first, second, reader):
        first.node.fault = fake_rpc.status(500)
        await until_used(reader, "second")
        second.chain.mine(5)
        first.node.fault = None
        for _ in range(40):
            assert await used(reader) == "second"
        assert reader.nodes[0].usable
        first.chain.blocks = list(second.chain.blocks)
        await until_used(reader, "first")


async def test_an_endpoint_that_was_preferred_too_early_has_to_prove_itself_anew(hasty: None) -> None:
    async with two() as (first, _, reader):
        first.node.fault = fake_rpc.status(500)
        await until_used(reader, "second")
        first.node.fault = None

        async def only_probes(request: web.Request, body: Any) -> web.StreamResponse:
            probe = all(part["method"] != "eth_blockNumber" for part in body)
            return web.json_response(first.node.reply(body)) if probe else web.Response(status=500)

        await until_used(reader, "first")
        first.node.fault = only_probes
        await reader.batch(HEAD)
        assert reader.active is reader.nodes[1]
        began = asyncio.get_running_loop().time()
        await until_used(reader, "first")
        assert asyncio.get_running_loop().time() - began >= rpc.RETURN_AFTER


async def test_an_endpoint_far_behind_is_left_while_another_is_in_step(hasty: None) -> None:
    async with two() as (first, second, reader):
        for _ in range(10):
            assert await used(reader) == "first"
        second.chain.mine(50)
        for _ in range(10):  # nobody knows yet how long a block takes
            assert await used(reader) == "first"
        reader.interval_seconds = 2.0
        await until_used(reader, "second")
        for _ in range(20):
            assert await used(reader) == "second"
        assert reader.nodes[0].lag_seconds == 100
        first.chain.blocks = list(second.chain.blocks)
        await until_used(reader, "first")


@pytest.mark.parametrize("behind", [1, 4])
async def test_an_endpoint_a_little_behind_is_kept(hasty: None, behind: int) -> None:
    async with two() as (_, second, reader):
        reader.interval_seconds = 2.0
        second.chain.mine(behind)
        for _ in range(20):
            assert await used(reader) == "first"
        await eventually(lambda: reader.nodes[0].lag_seconds is not None)


async def test_an_endpoint_that_claims_to_be_in_the_future_makes_nobody_look_old(hasty: None) -> None:
    async with two() as (_, second, reader):
        reader.interval_seconds = 2.0
        lie = second.chain.head | {"number": hex(10**9), "timestamp": hex(2**40)}
        second.node.answers["eth_getBlockByNumber"] = lambda which, full: lie
        for _ in range(20):
            assert await used(reader) == "first"
        assert not reader.nodes[0].lag_seconds


async def test_while_none_answers_one_that_was_well_is_tried_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(node_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(node_module, "RETRY_FIRST", 0.5)
    dead = Node()
    dead.url = f"http://127.0.0.1:{free_port()}/{KEY}"
    async with node() as own, Rpc(chain(own, dead)) as reader:
        await reader.call("eth_chainId", [])
        own.fault = fake_rpc.status(500)
        tries = []
        for _ in range(480):  # a minute in eighths of a second
            now[0] += 0.125
            before = own.requests
            with pytest.raises(Unreachable):
                await reader.batch(HEAD)
            if own.requests > before:
                tries.append(now[0])
        waits = [later - earlier for earlier, later in pairwise(tries)]
        assert waits == [0.5, *[1.0] * (len(waits) - 1)]
        assert reader.nodes[1].requests["eth_chainId", "refused"] <= 8  # never well: half a minute in the end
        own.fault = fake_rpc.status(429, Retry_After="40")
        now[0] += 1.0
        with pytest.raises(Unreachable):
            await reader.batch(HEAD)
        before = own.requests
        for _ in range(39):
            now[0] += 1.0
            with pytest.raises(Unreachable):
                await reader.batch(HEAD)
        assert own.requests == before
        reader.nodes[0].pace = Pace()  # which would wait for a clock that stands still
        own.fault = None
        own.answers["eth_chainId"] = "0x1"
        waits = []
        for _ in range(7):
            now[0] = reader.nodes[0].look_at
            with pytest.raises(Unreachable):
                await reader.batch(HEAD)
            assert reader.nodes[0].reason == "serves another chain"
            assert not reader.nodes[0].due(alone=True)
            waits.append(reader.nodes[0].look_at - now[0])
        assert waits[-1] == node_module.RETRY_LAST


async def test_a_failing_endpoint_is_left_alone_for_longer_while_another_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_module, "RETRY_FIRST", 5.0)
    async with two() as (first, _, reader):
        first.node.fault = fake_rpc.status(500)
        assert await used(reader) == "second"
        asked = first.node.requests
        await asyncio.sleep(1.2)
        assert await used(reader) == "second"
        assert first.node.requests == asked


async def test_a_reader_goes_on_counting_where_another_left_off() -> None:
    async with place() as first, place() as second:
        async with Rpc(configured(first, second)) as before, Rpc(configured(first)) as after:
            await before.batch(HEAD * 3)
            after.carry_on(before)
            await after.batch(HEAD)
        assert after.nodes[0].requests["eth_blockNumber", "ok"] == 4
        assert before.nodes[0].requests["eth_blockNumber", "ok"] == 3
        assert sum(after.nodes[0].durations.counts) == sum(before.nodes[0].durations.counts) + 2
