"""Settings and the web configuration while running: on a signal, when a file changes, refused, or too slow."""

import asyncio
import os
import shutil
import signal
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from exporter import reload as reloading
from exporter.config import Loaded
from exporter.web.access import HttpServer, Tls, WebConfig
from exporter.yaml12 import Problem
from tests.running import Running, eventually, running
from tests.test_app import logged, settings, small, started
from tests.web.test_access import HASH, basic, hashed, pem

__all__ = ["pem", "small"]


async def test_a_reload_takes_the_web_configuration_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "exporter")
    async with started(settings(tmp_path)) as found:
        headers = HttpServer(headers={"X-Frame-Options": "SAMEORIGIN"})
        tls = Tls(cert_file=tmp_path / "cert.pem", key_file=tmp_path / "key.pem")
        web = WebConfig(http_server_config=headers, basic_auth_users={"me": HASH}, tls_server_config=tls)
        found.options = replace(found.options, web_config=web)
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: ("settings read anew", None) in logged(caplog))
        answer = await found.page("/")
        assert answer.startswith("HTTP/1.1 401 ")
        assert "X-Frame-Options: SAMEORIGIN" in answer
    assert ("a changed setting takes effect after a restart", "tls_server_config") in logged(caplog)


async def test_refused_settings_leave_the_old_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with started(settings(tmp_path)) as found:
        found.loaded = Loaded(None, [Problem("bot.nmae", "is not a known key"), Problem("chain", "is missing")])
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: len(caplog.records) == 2)
        await found.shows('bot="default"')
    words = "settings refused, the old ones stay"
    assert logged(caplog) == [(words, "bot.nmae"), (words, "chain")]


async def test_settings_on_a_hung_disk_do_not_keep_it_from_ending(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "TIMEOUT", 0.01)
    release = threading.Event()

    def reload() -> Loaded:
        release.wait(20)
        return Loaded(None)

    async with started(settings(tmp_path), reload=reload):
        for count in (1, 2):
            os.kill(os.getpid(), signal.SIGHUP)
            await eventually(lambda count=count: len(caplog.records) == count)  # type: ignore[misc]
    release.set()
    assert [r.fields["error"] for r in caplog.records] == ["timed out", "Busy"]  # type: ignore[attr-defined]


def asked(port: int, **options: str) -> int:
    """The status of a scrape."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=options)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


async def test_users_change_with_their_file_without_a_signal(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(yaml.safe_dump({"basic_auth_users": {"ops": HASH}}))
    exporter_arguments = (f"--web.config.file={file}",)
    with running(None, tmp_path, *exporter_arguments) as exporter:

        async def status(password: str) -> int:
            return await asyncio.to_thread(asked, exporter.port, Authorization=basic("ops", password))

        assert (await status("right"), await status("other")) == (200, 401)
        file.write_text("basic_auth_users: {ops: broken}")
        await eventually(lambda: "settings refused" in exporter.stderr.read_text())
        assert await status("right") == 200
        file.write_text(yaml.safe_dump({"basic_auth_users": {"ops": hashed(b"other")}}))
        await eventually(lambda: "web configuration read anew" in exporter.stderr.read_text())
        assert (await status("right"), await status("other")) == (401, 200)
        assert exporter.stop() == 0


async def test_an_emptied_file_lets_everybody_in_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(yaml.safe_dump({"basic_auth_users": {"ops": HASH}}))
    with running(None, tmp_path, f"--web.config.file={file}") as exporter:
        assert await asyncio.to_thread(asked, exporter.port) == 401
        file.write_text("")
        await eventually(lambda: "web configuration read anew" in exporter.stderr.read_text())
        assert await asyncio.to_thread(asked, exporter.port) == 200
        (said,) = [line for line in exporter.stderr.read_text().splitlines() if "level=warn" in line]
        assert 'msg="whoever comes is no longer asked for this" key=basic_auth_users' in said
        assert exporter.stop() == 0


async def test_a_certificate_changes_with_its_file_and_the_connections_stay(pem: Path, tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        shutil.copy(pem / name, tmp_path / name)
    (tmp_path / "new").mkdir()
    make_certificate(tmp_path / "new")
    tls = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    (tmp_path / "web.yml").write_text(yaml.safe_dump({"tls_server_config": tls}))
    exporter = Running(None, tmp_path, f"--web.config.file={tmp_path / 'web.yml'}")
    old, new = (ssl.create_default_context(cafile=folder / "cert.pem") for folder in (pem, tmp_path / "new"))
    try:
        await eventually(lambda: "listening" in exporter.stderr.read_text())
        reader, writer = await asyncio.open_connection("localhost", exporter.port, ssl=old, server_hostname="localhost")
        shutil.copy(tmp_path / "new" / "cert.pem", tmp_path / "cert.pem")
        shutil.copy(tmp_path / "new" / "key.pem", tmp_path / "key.pem")
        await eventually(lambda: "web configuration read anew" in exporter.stderr.read_text())
        _, other = await asyncio.open_connection("localhost", exporter.port, ssl=new, server_hostname="localhost")
        other.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("localhost", exporter.port, ssl=old, server_hostname="localhost")
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), 20)) == b"HTTP/1.1 200 OK\r\n"
        writer.close()
        assert exporter.stop() == 0
    finally:
        exporter.process.kill()
        exporter.process.wait()


def make_certificate(folder: Path) -> None:
    """Another self-signed certificate of localhost."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", "cert.pem", "-keyout", "key.pem"],
        cwd=folder, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
