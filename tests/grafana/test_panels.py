"""Panels as Grafana gets them: the unknown is neither good nor bad, lists keep their order, tables their names."""

from tools.grafana.looks import GREEN, NONE_IS_FINE, RED, UP
from tools.grafana.panels import POINTS, bars, lines, stack, stat, timeline
from tools.grafana.queries import Query
from tools.grafana.tables import Column, table

ONE = Query("a", "{{bot}}")


def test_a_figure_is_asked_for_now_and_a_line_over_time() -> None:
    (now,) = stat("T", "A.", "none", "a").json()["targets"]
    (over_time,) = lines("T", "A.", "none", ONE).json()["targets"]
    assert (now["instant"], now["range"]) == (True, False)
    assert (over_time["instant"], over_time["range"]) == (False, True)


def test_what_is_not_known_is_neither_green_nor_red() -> None:
    defaults = stat("T", "A.", "none", "a", steps=NONE_IS_FINE, no_value="not said").json()["fieldConfig"]["defaults"]
    assert defaults["mappings"][-1]["options"] == {
        "match": "null", "result": {"text": "not said", "color": "text", "index": 9},
    }  # fmt: skip


def test_a_list_is_sorted_by_what_names_it() -> None:
    found = stat("T", "A.", "none", ONE, listed=True).json()
    assert found["transformations"][0]["options"]["sort"] == [{"field": "bot", "desc": False}]
    assert found["options"]["reduceOptions"]["values"] is True
    assert found["targets"][0]["format"] == "table"


def test_upright_bars_keep_the_order_of_their_label() -> None:
    found = bars("T", "A.", "none", Query("a", "{{hour}}"), upright=True).json()
    assert found["options"]["orientation"] == "vertical"
    assert found["transformations"][0]["options"]["sort"][0]["field"] == "hour"


def test_bars_that_lie_are_sorted_by_their_length() -> None:
    (target,) = bars("T", "A.", "none", ONE).json()["targets"]
    assert target["expr"] == "sort_desc(a)"
    (target,) = bars("T", "A.", "none", Query("a", "{{hour}}"), upright=True).json()["targets"]
    assert target["expr"] == "a"


def test_what_is_bad_is_never_green() -> None:
    color = lines("T", "A.", "none", ONE, shade=RED).json()["fieldConfig"]["defaults"]["color"]
    assert color == {"mode": "shades", "fixedColor": RED}


def test_what_looks_back_an_hour_is_asked_for_less_often() -> None:
    assert lines("T", "A.", "none", Query("a[1h]")).json()["maxDataPoints"] < POINTS
    assert lines("T", "A.", "none", ONE).json()["maxDataPoints"] == POINTS


def test_colours_and_dashes_go_by_words_of_the_name() -> None:
    found = lines("T", "A.", "none", ONE, colors={"gain": GREEN}, dashed="recent").json()["fieldConfig"]["overrides"]
    assert [override["matcher"]["options"] for override in found] == ["/\\bgain\\b/", "/\\brecent\\b/"]


def test_counts_are_stacked_from_zero() -> None:
    found = stack("T", "A.", "none", ONE).json()["fieldConfig"]["defaults"]
    assert (found["custom"]["stacking"]["mode"], found["min"]) == ("normal", 0)


def test_what_is_next_to_nothing_does_not_fill_the_axis() -> None:
    found = lines("T", "A.", "suffix: ETH", ONE).json()["fieldConfig"]["defaults"]
    assert found["custom"]["axisSoftMax"] == 0.001
    assert "max" not in found
    assert lines("T", "A.", "none", ONE).json()["fieldConfig"]["defaults"]["custom"]["axisSoftMax"] == 1


def test_a_table_says_what_is_missing_and_marks_gaps() -> None:
    found = table("T", "A.", "bot", Column("Up", "a"), no_value="no bot").json()
    assert found["fieldConfig"]["defaults"]["noValue"] == "no bot"
    assert found["fieldConfig"]["defaults"]["mappings"][-1]["options"]["result"]["text"] == "–"
    assert found["transformations"][-1]["options"]["sort"] == [{"field": "Up", "desc": True}]


def test_names_in_a_table_have_the_room_that_they_need() -> None:
    small = table("T", "A.", "strategy, hour", Column("Up", "a"), width=12).json()["fieldConfig"]["overrides"]
    large = table("T", "A.", "strategy, hour", Column("Up", "a"), width=24).json()["fieldConfig"]["overrides"]
    assert [override["matcher"]["options"] for override in small] == ["Up", "Strategy"]
    assert small[-1]["properties"] == [{"id": "custom.width", "value": 145}]
    assert [override["matcher"]["options"] for override in large] == ["Up"]


def test_a_strip_of_states_has_words() -> None:
    found = timeline("T", "A.", UP, ONE).json()["fieldConfig"]["defaults"]
    assert found["mappings"][0]["options"]["1"]["text"] == "up"


def test_a_table_names_its_columns_whether_one_or_many() -> None:
    one = table("T", "A.", "bot", Column("Up", "a")).json()
    two = table("T", "A.", "bot", Column("Up", "a"), Column("Age", "b"), names={"bot": "Who"}, links="trading").json()
    assert one["transformations"][1]["options"]["renameByName"] == {"bot": "Bot", "Value": "Up"}
    named = {"bot": "Who", "Value #A": "Up", "Value #B": "Age"}
    assert two["transformations"][1]["options"]["renameByName"] == named
    link = two["fieldConfig"]["overrides"][-1]["properties"][0]["value"][0]
    assert link["url"].startswith("/d/trading?${__url_time_range}&${job:queryparam}")
    assert link["url"].endswith("&var-bot=${__data.fields.bot}")
