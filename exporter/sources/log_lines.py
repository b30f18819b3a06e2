"""A log's lines as numbers: bytes in, counts by level and exception class out; no text is kept."""

from __future__ import annotations

import builtins
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

from exporter.metrics import OTHER, closed

LEVELS: Final = ("debug", "info", "warning", "error", "critical", OTHER)
LONG: Final = 4096
"""Bytes of a line that are looked at; a longer one needs no more to be told what it is."""

_CURATED: Final = """
ABIEventNotFound ABIFunctionNotFound BadFunctionCallOutput BadResponseFormat BlockNotFound BlockNumberOutOfRange
CannotHandleRequest ContractCustomError ContractLogicError ContractPanicError InsufficientData InvalidAddress
MismatchedABI MultipleFailedRequests NameNotFound NoABIFound OffchainLookup PersistentConnectionClosedOK
PersistentConnectionError ProviderConnectionError ReadBufferLimitReached RequestTimedOut StaleBlockchain
SubscriptionProcessingFinished TaskNotRunning TimeExhausted TooManyRequests TransactionIndexingInProgress
TransactionNotFound TransactionTypeMismatch ValidationError Web3AttributeError Web3Exception Web3RPCError
Web3TypeError Web3ValidationError Web3ValueError
ClientConnectionError ClientConnectorCertificateError ClientConnectorDNSError ClientConnectorError
ClientConnectorSSLError ClientError ClientHttpProxyError ClientOSError ClientPayloadError ClientProxyConnectionError
ClientResponseError ContentTypeError ConnectionTimeoutError InvalidURL ServerConnectionError
ServerDisconnectedError ServerTimeoutError SocketTimeoutError TooManyRedirects WSMessageTypeError WSServerHandshakeError
BrokenBarrierError CancelledError IncompleteReadError InvalidStateError LimitOverrunError QueueEmpty QueueFull
QueueShutDown SendfileNotAvailableError
ChunkedEncodingError ConnectTimeout ContentDecodingError HTTPError InvalidSchema MissingSchema ProxyError
ReadTimeout RequestException RetryError SSLError Timeout
DatabaseError DataError IntegrityError InterfaceError InternalError NotSupportedError OperationalError
ProgrammingError JSONDecodeError
ConnectionClosed ConnectionClosedError ConnectionClosedOK gaierror
"""
EXCEPTIONS: Final = frozenset(_CURATED.split()) | {
    name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
}
"""Classes that are told apart, by the last part of their name; the rest is `other`."""

