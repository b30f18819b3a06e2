"""Who may ask: the web configuration of exporter-toolkit, users with bcrypt hashes, and their roles."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
import re
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter import settings as s
from exporter import yaml12
from exporter.log import Plain
from exporter.settings import Reader, setting
from exporter.web import tls
from exporter.yaml12 import Problem

DEFAULT_ROLES: Final = ("scrape", "read", "live")
BCRYPT: Final = re.compile(r"\$2[abxy]\$(?:0[4-9]|1[0-5])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
"""A hash that bcrypt can read, of a cost that is answered within a second or two."""
_HEADERS: Final = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
"""As in exporter-toolkit: others, such as Content-Length, would break what is served."""
_CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "RequestClientCert": ssl.CERT_OPTIONAL,
    "RequireAnyClientCert": ssl.CERT_REQUIRED,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_REMEMBERED: Final = 512
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})  # the usual ones, without looking further


@dataclass(frozen=True, slots=True)
class Tls:
    """`tls_server_config`."""

    cert_file: Path = setting(s.path, "certificate chain in PEM")
    key_file: Path = setting(s.path, "its key in PEM")
    client_auth_type: str = setting(s.choice(*_CLIENT_AUTH), "client certificates", default="NoClientCert")
    client_ca_file: Path | None = setting(s.path, "authorities of client certificates", default=None)
    min_version: str = setting(s.choice(*_VERSIONS), "oldest TLS version", default="TLS12")
    max_version: str = setting(s.choice(*_VERSIONS), "newest TLS version", default="TLS13")
    client_allowed_sans: tuple[str, ...] = setting(
        s.listing(s.text("a name", re.compile(r"[!-~]{1,253}")), ""),
        "of these names a client's certificate must have one",
        default=(),
    )
    cipher_suites: tuple[str, ...] = setting(
        s.listing(s.choice(*tls.SUITES), ""), "suites of TLS 1.2; by default Python's", default=()
    )
    curve_preferences: tuple[str, ...] = setting(
        s.listing(s.choice(*tls.CURVES), "", most=1), "the one curve; by default OpenSSL's choice", default=()
    )
    prefer_server_cipher_suites: bool = setting(s.boolean, "whether our order of suites counts", default=True)

    def context(self) -> ssl.SSLContext:
        """The server's TLS context.

        Raises:
            OSError: a file cannot be read or does not hold what it should (`ssl.SSLError`).
        """
        context = tls.Context(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[self.min_version]
        context.maximum_version = _VERSIONS[self.max_version]
        context.load_cert_chain(self.cert_file, self.key_file, password="")  # never ask at a terminal
        if self.client_ca_file is not None:
            context.load_verify_locations(self.client_ca_file)
        context.verify_mode = _CLIENT_AUTH[self.client_auth_type]
        context.allow(self.client_allowed_sans)
        self._choose(context)
        return context

    def _choose(self, context: ssl.SSLContext) -> None:
        if suites := tls.ciphers(self.cipher_suites):
            context.set_ciphers(suites)
        for curve in self.curve_preferences:
            context.set_ecdh_curve(tls.CURVES[curve])
        if not self.prefer_server_cipher_suites:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _check_tls(wanted: Tls) -> str | None:
    if wanted.min_version > wanted.max_version:
        return "min_version must not be newer than max_version"
    if (wanted.client_ca_file is None) != (_CLIENT_AUTH[wanted.client_auth_type] is ssl.CERT_NONE):
        return "needs client_ca_file and a client_auth_type that asks for certificates together"
    if wanted.client_allowed_sans and _CLIENT_AUTH[wanted.client_auth_type] is not ssl.CERT_REQUIRED:
        return "client_allowed_sans needs the client_auth_type RequireAndVerifyClientCert"
    if wanted.cipher_suites and not tls.ciphers(wanted.cipher_suites) and wanted.min_version == "TLS12":
        return "cipher_suites has none of TLS 1.2; say min_version: TLS13 if that is meant"
    try:
        wanted.context()
    except OSError:
        return "its files cannot be read, or do not hold a certificate and its key"
    return None


def _check_headers(server: HttpServer) -> None:
    for name in server.headers:
        if name not in _HEADERS:
            raise s.Bad(f"must be one of {', '.join(_HEADERS)}", at=f"http_server_config.headers.{name}")


@dataclass(frozen=True, slots=True)
class HttpServer:
    """`http_server_config`: accepted, though only HTTP/1.1 is spoken."""

    http2: bool = setting(s.boolean, "accepted and without effect", default=True)
    headers: Mapping[str, str] = setting(
        s.mapping(s.text("a header value", re.compile(r"[ -~]{0,1000}"))), "headers added", default_factory=dict
    )


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The web configuration file."""

    tls_server_config: Tls | None = setting(s.record(Tls, _check_tls), "TLS", default=None)
    http_server_config: HttpServer = setting(s.record(HttpServer, _check_headers), "HTTP", default_factory=HttpServer)
    basic_auth_users: Mapping[str, str] = setting(
        s.mapping(s.text("a bcrypt hash of a cost from 4 to 15", BCRYPT)),
        "users and bcrypt hashes",
        default_factory=dict,
    )


