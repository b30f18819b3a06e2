"""Structured logs in logfmt or JSON, and the one filter through which every word that leaves must pass."""

from __future__ import annotations

import base64
import copy
import errno
import json
import logging
import math
import os
import re
import ssl
import sys
import threading
import time
import traceback
import urllib.parse
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FORMATS: Final = ("logfmt", "json")
SHORTEST_PART: Final = 8  # a shorter piece of a URL is a word, not a key
AT_ONCE: Final = 200
PER_SECOND: Final = 9.0
KIND_AT_ONCE: Final = 100
KIND_PER_SECOND: Final = 1.0
KINDS: Final = 256
_NAMES = {number: name for name, number in LEVELS.items()}
_ROOT = "exporter"
_URL = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,15}://[^\s\"'<>]+")
_CREDENTIAL = re.compile(
    r"(?i)\b((?:proxy-)?authorization|cookie|api[-_]?key|token|password|secret)(\s*[:=]\s*)(?:(?:basic|bearer)\s+)?\S+"
)
_LONE = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")  # surrogates that no undecodable byte stands for
_PLAIN = re.compile(r"[^\s\"=\\]+")


class Plain(Exception):
    """An error whose words are our own and safe to show."""


class Scrubber:
    """Replaces every known secret, in every usual encoding, and every URL, in whatever leaves the process."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, secrets: Iterable[str]) -> None:
        """Add secrets: whole, by the parts of a URL that can hold a key, and encoded."""
        for secret in secrets:
            self._secrets.update(form for part in _parts(secret) for form in _encodings(part))
        ordered = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE) if ordered else None

    def __call__(self, text: str) -> str:
        """The text without secrets and URLs."""
        if self._pattern is not None:
            text = self._pattern.sub("<secret>", text)
        return _CREDENTIAL.sub(r"\1\2<secret>", _URL.sub("<url>", text))


def _parts(secret: str) -> set[str]:
    parts: set[str] = set()
    if "://" in secret:
        try:
            url = urllib.parse.urlsplit(secret)
        except ValueError:  # no URL after all
            return {secret}
        parts |= {url.netloc, url.username or "", url.password or "", *url.path.split("/"), url.path, url.query}
        parts |= {value for pair in urllib.parse.parse_qsl(url.query) for value in pair[1:]}
    return {secret, *(part for part in parts if len(part) >= SHORTEST_PART)} - {""}


def _encodings(part: str) -> set[str]:
    raw = part.encode(errors="surrogatepass" if _LONE.search(part) else "surrogateescape")
    return {
        part,
        *(urllib.parse.quote(raw, safe=safe) for safe in ("", "/")),
        urllib.parse.quote_plus(raw),
        urllib.parse.unquote(part),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        raw.hex(),
        repr(part)[1:-1],
        json.dumps(part)[1:-1],
    }


scrub: Final = Scrubber()
"""The process's one scrubber; `config` teaches it every secret it reads."""


def describe(error: BaseException) -> str:
    """An error in safe words: our own as they are, the system's by their meaning, third parties' by class only.

    Third-party texts quote URLs, keys and file contents, also in pieces that no filter can know.
    """
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(sorted({describe(part) for part in error.exceptions}))
    if isinstance(error, Plain):
        return scrub(str(error))
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and (error.errno or 0) in errno.errorcode:
        return f"{type(error).__name__}: {os.strerror(error.errno or 0)}"  # its own text can hold an address or a host
    return type(error).__name__


class Logger:
    """A named logger whose records are an event in plain words and fields."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, **fields: object) -> None:
        """Details for developers."""
        self._logger.debug(event, extra={"fields": fields})

    def info(self, event: str, **fields: object) -> None:
        """What an operator expects to happen."""
        self._logger.info(event, extra={"fields": fields})

    def warning(self, event: str, **fields: object) -> None:
        """What an operator should look at."""
        self._logger.warning(event, extra={"fields": fields})

    def error(self, event: str, error: BaseException | None = None, **fields: object) -> None:
        """What has gone wrong; of an exception its class and the places it passed, never its text."""
        if error is not None:
            fields |= {"error": describe(error), "at": _places(error)}
        self._logger.error(event, extra={"fields": fields})


def get(name: str) -> Logger:
    """The logger of a module, below the root that `configure` sets up."""
    return Logger(logging.getLogger(f"{_ROOT}.{name}"))


def _places(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return " < ".join(f"{Path(f.filename).stem}:{f.lineno}" for f in reversed(frames))


class _Scrubbing(logging.Formatter):
    """Fields of a record, scrubbed one by one; subclasses only join them."""

    def format(self, record: logging.LogRecord) -> str:
        written = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        pairs: dict[str, Any] = {
            "ts": written.replace("+00:00", "Z"),
            "level": _NAMES.get(record.levelno, record.levelname.lower()),
            "logger": record.name.removeprefix(f"{_ROOT}."),
            "msg": scrub(_message(record)),
        }
        for key, value in getattr(record, "fields", {}).items():
            pairs[key] = value if isinstance(value, int | float) and math.isfinite(value) else scrub(str(value))
        return self.join(pairs)

    def join(self, pairs: dict[str, Any]) -> str:
        raise NotImplementedError  # pragma: no cover


def _message(record: logging.LogRecord) -> str:
    """Our own events as they are; a third party's record by its origin only, its text is never repeated."""
    if record.name.partition(".")[0] == _ROOT:
        return record.msg
    error = record.exc_info[1] if record.exc_info else None
    return f"{record.name} reports {describe(error) if error else 'a ' + record.levelname.lower()}"


