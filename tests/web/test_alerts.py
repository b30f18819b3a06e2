"""`/api/v1/alerts` over a real socket: Alertmanager posts, the page reads, the live feed hears of it."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exporter.live.hub import Hub
from exporter.web import alerts
from exporter.web.access import Access
from tests.live.test_alerts import BAD, message, told
from tests.web.test_access import HASH, basic
from tests.web.test_api import get, whole
from tests.web.test_bodies import sent
from tests.web.test_server import Server, problem


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Server]:
    async with whole(tmp_path) as made:
        yield made


async def post(served: Server, body: Any, user: str = "", **headers: str) -> tuple[int, bytes]:
    data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
    sent = {"Content-Type": "application/json"} | ({"Authorization": basic(user, "right")} if user else {}) | headers
    async with served.client.post(f"http://127.0.0.1:{served.port}{alerts.PATH}", data=data, headers=sent) as response:
        return response.status, await response.read()


def listening(hub: Hub) -> list[Any]:
    said: list[Any] = []
    hub.tap("alerts", said.extend)
    return said


async def test_an_alert_fires_is_repeated_and_resolved(served: Server) -> None:
    said = listening(served.site.hub)
    assert await post(served, message()) == (200, b'{"alerts": 1, "news": 1}')
    assert await post(served, message()) == (200, b'{"alerts": 1, "news": 0}')
    ended = told(status="resolved", endsAt="2026-11-21T08:05:00Z")
    assert await post(served, message(ended, status="resolved")) == (200, b'{"alerts": 1, "news": 1}')
    assert [(item["state"], item["ends"]) for item in said] == [("firing", None), ("resolved", 1_795_248_300.0)]
    assert await get(served, "alerts") == {"alerts": [said[1]], "next": None}


async def test_alerts_come_in_pages_the_last_heard_of_first(served: Server) -> None:
    await post(served, message(*(told(fingerprint=f"{n:x}") for n in range(5))))
    first = await get(served, "alerts?limit=3")
    last = await get(served, f"alerts?before={first['next']}")
    found = [item["fingerprint"] for item in first["alerts"] + last["alerts"]]
    assert (found, last["next"]) == (["4", "3", "2", "1", "0"], None)


async def test_nothing_is_taken_of_a_message_with_a_fault(served: Server) -> None:
    said = listening(served.site.hub)
    status, body = await post(served, message(told(), told(fingerprint="x")))
    assert (status, problem(body)) == (400, ("bad_request", "alerts[1].fingerprint must be hexadecimal"))
    assert (said, await get(served, "alerts")) == ([], {"alerts": [], "next": None})


@pytest.mark.parametrize("case", BAD)
async def test_what_is_no_message_is_400(served: Server, case: str) -> None:
    status, body = await post(served, BAD[case])
    assert (status, problem(body)[0]) == (400, "bad_request")


async def test_a_thousand_alerts_of_usual_size_fit_and_a_mebibyte_is_the_end(served: Server) -> None:
    many = [told(fingerprint=f"{n:x}", annotations={"summary": "x" * 400}) for n in range(1_000)]
    assert (await post(served, message(*many)))[0] == 200
    assert (await post(served, message(told(annotations={"summary": "x" * alerts.LARGEST}))))[0] == 413
    assert (await post(served, b"{}", **{"Content-Type": "text/plain"}))[0] == 415
    assert (await served.get(f"{alerts.PATH}?x=1"))[0] == 400
    assert (await served.get(alerts.PATH, "DELETE"))[0] == 405


async def test_alertmanager_writes_and_readers_read(tmp_path: Path) -> None:
    access = Access({"ops": HASH, "alertmanager": HASH}, {"alertmanager": ("write",)})
    async with whole(tmp_path, access) as served:
        assert (await post(served, message()))[0] == 401
        assert (await post(served, message(), "ops"))[0] == 403
        assert (await post(served, message(), "alertmanager"))[0] == 200
        assert (await served.get(alerts.PATH))[0] == 401
        assert (await served.get(alerts.PATH, Authorization=basic("alertmanager", "right")))[0] == 403
        assert (await served.get(alerts.PATH, Authorization=basic("ops", "right")))[0] == 200


async def test_a_strangers_body_is_not_read_before_he_is_known(tmp_path: Path) -> None:
    async with whole(tmp_path, Access({"ops": HASH}, {})) as served:
        head = f"POST {alerts.PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        assert (await sent(served, f"{head}Content-Length: 1000000000\r\n\r\n".encode()))[0] == 401


async def test_a_page_of_another_origin_cannot_post(served: Server) -> None:
    """Browsers ask first about JSON, and are not told that they may."""
    status, headers, _ = await served.get(
        alerts.PATH, "OPTIONS", Origin="https://evil.example", Access_Control_Request_Method="POST"
    )
    assert status == 403
    assert not [name for name in headers if name.lower().startswith("access-control")]
