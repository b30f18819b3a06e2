"""The bot's parts by its last word: components, pools of connections and tasks, caches, allocation, prices it saw."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from exporter import event_totals
from exporter.collector import Collector, Poll, Sources, when_moved
from exporter.event_totals import Totals, Word
from exporter.metrics import Family, counter, gauge
from exporter.sources.event_records import STATUSES
from exporter.sources.records import WEI

STATUS = gauge("arb_bot_component_status", "How a part of the bot fares; gone an hour after its last word.",
               "bot", "component", "status")  # fmt: skip
REPORTED = gauge("arb_bot_component_last_report_timestamp_seconds", "When a part of the bot was last spoken of.",
                 "bot", "component")  # fmt: skip
IN_USE = gauge("arb_bot_pool_in_use", "Connections or tasks in use.", "bot", "pool")
SIZE = gauge("arb_bot_pool_size", "Connections or tasks there may be.", "bot", "pool")
HITS = counter("arb_bot_cache_hits_total", "Hits of a cache, over all runs of the bot.", "bot", "cache")
MISSES = counter("arb_bot_cache_misses_total", "Misses of a cache, over all runs of the bot.", "bot", "cache")
ENTRIES = gauge("arb_bot_cache_entries", "Entries of a cache.", "bot", "cache")
BYTES = gauge("arb_bot_cache_bytes", "Bytes of a cache.", "bot", "cache")
DEX_SHARE = gauge("arb_bot_dex_allocation_ratio", "A venue's share of the bot's capital.", "bot", "dex")
DEX_AMOUNT = gauge("arb_bot_dex_allocation_ether", "A venue's part of the bot's capital.", "bot", "dex")
PAIR_SHARE = gauge("arb_bot_pair_allocation_ratio", "A pair's share of the bot's capital.", "bot", "pair")
PAIR_AMOUNT = gauge("arb_bot_pair_allocation_ether", "A pair's part of the bot's capital.", "bot", "pair")
PRICE = gauge("arb_bot_reported_price_quote_per_base", "The price the bot last saw, quote per base.",
              "bot", "pair", "dex")  # fmt: skip

MAX_AGE: Final[Mapping[str, float]] = {
    "component": 3_600.0,
    "pool": 3_600.0,
    "cache": 3_600.0,
    "dex": 86_400.0,
    "pair": 86_400.0,
    "price": 600.0,
}
"""Seconds for which the bot's last word on something is shown; what is older may be true no more."""
TOTALS: Final = ("cache_hits", "cache_misses")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every last word there is, and the time (epoch seconds) by which their age is told."""

    bot: str
    words: tuple[Word, ...]
    totals: Totals
    now: float

    def young(self, what: str) -> Iterator[Word]:
        """The last words on this that are not too old to be shown."""
        oldest = self.now - MAX_AGE[what]
        return (word for word in self.words if word.what == what and word.time >= oldest)


async def read(sources: Sources) -> Snapshot:
    """What the ledger holds, and the clock."""
    bot = sources.settings.bot.name
    found = await sources.ledger.read(lambda db: (event_totals.words(db, bot), event_totals.totals(db, bot, TOTALS)))
    return Snapshot(bot, *found, now=time.time())


def render(snapshot: Snapshot) -> Iterator[Family]:
    """Last words as long as they are young; times and running totals for good."""
    bot, totals = snapshot.bot, snapshot.totals
    yield STATUS.each(
        ((bot, word.name, status), word.values[0] == status)
        for word in snapshot.young("component")
        for status in STATUSES
    )
    yield REPORTED.each(((bot, word.name), word.time) for word in snapshot.words if word.what == "component")
    for what, gauges in GAUGES.items():
        for place, (metric, unit) in gauges.items():
            yield metric.each(
                ((bot, word.name, *word.more), float(word.values[place]) / unit) for word in snapshot.young(what)
            )
    yield HITS.each(((bot, cache), hits) for (cache, _), hits in totals.get("cache_hits", {}).items())
    yield MISSES.each(((bot, cache), misses) for (cache, _), misses in totals.get("cache_misses", {}).items())


GAUGES: Final = {
    "pool": {0: (IN_USE, 1), 1: (SIZE, 1)},
    "cache": {2: (ENTRIES, 1), 3: (BYTES, 1)},
    "dex": {0: (DEX_SHARE, 1), 1: (DEX_AMOUNT, WEI)},
    "pair": {0: (PAIR_SHARE, 1), 1: (PAIR_AMOUNT, WEI)},
    "price": {0: (PRICE, 1)},
}
"""By subject: which of a word's values makes which gauge, and what one of its units is."""


def _open(sources: Sources) -> Poll:
    return when_moved(sources, read, at_least=30.0)


COLLECTOR = Collector(
    name="components",
    metrics=(STATUS, REPORTED, IN_USE, SIZE, HITS, MISSES, ENTRIES, BYTES, DEX_SHARE, DEX_AMOUNT, PAIR_SHARE,
             PAIR_AMOUNT, PRICE),
    open=_open,
    render=render,
    timeout=10.0,
    max_age=60.0,
)  # fmt: skip
