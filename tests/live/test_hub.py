"""The hub: every listener's story adds up, whatever others do; news wait for nobody; floods become few messages."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from exporter.live import groups, streams
from exporter.live import hub as hubs
from exporter.live.figures import Left
from exporter.live.hub import Hub
from exporter.live.session import Session
from tests.live.listening import Listener, Wire
from tests.live.test_frames import masked
from tests.running import eventually
from tests.tiers import lives

PAIRS = ("A", "B", "C")
POOLS = ("p", "q")
EVENTS = ("trades", "opportunities")


class Client:
    """A listener, its wire and its session."""

    def __init__(self, hub: Hub) -> None:
        self.listener = Listener()
        self.wire = Wire(self.listener)
        self.left = 0
        self.session = Session(hub, self.wire, lambda: True, self._leave)
        self.session.begin(b"")
        self.wishes: dict[str, frozenset[str] | None] = {}

    def _leave(self) -> None:
        self.left += 1

    def say(self, **message: Any) -> None:
        self.wire.protocol.data_received(masked(1, json.dumps(message).encode()))

    def heard(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.listener.messages if message["type"] == kind]


def price(pair: str, pool: str, value: int) -> tuple[tuple[str, ...], dict[str, Any]]:
    return (pair, "dex", pool), {"pair": pair, "dex": "dex", "pool": pool, "price": str(value)}


keys = st.tuples(st.sampled_from(PAIRS), st.sampled_from(POOLS))
wanted = st.none() | st.frozensets(st.sampled_from(PAIRS), min_size=1)
news = st.one_of(
    st.tuples(st.just("prices"), st.lists(st.tuples(keys, st.booleans()), max_size=4)),
    st.tuples(st.sampled_from(EVENTS), st.sampled_from(PAIRS)),
)


class Feed(RuleBasedStateMachine):
    """Listeners come, change their minds, stall, go on and leave, while news are published."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.hub = Hub()
        self.clients: list[Client] = []
        self.prices: dict[tuple[str, ...], dict[str, Any]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {topic: [] for topic in EVENTS}
        self.count = 0

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        self.do(lambda: [client.wire.flow() for client in self.clients])
        for _ in range(50):
            self.do(lambda: None)
        while self.hub._turning:
            self.do(lambda: None)
        try:
            for client in self.clients:
                self.check(client)
        finally:
            self.loop.run_until_complete(self.hub.close(0.01))
            self.loop.close()

    def do(self, act: Callable[[], object]) -> None:
        async def once() -> None:
            act()

        self.loop.run_until_complete(once())

    # --- what happens ---

    @rule(told=st.lists(news, min_size=1, max_size=5))
    def publish(self, told: list[tuple[str, Any]]) -> None:
        self.do(lambda: [self.tell(*item) for item in told])

    def tell(self, topic: str, what: Any) -> None:
        self.count += 1
        if topic == "prices":
            batch = [price(*key, self.count) if there else (price(*key, 0)[0], None) for key, there in what]
            self.hub.states("prices", batch)
            for key, value in batch:
                if value is None:
                    self.prices.pop(key, None)
                else:
                    self.prices[key] = value
        else:
            event = {"pair": what, "n": self.count}
            self.events[topic].append(event)
            self.hub.event(topic, event)

    @precondition(lambda self: len(self.clients) < 6)
    @rule()
    def enter(self) -> None:
        self.do(lambda: self.clients.append(Client(self.hub)))

    @precondition(lambda self: self.clients)
    @rule(who=st.integers(0, 5), topics=st.sets(st.sampled_from(["prices", *EVENTS]), min_size=1), pairs=wanted,
          since=st.none() | st.integers(0, 15), foreign=st.booleans())  # fmt: skip
    def subscribe(
        self, who: int, topics: set[str], pairs: frozenset[str] | None, since: int | None, foreign: bool
    ) -> None:
        client = self.clients[who % len(self.clients)]
        if client.session.lagging:
            return  # it is not read from
        wish: dict[str, Any] = {"op": "subscribe", "topics": sorted(topics)}
        if pairs is not None:
            wish["pairs"] = sorted(pairs)
        if since is not None:
            wish["since"] = dict.fromkeys(EVENTS, since)
            wish["session"] = "another" if foreign else self.hub.session
        client.wishes |= dict.fromkeys(topics, pairs)
        self.do(lambda: client.say(**wish))

    @precondition(lambda self: self.clients)
    @rule(who=st.integers(0, 5), topic=st.sampled_from(["prices", *EVENTS]))
    def unsubscribe(self, who: int, topic: str) -> None:
        client = self.clients[who % len(self.clients)]
        if client.session.lagging or topic not in client.wishes:
            return
        self.do(lambda: client.say(op="unsubscribe", topics=[topic]))
        del client.wishes[topic]
        if topic in client.listener.last:
            client.listener.forget(topic)

    @precondition(lambda self: self.clients)
    @rule(who=st.integers(0, 5))
    def stall(self, who: int) -> None:
        self.clients[who % len(self.clients)].wire.stall()

    @precondition(lambda self: self.clients)
    @rule(who=st.integers(0, 5))
    def flow(self, who: int) -> None:
        self.do(self.clients[who % len(self.clients)].wire.flow)

    @precondition(lambda self: self.clients)
    @rule(who=st.integers(0, 5), told=st.lists(news, min_size=3, max_size=6), pairs=wanted)
    def amid(self, who: int, told: list[tuple[str, Any]], pairs: frozenset[str] | None) -> None:
        """Somebody goes on, or comes anew, while the others are still being told."""
        client = self.clients[who % len(self.clients)]

        def act() -> None:
            for item in told:
                self.tell(*item)
            client.wire.flow()
            client.say(op="subscribe", topics=["prices", "trades"], pairs=sorted(pairs or PAIRS))

        self.do(act)
        client.wishes |= dict.fromkeys(["prices", "trades"], pairs or frozenset(PAIRS))

    @precondition(lambda self: self.clients)
    @rule(who=st.integers(0, 5))
    def leave(self, who: int) -> None:
        client = self.clients.pop(who % len(self.clients))
        self.do(client.wire.close)
        self.do(lambda: None)
        assert client.left == 1

    # --- what must be so ---

    @invariant()
    def nobody_is_counted_twice_or_forgotten(self) -> None:
        if not hasattr(self, "hub"):
            return
        assert len(self.hub.sessions) == len(self.clients)
        places = sum(len(client.session.places) for client in self.clients)
        channels = self.hub._channels.values()
        listed = [group for channel in channels for same in channel.groups.values() for group in same]
        assert sum(group.members for group in listed) == places
        assert all(0 < group.members <= hubs.SLICE and len(group.ready) <= group.members for group in listed)
        for client in self.clients:
            ready = [client.session in place.group.ready for place in client.session.places.values()]
            assert all(ready) is not client.session.lagging or not ready

    def check(self, client: Client) -> None:
        listener = client.listener
        assert set(listener.last) == set(client.wishes)
        for topic, pairs in client.wishes.items():
            if topic == "prices":
                want = {key: value for key, value in self.prices.items() if pairs is None or key[0] in pairs}
                assert listener.known[topic] == want
            else:
                self.check_events(listener, topic, pairs)

    def check_events(self, listener: Listener, topic: str, pairs: frozenset[str] | None) -> None:
        begun, lost = listener.begun[topic], [gap for gap in listener.gaps[topic] if gap[0] > 0]
        assert listener.events[topic] == [
            event
            for seq, event in enumerate(self.events[topic], 1)
            if seq > begun and (pairs is None or event["pair"] in pairs) and not any(a <= seq <= b for a, b in lost)
        ]
        assert all(pairs is None or event["pair"] in pairs for event in listener.shown[topic])
        assert listener.last[topic] <= len(self.events[topic])


def test_every_listeners_story_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few places in everything that has places, so that all of them run out."""
    monkeypatch.setattr(groups, "BURST", 1e9)
    monkeypatch.setattr(hubs, "RUSH", 1)
    monkeypatch.setattr(hubs, "BREATH", 0.0003)
    monkeypatch.setattr(hubs, "SLICE", 2)
    monkeypatch.setattr(groups, "SLICE", 2)
    monkeypatch.setattr(streams, "RING_MESSAGES", 5)
    monkeypatch.setattr(streams, "PIECE", 150)
    story = settings(max_examples=lives(100), stateful_step_count=40, deadline=None)
    run_state_machine_as_test(Feed, settings=story)  # type: ignore[no-untyped-call]


# --- one thing at a time -------------------------------------------------------------------------------------------


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    made = Hub()
    yield made
    await made.close(0.01)


async def test_hello_comes_first_with_the_handshake(hub: Hub) -> None:
    client = Client(hub)
    (hello,) = client.listener.messages
    assert (hello["type"], hello["session"]) == ("hello", hub.session)
    assert Hub().session != hub.session


async def test_news_are_written_in_the_same_turn(hub: Hub) -> None:
    client = Client(hub)
    client.say(op="subscribe", topics=["prices"])
    hub.states("prices", [price("A", "p", 1), price("B", "p", 1)])
    (update,) = client.heard("update")
    assert [item["pair"] for item in update["data"]] == ["A", "B"]
    assert abs(update["ts"] - time.time()) < 5


async def test_a_burst_is_told_at_once_and_a_flood_in_few_messages(hub: Hub) -> None:
    client = Client(hub)
    client.say(op="subscribe", topics=["trades", "prices"])
    for number in range(groups.BURST):
        hub.event("trades", {"n": number})
    assert len(client.heard("update")) == groups.BURST
    for number in range(groups.BURST, 5_000):
        hub.event("trades", {"n": number})
        hub.state("prices", *price("A", "p", number))
    await eventually(lambda: len(client.listener.events["trades"]) == 5_000)
    assert [event["n"] for event in client.listener.events["trades"]] == list(range(5_000))
    assert len(client.heard("update")) < 100
    await eventually(lambda: client.listener.known["prices"]["A", "dex", "p"]["price"] == "4999")


async def test_many_are_written_to_in_slices_between_which_the_loop_turns(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "SLICE", 2)
    monkeypatch.setattr(groups, "SLICE", 2)
    clients = [Client(hub) for _ in range(7)]
    for client in clients:
        client.say(op="subscribe", topics=["prices"])

    def heard() -> list[int]:
        return [len(client.heard("update")) for client in clients]

    hub.state("prices", *price("A", "p", 1))
    assert heard() == [1, 1, 0, 0, 0, 0, 0]
    await asyncio.sleep(0)
    assert heard() == [1, 1, 1, 1, 0, 0, 0]
    hub.state("prices", *price("A", "p", 2))
    assert heard() == [1, 1, 1, 1, 0, 0, 0]  # it waits for its turn
    for _ in range(5):
        await asyncio.sleep(0)
    assert heard() == [2, 2, 2, 2, 1, 1, 1]  # and the last are told both in one
    assert {client.listener.last["prices"] for client in clients} == {2}
    assert sum(hub.snapshot().latency.counts) == 1


async def test_in_a_rush_slices_wait_for_each_other_and_nobody_is_forgotten(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "SLICE", 2)
    monkeypatch.setattr(groups, "SLICE", 2)
    clients = [Client(hub) for _ in range(hubs.RUSH)]
    for client in clients:
        client.say(op="subscribe", topics=["prices"])

    def heard() -> int:
        return sum(len(client.heard("update")) for client in clients)

    hub.state("prices", *price("A", "p", 1))
    await asyncio.sleep(0)
    assert heard() == 2
    await eventually(lambda: heard() == len(clients))
    hub.state("prices", *price("A", "p", 2))
    await asyncio.sleep(0)
    assert heard() == len(clients) + 4  # the rush is over


async def test_a_filter_is_for_topics_with_pairs_only(hub: Hub) -> None:
    client = Client(hub)
    client.say(op="subscribe", topics=["gas", "errors", "trades"], pairs=["A"])
    hub.state("gas", (), {"base_fee_wei": 7})
    hub.event("errors", {"message": "m"})
    hub.event("trades", {"message": "of no pair"})
    hub.event("trades", {"pair": "A"})
    assert [(m["topic"], m["seq"], m["prev"]) for m in client.heard("update")] == [
        ("gas", 1, 0), ("errors", 1, 0), ("trades", 2, 0),
    ]  # fmt: skip


async def test_latency_is_counted_from_when_it_was_learned_and_only_if_somebody_listens(hub: Hub) -> None:
    hub.state("gas", (), {"x": 1}, learned=time.time() - 100)
    assert sum(hub.snapshot().latency.counts) == 0
    Client(hub).say(op="subscribe", topics=["gas"])
    hub.state("gas", (), {"x": 2}, learned=time.time() - 0.05)
    hub.state("gas", (), {"x": 3})
    latency = hub.snapshot().latency
    assert sum(latency.counts) == 2
    assert 0.05 <= latency.total < 5


async def test_messages_are_counted_by_listener_and_topic(hub: Hub) -> None:
    clients = [Client(hub) for _ in range(3)]
    for client in clients:
        client.say(op="subscribe", topics=["gas", "trades"])
    hub.state("gas", (), {"x": 1})
    figures = hub.snapshot()
    assert (figures.clients, figures.messages["gas"], figures.messages["trades"], figures.messages["prices"]) == (
        3, 6, 3, 0,
    )  # fmt: skip


async def test_listeners_inside_hear_everything_and_their_faults_are_theirs(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []

    def fails(items: object) -> None:
        raise RuntimeError("a secret text")

    hub.tap("prices", fails)
    hub.tap("prices", heard.extend)
    key, value = price("A", "p", 1)
    hub.state("prices", key, value)
    hub.state("prices", key, None)
    hub.event("trades", {"n": 1})
    assert heard == [value, {"pair": "A", "dex": "dex", "pool": "p", "gone": True}]
    assert [record.fields["error"] for record in caplog.records] == ["RuntimeError"] * 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [{"x": float("nan")}, {"x": object()}])
async def test_what_cannot_be_said_is_the_publishers_fault(hub: Hub, value: dict[str, Any]) -> None:
    client = Client(hub)
    client.say(op="subscribe", topics=["gas", "trades"])
    with pytest.raises((ValueError, TypeError)):
        hub.state("gas", (), value)
    with pytest.raises((ValueError, TypeError)):
        hub.event("trades", value)
    hub.state("gas", (), {"x": 1})
    assert [message["data"] for message in client.heard("update")] == [[{"x": 1}]]


async def test_everybody_hears_the_heart_beat_but_who_lags(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "SLICE", 2)
    monkeypatch.setattr(groups, "SLICE", 2)
    monkeypatch.setattr(hubs.messages, "HEARTBEAT", 0.01)
    clients = [Client(hub) for _ in range(5)]
    clients[0].wire.stall()
    clients[0].session.write(b"x")
    await eventually(lambda: all(len(client.heard("heartbeat")) > 2 for client in clients[1:]))
    assert clients[1].listener.controls[0] == (9, b"")  # and is asked for a sign of life
    assert clients[0].wire.waiting == b"x"


async def test_who_may_not_stay_is_told_so(hub: Hub) -> None:
    stays, goes = Client(hub), Client(hub)
    goes.session.may_stay = lambda: False
    hub.review()
    assert goes.listener.controls == [(8, (4401).to_bytes(2) + b"session ended")]
    assert stays.listener.controls == []
    goes.wire.close()
    await eventually(lambda: goes.left == 1)
    assert hub.snapshot().disconnects["session_ended"] == 1


async def test_at_the_end_everybody_hears_it_and_nobody_is_waited_for_long() -> None:
    hub = Hub()
    polite, deaf = Client(hub), Client(hub)
    deaf.wire.stall()
    closing = asyncio.create_task(hub.close(0.2))
    await eventually(lambda: polite.listener.controls)
    assert polite.listener.controls == [(8, (1001).to_bytes(2) + b"shutting down")]
    polite.wire.protocol.data_received(masked(8, (1001).to_bytes(2)))
    await asyncio.wait_for(closing, 10)
    await eventually(lambda: deaf.left == 1)
    assert (polite.wire.aborted, deaf.wire.aborted) == (False, True)
    assert hub.snapshot().disconnects[Left.SHUTDOWN] == 2
    assert hub.snapshot().clients == 0
