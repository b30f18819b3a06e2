"""What a topic remembers: newest values in the order of their changes, events in a bounded ring."""

from typing import Any

import pytest

from exporter.live import parts, streams
from exporter.live.parts import Opening, Part
from exporter.live.streams import Events, State, open_stream
from exporter.live.topics import ALL, Topic
from tests.live.listening import Listener, unframed

PRICES = next(topic for topic in ALL if topic.name == "prices")
TRADES = next(topic for topic in ALL if topic.name == "trades")
A, B = frozenset({"A"}), frozenset({"B"})
NOW = Opening()


def price(pair: str, value: int, pool: str = "p") -> tuple[tuple[str, ...], dict[str, Any]]:
    return (pair, "dex", pool), {"pair": pair, "dex": "dex", "pool": pool, "price": str(value)}


def told(part: Part) -> list[dict[str, Any]]:
    """The messages of a part, and their number is as said."""
    listener = Listener()
    listener.hear = listener.messages.append  # type: ignore[method-assign]  # looked at, not believed
    listener.feed(part.frames)
    assert len(listener.messages) == part.count
    return listener.messages


def brief(part: Part) -> list[tuple[Any, ...]]:
    return [
        (m["type"], m.get("prev"), m.get("seq"), [i.get("price", i.get("n", "gone")) for i in m["data"]])
        if m["type"] != "gap"
        else ("gap", m["from"], m["to"])
        for m in told(part)
    ]


def put(stream: State, *items: tuple[tuple[str, ...], dict[str, Any] | None]) -> None:
    for key, value in items:
        stream.put(key, value)
    stream.commit(100.0)


def test_every_topic_has_the_memory_that_fits() -> None:
    assert {topic.name for topic in ALL if isinstance(open_stream(topic), Events)} == {
        "opportunities", "trades", "errors", "alerts",
    }  # fmt: skip


def test_a_state_is_the_newest_value_per_key() -> None:
    stream = State(PRICES)
    assert brief(stream.opening(NOW, None, 0)) == [("snapshot", None, 0, [])]
    put(stream, price("A", 1), price("B", 1))
    put(stream, price("A", 2))
    assert brief(stream.since(0, None)) == [("update", 0, 2, ["1", "2"])]
    assert brief(stream.since(1, None)) == [("update", 1, 2, ["2"])]
    assert brief(stream.since(2, None)) == []
    assert brief(stream.since(0, B)) == [("update", 0, 1, ["1"])]
    assert brief(stream.since(1, B)) == []
    assert brief(stream.opening(NOW, A, 2)) == [("snapshot", None, 2, ["2"])]


def test_the_same_key_twice_in_a_batch_is_said_once() -> None:
    stream = State(PRICES)
    put(stream, price("A", 1), price("A", 2))
    assert brief(stream.since(0, None)) == [("update", 0, 1, ["2"])]


def test_what_vanished_is_said_once_and_forgotten_later() -> None:
    stream = State(PRICES)
    key, value = price("A", 1)
    put(stream, (key, None))
    assert stream.seq == 0  # what nobody knew cannot vanish
    put(stream, (key, value))
    put(stream, (key, None))
    put(stream, (key, None))
    assert stream.seq == 2
    assert told(stream.since(1, None))[0]["data"] == [{"pair": "A", "dex": "dex", "pool": "p", "gone": True}]
    assert told(stream.since(1, A))[0]["data"][0]["gone"]
    assert brief(stream.opening(NOW, None, 2)) == [("snapshot", None, 2, [])]
    stream.put(*price("B", 1))
    stream.commit(100.0 + 4e9)
    assert brief(stream.since(0, None)) == [("update", 0, 3, ["1"])]
    put(stream, (key, value))
    assert brief(stream.since(3, None)) == [("update", 3, 4, ["1"])]


def test_a_key_has_as_many_parts_as_its_topic_says() -> None:
    with pytest.raises(ValueError, match="prices: a key has 3 parts"):
        State(PRICES).put(("A",), {})


def test_a_value_may_change_after_it_was_told() -> None:
    stream, (key, value) = State(PRICES), price("A", 1)
    stream.put(key, value)
    value["price"] = "2"
    assert stream.commit(1.0)[0]["price"] == "1"
    assert brief(stream.since(0, None)) == [("update", 0, 1, ["1"])]


def happen(stream: Events, *events: tuple[str, int]) -> None:
    for pair, number in events:
        stream.put((), {"pair": pair, "n": number})
    stream.commit(100.0)


