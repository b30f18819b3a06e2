"""The door: thousands may wait, TLS may change, silence is ended, and a want of descriptors is outlived."""

import asyncio
import errno
import socket
import ssl
import struct
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.web import crowd, gate
from exporter.web.access import Access, Tls
from exporter.web.crowd import Crowd
from exporter.web.gate import Gate
from exporter.web.server import Runner, application, open_door
from exporter.web.site import Site
from tests.running import eventually
from tests.web.test_access import pem
from tests.web.test_server import board

__all__ = ["pem"]

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def opened(most: int = 256, context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Gate, Crowd]]:
    site = Site(board(), Access({}, {}), loopback_only=True, crowd=Crowd(most))
    runner = Runner(application(site), shutdown_timeout=0.1)
    await runner.setup()
    try:
        yield await open_door(runner, "127.0.0.1", 0, context), site.crowd
    finally:
        await runner.cleanup()


async def call(made: Gate, tls: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*made.addresses[0], ssl=tls)


async def ask(made: Gate, tls: ssl.SSLContext | None = None) -> bytes:
    reader, writer = await call(made, tls)
    try:
        writer.write(GET)
        return await asyncio.wait_for(reader.readline(), 20)
    finally:
        writer.close()


async def test_thousands_may_wait_at_the_door() -> None:
    async with opened() as (made, _):
        (listening,) = made._sockets
        of_a_listener = struct.unpack_from("I", listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32), 28)
        most = int(Path("/proc/sys/net/core/somaxconn").read_text())
        assert of_a_listener == (min(gate.WAITING, most),)


async def test_more_silent_connections_than_there_may_be_are_no_hindrance() -> None:
    async with opened(most=24) as (made, inside):
        silent = [await call(made) for _ in range(100)]
        assert await ask(made) == b"HTTP/1.1 200 OK\r\n"
        assert len(inside) <= 24
        gone = [reader for reader, _ in silent if reader.at_eof() or reader.exception()]
        assert len(gone) >= 70
        for _, writer in silent:
            writer.close()
        await eventually(lambda: len(inside) == 0)


async def test_a_newcomer_has_a_moment_to_ask_however_many_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "GRACE", 60.0)
    async with opened(most=24) as (made, inside):
        callers = [await call(made) for _ in range(60)]
        await eventually(lambda: inside.full)
        assert 0.0 < inside.grace <= 60.0
        for reader, writer in callers[:24]:  # who came last waits at the door
            writer.write(GET)
            assert await asyncio.wait_for(reader.readline(), 20) == b"HTTP/1.1 200 OK\r\n"
        for _, writer in callers:
            writer.close()


async def test_whoever_does_not_send_a_head_in_time_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "FIRST_REQUEST", 0.2)
    monkeypatch.setattr(crowd, "LOOK", 0.05)
    async with opened() as (made, inside):
        reader, writer = await call(made)
        _, silent = await call(made)
        for byte in GET[:-2]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
            if not len(inside):
                break
        await eventually(lambda: len(inside) == 0)
        assert await reader.read() == b""
        writer.close()
        silent.close()


async def test_a_connection_may_rest_between_requests_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "FIRST_REQUEST", 0.2)
    monkeypatch.setattr(crowd, "LOOK", 0.05)
    async with opened() as (made, inside):
        reader, writer = await call(made)
        for _ in range(3):
            writer.write(GET)
            assert await reader.readuntil(b"ok\n")
            await asyncio.sleep(0.3)
        writer.write(GET[:10])  # the head of another request has to come in time, too
        await eventually(lambda: len(inside) == 0)
        writer.close()
        reader, writer = await call(made)
        writer.write(GET)
        assert await reader.readuntil(b"ok\n")
        monkeypatch.setattr(crowd, "IDLE", 0.2)
        await eventually(lambda: len(inside) == 0)
        assert await reader.read() == b""
        writer.close()


