"""`POST /api/v1/events` over a real socket and into a real ledger: durable, once each, and every refusal."""

import asyncio
import gzip
import io
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from exporter.event_intake import Intake, totals
from exporter.sources import event_schema
from exporter.web import event_door, events, openapi
from exporter.web.access import Access
from exporter.web.event_door import LARGEST, REQUESTS
from exporter.worker import Busy, Worker
from tests.sources.event_documents import TYPES, event
from tests.web.test_access import HASH, basic
from tests.web.test_api import get, whole
from tests.web.test_bodies import sent
from tests.web.test_server import Server, problem

LONG = aiohttp.ClientTimeout(30)
NDJSON = "application/x-ndjson"


@asynccontextmanager
async def reporting(folder: Path, access: Access | None = None) -> AsyncIterator[Server]:
    worker = Worker("event bodies")
    async with whole(folder, access, trades=0) as made:
        assert made.site.ledger is not None
        made.site.report_to(Intake(made.site.ledger, lambda: made.site.settings), worker)
        yield made
    worker.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Server]:
    async with reporting(tmp_path) as made:
        yield made


async def post(served: Server, body: Any, kind: str = "application/json", **headers: str) -> tuple[int, Any, Any]:
    data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
    url = f"http://127.0.0.1:{served.port}{events.PATH}"
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Type": kind}
    async with served.client.post(url, data=data, headers=named, timeout=LONG) as response:
        return response.status, json.loads(await response.read()), response.headers


def receipt(accepted: int = 0, duplicates: int = 0, conflicts: int = 0) -> dict[str, int]:
    return {"accepted": accepted, "duplicates": duplicates, "conflicts": conflicts}


def durable(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder}/state/ledger.sqlite3?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM event").fetchone()[0])


def lines(*documents: Any) -> bytes:
    return "\n".join(map(json.dumps, documents)).encode()


ALL = [event(kind, kind) for kind in TYPES]


async def test_events_are_durable_when_they_are_answered_and_count_once(served: Server, tmp_path: Path) -> None:
    assert (await post(served, ALL[0]))[:2] == (202, receipt(1))
    assert durable(tmp_path) == 1
    assert (await post(served, ALL))[:2] == (202, receipt(8, 1))
    assert (await post(served, lines(*ALL), NDJSON))[:2] == (202, receipt(0, 9))
    assert (await post(served, ALL[0] | {"dex_buy": "elsewhere"}))[:2] == (202, receipt(0, 0, 1))
    assert durable(tmp_path) == 9
    found = (await get(served, "opportunities"))["opportunities"][0]
    assert (found["source"], found["stage"], found["reason"]) == ("events", "rejected", "gas_too_high")
    assert [trade["source"] for trade in (await get(served, "trades"))["trades"]] == ["events"]


async def test_the_first_bad_record_is_named_and_the_good_ones_are_kept(served: Server, tmp_path: Path) -> None:
    bad = event("pool", "x", size="lots")
    status, body, _ = await post(served, [event("pool", "1"), bad, 7, event("pool", "2")])
    assert status == 422
    words = "record 1: size must be a whole number from 0 to 9007199254740991"
    assert body == {
        "error": {"code": "invalid_record", "message": words, "index": 1, "field": "size"}, **receipt(2), "invalid": 2,
    }  # fmt: skip
    assert durable(tmp_path) == 2
    status, body, _ = await post(served, lines(event("pool", "3")) + b"\nnope\n" + lines(event("pool", "4")), NDJSON)
    assert (status, body["error"]["message"], body["error"]["field"]) == (422, "record 1 is not JSON", None)
    assert durable(tmp_path) == 4
    assert "lots" not in json.dumps(body)


async def test_an_empty_list_tells_that_there_is_a_bot(served: Server) -> None:
    assert (await post(served, []))[:2] == (202, receipt())
    assert served.site.ledger is not None
    assert (await served.site.ledger.read(lambda db: totals(db, "b"))).known


async def test_large_bodies_go_in_by_portions(served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PORTION", 7)
    many = [event("pool", str(n)) for n in range(100)]
    many[50]["size"] = -1
    status, body, _ = await post(served, many)
    assert (status, body["accepted"], body["invalid"], body["error"]["index"]) == (422, 99, 1, 50)
    assert durable(tmp_path) == 99


async def test_compressed_bodies(served: Server) -> None:
    packed = gzip.compress(json.dumps(ALL).encode())
    assert (await post(served, packed, Content_Encoding="gzip"))[:2] == (202, receipt(9))
    lines = gzip.compress(b"".join(json.dumps(event("pool", str(n))).encode() + b"\n" for n in range(100)))
    for broken in (
        b"x" + packed,
        packed[:40],
        packed[:-1],
        packed[:-8],
        lines[:-1],
        lines[: len(lines) // 2],
        b"plain",
    ):
        status, body, _ = await post(served, broken, Content_Encoding="gzip")
        assert status == 400
        assert problem(json.dumps(body).encode())[0] == "bad_request"
    assert (await post(served, packed, Content_Encoding="deflate"))[0] == 415
    assert (await post(served, event("pool", "after")))[0] == 202


async def test_a_bomb_is_too_large_and_costs_little(served: Server) -> None:
    bomb = gzip.compress(b" " * (200 << 20))
    assert (await post(served, bomb, Content_Encoding="gzip"))[0] == 413
    assert served.site.event_door is not None
    assert served.site.event_door._held == [0]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"nope", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[1", "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b" " * (LARGEST + 1), NDJSON, 413),
        (b"{}", "application/json", 422),
    ],
)
async def test_what_is_refused(served: Server, body: bytes, kind: str, status: int) -> None:
    found, said, _ = await post(served, body, kind)
    assert found == status
    assert set(said["error"]) >= {"code", "message"}


