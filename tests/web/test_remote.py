"""A gateway's read API: one question for all who ask the same, answers as the exporter gave them, refusals as ours."""

import asyncio
from typing import Any

import aiohttp
import pytest

from exporter.board import Board
from exporter.bus.link import Broken
from exporter.web import remote
from exporter.web.access import Access
from exporter.web.remote import Answer, Malformed, Remote, parsed
from exporter.web.server import Runner, application, open_door
from exporter.web.site import Site
from tests.running import free_port
from tests.web.test_access import HASH, basic

HEAD = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: "t"\r\nServer: x\r\nContent-Length: 2\r\n\r\n'


class Exporter:
    """Answers, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.fails = False

    async def ask(self, target: bytes) -> bytes:
        self.asked.append(target)
        await asyncio.sleep(0.02)
        if self.fails:
            raise Broken("there is no connection to the bus")
        return HEAD + b"{}"


async def test_who_asks_the_same_at_the_same_time_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = Exporter()
    answers = Remote(exporter.ask)
    found = await asyncio.gather(*(answers.get(b"/api/v1/gas") for _ in range(50)))
    assert set(map(str, found)) == {str(parsed(HEAD + b"{}"))}
    assert len(exporter.asked) == 1
    monkeypatch.setattr(remote, "LIFE", 0.0)
    await answers.get(b"/api/v1/pools")
    await answers.get(b"/api/v1/pools")
    assert len(exporter.asked) == 3


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = Exporter()
    answers = Remote(exporter.ask)
    for number in range(remote.MOST + 10):
        answers._known[b"%d" % number] = 0.0, asyncio.create_task(answers._fetch(b""))
    await asyncio.gather(*(task for _, task in answers._known.values()))
    await answers.get(b"/x")
    assert len(answers._known) == remote.MOST
    monkeypatch.setattr(remote, "HEAVIEST", 20)
    await answers.get(b"/y")
    assert len(answers._known) <= 11


async def test_one_who_goes_away_takes_nothing_from_the_others() -> None:
    exporter = Exporter()
    answers = Remote(exporter.ask)
    gone, stays = (asyncio.create_task(answers.get(b"/api/v1/gas")) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).status == 200


@pytest.mark.parametrize(
    "text",
    [b"", b"HTTP/1.1 200 OK", b"nonsense\r\n\r\n", b"HTTP/1.1 99 X\r\n\r\n", b"H " + b"2" * 5_000 + b"\r\n\r\n"],
)
def test_what_is_no_answer_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        parsed(text)


def test_only_the_headers_that_matter_pass() -> None:
    assert parsed(HEAD + b"{}") == Answer(200, {"Content-Type": "application/json", "Etag": '"t"'}, b"{}")


@pytest.fixture
async def served() -> Any:
    site, exporter, port = Site(Board(), Access({}, {}), True), Exporter(), free_port()
    app = application(site, (remote,))
    app[remote.REMOTE] = Remote(exporter.ask)
    runner = Runner(app, access_log=None)
    await runner.setup()
    await open_door(runner, "127.0.0.1", port)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        yield client, exporter, site
    await runner.cleanup()


async def test_over_http(served: Any) -> None:
    client, exporter, _ = served
    async with client.get("/api/v1/trades?limit=5&pair=WETH%2FUSDC") as found:
        assert (found.status, await found.read(), found.headers["ETag"]) == (200, b"{}", '"t"')
    assert exporter.asked == [b"/api/v1/trades?limit=5&pair=WETH/USDC"]
    async with client.get("/api/v1/gas", headers={"If-None-Match": '"t"'}) as found:
        assert found.status == 304
    async with client.get("/api/v1/trades?format=csv") as found:
        assert found.status == 400
    async with client.get("/api/v1/nothing") as found:
        assert found.status == 404
    async with client.post("/api/v1/alerts") as found:
        assert found.status == 405
    exporter.fails = True
    async with client.get("/api/v1/prices") as found:
        assert (found.status, found.headers["Retry-After"]) == (503, "1")


async def test_who_may_not_read_is_refused(served: Any) -> None:
    client, exporter, site = served
    site.access.users, site.access.roles = {"me": HASH, "bot": HASH}, {"bot": ("write",)}
    for headers, status in (({}, 401), ({"Authorization": basic("bot", "right")}, 403),
                            ({"Authorization": basic("me", "right")}, 200)):  # fmt: skip
        async with client.get("/api/v1/alerts", headers=headers) as found:
            assert found.status == status
    assert len(exporter.asked) == 1
