"""CSV of trades: whole files of any length, right for a parser and harmless in a spreadsheet."""

import asyncio
import csv
import io
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from exporter import history
from exporter.books import Writer
from exporter.sources.memory_bank import Batch
from exporter.web import export
from tests.running import eventually
from tests.test_history import trade
from tests.web.test_api import READ, get, whole
from tests.web.test_server import CLOSE, Server

REQUEST = b"GET /api/v1/trades?format=csv HTTP/1.1\r\n" + CLOSE + b"\r\n"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def rows(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


async def put(served: Server, *trades: Any) -> None:
    ledger = served.site.ledger
    assert ledger is not None
    batch = Batch("memory_bank", trades=list(trades))
    await ledger.write(lambda db: Writer(db, "b", "memory_bank", 100, READ).put(batch, ()))


async def test_a_file_holds_what_json_says(tmp_path: Path) -> None:
    async with whole(tmp_path) as served:
        status, headers, body = await served.get("/api/v1/trades?format=csv&dex=gamma")
        assert (status, headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
        assert headers["Content-Disposition"] == 'attachment; filename="trades.csv"'
        assert headers["X-Content-Type-Options"] == "nosniff"
        found = rows(body)
        expected = (await get(served, "trades?dex=gamma"))["trades"]
    assert found == [{name: "" if value is None else str(value) for name, value in item.items()} for item in expected]
    assert body.startswith(b"id,source,time,pair,dex_buy,dex_sell,outcome,reason,")
    assert body.count(b"\r\n") == len(expected) + 1


@pytest.mark.parametrize(
    ("query", "count"), [("", 1_300), ("&limit=700", 700), ("&limit=2", 2), ("&before=1001", 1_000)]
)
async def test_a_file_is_as_long_as_it_is_wanted(
    tmp_path: Path, query: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SPAN", 333)
    async with whole(tmp_path, trades=1_300) as served:
        _, _, body = await served.get(f"/api/v1/trades?format=csv{query}")
    found = [int(row["id"]) for row in rows(body)]
    assert len(found) == count
    assert found == sorted(found, reverse=True)


async def test_no_trades_are_a_file_with_a_head(tmp_path: Path) -> None:
    async with whole(tmp_path, trades=0) as served:
        _, _, body = await served.get("/api/v1/trades?format=csv")
    assert body.decode() == ",".join(export.COLUMNS) + "\r\n"


async def test_nothing_in_it_is_a_formula(tmp_path: Path) -> None:
    async with whole(tmp_path, trades=0) as served:
        evil = ['=cmd|"/c calc"!A1', "+1", "-1", "@SUM(A1)", "\uff1dA1", 'a"b,c', "plain"]
        await put(served, *(trade(n, dex_buy=text, pair=text, net_wei=-5) for n, text in enumerate(evil)))
        _, _, body = await served.get("/api/v1/trades?format=csv")
        found = rows(body)
    assert [row["dex_buy"] for row in reversed(found)] == [
        "'=cmd|\"/c calc\"!A1", "'+1", "'-1", "'@SUM(A1)", "'\uff1dA1", 'a"b,c', "plain",
    ]  # fmt: skip
    assert all(row["pair"] == row["dex_buy"] for row in found)
    assert {row["net_profit_eth"] for row in found} == {"-0.000000000000000005"}


async def test_head_sends_no_rows(tmp_path: Path) -> None:
    async with whole(tmp_path) as served:
        reply = await served.raw(b"HEAD /api/v1/trades?format=csv HTTP/1.1\r\n" + CLOSE + b"\r\n")
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"text/csv" in head
    assert body == b""


async def test_a_file_that_breaks_off_does_not_end_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(export, "PAGE", 10)
    async with whole(tmp_path) as served:
        ledger, reads = served.site.ledger, 0
        assert ledger is not None
        real = ledger.read

        async def read(query: Any) -> Any:
            nonlocal reads
            reads += 1
            if reads > 2:
                raise OSError(5, "x")
            return await real(query)

        monkeypatch.setattr(ledger, "read", read)
        reply = await served.raw(REQUEST)
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert not reply.endswith(b"0\r\n\r\n")
        assert [record.fields for record in caplog.records] == []  # type: ignore[attr-defined]


async def test_a_client_that_does_not_read_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(export, "SLOWEST", 0.2)
    async with whole(tmp_path, trades=0) as served:
        await put(served, *(trade(n, reason="r" * 60) for n in range(60_000)))
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            opened = descriptors()
            client.connect(("127.0.0.1", served.port))
            client.sendall(REQUEST)
            assert await asyncio.to_thread(client.recv, 12) == b"HTTP/1.1 200"
            assert descriptors() == opened + 1
            await eventually(lambda: descriptors() == opened)
    assert [record.fields for record in caplog.records] == []  # type: ignore[attr-defined]


async def test_a_client_that_leaves_at_any_stage_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with whole(tmp_path, trades=2_000) as served:
        for bytes_read in (0, 0, 1, 10_000, 100_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(REQUEST)
            await writer.drain()
            if bytes_read:
                await reader.readexactly(bytes_read)
            writer.transport.abort()
        assert (await served.get("/healthz"))[0] == 200
    assert [record.fields for record in caplog.records] == []  # type: ignore[attr-defined]
