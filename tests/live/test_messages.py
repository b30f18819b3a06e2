"""The messages of `arb.live.v1`: word for word what is sent, and what is understood."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.live import messages
from exporter.live.messages import Malformed, Ping, Subscribe, Unsubscribe, parse
from exporter.live.topics import NAMES


def said(frame: bytes) -> dict[str, Any]:
    """The message in one text frame of less than 64 KiB."""
    start = 2 if frame[1] < 126 else 4
    assert frame[0] == 0x81
    size = frame[1] if start == 2 else int.from_bytes(frame[2:4])
    assert len(frame) == start + size
    return json.loads(frame[start:])


def test_hello_says_who_we_are() -> None:
    assert said(messages.hello("s1")) == {
        "type": "hello",
        "version": 1,
        "session": "s1",
        "topics": [
            "prices",
            "portfolio",
            "gas",
            "system",
            "storage",
            "memory_bank",
            "opportunities",
            "trades",
            "errors",
            "alerts",
        ],
        "heartbeat_s": 5,
    }


def test_messages_are_as_the_contract_has_them() -> None:
    items = [messages.encode({"pair": "Ö/€"}), b'{"a":1}']
    data = [{"pair": "Ö/€"}, {"a": 1}]
    assert said(messages.snapshot("prices", 7, 1750000000.25, items)) == {
        "type": "snapshot", "topic": "prices", "seq": 7, "ts": 1750000000.25, "data": data,
    }  # fmt: skip
    assert said(messages.snapshot("gas", 0, 1.5, ())) == {
        "type": "snapshot", "topic": "gas", "seq": 0, "ts": 1.5, "data": [],
    }  # fmt: skip
    assert said(messages.update("trades", 9, 4, 1.5, items)) == {
        "type": "update", "topic": "trades", "seq": 9, "prev": 4, "ts": 1.5, "data": data,
    }  # fmt: skip
    assert said(messages.gap("trades", 3, 8)) == {"type": "gap", "topic": "trades", "from": 3, "to": 8}
    assert said(messages.heartbeat(2.5)) == {"type": "heartbeat", "ts": 2.5}
    assert said(messages.pong(2.5)) == {"type": "pong", "ts": 2.5}
    assert said(messages.error("c", "w")) == {"type": "error", "code": "c", "message": "w"}


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": -math.inf}, object(), {"a": b""}])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        messages.encode(value)


UNDERSTOOD = {
    '{"op":"subscribe","topics":["prices"]}': Subscribe(("prices",)),
    '{"op":"subscribe","topics":["gas","gas"],"pairs":null,"session":null,"since":null}': Subscribe(("gas",)),
    '{"op":"subscribe","topics":["gas","trades"],"pairs":["A/B","A/B"],"session":"x","since":{"trades":0}}': Subscribe(
        ("gas", "trades"), frozenset({"A/B"}), "x", {"trades": 0}
    ),
    '{"op":"unsubscribe","topics":["prices"]}': Unsubscribe(("prices",)),
    ' {"op" : "ping"} ': Ping(),
    '{"op":"ping","id":7}': Ping(),
}


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_what_is_understood(text: str) -> None:
    assert parse(text) == UNDERSTOOD[text]


MALFORMED = {
    "": "bad_json",
    "hello": "bad_json",
    "null": "bad_json",
    "[]": "bad_json",
    '"ping"': "bad_json",
    '{"op":"ping"': "bad_json",
    '{"op":"ping"} {}': "bad_json",
    '{"op":"ping","op":"ping"}': "bad_json",
    '{"op":"ping","x":NaN}': "bad_json",
    '{"op":"ping","x":' + "[" * 4000: "bad_json",
    "{}": "unknown_op",
    '{"op":null}': "unknown_op",
    '{"op":"Ping"}': "unknown_op",
    '{"op":["ping"]}': "unknown_op",
    '{"op":"subscribe"}': "bad_request",
    '{"op":"subscribe","topics":[]}': "bad_request",
    '{"op":"subscribe","topics":"prices"}': "bad_request",
    '{"op":"subscribe","topics":{"prices":1}}': "bad_request",
    '{"op":"subscribe","topics":["price"]}': "unknown_topic",
    '{"op":"subscribe","topics":[7]}': "unknown_topic",
    '{"op":"subscribe","topics":[["prices"]]}': "unknown_topic",
    '{"op":"subscribe","topics":["prices"],"pair":["A/B"]}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"pairs":[]}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"pairs":"A/B"}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"pairs":[1]}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"pairs":[""]}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"pairs":["' + "x" * 65 + '"]}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"pairs":[' + ",".join(['"x"'] * 101) + "]}": "bad_request",
    '{"op":"subscribe","topics":["prices"],"session":7}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"since":7}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"since":{"x":1}}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"since":{"trades":-1}}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"since":{"trades":1.0}}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"since":{"trades":true}}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"since":{"trades":"1"}}': "bad_request",
    '{"op":"subscribe","topics":["prices"],"since":{"trades":9007199254740993}}': "bad_request",
    '{"op":"unsubscribe"}': "bad_request",
    '{"op":"unsubscribe","topics":["prices"],"pairs":["A/B"]}': "bad_request",
}


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: text[:60])
def test_what_is_not(text: str) -> None:
    with pytest.raises(Malformed) as raised:
        parse(text)
    assert raised.value.code == MALFORMED[text]


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["subscribe", "unsubscribe", "ping"]) | odd},
        optional={"topics": odd | st.lists(st.sampled_from(NAMES)), "pairs": odd, "session": odd, "since": odd},
    )
)
def test_anything_is_understood_or_malformed(message: dict[str, Any]) -> None:
    try:
        wish = parse(json.dumps(message))
    except Malformed:
        return
    if isinstance(wish, Subscribe):
        assert set(wish.topics) <= set(NAMES)
        assert wish.topics


@given(st.text(max_size=60))
def test_any_text_too(text: str) -> None:
    try:
        parse(text)
    except Malformed:
        pass


def test_what_was_said_before_means_the_same_again() -> None:
    text = '{"op":"subscribe","topics":["trades"],"since":{"trades":4}}'
    assert messages.parse(text) is messages.parse(text)
    long = text.replace("4}", "4" + " " * messages.SHORT + "}")
    assert messages.parse(long) == messages.parse(text)
    assert messages.parse(long) is not messages.parse(long)
    for _ in range(2):
        with pytest.raises(messages.Malformed):
            messages.parse("{}")
