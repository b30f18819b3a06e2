"""Users, roles and TLS as in exporter-toolkit, read strictly."""

import asyncio
import base64
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest

from exporter import settings
from exporter.web import access
from exporter.web.access import Access, Refused, is_loopback, load


def hashed(password: bytes) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()


HASH = "$2b$04$aUQK9cU4PdUim2Hd96LeLewL1zZZeZd7n8G3cYVl9n5x.5/Jz/BGy"
"""Of "right"; fixed, because it is part of tests' names."""


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a self-signed certificate, its key, another key, and the key under a pass phrase."""
    folder = tmp_path_factory.mktemp("pem")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    extra = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", "cert.pem", "-keyout", "key.pem"]
    for command in (
        [*make, *extra],
        ["openssl", "genrsa", "-out", "other.pem", "2048"],
        ["openssl", "rsa", "-aes256", "-passout", "pass:x", "-in", "key.pem", "-out", "locked.pem"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


# --- credentials ---------------------------------------------------------------------------------------------------


async def status(who: Access, header: str | None, role: str = "scrape") -> int:
    try:
        await who.check(header, role)
    except Refused as refused:
        return refused.status
    return 200


async def test_without_users_everybody_may() -> None:
    assert await status(Access({}, {}), None) == 200


HEADERS: dict[str, str | None] = {
    "none": None,
    "empty": "",
    "wrong password": basic("ops", "wrong"),
    "unknown user": basic("nobody", "right"),
    "empty password": basic("ops", ""),
    "no colon": "Basic " + base64.b64encode(b"opsright").decode(),
    "another scheme": "Bearer abc",
    "no base64": "Basic !!!",
    "base64 cut off": basic("ops", "right")[:-3],
    "no ASCII": "Basic é",
    "undecodable": "Basic \udcff",
    "user no UTF-8": "Basic " + base64.b64encode(b"\xff:right").decode(),
    "NUL": "Basic " + base64.b64encode(b"ops:ri\0ght").decode(),
    "huge": basic("ops", "x" * 8_000),
    "long": basic("ops", "right" * 20),
    "colon in front": "Basic " + base64.b64encode(b":right").decode(),
}


@pytest.mark.parametrize("case", HEADERS)
async def test_wrong_credentials_are_401(case: str) -> None:
    assert await status(Access({"ops": HASH}, {}), HEADERS[case]) == 401


@pytest.mark.parametrize("kind", ["2a", "2b", "2x", "2y"])
async def test_right_credentials_pass_with_every_kind_of_bcrypt(kind: str) -> None:
    who = Access({"ops": f"${kind}{HASH[3:]}"}, {})
    assert await status(who, basic("ops", "right")) == 200
    assert await status(who, basic("ops", "right").replace("Basic", "bAsIc")) == 200


@pytest.mark.parametrize("password", ["a:b", "é", "x" * 72, "x" * 90])
async def test_odd_passwords_are_right_too(password: str) -> None:
    who = Access({"ops": hashed(password.encode()[:72])}, {})
    assert await status(who, basic("ops", password)) == 200


async def test_a_user_without_the_role_is_403() -> None:
    who = Access({"ops": HASH, "bot1": HASH}, {"bot1": ("write",)})
    for user, role, expected in [
        ("ops", "scrape", 200), ("ops", "read", 200), ("ops", "live", 200), ("ops", "write", 403),
        ("bot1", "write", 200), ("bot1", "scrape", 403),
    ]:  # fmt: skip
        assert await status(who, basic(user, "right"), role) == expected, (user, role)


async def test_answers_are_remembered_and_never_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []

    def checkpw(password: bytes, expected: bytes) -> bool:
        calls.append(password)
        return password == b"right"

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    monkeypatch.setattr(access, "_REMEMBERED", 4)
    who = Access({"ops": HASH}, {})
    for _ in range(3):
        assert await status(who, basic("ops", "right")) == 200
        assert await status(who, basic("ops", "wrong")) == 401
        assert await status(who, basic("nobody", "right")) == 401
    assert sorted(calls) == [b"right", b"right", b"wrong"]
    assert not any(b"right" in mark or b"wrong" in mark for mark in who._known)
    for guess in range(20):
        assert await status(who, basic("ops", f"guess-{guess}")) == 401
        assert await status(who, basic("ops", "right")) == 200
    assert calls.count(b"right") == 2, "who asks often stays known"
    assert len(who._known) == 4


async def test_two_bcrypts_at_most_run_at_once_and_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    async def to_thread(call: object, *args: object) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return False

    monkeypatch.setattr(access.asyncio, "to_thread", to_thread)
    who = Access({"ops": HASH}, {})
    await asyncio.gather(*(status(who, basic("ops", str(n))) for n in range(10)))
    assert most == 2


MEANWHILE: dict[str, tuple[dict[str, str], int]] = {
    "nothing": ({"ops": HASH}, 200),
    "another user": ({"ops": HASH, "late": HASH}, 200),
    "the password": ({"ops": hashed(b"other")}, 401),
    "the user is gone": ({"late": HASH}, 401),
    "all users are gone": ({}, 401),
}


@pytest.mark.parametrize("change", MEANWHILE)
async def test_a_password_that_changes_during_its_bcrypt_lets_nobody_in(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, changed = asyncio.Semaphore(0), asyncio.Event()

    async def to_thread(call: Callable[..., bool], *args: object) -> bool:
        begun.release()
        await changed.wait()
        return call(*args)

    monkeypatch.setattr(access.asyncio, "to_thread", to_thread)
    who = Access({"ops": HASH}, {})
    # The last two wait for their turn while the users change.
    asking = [asyncio.create_task(status(who, basic(user, "right"))) for user in ("ops", "no", "ops", "no")]
    for _ in range(2):
        await begun.acquire()
    who.users, expected = MEANWHILE[change]
    changed.set()
    assert await asyncio.gather(*asking) == [expected, 401, expected, 401]


# --- the file ------------------------------------------------------------------------------------------------------

USERS = f"basic_auth_users: {{ops: {HASH}}}"
TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem"
BAD = {
    "just a word": ["--web.config.file"],
    "[": ["--web.config.file"],
    "a: *b": ["--web.config.file"],
    "users: {}": ["users"],
    "basic_auth_users: {ops: right}": ["basic_auth_users.ops"],
    "basic_auth_users: {ops: }": ["basic_auth_users.ops"],
    f"basic_auth_users: {{'a b': {HASH}}}": ["basic_auth_users.a b"],
    f"basic_auth_users: {{ops: {HASH[:-1]}}}": ["basic_auth_users.ops"],
    f"basic_auth_users: {{ops: {HASH[:28]}B{HASH[29:]}}}": ["basic_auth_users.ops"],
    f"basic_auth_users: {{ops: {HASH.replace('$04$', '$03$')}}}": ["basic_auth_users.ops"],
    f"basic_auth_users: {{ops: {HASH.replace('$04$', '$31$')}}}": ["basic_auth_users.ops"],
    f"{USERS}\n{USERS}": ["basic_auth_users"],
    "tls_server_config: {cert_file: cert.pem}": ["tls_server_config.key_file"],
    TLS.replace("cert.pem", "absent.pem") + "}": ["tls_server_config"],
    TLS.replace("key.pem", "cert.pem") + "}": ["tls_server_config"],
    TLS.replace("key.pem", "other.pem") + "}": ["tls_server_config"],
    TLS.replace("key.pem", "locked.pem") + "}": ["tls_server_config"],
    TLS + ", min_version: TLS11}": ["tls_server_config.min_version"],
    TLS + ", min_version: TLS13, max_version: TLS12}": ["tls_server_config"],
    TLS + ", client_auth_type: Maybe}": ["tls_server_config.client_auth_type"],
    TLS + ", client_auth_type: RequireAndVerifyClientCert}": ["tls_server_config"],
    TLS + ", client_ca_file: cert.pem}": ["tls_server_config"],
    TLS + ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: absent}": ["tls_server_config"],
    "http_server_config: {http2: on}": ["http_server_config.http2"],
    "http_server_config: {headers: {Content-Length: '1'}}": ["http_server_config.headers.Content-Length"],
    'http_server_config: {headers: {X-Frame-Options: "a\\r\\nb"}}': ["http_server_config.headers.X-Frame-Options"],
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:40])
def test_a_bad_web_configuration_is_refused_with_its_key(text: str, pem: Path) -> None:
    (pem / "web.yml").write_text(text)
    found, problems = load(pem / "web.yml")
    assert found is None
    assert [p.path for p in problems] == BAD[text], problems
    assert "right" not in str(problems)
    assert HASH not in str(problems)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    for name, words in [("absent", "cannot be read: No such file or directory"), ("binary", "is not UTF-8 text")]:
        assert load(tmp_path / name)[1] == [settings.Problem("--web.config.file", words)]


def test_a_good_web_configuration_is_read(pem: Path) -> None:
    (pem / "web.yml").write_text(
        f"{USERS}\n{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: cert.pem"
        ", min_version: TLS13}\n"
        "http_server_config: {http2: false, headers: {Strict-Transport-Security: max-age=1}}\n"
    )
    found, problems = load(pem / "web.yml")
    assert problems == []
    assert found is not None
    assert found.basic_auth_users == {"ops": HASH}
    assert found.http_server_config.headers == {"Strict-Transport-Security": "max-age=1"}
    assert found.tls_server_config is not None
    context = found.tls_server_config.context()
    assert (context.verify_mode, context.minimum_version) == (ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_3)


@pytest.mark.parametrize("text", ["", "# nothing", "{}"])
def test_an_empty_web_configuration_asks_for_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text(text)
    assert load(tmp_path / "web.yml") == (access.WebConfig(), [])


LOOPBACK = {
    "localhost": True,
    "LOCALHOST.": True,
    "127.0.0.1": True,
    "127.9.9.9": True,
    "::1": True,
    "[::1]": True,
    "": False,
    "0.0.0.0": False,
    "::": False,
    "10.0.0.1": False,
    "localhost.example.org": False,
    "127.0.0.1.example.org": False,
    "127.1": False,
    "2130706433": False,
}


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_this_machine_only(host: str) -> None:
    assert is_loopback(host) is LOOPBACK[host]
