"""The read API without a socket: the same answers, for those paths only, whoever is configured as a user."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.board import Board
from exporter.config import Bot, Settings
from exporter.ledger import Ledger
from exporter.web import inside
from exporter.web.access import Access
from exporter.web.inside import Inside
from exporter.web.remote import parsed
from exporter.web.site import Site
from tests.web.test_access import HASH


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Ledger(tmp_path / "state") as ledger:
        made = Site(Board(), Access({"me": HASH}, {}), True, settings=Settings(state=tmp_path, bot=Bot(name="b")))
        made.keep(ledger)
        yield made


async def test_answers_are_those_of_the_api(site: Site) -> None:
    served = Inside(site)
    status = parsed(await served.answer(b"/api/v1/status"))
    assert (status.status, json.loads(status.body)["bot"]) == (200, "b")
    assert status.headers["Etag"]
    trades = parsed(await served.answer(b"/api/v1/trades?limit=5"))
    assert json.loads(trades.body) == {"trades": [], "next": None}
    assert parsed(await served.answer(b"/api/v1/trades?limit=nonsense")).status == 400
    assert json.loads(parsed(await served.answer(b"/api/v1/alerts")).body)["alerts"] == []
    await served.close()


async def test_a_reload_is_seen(site: Site) -> None:
    served = Inside(site)
    await served.answer(b"/api/v1/status")
    site.settings = Settings(state=site.settings.state, bot=Bot(name="c"))
    assert json.loads(parsed(await served.answer(b"/api/v1/status")).body)["bot"] == "c"
    await served.close()


@pytest.mark.parametrize(
    "target",
    [b"", b"/metrics", b"/", b"/api/v1/events", b"/api/v1/status HTTP/1.1\r\nX: y", b"/api/v1/trades?format=csv",
     b"/api/v1/../metrics", b"POST /api/v1/alerts", b"\xff", b"/api/v1/status?" + b"x" * 3000],
)  # fmt: skip
async def test_nothing_else_is_answered(site: Site, target: bytes) -> None:
    served = Inside(site)
    assert parsed(await served.answer(target)).status == 404
    await served.close()


async def test_what_is_too_large_or_takes_too_long_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Inside(site)
    await served.answer(b"/api/v1/status")
    monkeypatch.setattr(inside, "LARGEST", 100)
    answer = parsed(await served.answer(b"/api/v1/status"))
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (503, "too_large")
    monkeypatch.setattr(inside, "PATIENCE", 0.05)
    assert site.ledger is not None
    async with site.ledger._turn:  # the ledger does not answer
        answer = parsed(await served.answer(b"/api/v1/trades"))
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (503, "unavailable")
    await asyncio.sleep(0)
    await served.close()


async def test_what_was_never_asked_is_closed_as_well(site: Site) -> None:
    await Inside(site).close()