async def test_parameters_are_refused(served: Server) -> None:
    async with served.client.post(f"http://127.0.0.1:{served.port}{events.PATH}?a=1", json=[]) as response:
        assert response.status == 400


async def test_only_those_who_may_write(tmp_path: Path) -> None:
    access = Access({"bot": HASH, "eye": HASH}, {"bot": ("write",)})
    async with reporting(tmp_path, access) as served:
        assert (await post(served, ALL, Authorization=basic("bot", "right")))[0] == 202
        assert (await post(served, ALL, Authorization=basic("bot", "wrong")))[0] == 401
        assert (await post(served, ALL))[0] == 401
        assert (await post(served, ALL, Authorization=basic("eye", "right")))[0] == 403
        assert served.site.event_door is not None
        assert served.site.event_door.intake.requests == {"accepted": 1, "refused": 3}
        assert list(served.site.event_door._paces) == ["user bot"]


async def test_too_many_requests_have_to_wait(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert served.site.event_door is not None
    served.site.event_door.clock = lambda: 100.0
    statuses = [(await post(served, []))[0] for _ in range(REQUESTS)]
    assert statuses == [202] * REQUESTS
    status, body, headers = await post(served, [])
    assert (status, headers["Retry-After"], body["error"]["code"]) == (429, "1", "too_many_requests")


async def test_too_many_events_have_to_wait(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    door = served.site.event_door
    assert door is not None
    door.clock = lambda: 100.0
    assert (await post(served, []))[0] == 202
    door.charge("127.0.0.1", 3 * event_door.EVENTS)
    status, _, headers = await post(served, ALL)
    assert (status, headers["Retry-After"]) == (429, "3")


async def test_while_the_ledger_cannot_be_written_nothing_is_accepted(
    served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = served.site.event_door
    assert door is not None
    for error in (sqlite3.OperationalError("disk I/O error"), OSError(28, "full"), Busy("hung")):

        async def fail(_: Any, error: Exception = error) -> Any:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(type(door.intake), "put", lambda _, delivery, fail=fail: fail(delivery))
            status, body, headers = await post(served, ALL)
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "disk" not in json.dumps(body)
    assert (await post(served, ALL))[:2] == (202, receipt(9))
    assert door.intake.requests == {"unavailable": 3, "accepted": 1}


async def test_a_ledger_that_hangs_is_not_waited_for(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PATIENCE", 0.05)
    assert served.site.ledger is not None
    async with served.site.ledger._turn:
        assert (await post(served, ALL))[0] == 503
    for _ in range(100):
        status, body, _ = await post(served, ALL)
        if status == 202:
            break
    assert body["accepted"] + body["duplicates"] == 9


async def test_without_a_ledger_nothing_is_accepted(served: Server) -> None:
    served.site.event_door = None
    assert (await post(served, ALL))[0] == 503


async def test_memory_is_bounded_for_all_bodies_together(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_door, "MEMORY", 1_000)
    assert (await post(served, ALL))[0] == 503
    assert (await post(served, [ALL[0]]))[0] == 202


async def test_a_body_that_breaks_off_counts_what_is_whole_of_it_never(served: Server, tmp_path: Path) -> None:
    head = f"POST {events.PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NDJSON}\r\nContent-Length: 9999\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(head.encode() + lines(*ALL))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert reader is not None
    assert (await post(served, event("pool", "after")))[0] == 202
    assert durable(tmp_path) == 1


async def test_ordinary_clients_may_ask_first(served: Server) -> None:
    body = lines(event("pool", "1"))
    head = (
        f"POST {events.PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {NDJSON}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    assert (await sent(served, head.encode() + body))[0] == 202


async def test_the_schema_is_served(served: Server) -> None:
    assert await get(served, "events/schema.json") == event_schema.document()


async def test_answers_are_as_described(served: Server) -> None:
    document = openapi.document()

    def validator(name: str) -> Draft202012Validator:
        return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})

    validator("EventsTaken").validate((await post(served, ALL))[1])
    validator("EventsInvalid").validate((await post(served, [7, event("pool", "x", size=-1)]))[1])
    validator("Events").validate(ALL)
    validator("Events").validate(ALL[0])
    assert not validator("Events").is_valid([7])
