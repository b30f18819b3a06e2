"""Any chunking gives the same counts, whatever the bytes; records and exceptions are told as their writers meant."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.sources import log_lines
from exporter.sources.log_lines import LONG, START, Counts, Place, parse

HEAD = "2025-04-06 17:56:36,565 - bot.core - {} - "
FRAMES = 'Traceback (most recent call last):\n  File "/app/x.py", line 1, in f\n    g(a)\n    ^^^^\n'


def counted(text: bytes, sizes: list[int] | None = None) -> tuple[dict[str, int], dict[str, int], Place, int]:
    """The counts of a text given in chunks of these sizes, over and over; with what is left of an unended line."""
    counts, place, start, end = Counts(), START, 0, 0
    turn = 0
    while end < len(text):
        end = min(end + (sizes[turn % len(sizes)] if sizes else len(text)), len(text))
        turn += 1
        used, place = parse(text[start:end], place, counts)
        start += used
    return dict(+counts.levels), dict(+counts.exceptions), place, len(text) - start


def levels(text: str) -> dict[str, int]:
    return counted(text.encode())[0]


def exceptions(text: str) -> dict[str, int]:
    return counted(text.encode())[1]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2025-04-06 17:56:36,565 - bot - INFO - started", "info"),
        ("2025-04-06 17:56:36,565 - bot.x - WARNING - ERROR - not this", "warning"),
        ("2025-04-06 17:56:36,565 [ERROR] failed", "error"),
        ("2025-04-06 17:56:36,565 [CRITICAL] ", "critical"),
        ("2025-04-06 17:56:36 - DEBUG - no name", "debug"),
        ("2025-04-06T17:56:36.565123Z [INFO] iso", "info"),
        ("2025-04-06T17:56:36+00:00 INFO plain", "info"),
        ("[2025-04-06 17:56:36 +0000] [7] [INFO] gunicorn", "other"),
        ("2025-04-06 17:56:36.565 | ERROR    | a:b:1 - loguru", "error"),
        ("2025-04-06 17:56:36,565 - bot - Level 25 - own level", "other"),
        ("2025-04-06 17:56:36,565 - bot - INFORMATION - own level", "other"),
        ("2025-04-06 17:56:36,565", "other"),
        ("INFO:     Started server process [1]", "info"),
        ("WARNING:  careful", "warning"),
        ("TRACE:    fine", "other"),
        ("\x1b[32mINFO\x1b[0m:     coloured", "info"),
        ("ERROR:root:basicConfig", "error"),
        ("2025-04-06 17:56:36,565 - bot - WARN - old name", "warning"),
        ("2025-04-06 17:56:36,565 - bot - FATAL - old name", "critical"),
        ("\ufeff2025-04-06 17:56:36,565 - bot - INFO - after a byte order mark", "info"),
        ("\0\0\0" + "2025-04-06 17:56:36,565 - bot - INFO - after a hole", "info"),
        ("2025-04-06 17:5\0006:36,565 - bot - INF\0O - with NUL bytes", "info"),
        ("2025-04-06 17:56:36,565 - bot - INFO - CRLF\r", "info"),
    ],
)
def test_formats(line: str, level: str) -> None:
    assert levels(line + "\n") == {level: 1}
    assert levels(HEAD.format("DEBUG") + "\n" + line + "\n") == Counter([level, "debug"])
    assert levels(line) == {}, "a line counts when its end is there"


@pytest.mark.parametrize(
    "line",
    ["", "   ", "continued", "INFO without colon", "WETH: 3003", "2025-04-06",
     "  2025-04-06 17:56:36,565 - a - INFO - x", "x" * 300_000,
     "\x0b\x0c\x1c\x85\u2028INFO: x", "12025-04-06 17:56:36,565 - bot - INFO - x"],
)  # fmt: skip
def test_continuation_lines_belong_to_their_record(line: str) -> None:
    assert levels(HEAD.format("INFO") + "first\n" + line + "\n" + line + "\n") == {"info": 1}


def test_before_the_first_known_record_each_loose_line_is_one_of_an_unknown_level() -> None:
    assert levels('{"level":"info"}\n  indented\n\n{"level":"error"}\n') == {"other": 2}
    assert levels(FRAMES + "ValueError: x\nINFO:     y\nloose\n") == {"info": 1}


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("ValueError: bad\n", {"ValueError": 1}),
        ("KeyboardInterrupt\n", {"KeyboardInterrupt": 1}),
        ("ValueError: bad\r\n", {"ValueError": 1}),
        ("web3.exceptions.ContractLogicError: execution reverted\n", {"ContractLogicError": 1}),
        ("aiohttp.client_exceptions.ClientConnectorError\n", {"ClientConnectorError": 1}),
        ("json.decoder.JSONDecodeError: Expecting value\n", {"JSONDecodeError": 1}),
        ("mine.Error: x\n", {"other": 1}),
        ("__main__.f.<locals>.Fehler: x\n", {"other": 1}),
        ("K\u00e4se: x\n", {"other": 1}),
        ("ValueError: a message of\nKeyError: several lines\nfield\n", {"ValueError": 1}),
        ("ValueError: " + "x" * (LONG + 10) + "\n", {"ValueError": 1}),
        ("Name with blanks\n", {}),
        ("", {}),
        ("ValueError: not ended", {}),
        (HEAD.format("INFO") + "\nValueError: after the record\n", {}),
        ("ValueError: x\n\nDuring handling of the above exception, another exception occurred:\n\n"
         + FRAMES + "KeyError: 1\n", {"ValueError": 1, "KeyError": 1}),
        (FRAMES + "KeyError: 1\n", {"KeyError": 1}),
    ],
)  # fmt: skip
def test_tracebacks(end: str, expected: dict[str, int]) -> None:
    for start in (HEAD.format("ERROR") + "failed\n", HEAD.format("ERROR"), "ERROR:    failed: ", ""):
        text = start + FRAMES + end
        assert exceptions(text) == expected
        for sizes in ([1], [7], [64, 1, 3]):
            assert counted(text.encode(), sizes) == counted(text.encode())


def test_exception_groups_count_each_traceback() -> None:
    text = """2025-04-06 17:56:36,565 [ERROR] failed
  + Exception Group Traceback (most recent call last):
  |   File "x.py", line 1, in <module>
  |     raise ExceptionGroup("eg", [a])
  | ExceptionGroup: eg (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "x.py", line 2, in <module>
    |     raise ValueError(1)
    | ValueError: 1
    +---------------- 2 ----------------
    | Traceback (most recent call last):
    |   File "x.py", line 2, in <module>
    | KeyError: 2
    +------------------------------------
"""
    assert exceptions(text) == {"ExceptionGroup": 1, "ValueError": 1, "KeyError": 1}
    assert levels(text) == {"error": 1}


def test_a_word_of_a_traceback_in_the_middle_of_a_line_opens_none() -> None:
    text = HEAD.format("INFO") + "Traceback (most recent call last): was seen\nValueError: x\n"
    assert exceptions(text) == {}


def test_a_line_without_end_takes_no_memory_and_is_counted_when_it_ends() -> None:
    counts = Counts()
    used, place = parse((HEAD.format("ERROR") + "x" * LONG).encode(), START, counts)
    assert used == len(HEAD.format("ERROR")) + LONG
    for _ in range(1024):
        used, place = parse(b"y" * (1 << 20), place, counts)
        assert used == 1 << 20
    assert counts.levels == Counter()
    used, place = parse(b"z\nnext", place, counts)
    assert (used, counts.levels, place) == (2, Counter(error=1), Place(headed=True))


WORDS = st.sampled_from(
    [b"\n", b"\n", b"\r\n", b"\0", b" ", b"  ", b"  | ", b": ", b"x", b"\xff", "\u20ac".encode(), b"\x1b[0m",
     b"ValueError", b"a.KeyError: 1", b"Traceback (most recent call last):", b"2025-04-06 17:56:36,565", b" - bot - ",
     b"INFO", b" - INFO - ", b" [ERROR] ", b"WARNING:  ", b"2025-04-06 17:56:36,565 - bot - CRITICAL - ", b"y" * 150]
)  # fmt: skip
TEXTS = st.lists(WORDS | st.binary(max_size=4), max_size=60).map(b"".join)


@settings(deadline=None)
@given(TEXTS, st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_any_chunking_gives_the_same_counts(text: bytes, sizes: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_lines, "LONG", 400)  # shorter than these texts, longer than any head of a record
        assert counted(text, sizes) == counted(text)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 3000), min_size=1, max_size=5))
def test_counts_are_what_was_written(seed: int, sizes: list[int]) -> None:
    rng = random.Random(seed)
    text, wanted, raised = "", Counter[str](), Counter[str]()
    for _ in range(rng.randrange(1, 30)):
        level = rng.choice(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
        form = rng.choice(["2025-04-06 17:56:36,565 - bot - {} - ", "2025-04-06 17:56:36,565 [{}] ", "{}:    "])
        text += form.format(level) + "\u20ac" * rng.randrange(20 if rng.random() < 0.9 else 9000) + "\n"
        wanted[level.lower()] += 1
        if rng.random() < 0.3:
            name = rng.choice(["ValueError", "KeyError", "TimeoutError"])
            text += FRAMES + f"{name}: something\nand: more\n"
            raised[name] += 1
        text += "continued\n" * rng.randrange(3)
    assert counted(text.encode(), sizes)[:2] == (dict(wanted), dict(raised))
