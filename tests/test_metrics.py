"""Declarations, and the gate that every number and label passes."""

import math

import pytest

from exporter import metrics
from exporter.metrics import Distribution, Family, Metric, Undeclared, closed, counter, gate, gauge, histogram, label

PLAIN = gauge("arb_x_ratio", "Some ratio.")
BY_NAME = gauge("arb_x_bytes", "Some sizes.", "name")
COUNTED = counter("arb_x_things_total", "Some things.", "name")
TIMES = histogram("arb_x_seconds", "Some times.", "name", buckets=(0.1, 1.0))
ALL = (PLAIN, BY_NAME, COUNTED, TIMES)


def values(family: Family) -> dict[tuple[str, ...], float]:
    return {labels: value for _, labels, value in family.samples}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_held_back_and_counted(bad: float) -> None:
    gated = gate([BY_NAME.each([(("a",), bad), (("b",), 2)]), COUNTED.each([(("a",), bad)])], ALL)
    assert [values(family) for family in gated.families] == [{("b",): 2.0}]
    assert gated.dropped == 2


def test_a_negative_counter_is_held_back_and_a_negative_gauge_is_not() -> None:
    gated = gate([PLAIN(-1), COUNTED.each([(("a",), -1), (("b",), 0)])], ALL)
    assert [values(family) for family in gated.families] == [{(): -1.0}, {("b",): 0.0}]
    assert gated.dropped == 1
    assert gated.series == 2


@pytest.mark.parametrize(
    "bad",
    [
        "\ud800",
        "a\udcff",
        "x" * 65,
        "x" * (1 << 20),
        "a\nb",
        "a\x00",
        "\x7f",
        "\x85",
        "\u2028",
        "\ufeff",
        7,
        None,
        b"a",
    ],
    ids=lambda bad: repr(bad)[:12],
)
def test_a_label_that_cannot_be_shown_is_other_and_counted(bad: object) -> None:
    assert label(bad) == "other"
    gated = gate([BY_NAME.each([((bad,), 1.0)])], ALL)  # type: ignore[list-item]
    assert values(gated.families[0]) == {("other",): 1.0}
    assert gated.dropped == 1


@pytest.mark.parametrize("good", ["", "a", "WETH/USDC", 'q"uote\\', "é", "日本", "x" * 64, "😀"])
def test_a_label_that_can_be_shown_stays(good: str) -> None:
    assert label(good) == good


def test_of_gauges_with_equal_labels_the_first_stays_and_the_rest_is_counted() -> None:
    gated = gate([BY_NAME.each([(("a",), 1), (("a",), 2)])], ALL)
    assert values(gated.families[0]) == {("a",): 1.0}
    assert gated.dropped == 1


def test_counters_whose_labels_become_equal_are_added_up() -> None:
    gated = gate([COUNTED.each([(("a\n",), 1), (("other",), 2), (("\ud800",), 4)])], ALL)
    assert values(gated.families[0]) == {("other",): 7.0}
    assert gated.dropped == 2


def test_a_sum_that_is_not_finite_any_more_does_not_leave() -> None:
    gated = gate([COUNTED.each([(("a",), 1e308), (("a",), 1e308)])], ALL)
    assert values(gated.families[0]) == {("a",): 1e308}
    assert gated.dropped == 1


def test_a_family_of_which_nothing_is_left_vanishes() -> None:
    assert gate([PLAIN(math.nan), PLAIN.maybe(None)][:1], ALL).families == ()
    assert gate([PLAIN.maybe(None)], ALL).families == ()


@pytest.mark.parametrize(
    "families",
    [
        [gauge("arb_other_ratio", "Not declared.")(1)],
        [PLAIN(1), PLAIN(2)],
        [Family(PLAIN, [("", ("too many",), 1.0)])],
        [BY_NAME(1)],
    ],
    ids=["undeclared", "twice", "too many labels", "too few labels"],
)
def test_a_mistake_of_a_collector_is_an_error(families: list[Family]) -> None:
    with pytest.raises(Undeclared):
        gate(families, ALL)


def observed(*seconds: float) -> Distribution:
    made = Distribution(TIMES.buckets)
    for one in seconds:
        made.observe(one)
    return made


def test_a_distribution_is_cumulative_buckets_count_and_sum() -> None:
    family = TIMES.distributions([(("a",), observed(0.05, 0.1, 0.5, 3))])
    assert family.samples == [
        ("_bucket", ("a", "0.1"), 2.0),
        ("_bucket", ("a", "1.0"), 3.0),
        ("_bucket", ("a", "+Inf"), 4.0),
        ("_count", ("a",), 4.0),
        ("_sum", ("a",), 3.65),
    ]


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, -1.0])
def test_one_odd_observation_does_not_poison_a_distribution(odd: float) -> None:
    assert observed(0.5, odd) == observed(0.5)


def test_a_copy_of_a_distribution_stands_still() -> None:
    first = observed(0.5)
    twin = first.copy()
    assert twin == first
    first.observe(0.5)
    assert twin == observed(0.5)


def test_a_distribution_leaves_whole_or_not_at_all() -> None:
    broken = observed(0.5)
    broken.total = math.nan
    gated = gate([TIMES.distributions([(("a",), broken), (("b",), observed(0.5))])], ALL)
    assert {labels[0] for _, labels, _ in gated.families[0].samples} == {"b"}
    assert gated.dropped == 5


def test_distributions_whose_labels_become_equal_are_added_up() -> None:
    gated = gate([TIMES.distributions([(("\n",), observed(0.05)), (("\x00",), observed(0.5))])], ALL)
    assert gated.families[0].samples == TIMES.distributions([(("other",), observed(0.05, 0.5))]).samples


def test_what_lasts_is_known_by_kind_and_name() -> None:
    lasting = {
        counter("arb_a_total", "."): True,
        histogram("arb_a_seconds", ".", buckets=(1.0,)): True,
        gauge("arb_a_up", "."): True,
        gauge("arb_a_timestamp_seconds", "."): True,
        gauge("arb_a_ether", "."): False,
        gauge("arb_b_ether", ".", lasting=True): True,
    }
    assert {metric: metric.lasting for metric in lasting} == lasting


def test_a_counter_without_total_and_odd_buckets_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="_total"):
        counter("arb_a", ".")
    for buckets in [(2.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (0.0,), (math.inf,), tuple(map(float, range(1, 13)))]:
        with pytest.raises(ValueError, match="11 ascending"):
            histogram("arb_a", ".", buckets=buckets)


def test_a_word_is_one_of_the_known_or_the_rest() -> None:
    known = frozenset({"a"})
    assert [closed(v, known) for v in ("a", "b", 1, None)] == ["a", "other", "other", "other"]
    assert closed("b", known, metrics.UNKNOWN) == "unknown"


def test_buckets_carry_their_bound_last() -> None:
    metric = Metric("m", "histogram", ".", ("z",))
    assert metric.label_names("_bucket") == ("z", "le")
    assert metric.label_names("_sum") == ("z",)
