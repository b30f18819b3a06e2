"""What is long past is told while it is read and for a minute after it."""

from exporter.backlog import HELD, Backlog


def test_it_is_told_for_a_minute_after_the_last_source_is_done() -> None:
    now = 1_000.0
    backlog = Backlog(lambda: now)
    backlog.tell("events", False)
    assert not backlog.active
    backlog.tell("events", True)
    backlog.tell("chain", True)
    now += 10 * HELD
    assert backlog.active
    backlog.tell("events", False)
    now += 2 * HELD
    assert backlog.active, "the chain is still behind"
    backlog.tell("chain", False)
    backlog.tell("chain", False)
    now += HELD - 1
    assert backlog.active, "a scrape may come late"
    now += 1
    assert not backlog.active
