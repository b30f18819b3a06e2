"""The bot's API as samples."""

import time
from contextlib import aclosing
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter import log
from exporter.collector import Follow
from exporter.collectors.bot_api import COLLECTOR, Snapshot
from exporter.config import Bot, BotApi, read
from exporter.settings import Secret
from exporter.web.redacted import redacted
from tests.sources_for_tests import settings, shown, sources

KEY = "api-Canary-51c7"


def test_up_and_down() -> None:
    assert shown(COLLECTOR, Snapshot("b", 0.5, 7.5)) == {
        'arb_bot_api_up{bot="b"}': 1,
        'arb_bot_api_request_duration_seconds{bot="b"}': 0.5,
        'arb_bot_api_last_success_timestamp_seconds{bot="b"}': 7.5,
    }
    assert shown(COLLECTOR, Snapshot("b", None, 7.5)) == {
        'arb_bot_api_up{bot="b"}': 0,
        'arb_bot_api_last_success_timestamp_seconds{bot="b"}': 7.5,
    }
    assert shown(COLLECTOR, Snapshot("b", None, None)) == {'arb_bot_api_up{bot="b"}': 0}


async def test_an_api_that_comes_and_goes(tmp_path: Path) -> None:
    status = 503

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/health", answer)
    async with TestServer(app, host="127.0.0.1", shutdown_timeout=0.1) as server:
        api = BotApi(url=Secret(f"http://u:{KEY}@127.0.0.1:{server.port}/health?key={KEY}"), every=1)
        async with sources(settings(tmp_path, bot=Bot(name="b", api=api))) as s:
            follow = COLLECTOR.open(s)
            assert isinstance(follow, Follow)
            async with aclosing(follow.stream()) as snapshots:
                assert await anext(snapshots) == Snapshot("b", None, None)
                status, before = 200, time.time()
                up = await anext(snapshots)
                assert up.duration_seconds is not None
                assert before <= up.last_success <= time.time()
                status = 500
                assert await anext(snapshots) == Snapshot("b", None, up.last_success)


async def test_nothing_is_opened_unasked(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        assert COLLECTOR.open(s) is None


def test_the_url_is_secret_wherever_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"https://bot.example/{KEY}\n")
    for text in (f"bot: {{api: {{url: 'https://bot.example/{KEY}'}}}}", "bot: {api: {url_file: url, every: 30}}"):
        found = read(text, tmp_path, {}).settings
        assert found is not None
        assert found.bot.api is not None
        assert (found.bot.api.address, found.bot.api.secure) == (f"https://bot.example/{KEY}", True)
        assert KEY not in f"{found!r} {redacted(found)} {log.scrub(found.bot.api.address)}"


def test_what_is_no_api(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("bot.example")
    for inner in ("{}", "{url: 'http://a', url_file: url}", "{url_file: url}"):
        (problem,) = read(f"bot: {{api: {inner}}}", tmp_path, {}).problems
        assert problem.path == "bot.api", inner
    for inner, key in (("{url: 'ftp://a'}", "url"), ("{url: 'http://a', every: 0}", "every")):
        (problem,) = read(f"bot: {{api: {inner}}}", tmp_path, {}).problems
        assert problem.path == f"bot.api.{key}"
