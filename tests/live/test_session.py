"""One client's connection: what it says, how long it may lag, idle, chatter or take to leave."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from exporter.live import session as sessions
from exporter.live.figures import Left
from exporter.live.frames import Code, Op
from exporter.live.hub import Hub
from exporter.live.session import FAREWELL, FRAMES_AT_ONCE, IDLE, LAGGING, MISTAKES, STALLED
from tests.live.test_frames import masked
from tests.live.test_hub import Client, price
from tests.running import eventually


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    made = Hub()
    yield made
    await made.close(0.01)


def said(client: Client, raw: bytes) -> None:
    client.wire.protocol.data_received(raw)


def closed(client: Client) -> int | None:
    """The code of the close frame that it was sent."""
    return next((int.from_bytes(payload[:2]) for op, payload in client.listener.controls if op == Op.CLOSE), None)


def counted(hub: Hub) -> dict[str, int]:
    return {reason: count for reason, count in hub.snapshot().disconnects.items() if count}


# --- what it says --------------------------------------------------------------------------------------------------


async def test_pings_of_both_kinds_are_answered(hub: Hub) -> None:
    client = Client(hub)
    said(client, masked(Op.PING, b"are you there"))
    said(client, masked(Op.PONG, b"nobody asked"))
    client.say(op="ping")
    assert client.listener.controls == [(Op.PONG, b"are you there")]
    assert abs(client.heard("pong")[0]["ts"] - time.time()) < 5


async def test_what_is_not_understood_is_an_error_and_nothing_else(hub: Hub) -> None:
    client = Client(hub)
    said(client, masked(Op.TEXT, b"{") + masked(Op.BINARY, b"{}") + masked(Op.TEXT, b'{"op":"sing"}'))
    client.say(op="subscribe", topics=["nothing"])
    assert [error["code"] for error in client.heard("error")] == ["bad_json", "bad_json", "unknown_op", "unknown_topic"]
    client.say(op="subscribe", topics=["gas"])
    assert client.heard("snapshot")
    assert closed(client) is None


async def test_twenty_of_them_in_ten_seconds_end_it(hub: Hub) -> None:
    client = Client(hub)
    for _ in range(MISTAKES - 1):
        said(client, masked(Op.TEXT, b"?"))
    assert (len(client.heard("error")), closed(client)) == (MISTAKES - 1, None)
    said(client, masked(Op.TEXT, b"?") * 5)
    assert (len(client.heard("error")), closed(client)) == (MISTAKES - 1, Code.POLICY)
    client.wire.close()
    await eventually(lambda: client.left)
    assert counted(hub) == {Left.POLICY: 1}


async def test_but_not_if_they_take_longer(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "WITHIN", -1.0)
    client = Client(hub)
    said(client, masked(Op.TEXT, b"?") * (3 * MISTAKES))
    assert (len(client.heard("error")), closed(client)) == (3 * MISTAKES, None)


async def test_a_hundred_thousand_subscriptions_end_early(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "FRAMES_PER_SECOND", 1e-9)  # however slow this machine is
    client = Client(hub)
    hub.states("prices", [price("A", str(pool), 1) for pool in range(100)])
    wish = masked(Op.TEXT, json.dumps({"op": "subscribe", "topics": ["prices", "gas"]}).encode())
    for _ in range(100):
        said(client, wish * 1_000)
    assert closed(client) == Code.POLICY
    assert len(client.heard("snapshot")) == 2 * FRAMES_AT_ONCE
    assert client.session.places == {}


async def test_subscribing_again_replaces_and_unsubscribing_ends(hub: Hub) -> None:
    client = Client(hub)
    client.say(op="subscribe", topics=["prices"])
    client.say(op="subscribe", topics=["prices"], pairs=["B"])
    hub.states("prices", [price("A", "p", 1)])
    hub.states("prices", [price("B", "p", 1)])
    assert [update["data"][0]["pair"] for update in client.heard("update")] == ["B"]
    client.say(op="unsubscribe", topics=["prices", "gas"])
    hub.states("prices", [price("B", "p", 2)])
    assert len(client.heard("update")) == 1
    assert len(client.heard("snapshot")) == 2


BROKEN = {
    "not masked": (b"\x81\x02hi", Code.PROTOCOL, Left.PROTOCOL),
    "too big": (masked(Op.TEXT, b"x" * 4097), Code.TOO_BIG, Left.TOO_BIG),
    "no UTF-8": (masked(Op.TEXT, b"\xff\xfe"), Code.NOT_UTF8, Left.PROTOCOL),
    "a strange close": (masked(Op.CLOSE, (1005).to_bytes(2)), Code.PROTOCOL, Left.PROTOCOL),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_breaks_the_protocol_ends_it_with_its_code(hub: Hub, name: str) -> None:
    raw, code, reason = BROKEN[name]
    client = Client(hub)
    said(client, raw)
    said(client, masked(Op.PING) + raw)  # whatever follows is not looked at any more
    assert closed(client) == code
    assert len(client.listener.controls) == 1
    assert client.session.look(time.monotonic() + FAREWELL + 1) is False or client.wire.aborted
    await eventually(lambda: client.left)
    assert counted(hub) == {reason: 1}


# --- how it leaves -------------------------------------------------------------------------------------------------


async def test_a_clients_close_is_answered_and_the_connection_closed(hub: Hub) -> None:
    client = Client(hub)
    said(client, masked(Op.CLOSE, (3001).to_bytes(2) + b"bye") + masked(Op.PING))
    assert client.listener.controls == [(Op.CLOSE, (3001).to_bytes(2))]
    await asyncio.sleep(0)
    assert (client.wire.closed, client.wire.aborted) == (True, False)
    await eventually(lambda: client.left)
    assert counted(hub) == {Left.CLIENT: 1}


async def test_a_lost_connection_is_not_a_good_bye(hub: Hub) -> None:
    client = Client(hub)
    client.wire.protocol.connection_lost(ConnectionResetError())
    assert (client.left, counted(hub), hub.sessions) == (1, {Left.RESET: 1}, {})


async def test_who_does_not_leave_is_cut_off(hub: Hub) -> None:
    client = Client(hub)
    client.session.close(1008, Left.POLICY)
    now = time.monotonic()
    assert client.session.look(now)
    assert not client.wire.closed
    client.session.look(now + FAREWELL + 0.1)
    assert client.wire.aborted
    await eventually(lambda: client.left == 1)


async def test_closing_twice_says_it_once(hub: Hub) -> None:
    client = Client(hub)
    client.session.close(1008, Left.POLICY)
    client.session.close(1001, Left.SHUTDOWN)
    assert [payload for _, payload in client.listener.controls] == [(1008).to_bytes(2)]


# --- how long it may lag -------------------------------------------------------------------------------------------


async def test_who_lags_gets_the_newest_once_it_reads_again(hub: Hub) -> None:
    client = Client(hub)
    client.say(op="subscribe", topics=["prices", "trades"])
    client.wire.stall()
    for number in range(5):
        hub.states("prices", [price("A", "p", number), price("B", "p", number)])
        hub.event("trades", {"n": number})
    assert len(unread(client)) == 1
    assert not client.wire.reading  # who does not read what it is told is not listened to
    client.wire.flow()
    assert client.wire.reading
    assert [(m["topic"], m["seq"], m["prev"]) for m in client.heard("update")] == [
        ("prices", 1, 0), ("prices", 5, 1), *(("trades", n, n - 1) for n in range(1, 6)),
    ]  # fmt: skip
    assert client.listener.known["prices"]["A", "dex", "p"]["price"] == "4"


def unread(client: Client) -> list[object]:
    from tests.live.listening import unframed

    return list(unframed(client.wire.waiting)[0])


async def test_what_it_asked_for_while_it_lagged_is_answered_then(hub: Hub) -> None:
    client = Client(hub)
    client.wire.stall()
    client.say(op="ping")
    client.say(op="subscribe", topics=["gas", "trades"])  # came with the same packet
    hub.state("gas", (), {"x": 1})
    assert client.session.places == {}
    client.wire.flow()
    assert [message["type"] for message in client.listener.messages] == ["hello", "pong", "snapshot", "snapshot"]


async def test_a_subscription_that_stalls_at_its_first_snapshot_goes_on_with_the_second(hub: Hub) -> None:
    client = Client(hub)
    client.wire.stall()
    client.say(op="subscribe", topics=["gas", "trades"], since={"trades": 0})
    hub.event("trades", {"n": 1})
    client.wire.flow()
    assert [(m["type"], m["topic"], m["seq"]) for m in client.listener.messages[1:]] == [
        ("snapshot", "gas", 0), ("snapshot", "trades", 0), ("update", "trades", 1),
    ]  # fmt: skip


async def test_who_takes_nothing_is_too_slow_and_then_cut_off(hub: Hub) -> None:
    client = Client(hub)
    client.say(op="subscribe", topics=["gas"])
    client.wire.stall()
    hub.state("gas", (), {"x": 1})
    now = time.monotonic()
    assert client.session.look(now + STALLED / 2)
    assert len(unread(client)) == 1
    assert client.session.look(now + STALLED + 0.1)
    assert unread(client)[-1] == (Op.CLOSE, (Code.SLOW).to_bytes(2) + b"too slow")
    assert client.session.places == {}
    client.session.look(time.monotonic() + FAREWELL + 0.1)
    await eventually(lambda: client.left)
    assert counted(hub) == {Left.SLOW: 1}
    assert STALLED + FAREWELL + 2 * 0.05 < 2


async def test_who_takes_a_little_has_more_time_but_not_for_ever(hub: Hub) -> None:
    client = Client(hub)
    client.wire.stall()
    client.session.write(b"x" * 1_000)
    now = time.monotonic()
    for step in range(int((LAGGING - 1) / STALLED * 2)):
        client.wire.waiting = client.wire.waiting[1:]
        assert client.session.look(now + step * STALLED / 2)
    assert len(client.wire.waiting) > 900
    assert b"too slow" not in client.wire.waiting
    client.wire.waiting = client.wire.waiting[1:]
    client.session.look(now + LAGGING + 0.1)
    assert b"too slow" in client.wire.waiting


async def test_who_was_too_slow_still_hears_so_if_it_reads_in_time(hub: Hub) -> None:
    client = Client(hub)
    client.wire.stall()
    client.session.write(b"\x81\x0d" + b'{"type":"xx"}')
    client.session.look(time.monotonic() + STALLED + 1)
    client.wire.flow()
    assert closed(client) == Code.SLOW
    assert client.wire.reading  # for its answer
    said(client, masked(Op.CLOSE, (1013).to_bytes(2)))
    await asyncio.sleep(0)
    assert (client.wire.closed, client.wire.aborted) == (True, False)


async def test_who_gives_no_sign_of_life_has_gone(hub: Hub) -> None:
    client, now = Client(hub), time.monotonic()
    client.session.beat(b"", now + IDLE - 1)
    assert closed(client) is None
    client.session.beat(b"", now + IDLE + 1)
    assert closed(client) == Code.POLICY
    client.wire.close()
    await eventually(lambda: client.left)
    assert counted(hub) == {Left.IDLE: 1}
