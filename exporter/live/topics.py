"""The topics of the live feed: which there are, what their keys are called, and which can be filtered by pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    State topics keep the newest value per key, whose parts are called `key`; event topics (`events`) count everything.
    Of a `paired` topic a client may want only the items of some pairs.
    """

    name: str
    key: tuple[str, ...] = ()
    events: bool = False
    paired: bool = False


ALL: Final = (
    Topic("prices", key=("pair", "dex", "pool"), paired=True),
    Topic("portfolio", key=("wallet", "token")),
    Topic("gas"),
    Topic("system"),
    Topic("storage", key=("store",)),
    Topic("memory_bank", key=("directory",)),
    Topic("opportunities", events=True, paired=True),
    Topic("trades", events=True, paired=True),
    Topic("errors", events=True),
    Topic("alerts", events=True),
)
NAMES: Final = tuple(topic.name for topic in ALL)
