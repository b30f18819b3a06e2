"""Every route there is, with credentials that are missing, wrong, right, without the role, malformed and huge."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import hdrs

from exporter.ledger import Ledger
from exporter.web import alerts, live_page
from exporter.web.access import Access
from exporter.web.limits import Limits
from exporter.web.server import SECURITY, application
from exporter.web.site import Site
from tests.web.test_access import HASH, basic
from tests.web.test_server import board, problem, serving

USERS = dict.fromkeys(("scraper", "reader", "listener", "writer"), HASH)
ROLES = {"scraper": ("scrape",), "reader": ("read",), "listener": ("live",), "writer": ("write",)}
CREDENTIALS: dict[str, str | None] = {
    "none": None,
    "empty": "",
    "wrong": basic("reader", "wrong"),
    "unknown": basic("nobody", "right"),
    "malformed": "Basic !!!",
    "no colon": "Basic cmVhZGVy",
    "another scheme": "Bearer right",
    "huge": basic("reader", "x" * 5_000),
}
NEEDED = {"/metrics": "scrape", "/live": "live", "/ws": "live", "/api/v1/ws-ticket": "live", "/healthz": None}
"""Roles of routes other than `read`."""


def everything() -> list[tuple[str, str]]:
    """(method, path) of all that is routed."""
    app = application(Site(board(), Access({}, {}), loopback_only=True))
    found = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
    return sorted((m, p.replace("{version}/{name}", f"{live_page.VERSION}/{live_page.PAGE}")) for m, p in found)


def role(method: str, path: str) -> str | None:
    if path == alerts.PATH or path == "/api/v1/events":
        return "write" if method == "POST" else "read"
    return "live" if path.startswith("/live/") else NEEDED.get(path, "read")


@pytest.fixture
async def site(tmp_path: Path) -> Any:
    async with Ledger(tmp_path) as ledger:
        made = Site(board(), Access(USERS, ROLES), loopback_only=False, limits=Limits(100_000))
        made.limits._guesses = made.limits._requests  # guessing is limited elsewhere
        made.keep(ledger)
        yield made


async def test_no_route_answers_without_right_credentials_and_the_role(site: Site) -> None:
    async with serving(site) as served:
        for method, path in everything():
            for name, given in CREDENTIALS.items():
                headers = {} if given is None else {"Authorization": given}
                status, reply, body = await served.get(path, method, **headers)
                where = f"{method} {path} with {name} credentials"
                if role(method, path) is None:
                    assert status == 200, where
                    continue
                assert status == 401, where
                assert reply[hdrs.WWW_AUTHENTICATE].startswith("Basic"), where
                assert method == "HEAD" or problem(body)[0] == "unauthorized", where
                assert all(reply.getall(header) == [value] for header, value in SECURITY.items()), where


async def test_every_route_is_for_its_role_only(site: Site) -> None:
    async with serving(site) as served:
        for method, path in everything():
            for user, roles in ROLES.items():
                status, _, body = await served.get(path, method, Authorization=basic(user, "right"))
                needed = role(method, path)
                where = f"{method} {path} by {user}: {status}"
                assert (status == 403) is (needed is not None and needed not in roles), where
                assert status < 500, where
                assert status != 401, where
                assert status != 403 or method == "HEAD" or problem(body)[0] == "forbidden", where


async def test_a_head_of_8_kib_and_a_body_of_a_gigabyte_cost_nothing(site: Site) -> None:
    right = basic("writer", "right")
    async with serving(site) as served:
        for method, path in everything():
            long = f"{method} {path}?{'a' * 9_000} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {right}\r\n\r\n"
            assert (await served.raw(long.encode()))[9:10] == b"4", (method, path)
            huge = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {1 << 30}\r\nConnection: close\r\n"
            async with asyncio.timeout(20):
                status = (await served.raw(f"{huge}\r\n".encode()))[9:12]
            assert status == (b"200" if role(method, path) is None else b"401"), (method, path)


def test_every_role_is_needed_somewhere() -> None:
    assert {role(*route) for route in everything()} == {"scrape", "read", "live", "write", None}
