"""What the ledger holds of the bot's events: totals by their labels, distributions, and last words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.ledger import fetch
from exporter.metrics import UNKNOWN, Distribution

EVENTS: Final = "events"
SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
SLIPPAGES: Final = (0.0001, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
MICROSECONDS: Final = 10**6
PATHS: Final = ("2", "3", "4", "5", "6+", UNKNOWN)
PHASES: Final = ("discovery_to_submission", "submission_to_inclusion", "discovery_to_inclusion")
HOURS: Final = tuple(f"{hour:02d}" for hour in range(24))

type Key = tuple[str, str]
"""Two labels of a total; the second may be empty."""
type Totals = Mapping[str, Mapping[Key, int]]
"""By what was counted or summed up: by labels."""


@dataclass(frozen=True, slots=True)
class Word:
    """The bot's last word on a subject: `what` it is, its name or names, its values as text, when (epoch seconds)."""

    what: str
    name: str
    more: tuple[str, ...]
    time: float
    values: tuple[str, ...]


_WORDS: Final = "SELECT what, name, time, said FROM word WHERE bot=?"


def totals(db: sqlite3.Connection, bot: str, wanted: Sequence[str]) -> dict[str, dict[Key, int]]:
    """These totals, as far as there are any; none before the first read is complete."""
    if not fetch(db, "SELECT 1 FROM source WHERE bot=? AND source='events' AND first_read", bot):
        return {}
    query = f"SELECT what, one, two, amount FROM event_total WHERE bot=? AND what IN ({','.join('?' * len(wanted))})"  # noqa: S608
    found: dict[str, dict[Key, int]] = {}
    for what, one, two, amount in fetch(db, query, bot, *wanted):
        found.setdefault(what, {})[one, two] = int(amount)
    return found


def words(db: sqlite3.Connection, bot: str) -> tuple[Word, ...]:
    """All last words of the bot."""
    return tuple(_word(*row) for row in fetch(db, f"{_WORDS} ORDER BY what, name", bot))


def simulated(db: sqlite3.Connection, bot: str) -> tuple[str, ...]:
    """Sources that say themselves that all of their trades were simulated; such trades are in no sum."""
    query = "SELECT fact, count FROM event_count WHERE bot=? AND name='trade' AND fact IN ('accepted', 'simulated')"
    counts = dict(fetch(db, query, bot))
    return (EVENTS,) if 0 < counts.get("simulated", 0) == counts["accepted"] else ()


def distributions(
    found: Totals, counts: str, sums: str, bounds: tuple[float, ...], unit: int, always: Iterable[str] = ()
) -> Iterator[tuple[str, Distribution]]:
    """Histograms by their first label, and empty ones of those that are `always` there."""
    made = {name: Distribution(bounds) for name in always}
    for (name, place), seen in found.get(counts, {}).items():
        made.setdefault(name, Distribution(bounds)).counts[int(place)] = seen
    for (name, _), amount in found.get(sums, {}).items():
        made[name].total = amount / unit
    yield from made.items()


def last_word(db: sqlite3.Connection, bot: str, what: str, name: str) -> Word | None:
    """The bot's last word on one subject, if there was any; `name` is both names if there are two."""
    found = fetch(db, f"{_WORDS} AND what=? AND name=?", bot, what, name)
    return _word(*found[0]) if found else None


def _word(what: str, name: str, time: float, values: str) -> Word:
    name, *more = name.split(" ", 1) if what == "price" else [name]  # a pair has no space, a venue may
    return Word(what, name, tuple(more), time, tuple(values.split(" ")))
