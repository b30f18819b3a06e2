"""The exporter as users run it: what a program sees on `/ws` is what it finds in the read API."""

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests import bank
from tests.live.test_alerts import message
from tests.running import Running, eventually, running


class Listener:
    """A WebSocket client that keeps everything it hears, by topic."""

    def __init__(self) -> None:
        self.items: dict[str, list[Any]] = {}
        self.snapshots: dict[str, list[Any]] = {}
        self.last: dict[str, int] = {}

    def hear(self, frame: dict[str, Any]) -> None:
        topic = frame.get("topic", "")
        if frame["type"] == "snapshot":
            self.snapshots[topic] = frame["data"]
        elif frame["type"] == "update":
            assert frame["prev"] == self.last[topic], "a gap"
            self.items.setdefault(topic, []).extend(frame["data"])
        if "seq" in frame:
            self.last[topic] = frame["seq"]


@asynccontextmanager
async def listening(exporter: Running, *topics: str) -> AsyncIterator[Listener]:
    made = Listener()

    async def hear(socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket:
            made.hear(json.loads(frame.data))

    async with aiohttp.ClientSession() as session, session.ws_connect(f"{exporter.url}/ws") as socket:
        await socket.send_json({"op": "subscribe", "topics": topics})
        task = asyncio.create_task(hear(socket))
        await eventually(lambda: set(made.snapshots) == set(topics))
        yield made
        task.cancel()


async def read(exporter: Running, path: str) -> Any:
    return json.loads(await asyncio.to_thread(exporter.get, f"/api/v1/{path}"))


async def post(exporter: Running, path: str, body: Any) -> int:
    async with aiohttp.ClientSession() as session, session.post(f"{exporter.url}{path}", json=body) as response:
        return response.status


async def test_trades_arrive_once_and_can_be_read_again(tmp_path: Path) -> None:
    rng, files = random.Random(9), bank.Bank(tmp_path / "bank")
    for epoch in range(bank.FIRST_EPOCH, bank.FIRST_EPOCH + 40):
        files.put(epoch, bank.trade(rng))
    settings = {
        "bot": {"memory_bank": str(files.path)},
        "storage": [{"name": "bank", "path": str(files.path)}],
    }
    with running(settings, tmp_path) as exporter:
        await eventually(lambda: exporter.value("arb_bot_backfill_active", bot="default") == 0)
        topics = ("trades", "opportunities", "system", "storage", "memory_bank", "alerts", "errors")
        async with listening(exporter, *topics) as heard:
            assert heard.snapshots["trades"] == [], "history is no news"
            records = [bank.trade(rng) for _ in range(30)]
            for number, record in enumerate(records):
                files.put(bank.FIRST_EPOCH + 1_000 + number, record)
            files.put(bank.FIRST_EPOCH + 2_000, bank.opportunity(rng, "chance"))
            assert await post(exporter, "/api/v1/alerts", message()) == 200
            await eventually(lambda: len(heard.items.get("trades", [])) >= 30)
            await eventually(lambda: heard.items.get("opportunities") and heard.items.get("alerts"))
            await eventually(lambda: len(heard.items.get("system", [])) >= 3)
        news = heard.items["trades"]
        assert {item["tx_hash"] for item in news} == {record["tx_hash"] for record in records}
        assert [item["id"] for item in news] == list(range(41, 71))
        everything = await read(exporter, "trades?limit=1000")
        assert len(everything["trades"]) == 70
        known = {item["id"]: item for item in everything["trades"]}
        assert all(known[item["id"]] == item for item in news)
        assert (await read(exporter, "opportunities"))["opportunities"] == heard.items["opportunities"]
        assert (await read(exporter, "alerts"))["alerts"] == heard.items["alerts"]
        storage = await read(exporter, "storage")
        assert [item["store"] for item in storage["stores"]] == ["bank"]
        assert [item["directory"] for item in storage["memory_bank"]] == [".", "trades"]
        assert heard.items["system"][-1]["collectors"]["trades"] == {"success": True, "error": None}
        assert exporter.stop() == 0
    assert "Traceback" not in exporter.stderr.read_text()


async def test_a_reload_shows_at_once_in_what_is_answered(tmp_path: Path) -> None:
    with running({"bot": {"name": "one"}}, tmp_path) as exporter:
        assert (await read(exporter, "status"))["bot"] == "one"
        exporter.config.write_text("bot: {name: two}\nlimits: {routes_per_source: 7}\n")
        exporter.process.send_signal(signal.SIGHUP)
        await eventually(lambda: json.loads(exporter.get("/api/v1/status"))["bot"] == "two")
        assert (await read(exporter, "config"))["config"]["limits"]["routes_per_source"] == 7
