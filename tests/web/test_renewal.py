"""When the web configuration is read anew: after its files changed, and once they have stayed the same."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

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


NO_LONGER = "whoever comes is no longer asked for this"
USERS, CERTIFICATE, NAMES = (
    "basic_auth_users", "tls_server_config.client_auth_type", "tls_server_config.client_allowed_sans",
)  # fmt: skip
TAKEN: dict[str, tuple[Callable[[WebConfig, Tls], WebConfig], list[str]]] = {
    "nothing": (lambda config, tls: config, []),
    "one of the users": (lambda config, tls: replace(config, basic_auth_users={"me": HASH}), []),
    "one of the names": (lambda config, tls: having(config, replace(tls, client_allowed_sans=("b",))), []),
    "all users": (lambda config, tls: replace(config, basic_auth_users={}), [USERS]),
    "all names": (lambda config, tls: having(config, replace(tls, client_allowed_sans=())), [NAMES]),
    "the need of a certificate": (
        lambda config, tls: having(
            config, replace(tls, client_allowed_sans=(), client_auth_type="VerifyClientCertIfGiven")
        ),
        [NAMES, CERTIFICATE],
    ),
    "all but the server's certificate": (
        lambda config, tls: WebConfig(tls_server_config=Tls(cert_file=tls.cert_file, key_file=tls.key_file)),
        [USERS, NAMES, CERTIFICATE],
    ),
}


def having(config: WebConfig, tls: Tls) -> WebConfig:
    return replace(config, tls_server_config=tls)


@pytest.mark.parametrize("taken", TAKEN)
async def test_what_is_no_longer_asked_is_said_once(taken: str, pem: Path, caplog: pytest.LogCaptureFixture) -> None:
    tls = Tls(
        cert_file=pem / "cert.pem", key_file=pem / "key.pem", client_auth_type="RequireAndVerifyClientCert",
        client_ca_file=pem / "cert.pem", client_allowed_sans=("a", "b"),
    )  # fmt: skip
    old = WebConfig(tls_server_config=tls, basic_auth_users={"me": HASH, "you": HASH})
    site = Site(board(), Access(old.basic_auth_users, {}), False, gate=gate(tls.context()))  # type: ignore[arg-type]
    change, expected = TAKEN[taken]
    new = change(old, tls)
    for _ in range(2):
        assert new.tls_server_config is not None
        renewal.admit(site, new, new.tls_server_config.context(), False)
    said = [(record.levelname, record.getMessage(), record.fields) for record in caplog.records]  # type: ignore[attr-defined]
    assert said == [("WARNING", NO_LONGER, {"key": key}) for key in expected]


def gate(context: ssl.SSLContext | None) -> SimpleNamespace:
    return SimpleNamespace(context=context)


async def test_tls_that_stays_until_a_restart_asks_what_it_asked(pem: Path, caplog: pytest.LogCaptureFixture) -> None:
    tls = Tls(
        cert_file=pem / "cert.pem", key_file=pem / "key.pem", client_auth_type="RequireAndVerifyClientCert",
        client_ca_file=pem / "cert.pem",
    )  # fmt: skip
    site = Site(board(), Access({}, {}), True, gate=gate(tls.context()))  # type: ignore[arg-type]
    renewal.admit(site, WebConfig(), None, True)
    assert [record.getMessage() for record in caplog.records] == ["a changed setting takes effect after a restart"]
