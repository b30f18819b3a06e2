"""A canary in every secret there is; nothing of it, however encoded, leaves the exporter by any way."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import secrets
import signal
import ssl
import string
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from aiohttp import web
from websockets.asyncio.client import connect

from exporter.live.topics import NAMES
from tests.buses import bus
from tests.model import story
from tests.model.server import Endpoint, serving
from tests.model.story import POOLS, Story
from tests.running import Gateway, Running, until
from tests.web.test_access import basic, hashed, pem
from tests.web.test_every_route import everything

__all__ = ["pem"]

type Prepared = tuple[dict[str, Any], dict[str, str]]
"""Settings and environment."""
TRUSTING = ssl._create_unverified_context()  # noqa: S323
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
        with urllib.request.urlopen(request, timeout=10, context=TRUSTING) as response:  # noqa: S310
            return str(response.headers).encode() + response.read()
    except urllib.error.HTTPError as error:
        with error:
            return str(error.headers).encode() + error.read()


async def frames(exporter: Running, authorization: str) -> str:
    """What a listener of everything is told, and one who sends nonsense."""
    heard = []
    url = exporter.url.replace("http", "ws") + "/ws"
    async with connect(url, additional_headers={"Authorization": authorization}, ssl=TRUSTING) as client:
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


SECRETS = (
    "user", "password", "path", "query", "websocket", "file", "websocket file", "api", "grafana", "login", "wrong",
    "ticket", "token",
)  # fmt: skip


@pytest.fixture
def canaries(pem: Path) -> dict[str, str]:
    """Of each secret what must not be seen; the key is known by a piece of it, the bus takes letters only."""
    made = {name: canary() for name in SECRETS}
    key = (pem / "key.pem").read_text().splitlines()
    own = {"bus": canary().replace("%/", ""), "hash": hashed(made["login"].encode()), "key": key[len(key) // 2]}
    return made | own


def prepared(folder: Path, endpoint: Endpoint, bus_url: str, told_of: dict[str, str], by: str) -> Prepared:
    """Settings with a canary in each secret, given by the environment or by files where there is a choice."""
    quoted = {name: urllib.parse.quote(secret, safe="") for name, secret in told_of.items()}
    host = endpoint.http.removeprefix("http://").removesuffix("/v2")
    api = f"http://{quoted['user']}:{quoted['password']}@{host}/v2/{quoted['api']}"
    files = {
        "grafana": told_of["grafana"], "url": f"http://{host}/v2/{quoted['file']}", "api": api, "bus": bus_url,
        "ws": f"ws://{host}/v2/{quoted['websocket file']}",
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).write_text(text)
    environment = {
        "NODE": f"http://{quoted['user']}:{quoted['password']}@{host}/v2/{quoted['path']}?key={quoted['query']}",
        "NODE_WS": f"ws://{host}/v2/{quoted['websocket']}", "API": api, "BUS": bus_url,
    }  # fmt: skip
    pools = [{"dex": p.dex, "kind": "uniswap_v2", "address": p.address, "name": f"pool-{i}"}
             for i, p in enumerate(POOLS)]  # fmt: skip
    chain = {
        "chain_id": endpoint.world.chain_id, "pools": pools, "wallets": [{"name": "trader", "address": story.ME}],
        "endpoints": [
            {"name": "first", "http": "${NODE}", "ws": "${NODE_WS}"},
            {"name": "second", "http_file": "url", "ws_file": "ws"},
            {"name": "gone", "http": f"http://127.0.0.1:1/{quoted['path']}"},
        ],
    }  # fmt: skip
    if by == "files":
        grafana, bus, own = {"user": "arb", "password_file": "grafana"}, {"bus_file": "bus"}, {"url_file": "api"}
    else:
        grafana, bus, own = {"token_file": "grafana"}, {"bus": "${BUS}"}, {"url": "${API}"}
    live = {"grafana": {"url": f"http://{host}", **grafana}, **bus}
    bot = {"name": "b", "api": {"every": 1, **own}}
    return {"bot": bot, "chain": chain, "live": live, "state": str(folder / "state")}, environment


def secured(folder: Path, pem: Path, canaries: dict[str, str]) -> str:
    """The argument that lets users in over TLS, with a hash and a key that nobody shall see."""
    tls = {"cert_file": str(pem / "cert.pem"), "key_file": str(pem / "key.pem")}
    config = {"basic_auth_users": {"ops": canaries["hash"]}, "tls_server_config": tls}
    (folder / "web.yml").write_text(yaml.safe_dump(config))
    return f"--web.config.file={folder / 'web.yml'}"


@contextmanager
def watched(member: Running) -> Iterator[Witness]:
    """A process over TLS, and a witness of its arguments; it is ended whatever happens."""
    member.url = member.url.replace("http:", "https:")
    witness = Witness(member.process.pid)
    witness.start()
    try:
        until(lambda: b"ok\n" in asked(member, "/healthz"), 20, member)
        yield witness
    finally:
        witness.stop.set()
        witness.join()
        member.process.kill()
        member.process.wait()


def asked(member: Running, path: str, **headers: str) -> bytes:
    """An answer, or none where nobody listens yet."""
    try:
        return ask(member, "GET", path, **headers)
    except OSError:
        return b""


def broken(member: Running, canaries: dict[str, str]) -> None:
    """Give it settings that it cannot use, with a secret in the wrong place."""
    nonsense = f"chain: {{chain_id: 1, endpoints: [{{name: a, http: 'ftp://{canaries['token']}@x'}}]}}\n"
    member.config.write_text(nonsense)
    member.process.send_signal(signal.SIGHUP)
    until(lambda: "settings refused" in member.stderr.read_text(), 20, member)


@pytest.mark.parametrize("by", ["environment", "files"])
def test_no_canary_is_found_anywhere(by: str, canaries: dict[str, str], pem: Path, tmp_path: Path) -> None:
    world = story.world(depth=5, interval=0.2)
    Story(random.Random(41), world).mine(20)
    right, found = basic("ops", canaries["login"]), list[str]()
    (tmp_path / "gateway").mkdir()
    with serving(world) as endpoint, bus(tmp_path / "server", canaries["bus"]) as server:
        settings, environment = prepared(tmp_path, endpoint, server.url, canaries, by)
        options = (secured(tmp_path, pem, canaries), "--log.level=debug")
        exporter = Running(settings, tmp_path, *options, **environment)
        second = {"bot": {"name": "b"}, "live": {"bus": "${BUS}"}}
        gateway = Gateway(second, tmp_path / "gateway", *options, **environment)
        with watched(exporter) as witness, watched(gateway) as other:
            until(lambda: b"arb_price_quote_per_base{" in ask(exporter, "GET", "/metrics", Authorization=right), 60)
            until(lambda: b'"ready": true' in ask(gateway, "GET", "/readyz", Authorization=right), 60, gateway)
            for fault in (None, gossip, told):
                endpoint.fault = fault
                time.sleep(0 if fault is None else 3)
                found += asked_everywhere(exporter, right, canaries)
            endpoint.fault = None
            for member in (exporter, gateway):
                found += leaks("frames", asyncio.run(frames(member, right)), canaries)
            server.kill()
            until(lambda: b'"ready": true' not in ask(gateway, "GET", "/readyz", Authorization=right), 60, gateway)
            found += asked_everywhere(gateway, right, canaries)
            for member in (exporter, gateway):
                broken(member, canaries)
                assert member.stop() == 0
    for member in (exporter, gateway):
        found += leaks("the log", member.stderr.read_bytes(), canaries)
    for file in (tmp_path / "state").iterdir():
        found += leaks(file.name, file.read_bytes(), canaries)
    for one in (witness, other):
        assert any("exporter" in arguments for arguments in one.seen)
        found += leaks("arguments", "\n".join(one.seen), canaries)
    print(f"{len(canaries)} canaries by {by}, found: {len(found)}")
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
