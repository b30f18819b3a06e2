"""Every route over a real socket: right and wrong requests, encodings, hosts, users, TLS, and what is no HTTP."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.board import Board, Page
from exporter.web import server
from exporter.web.access import Access, Tls
from exporter.web.crowd import Crowd
from exporter.web.knock import Knock
from exporter.web.server import ROUTES, SECURITY, Runner, Site, application
from exporter.web.site import host
from tests.running import eventually
from tests.web.test_access import HASH, basic, pem

__all__ = ["pem"]


CLOSE = b"Host: localhost\r\nConnection: close\r\n"
WHOLE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


def board() -> Board:
    made = Board()
    made.declare("good", 10.0)
    made.states["good"].success = True
    return made


@dataclass
class Server:
    """A served site and a client of it."""

    site: Site
    port: int
    client: aiohttp.ClientSession

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.request(method, f"http://127.0.0.1:{self.port}{path}", headers=named) as response:
            return response.status, response.headers, await response.read()

    async def raw(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            await writer.drain()
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def serving(site: Site, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    runner = Runner(application(site), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await server.open_door(runner, "127.0.0.1", 0, context)
        async with aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as client:
            yield Server(site, runner.addresses[0][1], client)
    finally:
        await runner.cleanup()


@pytest.fixture
async def served() -> AsyncIterator[Server]:
    async with serving(Site(board(), Access({}, {}), loopback_only=True)) as made:
        yield made


def problem(body: bytes) -> tuple[str, str]:
    parsed = json.loads(body)
    assert set(parsed) == {"error"}
    assert set(parsed["error"]) == {"code", "message"}
    return parsed["error"]["code"], parsed["error"]["message"]


# --- the routes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ROUTES)
async def test_every_route_answers_get_and_head_with_the_same_headers(served: Server, path: str) -> None:
    status, headers, body = await served.get(path)
    assert status == 200
    assert body
    head_status, head_headers, head_body = await served.get(path, "HEAD")
    assert (head_status, head_body) == (200, b"")
    for name in ("Content-Type", "Content-Length"):
        assert headers[name] == head_headers[name]
    for name, value in SECURITY.items():
        assert headers.getall(name) == [value]
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_other_methods_are_405(served: Server, path: str, method: str) -> None:
    status, headers, body = await served.get(path, method)
    assert (status, problem(body)) == (405, ("method_not_allowed", "this method is not allowed here"))
    assert headers["Allow"] == "GET,HEAD"
    assert headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path", ["/absent", "/metrics/", "/../etc/passwd", "/%2e%2e/x", "/metrics%00", "/<script>", "/" + "a" * 4_000]
)
async def test_other_paths_are_404_and_not_repeated(served: Server, path: str) -> None:
    status, _, body = await served.get(path)
    assert (status, problem(body)) == (404, ("not_found", "there is no such page"))


async def test_metrics_come_in_the_format_and_encoding_asked_for(served: Server) -> None:
    status, headers, text = await served.get("/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "Content-Encoding" not in headers
    assert headers["Vary"] == "Accept, Accept-Encoding"
    _, headers, openmetrics = await served.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert list(text_string_to_metric_families(openmetrics.decode()))
    _, headers, packed = await served.get("/metrics", Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == text


ENCODINGS = {
    "": False,
    "gzip": True,
    "deflate, GZIP;q=0.5": True,
    "gzip; q=0.001": True,
    "gzip;q=0": False,
    "gzip;q=0.000": False,
    "identity": False,
    "br, zstd": False,
    "xgzip": False,
    "*": False,
}


@pytest.mark.parametrize("accepted", ENCODINGS)
async def test_gzip_is_for_those_who_take_it(served: Server, accepted: str) -> None:
    _, headers, _ = await served.get("/metrics", Accept_Encoding=accepted)
    assert (headers.get("Content-Encoding") == "gzip") is ENCODINGS[accepted]


async def test_a_header_in_several_lines_counts_whole(served: Server) -> None:
    lines = "Accept: text/html\r\nAccept: application/openmetrics-text\r\nAccept-Encoding: br\r\nAccept-Encoding: gzip"
    reply = await served.raw(
        f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n\r\n".encode()
    )
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"application/openmetrics-text" in head
    assert gzip.decompress(body).endswith(b"# EOF\n")


async def test_names_filter_the_metrics(served: Server) -> None:
    _, _, body = await served.get("/metrics?name[]=arb_scrape_collector_success&name[]=arb_absent")
    samples = [line for line in body.decode().splitlines() if not line.startswith("#")]
    assert samples == ['arb_scrape_collector_success{collector="good"} 1.0']
    _, _, body = await served.get("/metrics?name%5B%5D=%ff%00", Accept="application/openmetrics-text")
    assert body == b"# EOF\n"
    status, _, body = await served.get("/metrics?" + "&".join(["name[]=a"] * 201))
    assert (status, problem(body)) == (400, ("bad_request", "at most 200 name[] parameters"))


async def test_ready_says_who_is_waited_for_and_who_fails(served: Server) -> None:
    assert (await served.get("/readyz"))[0] == 200
    made = served.site.board
    made.declare("slow", 10.0)
    made.declare("bad", 10.0)
    made.fail("bad", OSError(13, "x"), 0.1)
    made.progress["good"] = 3, 10
    status, headers, body = await served.get("/readyz")
    assert (status, headers["Content-Type"]) == (503, "application/json; charset=utf-8")
    assert json.loads(body) == {
        "ready": False,
        "reasons": ["slow: not read yet", "good: first read, 3 of 10"],
        "first_reads": {"good": {"done": 3, "total": 10}},
        "failing": {"bad": "PermissionError: Permission denied"},
    }


async def test_healthz_is_plain(served: Server) -> None:
    assert (await served.get("/healthz"))[2] == b"ok\n"


async def test_the_landing_page_says_what_is_not_configured(served: Server) -> None:
    served.site.unset["trades"] = "bot.memory_bank: <the bank>"
    _, headers, body = await served.get("/")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"bot.memory_bank: &lt;the bank&gt;" in body


async def test_a_handlers_fault_is_500_without_its_words(
    served: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def page(*_: object) -> None:
        raise RuntimeError("a secret text")

    monkeypatch.setattr(Board, "page", page)
    status, _, body = await served.get("/metrics")
    assert (status, problem(body)[0]) == (500, "internal")
    assert b"secret" not in body
    assert [r.fields["route"] for r in caplog.records] == ["/metrics"]  # type: ignore[attr-defined]


async def test_headers_of_the_web_configuration_are_added() -> None:
    site = Site(
        board(), Access({}, {}), True, headers={"Strict-Transport-Security": "max-age=9", "X-Frame-Options": "X"}
    )
    async with serving(site) as served:
        _, headers, _ = await served.get("/healthz")
    assert headers["Strict-Transport-Security"] == "max-age=9"
    assert headers.getall("X-Frame-Options") == ["X"]


def ahead(crowd: Crowd) -> int:
    """Requests that have been read and not been answered."""
    return sum(len(guest._messages) for guest in (*crowd._resting, *crowd._working))  # type: ignore[attr-defined]


async def test_of_many_requests_at_once_few_are_read_ahead_and_all_are_answered(
    served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, page, crowd = [], Board.page, served.site.crowd
    monkeypatch.setattr(Board, "page", lambda *of: read.append(ahead(crowd)) or page(*of))  # type: ignore[func-returns-value]
    answers = await served.raw(WHOLE * 49 + WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answers.count(b"200 OK") == 50 <= len(read)
    assert max(read) == server.AHEAD


async def test_a_page_that_many_wait_for_is_kept_once(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its head nor anything else is joined to it: what waits for a client are the board's own bytes."""
    page = Page(bytes(24 << 20), b"")
    monkeypatch.setattr(Board, "page", lambda *_: page)
    _, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1)
    writer.write(WHOLE)
    crowd = served.site.crowd
    await eventually(lambda: any(guest.unsent() for guest in [*crowd._resting, *crowd._working]))
    (guest,) = (*crowd._resting, *crowd._working)
    kept = [view.obj for view in guest.transport._buffer]  # type: ignore[attr-defined]
    assert len(kept) == 1
    assert kept[0] is page.body
    writer.transport.abort()