def test_events_are_told_in_order_and_by_their_numbers() -> None:
    stream = Events(TRADES)
    happen(stream, ("A", 1))
    happen(stream, ("B", 2), ("A", 3))
    happen(stream, ("B", 4))
    assert brief(stream.since(0, None)) == [("update", 0, 1, [1]), ("update", 1, 2, [2, 3]), ("update", 2, 3, [4])]
    assert brief(stream.since(0, A)) == [("update", 0, 1, [1]), ("update", 1, 2, [3])]
    assert stream.since(2, A) == Part(b"", 0, 2)
    assert brief(stream.opening(NOW, None, 3)) == [("snapshot", None, 3, [1, 2, 3, 4])]
    assert brief(stream.opening(NOW, A, 2)) == [("snapshot", None, 2, [1, 3])]


def test_since_replays_or_says_what_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RING_MESSAGES", 3)
    stream = Events(TRADES)
    for number in range(1, 6):
        happen(stream, ("A", number))
    last = stream.base(None)
    assert last == 5
    assert brief(stream.opening(Opening(5), None, last)) == [("snapshot", None, 5, [])]
    assert brief(stream.opening(Opening(3), None, last)) == [("snapshot", None, 3, [])]
    assert brief(stream.since(3, None)) == [("update", 3, 4, [4]), ("update", 4, 5, [5])]
    assert brief(stream.opening(Opening(0), None, last)) == [("snapshot", None, 0, [])]
    assert brief(stream.since(0, None)) == [
        ("gap", 1, 2), ("update", 2, 3, [3]), ("update", 3, 4, [4]), ("update", 4, 5, [5]),
    ]  # fmt: skip
    for opening in (Opening(3, foreign=True), Opening(6)):
        assert brief(stream.opening(opening, None, last)) == [("snapshot", None, 5, [3, 4, 5]), ("gap", 0, 5)]


def test_a_filter_begins_at_the_last_number_it_was_entitled_to() -> None:
    stream = Events(TRADES)
    for pair in "ABBB":
        happen(stream, (pair, 0))
    assert (stream.base(None), stream.base(A), stream.base(B), stream.base(frozenset("C"))) == (4, 1, 4, 0)
    assert brief(stream.opening(Opening(3), A, 1)) == [("snapshot", None, 1, [])]
    assert brief(stream.opening(Opening(0), A, 1)) == [("snapshot", None, 0, [])]
    assert brief(stream.since(0, A)) == [("update", 0, 1, [0])]


def test_the_ring_is_bounded_in_bytes_and_keeps_at_least_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RING_BYTES", 1_000)
    stream = Events(TRADES)
    for number in range(50):
        happen(stream, ("A", number))
    frames = unframed(stream.since(0, None).frames)[0]
    assert 1 < len(frames) < 12
    stream.put((), {"pair": "A", "n": "x" * 5_000})
    stream.commit(1.0)
    assert len(unframed(stream.since(50, None).frames)[0]) == 1


def test_a_flood_of_events_is_said_in_messages_of_a_bounded_size() -> None:
    stream = Events(TRADES)
    for number in range(5_000):
        stream.put((), {"pair": "A", "n": number})
    sizes = []
    while items := stream.commit(1.0):
        sizes.append(sum(len(str(item)) for item in items))
    assert len(sizes) == stream.seq > 3
    assert max(sizes) < 2 * streams.LARGEST
    assert [item["n"] for message in told(stream.since(stream.seq - 1, None)) for item in message["data"]][-1] == 4_999
    assert len(told(stream.opening(NOW, None, stream.seq))[0]["data"]) == streams.SHOWN_EVENTS


@pytest.mark.parametrize("topic", [PRICES, TRADES])
def test_whoever_wants_the_same_gets_the_same_bytes(topic: Topic) -> None:
    stream = open_stream(topic)
    stream.put(*price("A", 1))
    stream.commit(1.0)
    assert stream.since(0, A) is stream.since(0, frozenset({"A"}))
    assert stream.opening(NOW, None, 1).frames is stream.opening(Opening(), None, 1).frames
    for number in range(5_000):
        stream.since(0, frozenset({str(number)}))
    assert sum(len(part.frames) + 500 for part in stream._memo._made.values()) <= parts._MEMO


def test_a_long_replay_comes_in_pieces() -> None:
    stream = Events(TRADES)
    for _ in range(40):
        happen(stream, ("A", "x" * 10_000), ("B", "y"))  # type: ignore[arg-type]
    last, pieces = 0, 0
    while (part := stream.since(last, A)).count:
        assert len(part.frames) < streams.PIECE + 11_000
        last, pieces = part.last, pieces + 1
    assert (last, pieces) == (40, 6)
