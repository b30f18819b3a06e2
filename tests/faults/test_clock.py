"""The wall clock jumps below a whole exporter: 30 days on, an hour back, and to the truth; all goes on and counts."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults.disturbed import DAY, HOUR, Host
from tests.faults.stage import Stage, playing, strictly
from tests.running import Samples, until
from tests.tiers import FULL

JUMPS = (30 * DAY, -HOUR, 0) * (4 if FULL else 1)
SECONDS = 6.0 if FULL else 2.0
"""How long it goes on after a jump, at least, and is scraped all the while."""
SLOWEST = 30.0
"""Seconds between two reads of any collector, at most; that is less than every `max_age` of what it shows."""


class Watched:
    """Scrapes that are compared with those before."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.scrapes = stage, 0
        self.rising: Samples = {}
        self.rest: Samples = {}

    def scrape(self) -> None:
        """One, in which nothing that may only rise has fallen or is missing."""
        rising, self.rest = strictly(self.stage.exporter)
        fell = [key for key, value in self.rising.items() if rising.get(key, -1) < value]
        assert not fell, fell
        self.rising, self.scrapes = rising, self.scrapes + 1

    def failing(self) -> list[str]:
        """Collectors whose last read was none."""
        return [dict(labels)["collector"] for (name, labels), value in self.rest.items()
                if name == "arb_scrape_collector_success" and value != 1]  # fmt: skip

    def last_reads(self) -> dict[str, float]:
        """When each collector last read, as it says (epoch seconds)."""
        return {dict(labels)["collector"]: value for (name, labels), value in self.rest.items()
                if name == "arb_scrape_collector_last_success_timestamp_seconds"}  # fmt: skip

    def fresh(self) -> bool:
        """Whether every collector has read since the clock went to what it is, and the price is that of now."""
        self.scrape()
        now, reads = time.time() + self.stage.clock, self.last_reads()
        recent = all(abs(read - now) < SLOWEST for read in reads.values())
        return recent and not self.failing() and self.stage.shows_price()

    def all_counted(self) -> bool:
        """Whether all that was done has been counted, and nothing more."""
        self.scrape()
        counted = self.stage.counted()
        assert max(counted.values()) <= self.stage.acts, counted
        return set(counted.values()) == {self.stage.acts}


def test_a_clock_that_jumps_costs_no_count_and_nothing_for_long(tmp_path: Path) -> None:
    host = Host(tmp_path)
    with playing(tmp_path, **host.environment) as stage:
        watched = Watched(stage)
        stage.act()
        until(watched.all_counted, 60, stage.exporter)
        until(watched.fresh, 60, stage.exporter)
        shown = {name for name, _ in watched.rest}
        for jump in JUMPS:
            host.shift(jump)
            stage.clock = jump
            began = time.monotonic()
            while time.monotonic() < began + SECONDS:
                stage.act()
                watched.scrape()
            until(watched.all_counted, 60, stage.exporter)
            counted = time.monotonic() - began
            until(watched.fresh, 60, stage.exporter)
            print(f"{jump:+} s: all counted after {counted:.1f} s, all fresh after {time.monotonic() - began:.1f} s")
        assert shown <= {name for name, _ in watched.rest}, "something has gone that does not come back"
        assert stage.exporter.stop() == 0
        said = stage.exporter.stderr.read_text()
        assert "Traceback" not in said
        print(f"{watched.scrapes} scrapes, {stage.acts} of each counted")