class _Logfmt(_Scrubbing):
    def join(self, pairs: dict[str, Any]) -> str:
        return " ".join(f"{key}={_quoted(value)}" for key, value in pairs.items())


class _Json(_Scrubbing):
    def join(self, pairs: dict[str, Any]) -> str:
        return json.dumps(pairs, ensure_ascii=True)


class _Bucket:
    """What may be written at once, and how much of that comes back each second."""

    def __init__(self, most: float, per_second: float, now: float) -> None:
        self._most, self._per_second, self._holds, self._at = most, per_second, most, now

    def ready(self, now: float) -> bool:
        self._holds = min(self._most, self._holds + (now - self._at) * self._per_second)
        self._at = now
        return self._holds >= 1

    def take(self) -> None:
        self._holds -= 1


class Flood(logging.Filter):
    """Keeps back records beyond a rate, one kind's and all kinds' together; the next that passes says how many.

    A kind is a logger, a level and our own words for an event. Debug records are not counted: who asks for them
    wants them all.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic, self._lock = monotonic, threading.Lock()
        self._all = _Bucket(AT_ONCE, PER_SECOND, monotonic())
        self._kinds: dict[tuple[str, int, str], _Bucket] = {}
        self._suppressed = 0

    def filter(self, record: logging.LogRecord) -> bool | logging.LogRecord:
        """The record, with how many were kept back before it; False if it is kept back itself."""
        if record.levelno < logging.INFO:
            return True
        with self._lock:  # a handler's own is taken later
            now = self._monotonic()
            kind = self._kind(record, now)
            if not (kind.ready(now) and self._all.ready(now)):
                self._suppressed += 1
                return False
            kind.take()
            self._all.take()
            suppressed, self._suppressed = self._suppressed, 0
        return _with(record, suppressed=suppressed) if suppressed else record

    def _kind(self, record: logging.LogRecord, now: float) -> _Bucket:
        ours = record.name.partition(".")[0] == _ROOT
        key = record.name, record.levelno, record.msg if ours else ""
        if key not in self._kinds and len(self._kinds) >= KINDS:
            del self._kinds[next(iter(self._kinds))]
        return self._kinds.setdefault(key, _Bucket(KIND_AT_ONCE, KIND_PER_SECOND, now))


def _with(record: logging.LogRecord, **fields: object) -> logging.LogRecord:
    """A copy with more fields: other handlers have their own."""
    told = copy.copy(record)
    told.__dict__["fields"] = getattr(record, "fields", {}) | fields
    return told


def _quoted(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if _PLAIN.fullmatch(text) and text.isprintable() else json.dumps(text, ensure_ascii=True)


def configure(level: str, form: str, file: Path | None = None, max_bytes: int = 10 << 20, backups: int = 5) -> None:
    """Send every record of the process to stderr and, if named, to a rotated file.

    Raises:
        OSError: the file cannot be opened.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file is not None:
        from logging.handlers import RotatingFileHandler  # loads much that stderr does not need

        handlers.append(RotatingFileHandler(file, maxBytes=max_bytes, backupCount=backups, encoding="utf-8"))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.addFilter(Flood())
        handler.setFormatter(_Json() if form == "json" else _Logfmt())
        root.addHandler(handler)
    root.setLevel(logging.WARNING)  # third parties speak only when something is wrong
    logging.getLogger(_ROOT).setLevel(LEVELS[level])
    logging.raiseExceptions = False  # a full disk must not fill stderr with tracebacks
