"""YAML with the meaning of version 1.2, and every trap refused with its place."""

import time
from itertools import pairwise
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.yaml12 import MAX_DEPTH, Scalar, parse


def value_of(text: str) -> object:
    tree, problems = parse(f"key: {text}\n")
    assert problems == []
    assert isinstance(tree, dict)
    scalar = tree["key"]
    assert isinstance(scalar, Scalar)
    return scalar.value()


SCALARS = {
    "": None,
    "~": None,
    "null": None,
    "NULL": None,
    "nUll": "nUll",
    "true": True,
    "False": False,
    "TRUE": True,
    "yes": "yes",
    "on": "on",
    "off": "off",
    "n": "n",
    "1": 1,
    "-7": -7,
    "+7": 7,
    "010": 10,
    "0o10": 8,
    "0x1F": 31,
    "0b1": "0b1",
    "1_000": "1_000",
    "1:30": "1:30",
    "2024-01-01": "2024-01-01",
    "1.5": 1.5,
    ".5": 0.5,
    "5.": 5.0,
    "1e3": 1000.0,
    "1.e-3": 0.001,
    ".": ".",
    "-": "-",
    "9" * 41: 1e41,
    "٣": "٣",
    "'1'": "1",
    '"true"': "true",
    "''": "",
    "0x" + "ab" * 20: int("ab" * 20, 16),
}


@pytest.mark.parametrize("text", [text for text in SCALARS if text != "-"])
def test_scalars_mean_what_yaml_1_2_says(text: str) -> None:
    found = value_of(text)
    assert (found, type(found)) == (SCALARS[text], type(SCALARS[text]))


def test_a_lone_dash_is_a_word_where_it_is_one() -> None:
    assert Scalar("-", plain=True).value() == "-"


def test_a_block_is_a_string() -> None:
    assert value_of("|\n  1\n") == "1\n"


def oracle(text: str) -> object:
    """The core schema, said in another way."""
    if text in ("", "~") or (text.lower() == "null" and text in ("null", "Null", "NULL")):
        return None
    if text.lower() in ("true", "false") and (text.islower() or text.isupper() or text.istitle()):
        return text.lower() == "true"
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits.isascii() and digits.isdigit():
        return int(text)
    for prefix, base in (("0o", 8), ("0x", 16)):
        if text.startswith(prefix) and text[2:].isalnum():
            try:
                return int(text[2:], base)
            except ValueError:
                pass
    if text.isascii() and any(c.isdigit() for c in text) and not set(text.lower()) - set("0123456789.+-e"):
        try:
            return float(text)
        except ValueError:
            pass
    return text


@given(st.text("0123456789+-.eExXoOabnultrfsTRUEFANLS~_:", max_size=8))
def test_any_plain_scalar_agrees_with_the_oracle(text: str) -> None:
    found, expected = Scalar(text, plain=True).value(), oracle(text)
    assert (found, type(found)) == (expected, type(expected))


@given(st.text(max_size=20))
def test_a_quoted_scalar_is_its_text(text: str) -> None:
    assert Scalar(text, plain=False).value() == text


BAD = {
    "a: 1\na: 2\n": [("a", "is given twice")],
    'a: {b: 1, "b": 2}\n': [("a.b", "is given twice")],
    '"a\\nb": 1\n"a\\nb": 2\n': [("(unprintable key)", "is given twice")],
    f"x: {{{'k' * 90}: 1, {'k' * 90}: 2}}\n": [("x.(unprintable key)", "is given twice")],
    "a: !!python/object:os.system {}\n": [("a", "tags (!name) are not allowed")],
    "a: [!x 1]\n": [("a[0]", "tags (!name) are not allowed")],
    "!!map {a: 1}\n": [("", "tags (!name) are not allowed")],
    "!!str a: 1\n": [("a", "tags (!name) are not allowed")],
    "a: 1\n!!str b: 2\n": [("b", "tags (!name) are not allowed")],
    "a: &x 1\n": [("a", "anchors (&name) are not allowed")],
    "&x a: 1\n": [("a", "anchors (&name) are not allowed")],
    "a: [&x 1, *x]\n": [("a[0]", "anchors (&name) are not allowed"), ("a[1]", "aliases (*name) are not allowed")],
    "a: &x [*x]\n": [("a", "anchors (&name) are not allowed"), ("a[0]", "aliases (*name) are not allowed")],
    "&x a: 1\n*x : 2\n": [
        ("a", "anchors (&name) are not allowed"),
        ("a", "aliases (*name) are not allowed"),
        ("a", "is given twice"),
    ],
    "a: *x\n": [("", "not YAML: line 1, column 4")],
    "a: {[b]: 1}\n": [("a", "keys must be plain words")],
    "? {b: 1}\n: 1\n": [("", "keys must be plain words")],
    "a: [\n": [("", "not YAML: line 2, column 1")],
    "\ta: 1\n": [("", "not YAML: line 1, column 1")],
    "a: 1\n---\nb: 2\n": [("", "not YAML: line 2, column 1")],
    "a: \x00\n": [("", "not YAML: characters that YAML does not allow")],
    'a: "\\UFFFFFFFF"\n': [("", "not YAML: characters that YAML does not allow")],
    'a: "\\U00110000"\n': [("", "not YAML: characters that YAML does not allow")],
    "[" * 100: [("", f"is nested too deeply: line 1, column {MAX_DEPTH + 1}")],
    "- " * 100 + "a": [("", f"is nested too deeply: line 1, column {2 * MAX_DEPTH + 1}")],
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text)[:30])
def test_what_is_wrong_is_said_with_its_place(text: str) -> None:
    assert [(p.path, p.message) for p in parse(text)[1]] == BAD[text]


GOOD: dict[str, object] = {
    "": {},
    "# a comment\n": {},
    "---\n...\n": Scalar("", plain=True),
    "\ufeffa: 1\n": {"a": Scalar("1", plain=True)},
    "a: {b: [1, 'x']}\n": {"a": {"b": [Scalar("1", plain=True), Scalar("x", plain=False)]}},
    "<<: {}\n": {"<<": {}},
    "1: 2\n": {"1": Scalar("2", plain=True)},
    "[]": [],
}


@pytest.mark.parametrize("text", GOOD, ids=repr)
def test_a_document_is_its_tree(text: str) -> None:
    assert parse(text) == (GOOD[text], [])


@pytest.mark.parametrize(
    "bomb",
    [
        "[" * 100_000,
        "{a: " * 30_000,
        "a: &a [x,x]\n" + "".join(f"{b}: &{b} [*{a},*{a}]\n" for a, b in pairwise(ascii_lowercase)),
    ],
    ids=["brackets", "braces", "laughs"],
)
def test_a_bomb_is_put_away_at_once(bomb: str) -> None:
    started = time.process_time()
    tree, problems = parse(bomb)
    assert tree is None
    assert problems
    assert time.process_time() - started < 5


@given(st.text(st.sampled_from("ab:- \n[]{}&*!?|>'\"#%@`,\t0"), max_size=30) | st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    parse(text)