_WORDS: Final = {
    b"DEBUG": "debug", b"INFO": "info", b"WARNING": "warning", b"WARN": "warning", b"ERROR": "error",
    b"CRITICAL": "critical", b"FATAL": "critical", b"TRACE": OTHER, b"": OTHER,
}  # fmt: skip
_LEVEL: Final = rb"(?:DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL|TRACE)"
_TIME: Final = rb"\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_COLOUR: Final = rb"\x1b\[[0-9;]{0,9}m"
# One newline first, for this is what makes the search fast; then either a time and, after a logger's name or at
# once, the level, or the level with a colon; or a time with no level that is known.
_HEAD: Final = re.compile(
    rb"\n(?:\xef\xbb\xbf|" + _COLOUR + rb"){0,4}"
    rb"(?:(?:" + _TIME + rb"(?: - \S{1,200} - |[] |[-]{1,9})(?=" + _LEVEL + rb"\b)"
    rb"|(?=" + _LEVEL + rb"(?:" + _COLOUR + rb")?:))(" + _LEVEL + rb")|" + _TIME + rb"(?![\w]))"
)
_TRACEBACK: Final = b"Traceback (most recent call last):"
_FRAMES: Final = re.compile(rb"(?: +[^ |\n][^\n]*\n)+")  # indented lines, but for those of a group
_GROUPED: Final = re.compile(rb" +\| ")  # in front of every line of an exception group
_EXCEPTION: Final = re.compile(rb"[A-Za-z_\x80-\xff][\w.<>\x80-\xff]{0,254}(?=:|$)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where reading stands: what the lines before mean for the next, or for the rest of a long one.

    `level` and `exception` are what a long line counts as once its end comes.
    """

    headed: bool = False
    traceback: bool = False
    skipping: bool = False
    level: str = ""
    exception: str = ""


START: Final = Place()


@dataclass(slots=True)
class Counts:
    """Records by level and exceptions by class."""

    levels: Counter[str] = field(default_factory=Counter)
    exceptions: Counter[str] = field(default_factory=Counter)

    def add(self, level: str, exception: str) -> None:
        """Count one line as what it is."""
        if level:
            self.levels[level] += 1
        if exception:
            self.exceptions[exception] += 1

    def update(self, other: Counts) -> None:
        """Add other counts."""
        self.levels.update(other.levels)
        self.exceptions.update(other.exceptions)


def parse(data: bytes, place: Place, counts: Counts) -> tuple[int, Place]:
    """Count the lines in `data` that have ended; how many bytes are done with, and where reading stands after them.

    The rest, less than `LONG` bytes of a line without an end, has to be given again with what follows it.
    """
    start = 0
    if place.skipping:
        if (start := data.find(b"\n") + 1) == 0:
            return len(data), place
        counts.add(place.level, place.exception)
        place = Place(place.headed, place.traceback)
    end = data.rfind(b"\n") + 1
    if end > start:
        place = _lines(data[start:end], place, counts)
    rest = data[max(start, end) :].lstrip(b"\0")  # a hole that a truncated file was left with
    if len(rest) <= LONG:
        return len(data) - len(rest), place
    after, level, exception = _judge(rest, place)
    return len(data), replace(after, skipping=True, level=level, exception=exception)


def _lines(body: bytes, place: Place, counts: Counts) -> Place:
    """Count whole lines."""
    if not place.headed or b"\0" in body:
        for line in body[:-1].split(b"\n"):
            place, level, exception = _judge(line, place)
            counts.add(level, exception)
        return place
    for word, number in Counter(_HEAD.findall(b"\n" + body)).items():
        counts.levels[_WORDS[word]] += number
    return _tracebacks(body, place, counts)


def _tracebacks(body: bytes, place: Place, counts: Counts) -> Place:
    """Count the exceptions in whole lines; only those of a traceback are looked at one by one."""
    start = 0
    while start < len(body):
        if not place.traceback:
            found = body.find(_TRACEBACK, start)
            if found < 0:
                break
            start = body.rfind(b"\n", start, found) + 1 or start
        elif frames := _FRAMES.match(body, start):
            start = frames.end()
            continue
        end = body.find(b"\n", start)
        place, _, exception = _judge(body[start:end], place)
        counts.add("", exception)
        start = end + 1
    return place


def _judge(line: bytes, place: Place) -> tuple[Place, str, str]:
    """What one line is: the place after it, its level if it starts a record, its class if it names an exception."""
    line = line.lstrip(b"\0")
    whole = len(line) <= LONG
    line = line[:LONG].translate(None, b"\0").rstrip()
    opens = whole and line.endswith(_TRACEBACK)
    head = _HEAD.match(b"\n" + line)
    if head is not None:
        return Place(True, opens), _WORDS[head[1] or b""], ""
    if opens:
        return Place(place.headed, True), "", ""
    if place.traceback:
        return _in_traceback(line, place)
    loose = not place.headed and line != b"" and not line[:1].isspace()
    return place, OTHER if loose else "", ""


def _in_traceback(line: bytes, place: Place) -> tuple[Place, str, str]:
    grouped = _GROUPED.match(line)
    named = _EXCEPTION.match(line[grouped.end() :] if grouped else line)
    if named is None:
        return place, "", ""
    name = named[0].rpartition(b".")[2].decode("latin-1")
    return Place(place.headed, False), "", closed(name, EXCEPTIONS)
