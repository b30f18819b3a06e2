"""Whatever a whole exporter is fed, and however much is configured: 2,000 series, 1 MiB, and all of it counted."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests import bank
from tests.bot_events import hostile_documents
from tests.faults.stage import OPENMETRICS
from tests.model import deeds, story
from tests.model.orders import ETHER
from tests.model.server import Endpoint, serving
from tests.model.story import POOLS, Story
from tests.model.world import World
from tests.running import Running, running, until
from tests.tiers import FULL

FILES = 10_000 if FULL else 1_500
EVENTS = 20_000 if FULL else 2_000
CLASSES = 20_000 if FULL else 2_000
ROWS = 1_000
WIDEST = "🦄"
ODD = 'aé☃"\\' + WIDEST
MOST_SERIES, MOST_BYTES = 2_000, 1 << 20
LONG = "x" * 59
"""With a number before it, a name as long as names may be."""


def word(rng: random.Random, number: int, letters: str) -> str:
    """A name of a venue that nobody else has, as long and as wide as may be; of some letters also just beyond."""
    longest = 64 - len(f"{number:06d}")
    length = longest if letters == WIDEST else rng.choice([1, 10, 25, longest - 1, longest, longest + 1, 400])
    return f"{number:06d}" + rng.choice(letters) * length


def hostile_bank(folder: Path, rng: random.Random, letters: str) -> None:
    """Every trade of its own pair and venues, in files and in the list, and documents full of names."""
    made = bank.Bank(folder / "bank")

    def where(number: int) -> dict[str, str]:
        venues = {f"dex_{i}": word(rng, number, letters) for i in (1, 2)}
        return venues | {"token_pair": f"T{number}-{'₮' * 24}"}

    for number in range(FILES):
        trade = bank.trade(rng)
        made.put(bank.FIRST_EPOCH + number, trade | {"opportunity": trade["opportunity"] | where(number)})
    made.put_recent([bank.row(rng, **where(number)) for number in range(ROWS)], "plain")
    parts = {word(rng, n, letters): {"status": "up", "total_trades": n, "success_rate": 0.5} for n in range(ROWS)}
    for name, document in {"state/system_state": {"components": parts}, "metrics/dex_performance": parts}.items():
        (made.path / name).parent.mkdir()
        (made.path / f"{name}.json").write_text(json.dumps(document))


def hostile_log(file: Path) -> None:
    """Loggers, levels and classes of exceptions without end."""
    with file.open("w") as opened:
        for number in range(CLASSES):
            level = ("ERROR", "INFO", f"L{number}")[number % 3]
            opened.write(f"2026-01-01 00:00:00,000 - logger{number} - {level} - {number}\n")
            opened.write(f'Traceback (most recent call last):\n  File "x", line 1\nown.Class{number}Error: {number}\n')


def tell(exporter: Running, events: list[dict[str, Any]]) -> None:
    """Report events as a bot does."""
    body = "".join(json.dumps(event) + "\n" for event in events).encode()
    request = urllib.request.Request(  # noqa: S310
        exporter.url + "/api/v1/events", body, {"Content-Type": "application/x-ndjson"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        assert answer.status == 202


def pages(exporter: Running) -> tuple[int, int, int]:
    """How many series it shows, and the bytes of both formats, which strict readers take."""
    text, openmetrics = exporter.get("/metrics"), exporter.get("/metrics", Accept=OPENMETRICS)
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    series = sum(len(family.samples) for family in text_string_to_metric_families(openmetrics.decode()))
    assert text.decode().count("\n") > series
    return series, len(text), len(openmetrics)


def settled(exporter: Running) -> None:
    """Wait until all that was there at first has been read and every collector works."""

    def done() -> bool:
        try:
            ready = b'"ready": true' in exporter.get("/readyz")
        except OSError:
            return False
        success = [v for (name, _), v in exporter.samples().items() if name == "arb_scrape_collector_success"]
        return ready and len(success) > 5 and set(success) == {1.0}

    until(done, 60, exporter)


def bounded(exporter: Running, what: str, most_series: int = MOST_SERIES, most_bytes: int = MOST_BYTES) -> int:
    """How many series it shows, all within the bounds; every collector works."""
    series, *sizes = pages(exporter)
    dropped = sum(v for (name, _), v in exporter.samples().items() if name == "arb_exporter_dropped_samples_total")
    print(
        f"{what}: {series} series, {sizes[0]} bytes of text, {sizes[1]} of OpenMetrics, {dropped:.0f} samples held back"
    )
    assert series <= most_series
    assert max(sizes) <= most_bytes
    assert 0 not in [v for (name, _), v in exporter.samples().items() if name == "arb_scrape_collector_success"]
    return series


def summed(exporter: Running, name: str, **labels: str) -> float:
    """The samples of that name with these labels, added up."""
    found = exporter.samples().items()
    return sum(value for (own, rest), value in found if own == name and set(labels.items()) <= rest)


@pytest.mark.parametrize("letters", [ODD, WIDEST], ids=["odd", "widest"])
def test_hostile_inputs_stay_in_bounds_and_all_of_them_count(letters: str, tmp_path: Path) -> None:
    rng = random.Random(8)
    hostile_bank(tmp_path, rng, letters)
    hostile_log(tmp_path / "bot.log")
    settings = {
        "bot": {
            "name": "b" + LONG, "memory_bank": str(tmp_path / "bank"),
            "logs": [{"name": "bot", "path": str(tmp_path / "bot.log")}],
        },
        "state": str(tmp_path / "state"),
    }  # fmt: skip
    with running(settings, tmp_path) as exporter:
        settled(exporter)
        events = list(hostile_documents(EVENTS, rng))
        for start in range(0, EVENTS, 1_000):
            tell(exporter, events[start : start + 1_000])
        until(lambda: summed(exporter, "arb_events_total") == EVENTS, 60, exporter)
        trades = {"memory_bank": FILES, "recent": ROWS, "events": sum(one["type"] == "trade" for one in events)}
        for source, count in trades.items():
            until(lambda: summed(exporter, "arb_bot_trades_by_outcome_total", source=source) == count, 60, exporter)  # noqa: B023
            assert summed(exporter, "arb_bot_trades_total", source=source) == count
            assert summed(exporter, "arb_bot_trades_total", source=source, dex_buy="other", pair="other") > 0
        assert summed(exporter, "arb_bot_log_exceptions_total") == CLASSES
        assert summed(exporter, "arb_bot_log_messages_total") == CLASSES
        bounded(exporter, f"hostile inputs, {letters}")
        assert exporter.stop() == 0


# --- as much as can be configured ----------------------------------------------------------------------------------

TOKENS = {f"0x{number:02x}{'7e' * 19}": (f"T{number:02}" + "₮" * 21, 18) for number in range(20)}
OURS = [f"0x{number:02x}{'a1' * 19}" for number in range(40)]


def long(number: int) -> str:
    """A name as long as names in the settings may be."""
    return f"{number:02}" + "x" * 61


@contextmanager
def busy_chain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """A node whose chain has a hundred pools of twenty tokens, of all of which every wallet has some."""
    for address, token in TOKENS.items():
        monkeypatch.setitem(deeds.TOKENS, address, token)
    near = [(one, other) for one, other in itertools.combinations(TOKENS, 2)][:50]
    pools = [deeds.Pool(f"0x{n:02x}{'bb' * 19}", "x", *near[n // 2]) for n in range(100)]
    world = World((*OURS, story.ME), (*POOLS, *pools), depth=5, interval=0.2)
    cells: dict[tuple[str, ...], int] = {("ether", who): ETHER for who in (*OURS, story.ME)}
    cells |= {("token", token, who): ETHER for token in TOKENS for who in OURS}
    cells |= {
        ("reserve", p.address, token): ETHER * (9 + n % 2)
        for n, p in enumerate(pools)
        for token in (p.token0, p.token1)
    }
    world.fund(cells)
    with serving(world) as endpoint:
        Story(random.Random(41), world).mine(20)
        yield endpoint


def everything(folder: Path, endpoint: Endpoint, **limits: int) -> dict[str, Any]:
    """Settings in which every list is as long as may be, and so is every name."""
    world = endpoint.world
    for number in range(20):
        (folder / f"store-{number}").mkdir()
    named = [{"name": long(number), "address": address} for number, address in enumerate(OURS)]
    urls = {"http": endpoint.http, "ws": endpoint.ws}
    return {
        "bot": {
            "name": long(0), "memory_bank": str(folder / "bank"), "events": str(folder / "events.ndjson"),
            "logs": [{"name": long(n), "path": str(folder / "bot.log")} for n in range(10)],
            "process": {"pidfile": str(folder / "pid")},
            "api": {"url": f"http://127.0.0.1:{endpoint.door.port}/"},
        },
        "storage": [{"name": long(n), "path": str(folder / f"store-{n}"), "backup": True} for n in range(20)],
        "chain": {
            "chain_id": world.chain_id, "wallets": named[:20], "contracts": named[20:], "tokens": [*TOKENS],
            "endpoints": [{"name": long(n), **urls} for n in range(10)], "backfill_from": 1,
            "pools": [{"dex": long(n), "kind": "uniswap_v2", "address": p.address, "name": long(n)}
                      for n, p in enumerate(world.pools[len(POOLS):])],
        },
        "state": str(folder / "state"), "limits": limits,
    }  # fmt: skip


@contextmanager
def playing(folder: Path, settings: dict[str, Any]) -> Iterator[Running]:
    """An exporter of these settings with a bot that is there."""
    (folder / "pid").write_text(str(os.getpid()))
    hostile_bank(folder, random.Random(8), WIDEST)
    hostile_log(folder / "bot.log")
    with running(settings, folder) as exporter:
        settled(exporter)
        yield exporter


def refusal(settings: dict[str, Any], folder: Path) -> str:
    """What the exporter says when it does not start."""
    exporter = Running(settings, folder)
    try:
        assert exporter.process.wait(60) == 2
    finally:
        exporter.process.kill()
        exporter.process.wait()
    return exporter.stderr.read_text()


def test_the_most_that_can_be_configured_is_refused_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy_chain(monkeypatch) as endpoint:
        settings = everything(tmp_path, endpoint)
        said = refusal(settings, tmp_path)
        found = re.fullmatch(r"limits\.series: .+: ([0-9]+) at least, ([0-9]+) to be sure\n", said)
        assert found is not None, said
        least, most = map(int, found.groups())
        with playing(tmp_path, settings | {"limits": {"series": most}}) as exporter:
            until(lambda: exporter.get("/metrics").count(b"} ") > least, 60, exporter)
            bounded(exporter, f"everything ({least} to {most})", most, MOST_BYTES * most // MOST_SERIES)
            assert summed(exporter, "arb_bot_trades_total", source="memory_bank") == FILES
            assert exporter.stop() == 0


def test_the_most_that_fits_is_within_the_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with busy_chain(monkeypatch) as endpoint:
        settings = everything(tmp_path, endpoint)
        chain = settings["chain"]
        for part, count in {"pools": 20, "wallets": 4, "contracts": 4, "tokens": 10, "endpoints": 3}.items():
            chain[part] = chain[part][:count]
        settings["bot"]["logs"] = settings["bot"]["logs"][:4]
        settings["storage"] = settings["storage"][:10]
        with playing(tmp_path, settings) as exporter:
            bounded(exporter, "what fits")
            assert exporter.stop() == 0
