"""Where events go, and with which credentials: from arguments, files and the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

ROUTE: Final = "/api/v1/events"
DEFAULT_URL: Final = "http://127.0.0.1:10453"
LONGEST_SECRET: Final = 4096


class Wrong(Exception):
    """An option cannot be used; the text is ours and holds no value."""


@dataclass(frozen=True, slots=True)
class Route:
    """How to get to the exporter's door. The password is asked for anew with each request."""

    host: str
    port: int
    path: str
    tls: bool
    user: str | None = None
    password: Callable[[], str] = field(default=str, repr=False)
    ca_file: str | os.PathLike[str] | None = None


def route(chosen: Mapping[str, Any]) -> Route:
    """The route that the options `url, user, password, password_file, ca_file` describe.

    Raises:
        Wrong: the URL is no http(s) URL or holds credentials; half credentials are given, or twice.
    """
    parts, port = _parts(chosen["url"] or DEFAULT_URL)
    tls, path = parts.scheme == "https", parts.path.rstrip("/") + ROUTE
    password = _password(chosen["user"], chosen["password"], chosen["password_file"])
    return Route(
        parts.hostname or "", port or (443 if tls else 80), path, tls, chosen["user"], password, chosen["ca_file"]
    )


def _parts(url: object) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        port = parts.port
    except ValueError:
        raise Wrong("the exporter's URL cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Wrong("the exporter's URL must be like https://host:port")
    if parts.username is not None or parts.query or parts.fragment:
        raise Wrong("the exporter's URL must hold neither credentials nor a query")
    return parts, port


def _password(user: object, password: object, file: Any) -> Callable[[], str]:
    if user is None and password is None and file is None:
        return str
    if not isinstance(user, str) or (password is None) == (file is None):
        raise Wrong("credentials are a user and either a password or a password file")
    if file is None:
        return lambda: str(password)
    try:
        path = Path(file)
    except TypeError:
        raise Wrong("the password file must be a path") from None
    return lambda: _secret(path)


def _secret(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(LONGEST_SECRET).strip()


def completed(environment: Mapping[str, str], **given: str | os.PathLike[str] | None) -> dict[str, Any]:
    """The options, those that were not given from `ARB_EXPORTER_<NAME>`; credentials are taken from one place only."""
    whose = {"user", "password", "password_file"}
    fixed = whose if any(given[key] is not None for key in whose) else set()
    return {
        key: environment.get(f"ARB_EXPORTER_{key.upper()}") or None if value is None and key not in fixed else value
        for key, value in given.items()
    }
