"""Log lines that parse back, that nobody can forge, and that no secret leaves by."""

import asyncio
import base64
import errno
import json
import logging
import math
import re
import ssl
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exporter import log
from exporter.log import Plain, Scrubber, configure, describe

SECRET = "kQ9/xW2+vB7 zé"  # with everything that encodings change


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging as it was, whatever a test configures."""
    root, own = logging.getLogger(), logging.getLogger("exporter")
    handlers, levels, shown = root.handlers[:], (root.level, own.level), logging.raiseExceptions
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])
    logging.raiseExceptions = shown


@pytest.fixture
def scrub(monkeypatch: pytest.MonkeyPatch) -> Scrubber:
    """A scrubber of the test's own in place of the process's."""
    made = Scrubber()
    monkeypatch.setattr(log, "scrub", made)
    return made


def logfmt(line: str) -> dict[str, str]:
    """A logfmt line read back, by a grammar of its own."""
    pairs: dict[str, str] = {}
    rest = line
    while rest:
        match = re.match(r'([^\s="]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)', rest)
        assert match, rest
        value = json.loads(match[2]) if match[2].startswith('"') else match[2]
        assert match[1] not in pairs
        pairs[match[1]] = value
        rest = rest[match.end() :]
    return pairs


def formatted(form: str, event: str, fields: dict[str, object], name: str = "exporter.x", **more: object) -> str:
    record = logging.LogRecord(name, logging.WARNING, "x.py", 1, event, (), None)
    record.__dict__.update({"fields": fields, **more})
    return (log._Json() if form == "json" else log._Logfmt()).format(record)


words = st.text(max_size=30) | st.sampled_from(
    ["", "a b", 'q"', "back\\slash", "k=v", "\n", "\x00", "\u2028", "é", "\ud800"]
)


@given(words, words)
def test_logfmt_parses_back(event: str, value: str) -> None:
    line = formatted("logfmt", event, {"field": value, "n": 3, "yes": True, "nothing": None})
    assert len(line.splitlines()) == 1
    assert line.isascii() or line.isprintable()
    pairs = logfmt(line)
    assert (pairs["msg"], pairs["field"]) == (log.scrub(event), log.scrub(value))
    assert (pairs["level"], pairs["logger"], pairs["n"], pairs["yes"], pairs["nothing"]) == (
        "warn", "x", "3", "true", "None",
    )  # fmt: skip


@given(words, words, st.floats())
def test_json_parses_back(event: str, value: str, number: float) -> None:
    line = formatted("json", event, {"field": value, "number": number, "yes": True})
    assert len(line.splitlines()) == 1

    def refuse(word: str) -> None:
        raise AssertionError(word)

    pairs = json.loads(line, parse_constant=refuse)
    assert (pairs["msg"], pairs["field"], pairs["yes"]) == (log.scrub(event), log.scrub(value), True)
    assert pairs["number"] == (number if math.isfinite(number) else str(number))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", pairs["ts"])


FORGERY = 'x"\nts=2000-01-01T00:00:00.000Z level=info logger=app msg="all is well'


@pytest.mark.parametrize("form", log.FORMATS)
def test_an_injected_line_stays_within_its_own(form: str) -> None:
    line = formatted(form, FORGERY, {"path": FORGERY + "\r\x1b[2J\x85\u2029"})
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert (json.loads(line) if form == "json" else logfmt(line))["level"] == "warn"


# --- secrets -------------------------------------------------------------------------------------------------------

ENCODINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "percent": lambda s: urllib.parse.quote(s, safe=""),
    "percent, slashes left": urllib.parse.quote,
    "percent, lower case": lambda s: re.sub("%..", lambda m: m[0].lower(), urllib.parse.quote(s, safe="")),
    "form": urllib.parse.quote_plus,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    "json": lambda s: json.dumps(s)[1:-1],
    "repr": lambda s: repr(s)[1:-1],
}
secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40).filter(
    lambda s: s.strip() == s and s not in "<secret><url>"
)


@pytest.mark.parametrize("encoding", ENCODINGS)
@hypothesis_settings(max_examples=40)
@given(secret=secrets)
def test_a_secret_in_any_encoding_does_not_leave(encoding: str, secret: str) -> None:
    scrubber = Scrubber()
    scrubber.learn([secret])
    coded = ENCODINGS[encoding](secret)
    for around in ("{}", "({})", "http://h/{}/x", "a={}&b", "\n{}\n"):
        shown = scrubber(around.format(coded))
        assert coded.rstrip("=" if encoding.startswith("base64") else "") not in shown


URL = "https://user:p4ssw0rd-x@node.example.org:8545/v2/KEY-abcdefgh?apikey=QUERY-12345&n=1"


@pytest.mark.parametrize(
    "part", ["p4ssw0rd-x", "KEY-abcdefgh", "QUERY-12345", "/v2/KEY-abcdefgh", "user:p4ssw0rd-x@node.example.org:8545"]
)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_parts_of_a_url_that_hold_keys_do_not_leave_either(part: str, encoding: str) -> None:
    scrubber = Scrubber()
    scrubber.learn([URL])
    coded = ENCODINGS[encoding](part)
    assert coded.rstrip("=") not in scrubber(f"refused: {coded} (again)")


SCRUBBED = {
    "see https://a.example/key now": "see <url> now",
    "wss://u:p@h/x, http://h": "<url> <url>",
    "'postgres://u:p@h/db'": "'<url>'",
    "Authorization: Basic dTpw": "Authorization: <secret>",
    "authorization=Bearer abc": "authorization=<secret>",
    "Cookie: a=b": "Cookie: <secret>",
    "api_key=abc&x=1": "api_key=<secret>",
    "password = hunter2 x": "password = <secret> x",
    "TOKEN:abc": "TOKEN:<secret>",
    "a plain word": "a plain word",
}


@pytest.mark.parametrize("text", SCRUBBED)
def test_urls_and_credentials_are_scrubbed_without_being_known(text: str) -> None:
    assert Scrubber()(text) == SCRUBBED[text]


@pytest.mark.parametrize(
    "secret", ["", "http://[bad", "https://h:notaport/abcdefgh", "\ud800abcdefgh", "\udcffabcdefgh"]
)
def test_odd_secrets_can_be_learnt(secret: str) -> None:
    scrubber = Scrubber()
    scrubber.learn([secret])
    assert not secret or secret not in scrubber(f"x {secret} y")


def chained() -> Exception:
    try:
        try:
            raise ValueError(f"cannot reach {SECRET}")
        except ValueError as error:
            raise RuntimeError(f"gave up on {SECRET}") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize("form", log.FORMATS)
def test_no_secret_leaves_by_exceptions_or_third_parties(
    form: str, scrub: Scrubber, capsys: pytest.CaptureFixture[str]
) -> None:
    scrub.learn([SECRET])
    configure("debug", form)
    own = log.get("x")
    own.error(f"failed at {SECRET}", chained(), where=SECRET, urls=["https://h/" + SECRET])
    own.debug(SECRET)
    own.info("x", error=chained())
    third = logging.getLogger("web3.provider")
    third.error("request to %s failed", SECRET, exc_info=chained())
    third.warning(SECRET)
    third.info("not shown at all %s", SECRET)
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 5
    assert not any(coding(SECRET).rstrip("=") in errors for coding in ENCODINGS.values())
    assert "web3.provider reports RuntimeError" in errors
    assert "web3.provider reports a warning" in errors
    assert "Traceback" not in errors


DESCRIBED: dict[str, tuple[BaseException, str]] = {
    "ours": (Plain("a plain word"), "a plain word"),
    "ours with a URL": (Plain("at https://h/key"), "at <url>"),
    "third party's": (ValueError("secret"), "ValueError"),
    "timeout": (TimeoutError("secret"), "timed out"),
    "asyncio's": (asyncio.CancelledError(), "CancelledError"),
    "system's": (OSError(errno.ENOENT, "secret", "/secret"), "FileNotFoundError: No such file or directory"),
    "system's with an address": (OSError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.9', 1)"),
                                 "ConnectionRefusedError: Connection refused"),
    "without a number": (OSError("secret"), "OSError"),
    "with an odd number": (OSError(-2, "Name secret.example not known"), "OSError"),
    "TLS": (ssl.SSLCertVerificationError(1, "not valid for 'secret.example'"), "SSLCertVerificationError"),
    "groups": (ExceptionGroup("secret", [ValueError("x"), ExceptionGroup("y", [KeyError(1), ValueError("z")])]),
               "KeyError; ValueError; ValueError"),
}  # fmt: skip


@pytest.mark.parametrize("case", DESCRIBED)
def test_errors_are_described_without_third_parties_words(case: str) -> None:
    error, words = DESCRIBED[case]
    assert describe(error) == words


# --- where lines go ------------------------------------------------------------------------------------------------


def test_an_error_says_which_places_it_passed(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    log.get("x").error("failed", chained())
    log.get("x").error("failed")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert re.fullmatch(r"test_log:\d+", first["at"])
    assert first["error"] == "RuntimeError"
    assert "error" not in second


@pytest.mark.parametrize(("level", "seen"), [("debug", 4), ("info", 3), ("warn", 2), ("error", 1)])
def test_a_level_shows_itself_and_what_is_graver(level: str, seen: int, capsys: pytest.CaptureFixture[str]) -> None:
    configure(level, "json")
    logger = log.get("x")
    for write in (logger.debug, logger.info, logger.warning, logger.error):
        write("event")
    shown = [json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()]
    assert shown == ["debug", "info", "warn", "error"][-seen:]


def test_a_third_partys_level_has_its_own_name() -> None:
    line = formatted("logfmt", "secret", {}, name="other", levelno=50, levelname="CRITICAL")
    assert logfmt(line)["level"] == "critical"
    assert logfmt(line)["msg"] == "other reports a critical"


def test_the_file_is_rotated_and_no_line_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json", tmp_path / "own.log", max_bytes=2_000, backups=50)
    for number in range(100):
        log.get("x").info("event", number=number)
    configure("info", "json")  # closes the file
    files = sorted(tmp_path.glob("own.log*"), key=lambda f: -int(f.suffix[1:] if f.suffix != ".log" else 0))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert [line["number"] for line in lines] == list(range(100))
    assert len(files) > 3
    assert all(file.stat().st_size <= 2_000 for file in files)
    assert len(capsys.readouterr().err.splitlines()) == 100


def test_only_so_many_rotated_files_are_kept(tmp_path: Path) -> None:
    configure("info", "logfmt", tmp_path / "own.log", max_bytes=500, backups=2)
    for number in range(100):
        log.get("x").info("event", number=number)
    configure("info", "logfmt")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["own.log", "own.log.1", "own.log.2"]


def test_a_file_that_cannot_be_opened_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    before = logging.getLogger().handlers[:]
    with pytest.raises(OSError, match="No such file"):
        configure("info", "logfmt", tmp_path / "absent" / "own.log")
    assert logging.getLogger().handlers == before


def test_what_cannot_be_formatted_does_not_raise(capsys: pytest.CaptureFixture[str]) -> None:
    class Odd:
        def __str__(self) -> str:
            raise ValueError("secret")

    configure("info", "json")
    log.get("x").info("event", odd=Odd())
    log.get("x").info("after")
    assert [json.loads(line)["msg"] for line in capsys.readouterr().err.splitlines()] == ["after"]


# --- floods --------------------------------------------------------------------------------------------------------


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def passed(flood: log.Flood, event: str, level: int = logging.INFO, name: str = "exporter.x") -> int | None:
    """How many records were kept back before this one; None if it is kept back itself."""
    record = logging.LogRecord(name, level, "x.py", 1, event, (), None)
    record.__dict__["fields"] = {"n": 1}
    found = flood.filter(record)
    if found is False:
        return None
    assert record.__dict__["fields"] == {"n": 1}, "other handlers see it as it was"
    return int(getattr(found, "fields", {}).get("suppressed", 0))


def test_what_is_repeated_comes_slowly_and_says_how_many_are_missing() -> None:
    clock = Clock()
    flood = log.Flood(clock)
    assert [passed(flood, "again") for _ in range(log.KIND_AT_ONCE + 7)] == [0] * log.KIND_AT_ONCE + [None] * 7
    assert passed(flood, "another event") == 7
    assert passed(flood, "again", logging.ERROR) == 0, "another level is another kind"
    clock.now = 1.0
    assert [passed(flood, "again") for _ in range(3)] == [0, None, None]
    clock.now = 2.0
    assert passed(flood, "again") == 2
    clock.now = 1_000.0
    assert passed(flood, "again") == 0


def test_third_parties_texts_are_of_one_kind() -> None:
    flood = log.Flood(Clock())
    found = [passed(flood, f"text {number}", logging.ERROR, "aiohttp.server") for number in range(150)]
    assert found.count(None) == 150 - log.KIND_AT_ONCE


def test_debug_is_not_counted() -> None:
    flood = log.Flood(Clock())
    assert {passed(flood, "again", logging.DEBUG) for _ in range(1_000)} == {0}
    assert passed(flood, "again") == 0


records_and_pauses = st.lists(st.tuples(st.integers(0, 400), st.floats(0, 20), st.integers(0, 60)), max_size=40)


@given(records_and_pauses)
def test_no_more_than_ten_lines_a_second_after_the_first_and_none_is_lost_uncounted(
    story: list[tuple[int, float, int]],
) -> None:
    clock = Clock()
    flood, said, written, told = log.Flood(clock), 0, 0, 0
    for many, pause, kinds in story:
        clock.now += pause
        for number in range(many):
            before = passed(flood, f"event {number % (kinds + 1)}")
            said += 1
            written += before is not None
            told += before or 0
        assert written <= log.AT_ONCE + 10 * clock.now
    clock.now += 1_000.0
    last = passed(flood, "at last")
    assert last is not None
    assert written + told + last == said


def test_so_many_kinds_are_remembered_and_no_more() -> None:
    clock = Clock()
    flood = log.Flood(clock)
    for number in range(3 * log.KINDS):
        clock.now += 1
        passed(flood, f"event {number}")
    assert len(flood._kinds) == log.KINDS


def test_every_place_that_lines_go_to_is_kept_from_floods(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json", tmp_path / "own.log")
    for number in range(5_000):
        log.get("x").warning(FORGERY, number=number)
    log.get("x").info("after")
    configure("info", "json")
    for text in (capsys.readouterr().err, (tmp_path / "own.log").read_text()):
        lines = [json.loads(line) for line in text.splitlines()]
        assert log.KIND_AT_ONCE < len(lines) < 1_000
        assert lines[-1]["msg"] == "after"
        assert len(lines) + sum(line.get("suppressed", 0) for line in lines) == 5_001