class Door:
    """A listening socket that has no descriptor for anybody, for a while."""

    def __init__(self, real: socket.socket, number: int) -> None:
        self.real, self.number, self.tries, self.broken = real, number, 0, True

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    def accept(self) -> tuple[socket.socket, object]:
        if self.broken:
            self.tries += 1
            raise OSError(self.number, "x")
        return self.real.accept()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EPROTO])
async def test_a_want_of_descriptors_is_said_once_and_outlived(
    number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    doors: list[Door] = []

    def bound(host: str, port: int) -> list[socket.socket]:
        doors.extend(Door(real, number) for real in gate.bound(host, port))
        return doors  # type: ignore[return-value]

    monkeypatch.setattr("exporter.web.server.bound", bound)
    monkeypatch.setattr(gate, "PAUSE", 0.01)
    async with opened() as (made, _):
        waiting = asyncio.create_task(ask(made))
        await eventually(lambda: doors[0].tries > 5)
        doors[0].broken = False
        assert await waiting == b"HTTP/1.1 200 OK\r\n"
    assert [record.getMessage() for record in caplog.records] == ["a connection cannot be accepted now"]


async def test_the_context_of_the_moment_holds_for_who_comes_next(pem: Path) -> None:
    context = Tls(cert_file=pem / "cert.pem", key_file=pem / "key.pem").context()
    only13 = Tls(cert_file=pem / "cert.pem", key_file=pem / "key.pem", min_version="TLS13").context()
    trust = ssl.create_default_context(cafile=pem / "cert.pem")
    trust.maximum_version = ssl.TLSVersion.TLSv1_2
    async with opened(context=context) as (made, _):
        assert await ask(made, trust) == b"HTTP/1.1 200 OK\r\n"
        made.context = only13
        with pytest.raises(OSError):
            await ask(made, trust)
        made.context = context
        assert await ask(made, trust) == b"HTTP/1.1 200 OK\r\n"


async def test_a_client_without_a_certificate_of_our_authority_is_not_let_in(pem: Path) -> None:
    tls = Tls(
        cert_file=pem / "cert.pem", key_file=pem / "key.pem", client_ca_file=pem / "cert.pem",
        client_auth_type="RequireAndVerifyClientCert",
    )  # fmt: skip
    stranger, friend = (ssl.create_default_context(cafile=pem / "cert.pem") for _ in range(2))
    friend.load_cert_chain(pem / "cert.pem", pem / "key.pem")
    async with opened(context=tls.context()) as (made, inside):
        assert await ask(made, friend) == b"HTTP/1.1 200 OK\r\n"
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            stranger.maximum_version = version
            try:
                assert await ask(made, stranger) == b""
            except OSError:
                pass  # as soon as the handshake, or on the first read
        await eventually(lambda: len(inside) == 0)


async def test_tls_older_than_1_2_is_refused(pem: Path) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    context = Tls(cert_file=pem / "cert.pem", key_file=pem / "key.pem").context()
    async with opened(context=context) as (made, _):
        with pytest.raises(OSError):
            await ask(made, old)


async def test_who_never_agrees_on_tls_makes_room_and_is_given_up(pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "HANDSHAKE", 0.3)
    context = Tls(cert_file=pem / "cert.pem", key_file=pem / "key.pem").context()
    trust = ssl.create_default_context(cafile=pem / "cert.pem")
    async with opened(most=24, context=context) as (made, inside):
        silent = [await call(made) for _ in range(60)]
        assert await ask(made, trust) == b"HTTP/1.1 200 OK\r\n"
        assert len(inside) <= 24
        await eventually(lambda: not made._arrivals)
        for _, writer in silent:
            writer.close()
        await eventually(lambda: len(inside) == 0)


async def test_an_address_that_cannot_be_had_is_an_error_and_leaves_nothing_open() -> None:
    async with opened() as (made, _):
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(OSError, match="in use"):
            gate.bound(*made.addresses[0])
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        assert made.name.startswith("http://")
