"""The live feed of the exporter as users run it: its limits, its figures, a reload that takes a right away, its end."""

import asyncio
import json
import signal
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import websockets
import yaml
from websockets.asyncio.client import ClientConnection, connect

from tests.running import Running, eventually, running
from tests.web.test_access import HASH, basic, pem
from tests.web.test_ws import UPGRADE

__all__ = ["pem"]


def live(exporter: Running) -> str:
    return f"ws://127.0.0.1:{exporter.port}/ws"


async def closed(client: ClientConnection) -> int:
    """Read to the end; the code that the server closed with."""
    try:
        async with asyncio.timeout(20):
            while True:
                await client.recv()
    except websockets.ConnectionClosed as ended:
        return ended.rcvd.code if ended.rcvd is not None else 1006


async def test_at_sigterm_a_hundred_clients_are_told_and_it_ends_in_three_seconds(tmp_path: Path) -> None:
    with running({}, tmp_path) as exporter:
        clients = [await connect(live(exporter)) for _ in range(100)]
        for client in clients:
            assert json.loads(await client.recv())["type"] == "hello"
            await client.send('{"op":"subscribe","topics":["system","prices","trades"]}')
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(live(exporter))
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        await eventually(lambda: exporter.value("arb_live_clients") == 100)
        codes = asyncio.gather(*(closed(client) for client in clients))
        began = time.monotonic()
        exporter.process.send_signal(signal.SIGTERM)
        assert set(await codes) == {1001}
        assert await asyncio.to_thread(exporter.process.wait, 10) == 0
        assert time.monotonic() - began < 3
        assert "Traceback" not in exporter.stderr.read_text()
        for client in clients:
            await client.close()


async def test_it_ends_in_time_although_nobody_reads_the_good_bye(tmp_path: Path) -> None:
    with running({}, tmp_path) as exporter:
        deaf = []
        for _ in range(50):
            reader, writer = await asyncio.open_connection("127.0.0.1", exporter.port, limit=1)
            writer.write("\r\n".join(["GET /ws HTTP/1.1", "Host: localhost", *UPGRADE, "", ""]).encode())
            deaf.append((reader, writer))
        await eventually(lambda: exporter.value("arb_live_clients") == 50)
        began = time.monotonic()
        assert await asyncio.to_thread(exporter.stop) == 0
        assert time.monotonic() - began < 3
        for _, writer in deaf:
            writer.transport.abort()


async def test_a_reload_that_takes_a_right_away_ends_what_it_allowed(tmp_path: Path) -> None:
    users = tmp_path / "web.yml"
    users.write_text(yaml.safe_dump({"basic_auth_users": {"ops": HASH, "me": HASH, "bot": HASH}}))
    config: dict[str, Any] = {}
    with running(config, tmp_path, f"--web.config.file={users}") as exporter:
        clients = {
            name: await connect(live(exporter), additional_headers={"Authorization": basic(name, "right")})
            for name in ("ops", "me", "bot")
        }
        me, bot, ops = (asyncio.create_task(closed(clients[name])) for name in ("me", "bot", "ops"))
        users.write_text(yaml.safe_dump({"basic_auth_users": {"ops": HASH, "bot": HASH}}))
        exporter.process.send_signal(signal.SIGHUP)
        assert await me == 4401
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(live(exporter), additional_headers={"Authorization": basic("me", "right")})
        assert refused.value.response.status_code == 401

        users.write_text("basic_auth_users: {ops: no hash}")
        exporter.process.send_signal(signal.SIGHUP)
        await eventually(lambda: "settings refused" in exporter.stderr.read_text())

        users.write_text(yaml.safe_dump({"basic_auth_users": {"ops": HASH, "bot": HASH}}))
        exporter.config.write_text(yaml.safe_dump({"access": {"bot": ["write"]}}))
        exporter.process.send_signal(signal.SIGHUP)
        assert await bot == 4401

        assert not ops.done()
        assert (await asyncio.to_thread(exporter.stop)) == 0
        assert await ops == 1001
        for client in clients.values():
            await client.close()


@pytest.mark.parametrize("fast", [True, False], ids=["aiofastnet", "asyncio"])
async def test_the_feed_over_tls_with_and_without_the_faster_loop(pem: Path, tmp_path: Path, fast: bool) -> None:
    tls = {"cert_file": str(pem / "cert.pem"), "key_file": str(pem / "key.pem")}
    (tmp_path / "web.yml").write_text(yaml.safe_dump({"tls_server_config": tls}))
    environment = {}
    if not fast:
        (tmp_path / "without").mkdir()
        (tmp_path / "without" / "aiofastnet.py").write_text("raise ImportError")
        environment["PYTHONPATH"] = str(tmp_path / "without")
    exporter = Running({}, tmp_path, f"--web.config.file={tmp_path / 'web.yml'}", **environment)
    trusted = ssl.create_default_context(cafile=str(pem / "cert.pem"))
    try:
        client = await over_tls(exporter, trusted)
        loaded = Path(f"/proc/{exporter.process.pid}/maps").read_text()
        assert ("aiofastnet" in loaded) is fast
        await client.send('{"op":"subscribe","topics":["system"]}')
        kinds = [json.loads(await asyncio.wait_for(client.recv(), 20))["type"] for _ in range(4)]
        assert kinds == ["hello", "snapshot", "update", "update"]
        ended = asyncio.create_task(closed(client))
        assert await asyncio.to_thread(exporter.stop) == 0
        assert await ended == 1001
    finally:
        exporter.process.kill()
        exporter.process.wait()
    assert "Traceback" not in exporter.stderr.read_text()


async def over_tls(exporter: Running, trusted: ssl.SSLContext) -> ClientConnection:
    """A connection, as soon as there is somebody to connect to."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await connect(f"wss://localhost:{exporter.port}/ws", ssl=trusted)
            except OSError:
                assert exporter.process.poll() is None, exporter.stderr.read_text()
                await asyncio.sleep(0.02)
