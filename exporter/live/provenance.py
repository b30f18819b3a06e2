"""Whether a source's trades were found on the chain, are known to be made up, or neither: as `/metrics` has it."""

from __future__ import annotations

from typing import Final

from exporter.board import Board

METRIC: Final = "arb_bot_data_provenance"


def provenance(board: Board) -> dict[str, str]:
    """The provenance of each source that has been read."""
    found: dict[str, str] = {}
    for family in board.families():
        if family.metric.name == METRIC:
            source, word = (family.metric.labels.index(label) for label in ("source", "provenance"))
            found |= {labels[source]: labels[word] for _, labels, value in family.samples if value == 1}
    return found
