"""The word for each source is the one that /metrics shows."""

from dataclasses import replace

import pytest

from exporter.board import Board
from exporter.live.provenance import METRIC, provenance
from exporter.metrics import gauge
from tests.test_board import collector

SHOWN = gauge(METRIC, "As in the trades.", "bot", "source", "provenance")


def board(*rows: tuple[str, str]) -> Board:
    made = Board()
    words = ("real", "simulated", "unverified")
    each = [(("b", source, other), float(other == word)) for source, word in rows for other in words]
    one = replace(collector(), metrics=(SHOWN,), render=lambda _: iter([SHOWN.each(each)]))
    made.declare(one.name, one.max_age)
    made.publish(one, object(), 0.0)
    return made


@pytest.mark.parametrize("word", ["real", "simulated", "unverified"])
def test_each_source_has_its_own(word: str) -> None:
    assert provenance(board(("recent", word), ("chain", "real"))) == {"recent": word, "chain": "real"}


def test_of_what_was_never_read_nothing_is_said() -> None:
    assert provenance(Board()) == {}
    assert provenance(board()) == {}
