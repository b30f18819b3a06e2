"""Nonces and transactions: a gap is seen if and only if there is one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import nonces


@given(st.lists(st.integers(0, 9), max_size=6), st.none() | st.integers(0, 9), st.none() | st.integers(0, 9))
def test_a_gap_is_seen_if_and_only_if_nonces_do_not_add_up(
    sent: list[int], before: int | None, after: int | None
) -> None:
    sent = sorted(sent)
    ways = [first for first in range(11) if before in (None, first)]
    fits = any(sent == list(range(first, first + len(sent))) and after in (None, first + len(sent)) for first in ways)
    assert nonces.gap(before, sent, after) is not fits


def test_any_wallet_counts_and_what_is_not_known_does_not() -> None:
    assert nonces.missed({"a": 3, "b": 0}, {"a": [3]}, {"a": 4, "b": 1})
    assert not nonces.missed({"a": 3, "b": None}, {"a": [3]}, {"a": 4, "b": 1})
    assert not nonces.missed({"a": 3}, {"a": [3, 4]}, {"a": None})


def test_the_next_nonces_are_the_nodes_word_else_what_was_seen() -> None:
    before: dict[str, int | None] = {"a": 3, "b": 5, "c": None}
    assert nonces.following(before, {"a": [3, 4]}, {"a": 5, "b": None, "c": None}) == {"a": 5, "b": 5, "c": None}
    assert nonces.following(before, {"a": [3, 4]}, {"a": None}) == {"a": 5}
