"""Pages: lines fill the width, rows follow each other, and what is folded takes one line."""

import pytest

from tools.grafana.page import Page, Row, choice, row
from tools.grafana.panels import Panel, lines, stat
from tools.grafana.queries import Query

UP = "arb_rpc_up"


def figure(title: str, width: int | None = None) -> Panel:
    return stat(title, "About it.", "none", UP, width=width)


def graph(title: str, width: int | None = None) -> Panel:
    return lines(title, "About it.", "none", Query(UP), width=width)


def places(*rows: Row) -> dict[str, tuple[int, int, int, int]]:
    found = Page("a-page", "a page", "What?", rows).json()["panels"]
    return {p["title"]: tuple(p["gridPos"][key] for key in "xywh") for p in found}


def test_panels_share_what_is_left_of_a_line() -> None:
    found = places(row("A?", [graph("one", width=10), graph("two"), graph("three")]))
    assert found == {"A?": (0, 0, 24, 1), "one": (0, 1, 10, 8), "two": (10, 1, 7, 8), "three": (17, 1, 7, 8)}


def test_no_more_than_four_figures_stand_side_by_side() -> None:
    found = places(row("A?", [figure(str(number)) for number in range(6)]))
    assert [found[str(number)] for number in range(6)] == [(x, y, 8, 3) for y in (1, 4) for x in (0, 8, 16)]


def test_rows_follow_each_other_and_a_folded_one_takes_one_line() -> None:
    page = Page(
        "p", "p", "?", (row("A?", [graph("one")]), row("B", [graph("two")], folded=True), row("C", [graph("x")]))
    )
    found = {panel["title"]: panel for panel in page.json()["panels"]}
    assert [found[title]["gridPos"]["y"] for title in ("A?", "one", "B", "C", "x")] == [0, 1, 9, 10, 11]
    assert [panel["title"] for panel in found["B"]["panels"]] == ["two"]
    assert "two" not in found


@pytest.mark.parametrize("widths", [(10, 10), (23, None)])
def test_a_line_that_cannot_be_filled_ends_the_build(widths: tuple[int | None, ...]) -> None:
    with pytest.raises(ValueError, match="do not fill a line"):
        places(row("A?", [graph(str(place), width) for place, width in enumerate(widths)]))


def test_a_choice_of_one_starts_with_the_first() -> None:
    assert choice("source", UP, several=False)["current"] == {"text": "", "value": ""}
    assert choice("bot", UP)["current"] == {"text": ["All"], "value": ["$__all"]}
    assert "allValue" not in choice("source", UP, several=False)
