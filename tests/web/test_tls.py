"""What exporter-toolkit's words for TLS do here: suites, curves, and whose certificate opens the door."""

import asyncio
import ssl
import subprocess
from asyncio.sslproto import _SSLProtocolTransport  # what a connection of a server with TLS is
from pathlib import Path

import pytest
import yaml

from exporter.web import tls
from exporter.web.access import Access, Tls, load
from exporter.web.site import Site
from tests.running import PATIENCE, Running, until
from tests.web.test_access import pem
from tests.web.test_server import board, serving

__all__ = ["pem"]

SANS = {
    "friend": "DNS:prometheus.example,URI:spiffe://a/prometheus",
    "mail": "email:ops@example.org",
    "address": "IP:10.0.0.7,IP:2001:db8::1",
    "stranger": "DNS:evil.example",
    "nobody": "",
}


@pytest.fixture(scope="module")
def clients(pem: Path) -> Path:
    """Beside the server's certificate, which is their authority, those of clients with different names."""
    for name, sans in SANS.items():
        subject = ["-subj", "/CN=prometheus.example"]  # which is no alternative name: nobody may come in by it
        run("req", "-newkey", "rsa:2048", "-nodes", *subject, "-keyout", f"{name}.key", "-out", f"{name}.csr", at=pem)
        (pem / f"{name}.ext").write_text(f"subjectAltName={sans}" if sans else "keyUsage=digitalSignature")
        authority = ["-CA", "cert.pem", "-CAkey", "key.pem", "-CAcreateserial", "-days", "2"]
        run("x509", "-req", "-in", f"{name}.csr", *authority, "-extfile", f"{name}.ext", "-out", f"{name}.pem", at=pem)
    return pem


def run(*arguments: str, at: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=at, check=True, capture_output=True, timeout=60)


def client(folder: Path, name: str | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=folder / "cert.pem")
    if name is not None:
        made.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return made


async def answered(port: int, context: ssl.SSLContext, path: str = "/healthz") -> bytes:
    """The first line of an answer; nothing if there is none."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        said = await asyncio.wait_for(reader.readline(), PATIENCE)
        writer.transport.abort()
    except OSError:
        return b""
    return said


def settings(folder: Path, **more: object) -> dict[str, object]:
    files = {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}
    return {"tls_server_config": files | more}


ALLOWED: dict[tuple[str, ...], set[str]] = {
    ("prometheus.example",): {"friend"},
    ("spiffe://a/prometheus", "x"): {"friend"},
    ("ops@example.org",): {"mail"},
    ("10.0.0.7",): {"address"},
    ("2001:0DB8:0::1",): {"address"},
    ("evil.example.org", "10.0.0.70", "PROMETHEUS.EXAMPLE"): set(),
    (): set(SANS),
}


async def test_only_certificates_with_an_allowed_name_open_the_door(clients: Path, tmp_path: Path) -> None:
    """A whole exporter with its own loop; each list is put into force by a reload."""
    config = tmp_path / "web.yml"

    def write(sans: tuple[str, ...]) -> None:
        more = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(clients / "cert.pem")}
        config.write_text(yaml.safe_dump(settings(clients, **more, client_allowed_sans=list(sans))))

    write(("prometheus.example",))
    exporter = Running({}, tmp_path, f"--web.config.file={config}")
    try:
        async with asyncio.timeout(PATIENCE):
            while not await answered(exporter.port, client(clients, "friend")):
                assert exporter.process.poll() is None, exporter.stderr.read_text()
                await asyncio.sleep(0.05)
        for number, (sans, expected) in enumerate(ALLOWED.items(), 1):
            write(sans)
            exporter.process.send_signal(1)
            await asyncio.to_thread(
                until, lambda n=number: exporter.stderr.read_text().count("settings read anew") >= n, 20, exporter
            )
            for path in ("/healthz", "/ws"):
                let_in = {name for name in SANS if await answered(exporter.port, client(clients, name), path)}
                assert let_in == expected, (sans, path)
            assert not await answered(exporter.port, client(clients))
        assert exporter.stop() == 0
        assert "Traceback" not in exporter.stderr.read_text()
    finally:
        exporter.process.kill()
        exporter.process.wait()


GOOD = {
    "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]": "ECDHE-RSA-AES128-GCM-SHA256",
    "cipher_suites: [TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]": "ECDHE-RSA-CHACHA20-POLY1305",
    "cipher_suites: [TLS_AES_256_GCM_SHA384], min_version: TLS13": "",
    "curve_preferences: [X25519]": "",
    "curve_preferences: [CurveP256], prefer_server_cipher_suites: true": "",
    "prefer_server_cipher_suites: false": "",
    "cipher_suites: [], curve_preferences: [], client_allowed_sans: []": "",
}
MUTUAL = "client_ca_file: cert.pem, client_auth_type: "
BAD = {
    "cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]": "tls_server_config.cipher_suites[0]: must be one of TLS_ECDHE_",
    "cipher_suites: [TLS_AES_128_GCM_SHA256]": "tls_server_config: cipher_suites has none of TLS 1.2",
    "curve_preferences: [CurveP256, X25519]": "tls_server_config.curve_preferences: must have 0 to 1 entries",
    "curve_preferences: [X448]": "tls_server_config.curve_preferences[0]: must be one of CurveP256",
    "prefer_server_cipher_suites: 1": "tls_server_config.prefer_server_cipher_suites: must be true or false",
    "client_allowed_sans: [a.example]": "tls_server_config: client_allowed_sans needs",
    "client_allowed_sans: ['']": "tls_server_config.client_allowed_sans[0]: must be a name",
    f"client_allowed_sans: [a], {MUTUAL}VerifyClientCertIfGiven": "tls_server_config: client_allowed_sans needs",
    f"client_allowed_sans: [a], {MUTUAL}RequestClientCert": "tls_server_config: client_allowed_sans needs",
}


@pytest.mark.parametrize("text", GOOD)
def test_what_python_can_do_is_done(text: str, pem: Path) -> None:
    (pem / "web.yml").write_text(f"tls_server_config: {{cert_file: cert.pem, key_file: key.pem, {text}}}")
    found, problems = load(pem / "web.yml")
    assert problems == []
    assert found is not None
    assert found.tls_server_config is not None
    context = found.tls_server_config.context()
    chosen = [one["name"] for one in context.get_ciphers() if one["protocol"] != "TLSv1.3"]
    assert chosen == [GOOD[text]] if GOOD[text] else len(chosen) > 5
    ours_first = bool(context.options & ssl.OP_CIPHER_SERVER_PREFERENCE)
    assert ours_first is ("prefer_server_cipher_suites: false" not in text)


@pytest.mark.parametrize("text", BAD)
def test_what_it_cannot_do_is_refused_by_its_name(text: str, pem: Path) -> None:
    (pem / "web.yml").write_text(f"tls_server_config: {{cert_file: cert.pem, key_file: key.pem, {text}}}")
    found, problems = load(pem / "web.yml")
    assert found is None
    (problem,) = problems
    assert f"{problem.path}: {problem.message}".startswith(BAD[text])


@pytest.mark.parametrize("suite", tls.SUITES)
def test_every_suite_that_may_be_named_is_known_to_openssl(suite: str) -> None:
    if wanted := tls.ciphers([suite]):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(wanted)
        assert wanted in [one["name"] for one in context.get_ciphers()]


@pytest.mark.parametrize("curve", tls.CURVES)
def test_a_chosen_curve_is_the_one(curve: str, pem: Path) -> None:
    made = Tls(cert_file=pem / "cert.pem", key_file=pem / "key.pem", curve_preferences=(curve,)).context()
    for own in tls.CURVES:
        trusting = ssl.create_default_context(cafile=pem / "cert.pem")
        trusting.set_ecdh_curve(tls.CURVES[own])
        assert agree(made, trusting) is (own == curve), own


def agree(server: ssl.SSLContext, other: ssl.SSLContext) -> bool:
    """Whether two sides come to a handshake, without any socket."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [server.wrap_bio(there, back, server_side=True), other.wrap_bio(back, there, server_hostname="localhost")]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return all(side.version() is not None for side in sides)


