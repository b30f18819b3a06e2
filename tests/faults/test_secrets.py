"""A canary in every secret there is; nothing of it, however encoded, leaves the exporter by any way."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import secrets
import signal
import string
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from aiohttp import web
from websockets.asyncio.client import connect

from exporter.live.topics import NAMES
from tests.model import story
from tests.model.server import Endpoint, serving
from tests.model.story import POOLS, Story
from tests.running import Running, until
from tests.web.test_access import basic, hashed
from tests.web.test_every_route import everything

WINDOW = 8
"""So many characters of a canary in a row are a leak."""


def canary() -> str:
    """Something that is nowhere by chance, and that is not the same when it is encoded for a URL."""
    letters = string.ascii_letters + string.digits
    parts = ["".join(secrets.choice(letters) for _ in range(14)) for _ in range(2)]
    return "%/".join(parts)


def forms(text: str) -> set[str]:
    """A secret as it may turn up: itself and its encodings, in lower case."""
    raw = text.encode()
    shifted = {base64.b64encode(b"x" * shift + raw).decode()[4:-4] for shift in range(3)}
    made = {text, urllib.parse.quote(text, safe=""), urllib.parse.quote_plus(text), raw.hex(), repr(text)[1:-1],
            json.dumps(text)[1:-1], *shifted}  # fmt: skip
    return {form.lower() for form in made}


def windows(text: str) -> set[str]:
    """All pieces of a text that would be a leak."""
    return {text[start : start + WINDOW] for start in range(len(text) - WINDOW + 1)}


def leaks(where: str, said: str | bytes, canaries: dict[str, str]) -> list[str]:
    """Which canaries are in what was said."""
    text = windows((said.decode("latin-1") if isinstance(said, bytes) else said).lower())
    return [
        f"{name} in {where}" for name, secret in canaries.items()
        if any(not windows(form).isdisjoint(text) for form in forms(secret))
    ]  # fmt: skip


class Witness(threading.Thread):
    """Notes the arguments of the exporter and of everything it starts."""

    def __init__(self, process: int) -> None:
        super().__init__()
        self._process, self.stop, self.seen = process, threading.Event(), set[str]()

    def run(self) -> None:
        while not self.stop.wait(0.005):
            try:
                parent = psutil.Process(self._process)
                for one in (parent, *parent.children(recursive=True)):
                    self.seen.add(" ".join(one.cmdline()))
            except psutil.Error:
                continue


async def gossip(request: web.Request, body: Any) -> web.StreamResponse:
    """A node that repeats everything it was told, in its refusal."""
    words = f"{request.url} {request.raw_path} {dict(request.headers)}"
    return web.Response(status=403, text=words, headers={"X-Told": urllib.parse.quote(words)})


async def told(request: web.Request, body: Any) -> web.StreamResponse:
    """The same in an answer that is an error."""
    one = body[0] if isinstance(body, list) else body
    words = f"{request.url} {dict(request.headers)}"
    answer = {"jsonrpc": "2.0", "id": one["id"], "error": {"code": -32000, "message": words, "data": words}}
    return web.json_response([answer] if isinstance(body, list) else answer)


def ask(exporter: Running, method: str, path: str, **headers: str) -> bytes:
    """Everything of an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(exporter.url + path, method=method, headers=named)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return str(response.headers).encode() + response.read()
    except urllib.error.HTTPError as error:
        with error:
            return str(error.headers).encode() + error.read()


async def frames(exporter: Running, authorization: str) -> str:
    """What a listener of everything is told, and one who sends nonsense."""
    heard = []
    url = exporter.url.replace("http", "ws") + "/ws"
    async with connect(url, additional_headers={"Authorization": authorization}) as client:
        for message in (json.dumps({"op": "subscribe", "topics": list(NAMES)}), "nonsense", '{"op":"x"}'):
            await client.send(message)
        try:
            async with asyncio.timeout(3):
                async for message in client:
                    heard.append(str(message))  # noqa: PERF401  what came before the end counts
        except TimeoutError:
            pass
    assert len(heard) > 10
    return "".join(heard)


@pytest.fixture
def canaries() -> dict[str, str]:
    names = ("user", "password", "path", "query", "websocket", "file", "grafana", "login", "wrong", "ticket", "token")
    return {name: canary() for name in names}