def load(file: Path) -> tuple[WebConfig | None, list[Problem]]:
    """A web configuration, or what is wrong with it."""
    try:
        text = s.read_small(file).decode("utf-8")
    except OSError as error:
        return None, [Problem("--web.config.file", f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError:
        return None, [Problem("--web.config.file", "is not UTF-8 text")]
    tree, problems = yaml12.parse(text)
    # Hashes hold dollar signs but no ${...}; variables are expanded as everywhere.
    reader = Reader(file.absolute().parent, os.environ, problems)
    found = reader.read(s.record(WebConfig), tree, "") if tree is not None else None
    problems = [Problem(p.path or "--web.config.file", p.message) for p in problems]
    return (None if problems else found), problems


class Refused(Plain):
    """A request without the right to be answered; `status` is 401 or 403."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class Identity:
    """Who was let in, and by which hash; both are empty where nobody needs credentials."""

    user: str = ""
    hashed: str = ""


@dataclass(slots=True)
class Access:
    """Checks credentials against the users and their roles; bcrypt runs in threads and its answers are remembered."""

    users: Mapping[str, str]
    roles: Mapping[str, tuple[str, ...]]
    _known: OrderedDict[bytes, bool] = field(default_factory=OrderedDict)
    _salt: bytes = field(default_factory=lambda: os.urandom(32))
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    async def check(self, authorization: str | None, role: str) -> Identity:
        """Let a request pass.

        Raises:
            Refused: the credentials are missing or wrong (401), or the user lacks the role (403).
        """
        if not self.users:
            return Identity()
        user, password = _credentials(authorization)
        hashed = self.users.get(user, "")
        matches = await self._matches(user, password, hashed)
        if not matches or self.users.get(user) != hashed:  # the password may have been changed during the bcrypt
            raise Refused(401, "credentials are missing or wrong")
        if role not in self.roles.get(user, DEFAULT_ROLES):
            raise Refused(403, f"this user does not have the role {role}")
        return Identity(user, hashed)

    def knows(self, authorization: str) -> bool:
        """Whether these credentials can be judged without a bcrypt: seen before, or not even well-formed."""
        try:
            user, password = _credentials(authorization)
        except Refused:
            return True
        return not self.users or self._mark(user, password, self.users.get(user, "")) in self._known

    def known(self, authorization: str | None, role: str) -> Identity | None:
        """Whoever would be let in and needs no bcrypt for it; None: ask `check`."""
        if not self.users:
            return Identity()
        try:
            user, password = _credentials(authorization)
        except Refused:
            return None
        hashed = self.users.get(user, "")
        mark = self._mark(user, password, hashed)
        if not self._known.get(mark) or role not in self.roles.get(user, DEFAULT_ROLES):
            return None
        self._known.move_to_end(mark)
        return Identity(user, hashed)

    def still(self, who: Identity, role: str) -> bool:
        """Whether somebody who was let in would be let in now: for what outlasts the request it began with."""
        if not self.users or not who.user:
            return not self.users and not who.user
        return self.users.get(who.user) == who.hashed and role in self.roles.get(who.user, DEFAULT_ROLES)

    async def _matches(self, user: str, password: bytes, hashed: str) -> bool:
        mark = self._mark(user, password, hashed)
        if mark in self._known:
            self._known.move_to_end(mark)  # whoever asks often stays known, however many guess
        else:
            # An unknown user takes as long as a known one, so that names cannot be found out.
            expected = hashed or next(iter(self.users.values()))  # now, for later there may be no users
            async with self._turns:
                matches = await asyncio.to_thread(_is_password, password, expected)
            self._known[mark] = matches and hashed != ""
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return self._known[mark]

    def _mark(self, user: str, password: bytes, hashed: str) -> bytes:
        """What is remembered of credentials; of another hash nothing is known."""
        return hmac.digest(self._salt, f"{user}\0{hashed}\0".encode() + password, hashlib.sha256)


def _is_password(password: bytes, hashed: str) -> bool:
    import bcrypt  # only where there are users

    return bcrypt.checkpw(password[:72], hashed.encode())


def _credentials(authorization: str | None) -> tuple[str, bytes]:
    scheme, _, coded = (authorization or "").partition(" ")
    try:
        if scheme.lower() != "basic" or len(coded) > 1024:
            raise ValueError
        user, colon, password = base64.b64decode(coded.strip(), validate=True).partition(b":")
        if not colon or b"\0" in password:
            raise ValueError
        return user.decode("utf-8"), password
    except (ValueError, binascii.Error):
        raise Refused(401, "credentials are missing or wrong") from None


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host in _LOOPBACK or host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