CIPHER = ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)


@pytest.mark.parametrize("said", [{}, {"cipher": CIPHER}, {"sslcontext": None}], ids=["nothing", "cipher", "none"])
def test_a_transport_that_does_not_say_what_was_asked_of_the_client_lets_nobody_in(said: dict[str, object]) -> None:
    assert not tls.may_come(asyncio.Transport(said), is_plain=False)


def test_without_tls_anybody_may_come_unless_the_transport_says_otherwise() -> None:
    assert tls.may_come(asyncio.Transport(), is_plain=True)
    context = tls.Context(ssl.PROTOCOL_TLS_SERVER)
    for is_plain in (True, False):
        context.allow([])
        assert tls.may_come(asyncio.Transport({"sslcontext": context}), is_plain)
        context.allow(["a.example"])
        assert not tls.may_come(asyncio.Transport({"sslcontext": context}), is_plain)


@pytest.mark.parametrize("hidden", [False, True], ids=["as it is", "hidden"])
async def test_the_server_knows_by_its_door_that_there_is_tls(
    hidden: bool, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a transport says: if it says nothing, a server with TLS lets nobody in, and one without goes on."""
    own = _SSLProtocolTransport.get_extra_info

    def get_extra_info(transport: _SSLProtocolTransport, name: str, default: object = None) -> object:
        return default if hidden and name in ("sslcontext", "cipher") else own(transport, name, default)

    monkeypatch.setattr(_SSLProtocolTransport, "get_extra_info", get_extra_info)
    context = Tls(cert_file=pem / "cert.pem", key_file=pem / "key.pem").context()
    for asked in (None, context):
        async with serving(Site(board(), Access({}, {}), loopback_only=True), asked) as served:
            there = None if asked is None else client(pem)
            if hidden and asked is not None:
                with pytest.raises(ConnectionError):
                    await one_answer(served.port, there)
            else:
                assert await one_answer(served.port, there) == b"HTTP/1.1 200 OK\r\n"


async def one_answer(port: int, context: ssl.SSLContext | None) -> bytes:
    name = None if context is None else "localhost"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        if line := await asyncio.wait_for(reader.readline(), PATIENCE):
            return line
        raise ConnectionError
    finally:
        writer.transport.abort()
