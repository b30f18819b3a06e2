"""One request after the other, each of which ends in time."""

import http.client
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.client.connection import Answer, Connection
from exporter.client.options import Route, route
from tests.client import fake_exporter
from tests.client.fake_exporter import Exporter, hangs, resets, running, says, trickles


def to(url: str, **more: Any) -> Route:
    nothing = dict.fromkeys(("user", "password", "password_file", "ca_file"))
    return route({"url": url, **nothing, **more})


LINE = b'{"id":"%d","type":"component"}\n'


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of localhost that signs itself, and its key."""
    home = tmp_path_factory.mktemp("tls")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    extra = ["-addext", "subjectAltName=DNS:localhost", "-out", "cert.pem", "-keyout", "key.pem"]
    subprocess.run([*make, *extra], cwd=home, capture_output=True, check=True)
    return home / "cert.pem", home / "key.pem"


@pytest.fixture
def connection(exporter: Exporter) -> Iterator[Connection]:
    made = Connection(to(exporter.url))
    yield made
    made.close()


def test_a_connection_is_kept(exporter: Exporter, connection: Connection) -> None:
    for number in range(5):
        assert connection.post(LINE % number) == Answer(202)
    assert exporter.connections == 1
    assert exporter.requests[0]["path"] == "/api/v1/events"
    assert exporter.requests[0]["Content-Type"] == "application/x-ndjson"
    assert "Authorization" not in exporter.requests[0]


def test_only_large_bodies_are_compressed(exporter: Exporter, connection: Connection) -> None:
    connection.post(LINE % 0)
    connection.post(b"".join(LINE % number for number in range(1, 500)))
    first, second = exporter.requests
    assert "Content-Encoding" not in first
    assert second["Content-Encoding"] == "gzip"
    assert int(second["Content-Length"]) < 500 * len(LINE) / 5
    assert [record["id"] for record in exporter.records] == [str(number) for number in range(500)]


@pytest.mark.parametrize(
    ("given", "understood"),
    [("7", 7.0), ("0", 0.0), ("-1", None), ("soon", None), ("", None), ("1e9", None), ("٣", None)],
)
def test_odd_waits(exporter: Exporter, connection: Connection, given: str, understood: float | None) -> None:
    if not given.isascii():
        given = given.encode().decode("latin-1")
    exporter.deeds.append(says(503, Retry_After=given))
    assert connection.post(LINE % 1) == Answer(503, retry_after=understood)


@pytest.mark.parametrize(
    ("document", "rejected"),
    [({"invalid": 3}, 3), ({}, None), ([], None), ("x", None), ({"invalid": "3"}, None), ({"invalid": -1}, None)],
)
def test_how_many_were_refused(
    exporter: Exporter, connection: Connection, document: object, rejected: int | None
) -> None:
    exporter.deeds.append(says(422, document))
    assert connection.post(LINE % 1) == Answer(422, rejected=rejected)


def test_an_endless_answer_is_not_read_to_its_end(exporter: Exporter, connection: Connection) -> None:
    exporter.deeds.append(says(202, "x" * 1_000_000))
    assert connection.post(LINE % 1) == Answer(202)
    assert connection.post(LINE % 2) == Answer(202)
    assert exporter.connections == 2


def test_a_kept_connection_that_was_closed_is_opened_anew_at_once(exporter: Exporter, connection: Connection) -> None:
    connection.post(LINE % 1)
    exporter.deeds.append(resets)
    assert connection.post(LINE % 2) == Answer(202)
    assert [record["id"] for record in exporter.records] == ["1", "2"]
    assert exporter.repeated == 1


def test_a_reset_of_a_new_connection_is_an_error(exporter: Exporter, connection: Connection) -> None:
    exporter.deeds.append(resets)
    with pytest.raises((OSError, http.client.HTTPException)):
        connection.post(LINE % 1)
    assert connection.post(LINE % 1) == Answer(202)


@pytest.mark.parametrize("deed", [hangs, trickles])
def test_a_request_ends_in_time(exporter: Exporter, connection: Connection, deed: fake_exporter.Deed) -> None:
    exporter.deeds.append(deed)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        connection.post(LINE % 1, patience=0.3)
    assert time.monotonic() - began < 5
    assert connection.post(LINE % 2) == Answer(202)


def test_nobody_listens(connection: Connection) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        nobody = Connection(to(f"http://127.0.0.1:{bound.getsockname()[1]}"))
        with pytest.raises(ConnectionRefusedError):
            nobody.post(LINE % 1)


def test_what_is_no_http_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def shout() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=shout)
        thread.start()
        with pytest.raises(http.client.HTTPException):
            Connection(to(f"http://127.0.0.1:{server.getsockname()[1]}")).post(LINE % 1)
        thread.join(10)


def test_credentials_are_sent_and_their_change_is_seen(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("old")
    with running(user=("bot", "new:é")) as exporter:
        connection = Connection(to(exporter.url, user="bot", password_file=password))
        assert connection.post(LINE % 1) == Answer(401)
        password.write_text("new:é")
        assert connection.post(LINE % 1) == Answer(202)
        password.unlink()
        with pytest.raises(FileNotFoundError):
            connection.post(LINE % 2)
        connection.close()


def test_tls_needs_a_known_authority(tls_files: tuple[Path, Path]) -> None:
    certificate, key = tls_files
    with running() as exporter:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        exporter.socket = context.wrap_socket(exporter.socket, server_side=True)
        url = exporter.url.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises(ssl.SSLCertVerificationError):
            Connection(to(url)).post(LINE % 1)
        connection = Connection(to(url, ca_file=certificate))
        assert connection.post(LINE % 1) == Answer(202)
        assert connection.post(LINE % 2) == Answer(202)
        connection.close()
        with pytest.raises(FileNotFoundError):
            Connection(to(url, ca_file=f"{certificate}.none")).post(LINE % 1)
