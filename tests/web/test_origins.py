"""Pages of other origins: only those configured word for word may read, and nobody else's may write."""

import pytest

from exporter.config import Live
from exporter.web.access import Access
from exporter.web.doors import Doors
from exporter.web.site import Site
from tests.web.test_access import HASH, basic
from tests.web.test_server import board, problem, serving

GOOD = "https://grafana.example"
BAD = (
    "https://evil.example", "https://grafana.example.evil", "https://grafana.example:8443", "http://grafana.example",
    "https://GRAFANA.example", "null", "", "*", "https://grafana.example/",
)  # fmt: skip
ASK = {"Access_Control_Request_Method": "GET", "Access_Control_Request_Headers": "authorization"}


def site(**users: str) -> Site:
    return Site(board(), Access(users, {}), not users, doors=Doors(Live(allowed_origins=(GOOD,))))


async def test_a_configured_origin_may_ask_and_read() -> None:
    async with serving(site(ops=HASH)) as served:
        status, headers, body = await served.get("/api/v1/status", "OPTIONS", Origin=GOOD, **ASK)
        assert (status, body) == (204, b"")
        assert headers["Access-Control-Allow-Origin"] == GOOD
        assert headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST"
        assert headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
        assert "Access-Control-Allow-Credentials" not in headers, "a browser's own credentials are not for others"
        status, headers, _ = await served.get("/api/v1/status", Origin=GOOD, Authorization=basic("ops", "right"))
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, GOOD)
        assert "Origin" in headers["Vary"]
        status, headers, _ = await served.get("/api/v1/status", Origin=GOOD)
        assert (status, headers["Access-Control-Allow-Origin"]) == (401, GOOD)


@pytest.mark.parametrize("origin", BAD)
async def test_every_other_origin_may_not(origin: str) -> None:
    async with serving(site()) as served:
        status, headers, body = await served.get("/api/v1/status", "OPTIONS", Origin=origin, **ASK)
        assert (status, problem(body)[0]) == (403, "forbidden")
        assert "Access-Control-Allow-Origin" not in headers
        _, headers, _ = await served.get("/api/v1/status", Origin=origin)
        assert "Access-Control-Allow-Origin" not in headers
        for path in ("/api/v1/alerts", "/api/v1/ws-ticket", "/absent"):
            status, _, body = await served.get(path, "POST", Origin=origin, Content_Type="application/json")
            assert (status, problem(body)[0]) == (403, "forbidden"), path


async def test_our_own_pages_and_programs_may_write() -> None:
    async with serving(site()) as served:
        own = f"http://127.0.0.1:{served.port}"
        assert (await served.get("/api/v1/ws-ticket", "POST", Origin=own))[0] == 200
        assert (await served.get("/api/v1/ws-ticket", "POST"))[0] == 200
        assert (await served.get("/api/v1/ws-ticket", "POST", Origin=GOOD))[0] == 200


async def test_two_origins_are_none() -> None:
    async with serving(site()) as served:
        head = f"POST /api/v1/ws-ticket HTTP/1.1\r\nHost: localhost\r\nOrigin: {GOOD}\r\nOrigin: {GOOD}\r\n"
        assert (await served.raw(f"{head}Connection: close\r\n\r\n".encode()))[9:12] == b"403"


async def test_a_question_that_is_no_preflight_is_405() -> None:
    async with serving(site()) as served:
        assert (await served.get("/api/v1/status", "OPTIONS", Origin=GOOD))[0] == 405
