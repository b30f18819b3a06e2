"""What a metric is here, and the one gate every number and label passes before it leaves."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from exporter import lean

Kind = Literal["gauge", "counter", "histogram"]
Sample = tuple[str, tuple[str, ...], float]
"""(suffix of the sample's name, label values in the order of its label names, value)"""

OTHER: Final = "other"
UNKNOWN: Final = "unknown"
MAX_LABEL_LENGTH: Final = 64
float_text: Final[Callable[[float], str]] = lean.alone("prometheus_client", "utils").floatToGoString
"""A float as Go prints it."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Metric:
    """The declaration of one metric; call it, or `each`, with values to get a family.

    `lasting` metrics stay when their snapshot grows too old: counters, sums, timestamps and `*_up`.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    lasting: bool = False
    buckets: tuple[float, ...] = ()

    def __call__(self, value: float) -> Family:
        """A family of one sample without labels."""
        return Family(self, [("", (), float(value))])

    def each(self, rows: Iterable[tuple[tuple[str, ...], float]]) -> Family:
        """A family of (label values, value) rows."""
        return Family(self, [("", labels, float(value)) for labels, value in rows])

    def maybe(self, value: float | None) -> Family:
        """A family of one sample, or of none when there is no data: absent, never zero."""
        return Family(self, [] if value is None else [("", (), float(value))])

    def distributions(self, rows: Iterable[tuple[tuple[str, ...], Distribution]]) -> Family:
        """A histogram family of (label values, distribution) rows."""
        return Family(self, [sample for labels, d in rows for sample in d.samples(labels, self.buckets)])

    def label_names(self, suffix: str) -> tuple[str, ...]:
        """The label names of a sample; buckets carry `le` last."""
        return (*self.labels, "le") if suffix == "_bucket" else self.labels


def gauge(name: str, text: str, *labels: str, lasting: bool = False) -> Metric:
    """Declare a gauge; timestamps and `*_up` last by their name."""
    return Metric(name, "gauge", text, labels, lasting or name.endswith(("_timestamp_seconds", "_up")))


def counter(name: str, text: str, *labels: str) -> Metric:
    """Declare a counter; its name ends in `_total`."""
    if not name.endswith("_total"):
        raise ValueError(f"{name}: a counter's name ends in _total")
    return Metric(name, "counter", text, labels, lasting=True)


def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    """Declare a histogram by its finite upper bounds, positive, ascending, at most 11 (+Inf is the twelfth)."""
    if len(buckets) > 11 or list(buckets) != sorted(set(buckets)) or not all(0 < b < math.inf for b in buckets):
        raise ValueError(f"{name}: at most 11 ascending positive bounds")
    return Metric(name, "histogram", text, labels, lasting=True, buckets=buckets)


@dataclass(slots=True)
class Distribution:
    """Observations counted by bucket; `counts` has one place more than there are bounds."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one observation; what is no finite length of something is none."""
        if not 0 <= value < math.inf:
            return
        place = next((i for i, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))
        self.counts[place] += 1
        self.total += value

    def copy(self) -> Distribution:
        """A copy that later observations leave alone, for a snapshot."""
        twin = Distribution(self.bounds, self.total)
        twin.counts = self.counts.copy()
        return twin

    def samples(self, labels: tuple[str, ...], bounds: tuple[float, ...]) -> Iterator[Sample]:
        """Cumulative buckets, count and sum, as Prometheus wants them."""
        running = 0
        for bound, count in zip((*bounds, math.inf), self.counts, strict=True):
            running += count
            yield "_bucket", (*labels, float_text(bound)), float(running)
        yield "_count", labels, float(running)
        yield "_sum", labels, self.total


@dataclass(frozen=True, slots=True)
class Family:
    """A metric and its samples of one snapshot."""

    metric: Metric
    samples: list[Sample]


def label(value: object) -> str:
    """A label value that is safe to show: printable UTF-8 of at most 64 characters; anything else is `other`."""
    if not isinstance(value, str) or len(value) > MAX_LABEL_LENGTH:
        return OTHER
    # What Python calls printable is safe; only of the rest, which is rare, need more be known.
    return OTHER if not value.isprintable() and _UNPRINTABLE.search(value) else value


def closed(value: object, known: frozenset[str], rest: str = OTHER) -> str:
    """The value if it is one of the known ones, else `rest`."""
    return value if isinstance(value, str) and value in known else rest


@dataclass(frozen=True, slots=True)
class Gated:
    """Families that may leave, and how many samples could not, or only with a label replaced."""

    families: tuple[Family, ...]
    dropped: int

    @property
    def series(self) -> int:
        """How many series these families are."""
        return sum(len(family.samples) for family in self.families)


class Undeclared(Exception):
    """A collector rendered a metric that it does not declare, or one twice, or with the wrong labels."""


def gate(families: Iterable[Family], declared: tuple[Metric, ...]) -> Gated:
    """Let through what is declared, finite, safely labelled and unique; count the rest.

    Counters whose labels collapse into one (`other`) are added up; of gauges the first is kept.
    A distribution leaves whole or not at all: a histogram without its sum makes the whole page invalid.

    Raises:
        Undeclared: a programming error in a collector, caught by its tests.
    """
    seen: set[str] = set()
    passed: list[Family] = []
    dropped = 0
    for family in families:
        metric = family.metric
        if metric not in declared or metric.name in seen:
            raise Undeclared(f"{metric.name} is not declared, or is rendered twice")
        seen.add(metric.name)
        clean, lost = _clean(metric, family.samples)
        dropped += lost
        if clean:
            passed.append(Family(metric, clean))
    return Gated(tuple(passed), dropped)


def _clean(metric: Metric, samples: list[Sample]) -> tuple[list[Sample], int]:
    kept: dict[tuple[str, tuple[str, ...]], float] = {}
    width, fit = len(metric.labels), [_fits(metric, value) for _, _, value in samples]
    whole = all(fit) or metric.kind != "histogram"
    broken: set[tuple[str, ...]] = (
        set() if whole else {s[1][:width] for s, fits in zip(samples, fit, strict=True) if not fits}
    )
    dropped = 0
    for (suffix, labels, value), fits in zip(samples, fit, strict=True):
        if len(labels) != width + (suffix == "_bucket"):
            raise Undeclared(f"{metric.name} is rendered with labels it does not declare")
        key = (suffix, tuple(map(label, labels)))
        if not fits or (broken and labels[:width] in broken):
            dropped += 1
            continue
        dropped += key[1] != labels
        if key not in kept:
            kept[key] = value
        elif metric.kind == "gauge" or not math.isfinite(kept[key] + value):
            dropped += 1
        else:
            kept[key] += value
    return [(suffix, labels, value) for (suffix, labels), value in kept.items()], dropped


def _fits(metric: Metric, value: float) -> bool:
    return math.isfinite(value) and (value >= 0 or metric.kind == "gauge")
