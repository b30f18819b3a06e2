"""What the demo reads from those who watch the world, against a small real server."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from demo import observers
from demo.observers import Counts, NotReady
from demo.world import World

METRICS = """\
# TYPE arb_bot_trades_by_outcome_total counter
arb_bot_trades_by_outcome_total{bot="demo",source="memory_bank",outcome="success"} 7
arb_bot_trades_by_outcome_total{bot="demo",source="memory_bank",outcome="failed"} 2
arb_bot_trades_by_outcome_total{bot="demo",source="chain",outcome="success"} 99
"""


class Idle(World):
    """A world that is not started; nothing of it can have ended."""

    def check(self) -> None:
        pass


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=METRICS)

    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503, text="reading the memory bank")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/readyz", busy)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_the_counts_are_those_of_the_memory_bank(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        assert await observers.exported_counts(session, url) == Counts(success=7, failed=2)


async def test_who_does_not_get_ready_is_shown_with_the_reason(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observers, "READY_SECONDS", 0.3)
    async with aiohttp.ClientSession() as session:
        await observers.wait_until_ready(Idle(tmp_path), session, f"{url}/metrics")
        with pytest.raises(NotReady, match="503 reading the memory bank"):
            await observers.wait_until_ready(Idle(tmp_path), session, f"{url}/readyz")


def test_the_written_trades_are_counted(tmp_path: Path) -> None:
    (tmp_path / "trades").mkdir()
    for second, success in enumerate(("true", "true", "false")):
        (tmp_path / "trades" / f"trade_{second}.json").write_text(f'{{"success": {success}}}')
    assert observers.written_counts(tmp_path) == Counts(success=2, failed=1)


def test_prometheus_scrapes_the_exporter_every_five_seconds() -> None:
    settings = yaml.safe_load(observers.prometheus_settings(10453))
    assert settings["global"]["scrape_interval"] == "5s"
    assert settings["scrape_configs"][0]["static_configs"] == [{"targets": ["127.0.0.1:10453"]}]
