"""Queries are made of declared metrics, and one that is not ends the build."""

import pytest

from tools.grafana.queries import (
    Unknown,
    age,
    by_congestion,
    declared,
    down,
    earned,
    failed_ever,
    falling,
    increase,
    per_hour,
    quantile,
    running,
    series,
    share,
    state,
    succeeded,
    succeeded_ever,
    total,
    unless_old,
)

MEMORY = "arb_exporter_resident_memory_bytes"
TRADES = "arb_bot_trades_by_outcome_total"


def test_a_series_keeps_to_what_was_chosen() -> None:
    assert series(MEMORY) == f'{MEMORY}{{job=~"$job",instance=~"$instance"}}'
    assert (
        series(TRADES, outcome="failed")
        == f'{TRADES}{{job=~"$job",instance=~"$instance",bot=~"$bot",outcome="failed"}}'
    )


def test_a_label_takes_a_value_a_pattern_or_an_exception() -> None:
    assert series(TRADES, source="~chain|events").endswith('source=~"chain|events"}')
    assert series(TRADES, source="!recent").endswith('source!="recent"}')


@pytest.mark.parametrize("name", ["arb_bot_trade_total", "up", "arb_exporter_cpu_seconds_total_bucket"])
def test_a_metric_that_nobody_declares_ends_the_build(name: str) -> None:
    with pytest.raises(Unknown, match=name):
        series(name)


def test_a_label_that_the_metric_lacks_ends_the_build() -> None:
    with pytest.raises(Unknown, match="has no label pool"):
        series(TRADES, pool="x")


def test_a_histogram_is_known_by_its_series() -> None:
    assert declared("arb_rpc_request_duration_seconds_bucket") is declared("arb_rpc_request_duration_seconds")


def test_counters_become_rates_before_they_are_added_up() -> None:
    assert per_hour(TRADES, "bot") == f"3600 * sum by (bot) (rate({series(TRADES)}[$__rate_interval]))"
    assert increase(TRADES, window="1h") == f"sum(increase({series(TRADES)}[1h]))"


def test_a_share_of_nothing_is_nothing() -> None:
    assert share("a", "b") == "a / (b > 0)"
    assert succeeded("bot", "1h").endswith("> 0)")
    assert "or 0 * " in succeeded_ever(TRADES, "bot")


def test_who_never_failed_failed_zero_times() -> None:
    every = f"sum by (bot) ({series(TRADES)})"
    failed = f"sum by (bot) ({series(TRADES, outcome='failed')})"
    assert failed_ever(TRADES, "bot") == f"({failed} or 0 * {every})"


def test_the_biggest_comes_first() -> None:
    assert falling("a") == "sort_desc(a)"


def test_what_was_earned_is_exact_where_the_beginning_is_known() -> None:
    now = total("arb_bot_net_profit_ether", "bot")
    found = earned("arb_bot_net_profit_ether", "bot", "24h")
    assert found.startswith(f"({now} - sum by (bot) ({series('arb_bot_net_profit_ether')} offset 24h)) or delta(")


def test_states_are_numbers_that_words_are_given_to() -> None:
    found = state("arb_bot_data_provenance", "provenance", {"1": ("real", "green"), "2": ("simulated", "red")}, "bot")
    assert found.startswith("1 * max by (bot) (")
    assert 'provenance="simulated"' in found.split(" + 2 * ")[1]


def test_who_is_there_without_using_time_stands_still() -> None:
    found = running("arb_bot_process_up", "arb_bot_process_cpu_seconds_total", "bot")
    is_up = f"min by (bot) ({series('arb_bot_process_up')})"
    assert found.startswith(f"{is_up} * (1 + (sum by (bot) (rate(")
    assert found.endswith(f" > bool 0)) or 2 * {is_up}")


def test_an_old_word_is_nobodys_word() -> None:
    assert unless_old("state", "age", 600, 4) == "4 + 0 * (age > 600) or state"


def test_who_is_not_there_is_not_called_down() -> None:
    assert down("arb_rpc_up") == f"sum({series('arb_rpc_up')} == bool 0)"
    assert age("arb_chain_head_timestamp_seconds") == f"time() - max({series('arb_chain_head_timestamp_seconds')})"


def test_a_quantile_of_nothing_is_nothing() -> None:
    assert quantile(0.5, "arb_rpc_request_duration_seconds", "endpoint").endswith(") >= 0")
    assert "sum by (endpoint, le) (rate(" in quantile(0.5, "arb_rpc_request_duration_seconds", "endpoint")
    assert "sum by (le) (increase(" in quantile(0.5, "arb_rpc_request_duration_seconds", window="1h")


def test_success_by_congestion_knows_every_level() -> None:
    found = by_congestion("source", TRADES, source="chain")
    assert found.startswith("sum by (source, level) (label_replace(")
    assert [found.count(f'"level", "{level}"') for level in ("calm", "busy", "congested")] == [1, 1, 1]