# --- who may ask ---------------------------------------------------------------------------------------------------

HOSTS = {
    "localhost": 200,
    "localhost:10453": 200,
    "127.0.0.1": 200,
    "127.0.0.1:1": 200,
    "[::1]": 200,
    "[::1]:80": 200,
    "LOCALHOST": 200,
    "evil.example": 403,
    "evil.example:10453": 403,
    "127.0.0.1.evil.example": 403,
    "localhost.evil.example:80": 403,
    "192.168.0.7": 403,
    "[::2]": 403,
    "::1": 403,
    "": 403,
    "<script>": 403,
}


@pytest.mark.parametrize("name", HOSTS)
async def test_on_loopback_the_host_must_be_this_machine(served: Server, name: str) -> None:
    for path in ROUTES:
        reply = await served.raw(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = reply.partition(b"\r\n\r\n")
        if HOSTS[name] == 200:
            assert head.startswith(b"HTTP/1.1 200 ")
        else:
            assert head[9:12] in (b"403", b"400")
            assert b"<" not in body
            assert problem(body)[0] in ("forbidden", "bad_request")


LOCAL, EVIL_HOST = b"Host: localhost\r\n", b"Host: evil.example\r\n"
HOST_LINES = {
    "none": b"",
    "ours and another": LOCAL + EVIL_HOST,
    "another and ours": EVIL_HOST + LOCAL,
    "ours twice": LOCAL * 2,
    "two in one": b"Host: localhost, evil.example\r\n",
    "nothing in it": b"Host:\r\n",
}


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("case", HOST_LINES)
async def test_on_loopback_there_is_exactly_one_host(served: Server, case: str, version: bytes) -> None:
    for path in (b"/metrics", b"/api/v1/config", b"/healthz", b"/absent"):
        request = b"GET %b HTTP/%b\r\n%bConnection: close\r\n\r\n" % (path, version, HOST_LINES[case])
        head, _, body = (await served.raw(request)).partition(b"\r\n\r\n")
        assert head[9:12] in (b"403", b"400"), head
        assert problem(body)[0] in ("forbidden", "bad_request")


@pytest.mark.parametrize("hosts", [(), ("localhost", "evil"), ("evil", "localhost"), ("localhost",) * 2])
def test_several_hosts_are_none(hosts: tuple[str, ...]) -> None:
    """Even if the parser before us should let them pass."""
    assert host(Knock(CIMultiDict([("Host", name) for name in hosts]), "127.0.0.1")) == ""
    assert host(Knock(CIMultiDict(Host="localhost:1"), "127.0.0.1")) == "localhost"


async def test_beyond_loopback_any_host_will_do() -> None:
    async with serving(Site(board(), Access({}, {}), loopback_only=False)) as served:
        assert (await served.get("/metrics", Host="prometheus.example"))[0] == 200


CREDENTIALS: dict[str, tuple[dict[str, str], int]] = {
    "none": ({}, 401),
    "wrong": ({"Authorization": basic("ops", "wrong")}, 401),
    "malformed": ({"Authorization": "Basic %%%"}, 401),
    "huge": ({"Authorization": "Basic " + "A" * 7_000}, 401),
    "another role": ({"Authorization": basic("bot1", "right")}, 403),
    "right": ({"Authorization": basic("ops", "right")}, 200),
}


@pytest.mark.parametrize("case", CREDENTIALS)
async def test_with_users_every_route_but_healthz_needs_credentials_and_the_role(case: str) -> None:
    headers, expected = CREDENTIALS[case]
    who = Access({"ops": HASH, "bot1": HASH}, {"bot1": ("write",)})
    async with serving(Site(board(), who, loopback_only=False)) as served:
        for path in [*ROUTES, "/absent"]:
            status, reply, body = await served.get(path, **headers)
            wanted = {"/healthz": 200, "/absent": 404 if expected == 200 else expected}.get(path, expected)
            assert status == wanted, path
            if status == 401:
                assert problem(body)[0] == "unauthorized"
                assert reply["WWW-Authenticate"].startswith('Basic realm="arb-exporter')
            if status == 403:
                assert problem(body)[0] == "forbidden"


async def test_tls_with_a_certificate_of_ones_own(pem: Path) -> None:
    context = Tls(cert_file=pem / "cert.pem", key_file=pem / "key.pem").context()
    async with serving(Site(board(), Access({}, {}), True), context) as served:
        trust = ssl.create_default_context(cafile=pem / "cert.pem")
        url = f"https://127.0.0.1:{served.port}/healthz"
        async with served.client.get(url, ssl=trust) as response:
            assert (response.status, await response.text()) == (200, "ok\n")
        trust.maximum_version = ssl.TLSVersion.TLSv1_2
        async with served.client.get(url, ssl=trust) as response:
            assert response.status == 200
        assert await served.raw(b"GET / HTTP/1.1\r\n\r\n") == b""


# --- what is no HTTP -----------------------------------------------------------------------------------------------

EVIL = "<script>EVIL</script>"
LENGTH, CHUNKS = b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n"
FRAMES: dict[str, bytes] = {
    "length and chunks": LENGTH + CHUNKS,
    "chunks and length": CHUNKS + LENGTH,
    "identity and chunks": LENGTH + b"Transfer-Encoding: identity, chunked\r\n",
    "chunks and identity": LENGTH + b"Transfer-Encoding: chunked, identity\r\n",
    "chunks twice": CHUNKS * 2 + LENGTH,
    "odd chunks": LENGTH + b"Transfer-Encoding: xchunked\r\n",
    "chunks and a space": LENGTH + b"Transfer-Encoding : chunked\r\n",
    "two lengths": LENGTH + b"Content-Length: 0\r\n",
    "a length with a sign": b"Content-Length: +4\r\n",
    "a length of tabs": b"Content-Length: 4\t4\r\n",
    "chunks, folded": LENGTH + b"Transfer-Encoding:\r\n chunked\r\n",
}
"""Heads whose body ends where one reader sees it, or elsewhere for another."""
SECOND = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: SECOND\r\n\r\n"
SMUGGLED = {
    case: b"POST /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    + lines + b"\r\n0\r\n\r\n" + SECOND
    for case, lines in FRAMES.items()
}  # fmt: skip
MALFORMED: dict[str, bytes] = {
    "garbage": f"{EVIL}\r\n\r\n".encode(),
    "no version": f"GET /{EVIL}\r\n\r\n".encode(),
    "odd version": f"GET /EVIL HTTP/9.x{EVIL}\r\n\r\n".encode(),
    "unknown method": b"BREW /EVIL HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "odd method": b"G@T<EVIL> / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "header without colon": f"GET / HTTP/1.1\r\nHost: localhost\r\n{EVIL}\r\n\r\n".encode(),
    "header with a space": b"GET / HTTP/1.1\r\nHost: localhost\r\nEVIL : x\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: EVIL\x00\r\n\r\n",
    "two lengths": b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2EVIL\r\n\r\nx",
    "length and chunks": SMUGGLED["length and chunks"],
    "chunks and length": SMUGGLED["chunks and length"],
    "identity and chunks": SMUGGLED["identity and chunks"],
    "odd length": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: EVIL\r\n\r\n",
    "long line": b"GET /" + b"EVIL" * 5_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"EVIL" * 5_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: EVIL\r\n" * 1_000 + b"\r\n",
    "unknown expectation": b"GET /metrics HTTP/1.1\r\n" + CLOSE + b"Expect: <EVIL>\r\n\r\n",
    "unknown expectation of nothing": b"GET /EVIL HTTP/1.1\r\n" + CLOSE + b"Expect: EVIL\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_what_is_no_http_is_a_4xx_in_shape_and_is_not_repeated(
    served: Server, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    head, _, body = (await served.raw(MALFORMED[case])).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/")
    assert 400 <= int(head[9:12]) < 500
    assert problem(body)
    assert b"EVIL" not in head + body
    assert b"Content-Security-Policy" in head
    assert b"Server: arb-exporter" in head
    assert caplog.records == []
    assert (await served.get("/healthz"))[0] == 200


LONGEST = 8_190
"""Bytes of a request's target that aiohttp reads."""


@pytest.mark.parametrize(("begin", "usual"), [("/", 404), ("/metrics?x=", 200), ("/ws?ticket=", 401)])
@pytest.mark.parametrize("length", [8_000, 8_192, 16_384, 70_000])
async def test_a_long_path_has_one_answer_and_is_not_repeated(
    served: Server, length: int, begin: str, usual: int, caplog: pytest.LogCaptureFixture
) -> None:
    """After a refusal the connection is at its end; else it is as good as before."""
    target = (begin + "EVIL" * length)[:length].encode()
    behind = b"GET /healthz HTTP/1.1\r\n" + CLOSE + b"\r\n"
    said = await served.raw(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" + behind)
    statuses = [int(part[2:5]) for part in said.split(b"HTTP/1.")[1:]]
    assert statuses == ([usual, 200] if length < LONGEST else [400])
    assert b"EVIL" not in said
    assert caplog.records == []
    await eventually(lambda: len(served.site.crowd) == 0)
    assert (await served.get("/healthz"))[0] == 200


@pytest.mark.parametrize("case", SMUGGLED)
async def test_nobody_smuggles_a_second_request_behind_a_body(served: Server, case: str) -> None:
    said = await served.raw(SMUGGLED[case])
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), said
    assert said.count(b"HTTP/1.") == 1
    assert b"ok\n" not in said


async def test_a_second_request_behind_a_plain_body_is_answered(served: Server) -> None:
    """The smuggled one would be seen."""
    first = SMUGGLED["chunks and length"].replace(LENGTH, b"")
    said = await served.raw(first.replace(b"X: SECOND", b"Connection: close"))
    assert said.count(b"HTTP/1.1 ") == 2
    assert said.endswith(b"ok\n")


async def test_a_fault_outside_every_handler_is_500_in_shape(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(error: web.HTTPException) -> web.Response:
        raise RuntimeError("a secret text")

    monkeypatch.setattr(server, "_http_problem", broken)
    async with serving(Site(board(), Access({}, {}), loopback_only=True)) as served:
        status, _, body = await served.get("/healthz", Expect="x")
    assert (status, problem(body)[0]) == (500, "internal")
    assert [record.getMessage() for record in caplog.records] == ["request failed"]
    assert b"secret" not in body


async def test_clients_gone_at_each_stage_leave_no_trace(served: Server, caplog: pytest.LogCaptureFixture) -> None:
    for length in range(0, len(WHOLE) + 1, 5):
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(WHOLE[:length])
        await writer.drain()
        abort: Callable[[], None] = writer.transport.abort
        abort()
    assert (await served.get("/healthz"))[0] == 200
    assert caplog.records == []


async def test_an_error_without_known_words_keeps_its_reason() -> None:
    reply = server._http_problem(web.HTTPExpectationFailed(text="secret"))
    assert problem(reply.body) == ("expectation_failed", "Expectation Failed")  # type: ignore[arg-type]