def prepared(folder: Path, endpoint: Endpoint, told_of: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings with a canary in each secret, and the environment they need."""
    quoted = {name: urllib.parse.quote(secret, safe="") for name, secret in told_of.items()}
    host = endpoint.http.removeprefix("http://").removesuffix("/v2")
    (folder / "grafana").write_text(told_of["grafana"].encode("ascii", "ignore").decode())
    (folder / "url").write_text(f"http://{host}/v2/{quoted['file']}")
    environment = {
        "NODE": f"http://{quoted['user']}:{quoted['password']}@{host}/v2/{quoted['path']}?key={quoted['query']}",
        "NODE_WS": f"ws://{host}/v2/{quoted['websocket']}",
    }
    pools = [{"dex": p.dex, "kind": "uniswap_v2", "address": p.address, "name": f"pool-{i}"}
             for i, p in enumerate(POOLS)]  # fmt: skip
    chain = {
        "chain_id": endpoint.world.chain_id, "pools": pools, "wallets": [{"name": "trader", "address": story.ME}],
        "endpoints": [
            {"name": "first", "http": "${NODE}", "ws": "${NODE_WS}"}, {"name": "second", "http_file": "url"},
            {"name": "gone", "http": f"http://127.0.0.1:1/{quoted['path']}"},
        ],
    }  # fmt: skip
    push = {"url": f"http://{host}", "token_file": "grafana"}
    return {"chain": chain, "live": {"grafana": push}, "state": str(folder / "state")}, environment


def test_no_canary_is_found_anywhere(canaries: dict[str, str], tmp_path: Path) -> None:
    world = story.world(depth=5, interval=0.2)
    Story(random.Random(41), world).mine(20)
    right = basic("ops", canaries["login"])
    (tmp_path / "web.yml").write_text(yaml.safe_dump({"basic_auth_users": {"ops": hashed(canaries["login"].encode())}}))
    found: list[str] = []
    with serving(world) as endpoint:
        settings, environment = prepared(tmp_path, endpoint, canaries)
        exporter = Running(
            settings, tmp_path, f"--web.config.file={tmp_path / 'web.yml'}", "--log.level=debug", **environment
        )
        witness = Witness(exporter.process.pid)
        witness.start()
        try:
            exporter.until_up()
            until(lambda: b"arb_price_quote_per_base{" in ask(exporter, "GET", "/metrics", Authorization=right), 60)
            for fault in (None, gossip, told):
                endpoint.fault = fault
                time.sleep(0 if fault is None else 3)
                found += asked_everywhere(exporter, right, canaries)
            found += leaks("frames", asyncio.run(frames(exporter, right)), canaries)
            endpoint.fault = None
            broken = tmp_path / "config.yml"
            broken.write_text(
                f"chain: {{chain_id: 1, endpoints: [{{name: a, http: 'ftp://{canaries['token']}@x'}}]}}\n"
            )
            exporter.process.send_signal(signal.SIGHUP)
            until(lambda: "settings refused" in exporter.stderr.read_text(), 20, exporter)
            assert exporter.stop() == 0
        finally:
            witness.stop.set()
            witness.join()
            exporter.process.kill()
            exporter.process.wait()
    found += leaks("the log", exporter.stderr.read_bytes(), canaries)
    for file in (tmp_path / "state").iterdir():
        found += leaks(file.name, file.read_bytes(), canaries)
    assert any("exporter" in arguments for arguments in witness.seen)
    found += leaks("arguments", "\n".join(witness.seen), canaries)
    assert found == []


def asked_everywhere(exporter: Running, right: str, canaries: dict[str, str]) -> list[str]:
    """Leaks in the answers of every route to right, wrong and odd requests."""
    found = []
    wrong, ticket = basic("ops", canaries["wrong"]), urllib.parse.quote(canaries["ticket"], safe="")
    for method, path in everything():
        for headers in ({"Authorization": right}, {"Authorization": wrong}, {"Authorization": f"Bearer {ticket}"}):
            found += leaks(f"{method} {path}", ask(exporter, method, path, **headers), canaries)
    for path in (f"/ws?ticket={ticket}", f"/metrics?name[]={ticket}", f"/{ticket}", f"/api/v1/trades?pair={ticket}"):
        found += leaks(path[:6], ask(exporter, "GET", path, Authorization=right, Cookie=ticket), canaries)
    return found


@pytest.mark.parametrize("name", ["password", "query"])
def test_the_search_finds_what_it_shall(name: str, canaries: dict[str, str]) -> None:
    """The test would see a leak, whole, in part and encoded."""
    secret = canaries[name]
    for said in (
        secret, f"x{secret[3:11]}y", urllib.parse.quote(secret), secret.upper(),
        base64.b64encode(f"user:{secret}".encode()).decode(), secret.encode().hex(), repr([secret]),
    ):  # fmt: skip
        assert leaks("here", said, canaries) == [f"{name} in here"], said
    assert leaks("here", f"{secret[:7]} {os.urandom(64).hex()}", canaries) == []
