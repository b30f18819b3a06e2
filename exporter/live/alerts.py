"""The alerts that Alertmanager tells of: its webhook message, read strictly, and the newest state of each alert."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from exporter.live.shapes import Item
from exporter.log import Plain, scrub

MOST: Final = 1_000
"""Alerts in a message, and alerts that are remembered."""
MOST_TEXTS: Final = 64
LONGEST_NAME: Final = 128
LONGEST: Final = 1_000
"""Characters of a label's or annotation's text; what is longer is cut."""
HEAVIEST: Final = 2 << 20
"""Characters of all texts that are remembered."""
STATES: Final = ("firing", "resolved")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{1,64}")
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


class Malformed(Plain):
    """A message that is not Alertmanager's; the words say where."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; times are epoch seconds, `ends` is None while it fires."""

    fingerprint: str
    state: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts: float
    ends: float | None

    @property
    def weight(self) -> int:
        """Characters of its texts."""
        return sum(len(name) + len(text) for name, text in (*self.labels.items(), *self.annotations.items()))

    def item(self) -> Item:
        """As JSON."""
        return {
            "fingerprint": self.fingerprint,
            "state": self.state,
            "labels": self.labels,
            "annotations": self.annotations,
            "starts": self.starts,
            "ends": self.ends,
        }


def read(message: Any) -> list[Alert]:
    """The alerts of a webhook message of version 4; fields that it does not need are passed over.

    Raises:
        Malformed: it is none.
    """
    if not isinstance(message, dict):
        raise Malformed("the body must be an object")
    if message.get("version") != "4":
        raise Malformed('version must be "4"')
    _state(message.get("status"), "status")
    alerts = message.get("alerts")
    if not isinstance(alerts, list) or len(alerts) > MOST:
        raise Malformed(f"alerts must be a list of at most {MOST}")
    return [_alert(alert, f"alerts[{place}]") for place, alert in enumerate(alerts)]


def _alert(alert: Any, where: str) -> Alert:
    if not isinstance(alert, dict):
        raise Malformed(f"{where} must be an object")
    fingerprint = alert.get("fingerprint")
    if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint):
        raise Malformed(f"{where}.fingerprint must be hexadecimal")
    state = _state(alert.get("status"), f"{where}.status")
    ends = _time(alert.get("endsAt"), f"{where}.endsAt")
    return Alert(
        fingerprint,
        state,
        _texts(alert.get("labels"), f"{where}.labels"),
        _texts(alert.get("annotations"), f"{where}.annotations"),
        _time(alert.get("startsAt"), f"{where}.startsAt"),
        None if state == "firing" else ends,
    )


def _state(value: Any, where: str) -> str:
    if not isinstance(value, str) or value not in STATES:
        raise Malformed(f"{where} must be one of {', '.join(STATES)}")
    return value


def _texts(value: Any, where: str) -> dict[str, str]:
    """Labels or annotations, without secrets and URLs: what somebody wrote there is shown to everybody who may read."""
    if not isinstance(value, dict) or len(value) > MOST_TEXTS:
        raise Malformed(f"{where} must be an object of at most {MOST_TEXTS} texts")
    if not all(0 < len(name) <= LONGEST_NAME and isinstance(text, str) for name, text in value.items()):
        raise Malformed(f"{where} must hold texts by names of 1 to {LONGEST_NAME} characters")
    return {_clean(name): _clean(text) for name, text in value.items()}


def _clean(text: str) -> str:
    valid = text.encode("utf-8", "replace").decode()
    return scrub(valid)[:LONGEST]


def _time(value: Any, where: str) -> float:
    """Epoch seconds; Alertmanager says year 1 for a time that is not known yet."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise Malformed(f"{where} must be a time in RFC 3339")
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        raise Malformed(f"{where} must be a time that there is") from None


class Alerts:
    """The newest state of each alert; of too many, resolved ones are forgotten first, then the longest silent."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Alert] = OrderedDict()

    def take(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Take note; those that are news, because Alertmanager repeats what goes on."""
        news = []
        for alert in alerts:
            if self._known.get(alert.fingerprint) != alert:
                news.append(alert)
            self._known[alert.fingerprint] = alert
            self._known.move_to_end(alert.fingerprint)
        self._forget()
        return news

    def _forget(self) -> None:
        surplus = len(self._known) - MOST
        weight = sum(alert.weight for alert in self._known.values()) - HEAVIEST
        for alert in sorted(self._known.values(), key=lambda alert: alert.state != "resolved"):
            if surplus <= 0 and weight <= 0:
                return
            surplus, weight = surplus - 1, weight - alert.weight
            del self._known[alert.fingerprint]

    def items(self) -> list[Item]:
        """All that are known, the last heard of first."""
        return [alert.item() for alert in reversed(self._known.values())]
