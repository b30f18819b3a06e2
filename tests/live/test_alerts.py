"""Alertmanager's messages: right ones are understood, wrong ones refused, whatever they hold is bounded and clean."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import log
from exporter.live import alerts
from exporter.live.alerts import Alert, Alerts, Malformed, read


def told(**changes: Any) -> dict[str, Any]:
    """An alert as Alertmanager tells of it."""
    return {
        "status": "firing",
        "labels": {"alertname": "ArbBotSilent", "severity": "critical"},
        "annotations": {"summary": "No trade for ten minutes"},
        "startsAt": "2026-11-21T08:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up",
        "fingerprint": "c6eb0f8a5c1d3f2e",
    } | changes


def message(*found: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A message of the webhook."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="ArbBotSilent"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "arb",
        "groupLabels": {"alertname": "ArbBotSilent"},
        "commonLabels": {"alertname": "ArbBotSilent"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(found or (told(),)),
    } | changes


def test_a_firing_and_a_resolved_alert() -> None:
    firing, resolved = read(
        message(told(), told(status="resolved", endsAt="2026-11-21T09:00:00+01:00", fingerprint="ab"))
    )
    assert firing.item() == {
        "fingerprint": "c6eb0f8a5c1d3f2e",
        "state": "firing",
        "labels": {"alertname": "ArbBotSilent", "severity": "critical"},
        "annotations": {"summary": "No trade for ten minutes"},
        "starts": pytest.approx(1_795_248_000.123456),
        "ends": None,
    }
    assert (resolved.state, resolved.ends) == ("resolved", 1_795_248_000.0)


BAD: dict[str, Any] = {
    "no object": [],
    "version 3": message(version="3"),
    "version as a number": message(version=4),
    "no version": {"status": "firing", "alerts": []},
    "unknown status": message(status="pending"),
    "alerts no list": message(alerts={}),
    "too many alerts": message(alerts=[told()] * 1_001),
    "an alert that is none": message(alerts=["x"]),
    "no fingerprint": message(told(fingerprint=None)),
    "fingerprint not hexadecimal": message(told(fingerprint="../x")),
    "fingerprint too long": message(told(fingerprint="a" * 65)),
    "status of the alert": message(told(status="open")),
    "labels no object": message(told(labels=[])),
    "a label that is a number": message(told(labels={"a": 1})),
    "a label without a name": message(told(labels={"": "x"})),
    "a label's name": message(told(labels={"a b" * 43: "x"})),
    "too many labels": message(told(labels={f"l{n}": "" for n in range(65)})),
    "annotations missing": message({k: v for k, v in told().items() if k != "annotations"}),
    "a time without a zone": message(told(startsAt="2026-11-21T08:00:00")),
    "a day that is not": message(told(startsAt="2026-02-30T08:00:00Z")),
    "epoch seconds": message(told(startsAt=1_795_248_000)),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_message_is_refused_and_not_repeated(case: str) -> None:
    with pytest.raises(Malformed) as refused:
        read(BAD[case])
    assert not any(part in str(refused.value) for part in ("../x", "open", "a b", "2026"))


@pytest.fixture
def secret() -> Iterator[str]:
    word, before = "hunter2-hunter2", log.scrub._pattern
    log.scrub.learn([word])
    yield word
    log.scrub._secrets.clear()
    log.scrub._pattern = before


def test_texts_are_cut_and_hold_no_secret_no_url_and_no_half_character(secret: str) -> None:
    texts = {"summary": f"x{secret} http://u:p@h/k", "long": "é" * 5_000, "half": "a\ud800b"}
    found = read(message(told(annotations=texts)))[0].annotations
    assert found["summary"] == "x<secret> <url>"
    assert found["long"] == "é" * 1_000
    assert found["half"] == "a?b"


words = st.text("aZ0.:-+T\ud800é", max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.sampled_from(["firing", "4", "ab"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(told())), st.sampled_from(sorted(message())), json_values, st.booleans())
def test_whatever_is_sent_is_understood_or_refused(inner: str, outer: str, value: Any, inside: bool) -> None:
    try:
        found = read(message(told(**{inner: value})) if inside else message(**{outer: value}))
    except Malformed:
        return
    for alert in found:
        json.dumps(alert.item(), allow_nan=False).encode()


# --- what is known -------------------------------------------------------------------------------------------------


def alert(name: int, state: str = "firing", **changes: Any) -> Alert:
    values: dict[str, Any] = {"labels": {}, "annotations": {}, "starts": 1.0, "ends": None} | changes
    return Alert(f"{name:x}", state, **values)


def test_only_what_is_new_of_an_alert_is_news() -> None:
    known = Alerts()
    assert known.take([alert(1), alert(2)]) == [alert(1), alert(2)]
    assert known.take([alert(1), alert(2, "resolved", ends=2.0)]) == [alert(2, "resolved", ends=2.0)]
    assert [(item["fingerprint"], item["state"]) for item in known.items()] == [("2", "resolved"), ("1", "firing")]


def test_no_more_than_so_many_are_remembered_and_firing_ones_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "MOST", 4)
    known = Alerts()
    known.take([alert(1), alert(2, "resolved"), alert(3), alert(4, "resolved")])
    known.take([alert(5)])
    assert [item["fingerprint"] for item in known.items()] == ["5", "4", "3", "1"]
    known.take([alert(6), alert(7)])
    assert [item["fingerprint"] for item in known.items()] == ["7", "6", "5", "3"]


def test_no_more_than_so_much_text_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "HEAVIEST", 30)
    known = Alerts()
    known.take([alert(n, labels={"a": "x" * 9}) for n in range(5)])
    assert [item["fingerprint"] for item in known.items()] == ["4", "3", "2"]
    known.take([alert(6, annotations={"a": "x" * 50})])
    assert known.items() == []
