"""Two ways in, one door: what comes whole is let in at once, and whatever is unusual is the HTTP server's."""

import asyncio

import pytest

from exporter.config import Live
from exporter.web import knock
from exporter.web.access import Access
from exporter.web.limits import GUESSES, Limits
from tests.running import eventually
from tests.web.test_access import HASH, basic
from tests.web.test_ws import ME, UPGRADE, Feed, feed, serving, users

__all__ = ["feed"]

HEAD = "\r\n".join(["GET /ws HTTP/1.1", "Host: localhost:1", *UPGRADE, "", ""])


def test_a_plain_handshake_is_read() -> None:
    found = knock.read(HEAD.replace("Host: ", "hOST:\t ").encode(), "192.0.2.1")
    assert found is not None
    assert (found.host, found.scheme, found.remote, found.query) == ("localhost:1", "http", "192.0.2.1", {})
    assert found.headers.getall("connection") == ["Upgrade"]


UNUSUAL = {
    "another path": HEAD.replace("/ws", "/wss"),
    "a ticket": HEAD.replace("/ws", "/ws?ticket=x"),
    "another method": HEAD.replace("GET", "POST"),
    "another version": HEAD.replace("1.1", "1.0"),
    "not whole": HEAD[:-1],
    "nothing": "",
    "more behind it": HEAD + "x",
    "two of them": HEAD + HEAD,
    "no host": HEAD.replace("Host", "Hast"),
    "two hosts": HEAD.replace("Host: localhost:1", "Host: localhost\r\nHost: evil.example"),
    "two origins": HEAD.replace("Upgrade: w", "Origin: http://a\r\nOrigin: http://b\r\nUpgrade: w"),
    "a folded line": HEAD.replace("Upgrade: websocket", "Upgrade:\r\n websocket"),
    "a bare line feed": HEAD.replace("\r\nUpgrade", "\nUpgrade"),
    "a bare carriage return": HEAD.replace("websocket\r\n", "websocket\r"),
    "a space before the colon": HEAD.replace("Host:", "Host :"),
    "an empty value": HEAD.replace("websocket", ""),
    "a zero": HEAD.replace("websocket", "web\0socket"),
    "not ASCII": HEAD.replace("websocket", "wébsocket"),
    "a body": HEAD.replace("Upgrade: w", "Content-Length: 1\r\nUpgrade: w"),
    "chunks": HEAD.replace("Upgrade: w", "Transfer-Encoding: chunked\r\nUpgrade: w"),
    "an expectation": HEAD.replace("Upgrade: w", "Expect: 100-continue\r\nUpgrade: w"),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_whatever_is_unusual_is_left_to_the_http_server(name: str) -> None:
    assert knock.read(UNUSUAL[name].encode(), "127.0.0.1") is None


async def test_a_listener_that_comes_whole_needs_nothing_of_the_http_server(feed: Feed) -> None:
    raw = await feed.raw(*UPGRADE)
    assert (await raw.head())[0] == 101
    assert (await raw.message())["type"] == "hello"
    assert len(feed.site.crowd) == 0
    assert sum(feed.site.doors._inside.values()) == 1
    raw.say(op="ping")
    assert (await raw.message())["type"] == "pong"
    raw.reset()
    await eventually(lambda: not feed.site.doors._inside and not feed.hub.sessions)


async def test_a_head_in_pieces_is_as_good(feed: Feed) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", feed.port)
    for part in (HEAD[:20], HEAD[20:60], HEAD[60:]):
        writer.write(part.encode())
        await writer.drain()
        await asyncio.sleep(0.01)
    assert b"101" in await asyncio.wait_for(reader.readline(), 20)
    writer.transport.abort()


async def test_the_silent_are_sent_away_and_closed_with_the_gate(feed: Feed) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", feed.port)
    await eventually(lambda: len(feed.site.crowd) == 1)
    assert feed.site.crowd.make_room()
    assert await asyncio.wait_for(reader.read(), 20) == b""
    assert len(feed.site.crowd) == 0
    writer.close()


ME_TOO = f"Authorization: {ME}"
ASKED: dict[str, tuple[str, ...]] = {
    "nobody": (),
    "me": (ME_TOO,),
    "me with a wrong password": (f"Authorization: {basic('me', 'wrong')}",),
    "somebody without the role": (f"Authorization: {basic('other', 'right')}",),
    "nonsense": ("Authorization: Basic !",),
    "me on a page of ours": (ME_TOO, "Origin: http://localhost"),
    "me on a page of theirs": (ME_TOO, "Origin: http://evil.example"),
    "me on a page that may": (ME_TOO, "Origin: https://grafana.example"),
    "me without a key": (ME_TOO, "Sec-WebSocket-Key: AAAA"),
}


@pytest.mark.parametrize("name", ASKED)
async def test_both_ways_in_say_the_same(name: str) -> None:
    access = Access({"me": HASH, "other": HASH}, {"other": ("read",)})
    async with serving(access, Live(allowed_origins=("https://grafana.example",))) as feed:
        given = {line.partition(":")[0]: line for line in (*UPGRADE, "Host: localhost", *ASKED[name])}
        answers = []
        for path in ("/ws?", "/ws", "/ws"):  # the first is never looked at as it comes; by the last all is known
            raw = await feed.raw(*given.values(), path=path)
            answers.append(await raw.head())
        codes = {code for code, _ in answers}
        assert len(codes) == 1
        names = [sorted(headers) for _, headers in answers]
        assert names[0] == names[1] == names[2]


async def test_limits_are_the_same_for_both_ways() -> None:
    async with serving(users(), Live(max_clients=2)) as feed:
        paths = ("/ws?", "/ws", "/ws", "/ws?")
        codes = [(await (await feed.raw(*UPGRADE, ME_TOO, path=path)).head())[0] for path in paths]
        assert codes == [101, 101, 503, 503]
        assert feed.hub.snapshot().refused["full"] == 2


async def test_thousands_from_one_address_may_come_back_at_once(feed: Feed) -> None:
    """The rate of requests is not theirs; theirs is that of handshakes."""
    feed.site.limits.change(1)
    feed.site.doors.limits = Live(max_clients=1_000)
    raws = [await feed.raw(*UPGRADE) for _ in range(60)]
    assert [(await raw.head())[0] for raw in raws] == [101] * 60


REFUSED: dict[str, tuple[str, str, int]] = {
    "another origin": ("", "Origin: http://evil.example", 403),
    "another origin with a query": ("?", "Origin: http://evil.example", 403),
    "no credentials": ("", "X-Nothing: 1", 401),
    "wrong credentials": ("", f"Authorization: {basic('me', 'wrong')}", 401),
    "wrong credentials with a query": ("?", f"Authorization: {basic('me', 'wrong')}", 401),
    "nonsense": ("", "Authorization: Basic !", 401),
    "without the role": ("", f"Authorization: {basic('other', 'right')}", 403),
    "a wrong ticket": ("?ticket=zzz", "X-Nothing: 1", 401),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_who_is_refused_again_and_again_hears_when_to_come_and_who_may_come_in_does(case: str) -> None:
    query, header, code = REFUSED[case]
    async with serving(Access({"me": HASH, "other": HASH}, {"other": ("read",)})) as feed:
        feed.site.limits = Limits(1, clock=lambda: 0.0)
        heads = [await (await feed.raw(*UPGRADE, header, path=f"/ws{query}")).head() for _ in range(13)]
        assert [status for status, _ in heads] == [code] * 10 + [429] * 3
        assert [headers.get("retry-after") for _, headers in heads] == [None] * 10 + ["1"] * 3
        assert sum(feed.hub.snapshot().refused.values()) == 13
        for path in ("/ws", "/ws?"):
            raws = [await feed.raw(*UPGRADE, ME_TOO, path=path) for _ in range(15)]
            assert [(await raw.head())[0] for raw in raws] == [101] * 15


async def test_only_handshakes_have_a_rate_of_their_own(feed: Feed) -> None:
    feed.site.limits = Limits(1, clock=lambda: 0.0)
    raws = [await feed.raw(method=method) for method in ("POST", "HEAD", "OPTIONS") for _ in range(4)]
    assert [(await raw.head())[0] for raw in raws] == [405] * 10 + [429] * 2
    assert (await (await feed.raw(*UPGRADE)).head())[0] == 101


async def test_the_origin_is_looked_at_before_anything_is_counted() -> None:
    async with serving(users()) as feed:
        feed.site.limits = Limits(100, clock=lambda: 0.0)
        for number in range(GUESSES):
            raw = await feed.raw(*UPGRADE, f"Authorization: {basic('me', str(number))}")
            assert (await raw.head())[0] == 401
        for origin, code in (("http://evil.example", 403), (f"http://localhost:{feed.port}", 429)):
            raw = await feed.raw(*UPGRADE, f"Origin: {origin}", f"Authorization: {basic('me', 'another')}")
            status, headers = await raw.head()
            assert status == code
        assert int(headers["retry-after"]) >= 1
