"""When the web configuration is read anew: after its files changed, and once they have stayed the same."""

import asyncio
from pathlib import Path

import pytest

from exporter.web import access, renewal
from exporter.web.access import Access, Tls, WebConfig
from exporter.web.site import Site
from exporter.worker import Busy, Worker
from tests.running import eventually
from tests.web.test_access import HASH, pem
from tests.web.test_server import board

__all__ = ["pem"]


async def test_a_change_is_seen_once_and_only_when_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "EVERY", 0.05)
    file, worker, renewed = tmp_path / "web.yml", Worker("web"), []
    busy = False

    async def renew() -> None:
        renewed.append(file.read_text() if file.exists() else None)

    class Sometimes:
        async def run(self, *given: object) -> object:
            if busy:
                raise Busy("x")
            return await worker.run(*given)  # type: ignore[arg-type]

    task = asyncio.create_task(renewal.watch(file, WebConfig, Sometimes(), renew))  # type: ignore[arg-type]
    await asyncio.sleep(0.2)
    assert renewed == []
    for length in range(8):
        file.write_text("a" * length)
        await asyncio.sleep(0.03)
    busy = True
    await asyncio.sleep(0.1)
    busy = False
    await eventually(lambda: renewed[-1:] == ["a" * 7])
    count = len(renewed)
    await asyncio.sleep(0.3)
    assert len(renewed) == count
    file.unlink()
    await eventually(lambda: renewed[-1:] == [None])
    task.cancel()
    await asyncio.wait([task])
    worker.close()


def test_all_files_of_the_configuration_count(pem: Path, tmp_path: Path) -> None:
    tls = Tls(cert_file=pem / "cert.pem", key_file=pem / "key.pem", client_ca_file=tmp_path / "absent")
    found = renewal.marks(pem / "cert.pem", WebConfig(tls_server_config=tls))
    assert len(found) == 4
    assert found[0] == found[1] != found[2]
    assert found[3] is None


def test_files_that_change_while_they_are_read_are_refused(pem: Path, tmp_path: Path) -> None:
    tls = Tls(cert_file=tmp_path / "gone", key_file=tmp_path / "gone")
    context = Tls(cert_file=pem / "cert.pem", key_file=pem / "key.pem").context()
    found, problems, made = renewal.load(lambda: (WebConfig(tls_server_config=tls), []), context)
    assert (found, made) == (None, None)
    assert [problem.path for problem in problems] == ["tls_server_config"]
    good = WebConfig(tls_server_config=Tls(cert_file=pem / "cert.pem", key_file=pem / "key.pem"))
    assert renewal.load(lambda: (good, []), context)[2] is not context
    assert renewal.load(lambda: (good, []), None)[2] is None, "TLS is not begun while running"
    assert renewal.load(lambda: (None, problems), context) == (None, problems, None)


async def test_new_users_and_headers_hold_at_once() -> None:
    site = Site(board(), Access({}, {}), loopback_only=True)
    headers = access.HttpServer(headers={"X-Frame-Options": "SAMEORIGIN"})
    renewal.admit(site, WebConfig(basic_auth_users={"ops": HASH}, http_server_config=headers), None, False)
    assert (site.access.users, site.loopback_only, site.headers) == ({"ops": HASH}, False, headers.headers)
