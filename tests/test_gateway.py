"""A gateway as users run it, beside a real exporter and a real bus."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import connect

from exporter import gateway
from exporter.config import Settings
from exporter.serving import Unstartable
from tests.buses import bus
from tests.running import Gateway, Running, eventually, until


async def test_the_page_the_feed_and_the_api_are_those_of_the_exporter(tmp_path: Path) -> None:
    with bus(tmp_path, password="a-long-password") as server:
        settings: dict[str, Any] = {"state": str(tmp_path / "ledger"), "live": {"bus": server.url}}
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        exporter, served = Running(settings, tmp_path / "one"), Gateway(settings, tmp_path / "two")
        try:
            await asyncio.to_thread(until, lambda: ready(served), 60, served)
            async with connect(f"ws://127.0.0.1:{served.port}/ws") as client:
                await client.recv()
                await client.send('{"op":"subscribe","topics":["system"]}')
                kinds = [json.loads(await asyncio.wait_for(client.recv(), 20)) for _ in range(3)]
                assert [message["type"] for message in kinds] == ["snapshot", "update", "update"]
                status = json.loads(await asyncio.to_thread(served.get, "/api/v1/status"))
                assert set(status["collectors"]) == set(json.loads(exporter.get("/api/v1/status"))["collectors"])
                assert b"<html" in served.get("/live")
                await eventually(lambda: served.value("arb_bus_up") == 1 and served.value("arb_live_clients") == 1)
                assert served.value("arb_ledger_degraded") is None
                assert exporter.value("arb_bus_up") == 1
            await reloads(served, settings)
            assert exporter.stop() == 0
            await eventually(lambda: unavailable(served))
            assert served.stop() == 0
        finally:
            for member in (exporter, served):
                member.process.kill()
                member.process.wait()
        logs = exporter.stderr.read_text() + served.stderr.read_text()
        assert "a-long-password" not in logs
        assert "Traceback" not in logs


async def reloads(served: Gateway, settings: dict[str, Any]) -> None:
    changed = settings | {"bot": {"name": "other"}, "live": settings["live"] | {"max_clients": 1}}
    served.config.write_text(yaml.safe_dump(changed))
    served.process.send_signal(signal.SIGHUP)
    await eventually(lambda: "settings read anew" in served.stderr.read_text())
    assert "key=bot.name" in served.stderr.read_text()
    served.config.write_text("nonsense: 1")
    served.process.send_signal(signal.SIGHUP)
    await eventually(lambda: "settings refused" in served.stderr.read_text())


def ready(member: Running) -> bool:
    try:
        return b'"ready": true' in member.get("/readyz") and bool(member.get("/api/v1/status"))
    except OSError:
        return False


def unavailable(member: Running) -> bool:
    try:
        member.get("/api/v1/status")
    except OSError as error:
        return "503" in str(error)
    return False


async def test_without_a_bus_it_does_not_start() -> None:
    with pytest.raises(Unstartable, match=r"live\.bus"):
        await gateway.run(Settings(), None)  # type: ignore[arg-type]  # it does not come so far


def test_nobody_comes_in_before_it_knows_what_the_bus_keeps(tmp_path: Path) -> None:
    with bus(tmp_path) as server:
        served = Gateway({"live": {"bus": server.url}}, tmp_path)
        try:
            served.until_up()
            with pytest.raises(OSError, match="503"):
                served.get("/readyz")
            with pytest.raises(OSError, match="503"):
                served.get("/ws", Upgrade="websocket", Connection="Upgrade")
        finally:
            served.process.kill()
            served.process.wait()
