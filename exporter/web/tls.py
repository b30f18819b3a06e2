"""TLS in the words of exporter-toolkit, as Python's ssl has it: suites, curves, and whom a certificate names."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

_FIXED: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""Those of TLS 1.3, which are always on: neither Go nor Python lets anybody choose."""
_SUITES: Final[Mapping[str, str]] = {
    f"TLS_ECDHE_{key}_WITH_{name}": f"ECDHE-{key}-{openssl}"
    for key in ("ECDSA", "RSA")
    for name, openssl in (
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
    )
}
SUITES: Final = (*_SUITES, *_FIXED)
"""Names of all suites that may be chosen, as Go has them."""
CURVES: Final[Mapping[str, str]] = {
    "CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519",
}  # fmt: skip
"""Go's names of curves, and OpenSSL's."""


class Context(ssl.SSLContext):
    """A server's context that knows which names a client's certificate must have one of; anybody's will do if none."""

    client_allowed_sans: frozenset[str] = frozenset()

    def allow(self, sans: Iterable[str]) -> None:
        """Let in only whose certificate has one of these names."""
        self.client_allowed_sans = frozenset(map(_address, sans))


def may_come(transport: asyncio.BaseTransport, is_plain: bool) -> bool:
    """Whether a client may come in by what its verified certificate says; `is_plain` where the server has no TLS."""
    context = transport.get_extra_info("sslcontext")
    if context is None:  # not TLS, or a transport that does not say what was asked of the client
        return is_plain
    allowed = getattr(context, "client_allowed_sans", None)
    return not allowed or not allowed.isdisjoint(names(transport.get_extra_info("peercert") or {}))


def ciphers(suites: Collection[str]) -> str:
    """The suites of TLS 1.2 in OpenSSL's words; empty if only such of 1.3 are named."""
    return ":".join(_SUITES[name] for name in suites if name in _SUITES)


def names(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Whom a verified certificate (`SSLSocket.getpeercert`) names: hosts, addresses of mail, URIs, IP addresses."""
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "email", "URI"):
            yield name
        elif kind == "IP Address":
            yield _address(name.strip())


def _address(name: str) -> str:
    """An IP address in its usual form; any other name as it is."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name
