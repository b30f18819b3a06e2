"""PromQL over declared metrics: a name or a label that the exporter does not have ends the build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exporter import board, collectors
from exporter.metrics import Metric

DECLARED: Final = {metric.name: metric for metric in (*board.METRICS, *(m for c in collectors.ALL for m in c.metrics))}
RATE: Final = "$__rate_interval"
RANGE: Final = "$__range"
STEP: Final = "$__interval"
CONGESTION: Final = {"calm": "< 0.1", "busy": ">= 0.1 < 0.5", "congested": ">= 0.5"}
"""How far the base fee is above its median of the last hour, as a part of that, by the base fee alone."""


class Unknown(Exception):
    """A query names a metric or a label that no collector declares."""


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, and what its lines are called."""

    expr: str
    legend: str = ""


def declared(name: str) -> Metric:
    """The metric of that name; a histogram also by its series.

    Raises:
        Unknown: no collector declares it.
    """
    found = DECLARED.get(name) or DECLARED.get(name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum"))
    if found is None or (found.name != name and found.kind != "histogram"):
        raise Unknown(name)
    return found


def series(name: str, **labels: str) -> str:
    """The metric for the chosen jobs, instances and bots; a value that begins with `~` is a pattern, with `!` excluded.

    Raises:
        Unknown: no collector declares it, or not with these labels.
    """
    metric = declared(name)
    if missing := set(labels) - set(metric.labels):
        raise Unknown(f"{name} has no label {', '.join(sorted(missing))}")
    chosen = [
        f'{label}=~"${label}"' for label in ("job", "instance", "bot") if label != "bot" or "bot" in metric.labels
    ]
    return f"{name}{{{','.join(chosen + [_matcher(label, value) for label, value in labels.items()])}}}"


def _matcher(label: str, value: str) -> str:
    operator = {"~": "=~", "!": "!="}.get(value[:1], "=")
    return f'{label}{operator}"{value if operator == "=" else value[1:]}"'


# --- gauges ------------------------------------------------------------------------------------------------------


def total(name: str, by: str = "", **labels: str) -> str:
    """The sum of a gauge, by some labels; of a counter since its first count, for panels about all time."""
    return _over("sum", by, series(name, **labels))


def highest(name: str, by: str = "", **labels: str) -> str:
    """The highest of them, by some labels."""
    return _over("max", by, series(name, **labels))


def lowest(name: str, by: str = "", **labels: str) -> str:
    """The lowest of them, by some labels: down if any is down."""
    return _over("min", by, series(name, **labels))


def age(name: str, by: str = "", **labels: str) -> str:
    """Seconds since the newest of some timestamps."""
    return f"time() - {highest(name, by, **labels)}"


def oldest(name: str, by: str, **labels: str) -> str:
    """Seconds since the newest timestamp of whoever told nothing for longest."""
    return f"max({age(name, by, **labels)})"


def down(name: str, **labels: str) -> str:
    """How many are 0; no data, rather than a soothing 0, when the exporter is not there."""
    return f"sum({series(name, **labels)} == bool 0)"


def earned(name: str, by: str, window: str = RANGE, **labels: str) -> str:
    """What a cumulative gauge grew by: exact where Prometheus knows the beginning, else since it first saw it."""
    now = total(name, by, **labels)
    then = _over("sum", by, f"{series(name, **labels)} offset {window}")
    return f"({now} - {then}) or delta(({now})[{window}:{STEP}])"


def state(name: str, label: str, states: Mapping[str, tuple[str, str]], by: str) -> str:
    """Which of the states holds, as the number by which a panel's texts name it."""
    return " + ".join(f"{number} * {highest(name, by, **{label: text})}" for number, (text, _) in states.items())


def unless_old(found: str, written: str, limit_seconds: int, otherwise: int) -> str:
    """What was told; a number of its own for who told nothing for so long, because an old word is nobody's word."""
    return f"{otherwise} + 0 * ({written} > {limit_seconds}) or {found}"


# --- counters ----------------------------------------------------------------------------------------------------


def rate(name: str, by: str = "", **labels: str) -> str:
    """How often a second."""
    return _over("sum", by, f"rate({series(name, **labels)}[{RATE}])")


def running(up: str, spent: str, by: str) -> str:
    """2 for what is there, 1 for what is there and used no processor time lately, 0 for what is not there."""
    is_up = lowest(up, by)
    return f"{is_up} * (1 + ({rate(spent, by)} > bool 0)) or 2 * {is_up}"


def per_minute(name: str, by: str = "", **labels: str) -> str:
    """How often a minute."""
    return f"60 * {rate(name, by, **labels)}"


def per_hour(name: str, by: str = "", **labels: str) -> str:
    """How much an hour."""
    return f"3600 * {rate(name, by, **labels)}"


def increase(name: str, by: str = "", window: str = RANGE, **labels: str) -> str:
    """How much was counted within a window; a line that appeared in it counts from its first sample on."""
    return _over("sum", by, f"increase({series(name, **labels)}[{window}])")


def share(part: str, whole: str) -> str:
    """A part of a whole; nothing where there is no whole, rather than a division by zero."""
    return f"{part} / ({whole} > 0)"


def succeeded(by: str, window: str, name: str = "arb_bot_trades_by_outcome_total", **labels: str) -> str:
    """The share of what was tried that succeeded."""
    return share(increase(name, by, window, outcome="success", **labels), increase(name, by, window, **labels))


def by_congestion(by: str, name: str = "arb_bot_trades_by_outcome_total", **labels: str) -> str:
    """The share of the shown time's tries that succeeded, by label `level`: how high the base fee was at the time."""
    each = (
        f'label_replace({_while(limits, by, name, **labels)}, "level", "{level}", "", "")'
        for level, limits in CONGESTION.items()
    )
    return _over("sum", f"{by}, level", " or ".join(each))


def _while(limits: str, by: str, name: str, **labels: str) -> str:
    then = f"({highest('arb_gas_base_fee_trend_ratio')} {limits})"
    tried = _at(then, increase(name, by, RATE, **labels))
    return share(f"({_at(then, increase(name, by, RATE, outcome='success', **labels))} or 0 * {tried})", tried)


def _at(then: str, counted: str) -> str:
    return f"sum_over_time(({counted} and on () {then})[{RANGE}:{RATE}])"


def quantile(q: float, name: str, by: str = "", window: str = RATE, **labels: str) -> str:
    """A quantile of a histogram; nothing where nothing was observed."""
    kept = f"{by}, le" if by else "le"
    inner = f"rate({series(name + '_bucket', **labels)}[{window}])" if window == RATE else ""
    inner = inner or f"increase({series(name + '_bucket', **labels)}[{window}])"
    return f"histogram_quantile({q:g}, {_over('sum', kept, inner)}) >= 0"


def succeeded_ever(name: str, by: str, **labels: str) -> str:
    """The share of all since the first that succeeded, for panels about all time."""
    every = total(name, by, **labels)
    return share(f"({total(name, by, outcome='success', **labels)} or 0 * {every})", every)


def failed_ever(name: str, by: str, **labels: str) -> str:
    """How many of all since the first failed, also if none did."""
    return f"({total(name, by, outcome='failed', **labels)} or 0 * {total(name, by, **labels)})"


def falling(expr: str) -> str:
    """The biggest first; Prometheus itself has no order, so that bars would change places."""
    return f"sort_desc({expr})"


def _over(function: str, by: str, inner: str) -> str:
    return f"{function} by ({by}) ({inner})" if by else f"{function}({inner})"
