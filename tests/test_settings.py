"""The readers that settings are made of; what they make of whole files is in test_config."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter import settings as s
from exporter.log import scrub
from exporter.settings import Bad, Reader, Secret, setting
from exporter.yaml12 import Tree, parse


@dataclass(frozen=True, slots=True)
class Pair:
    left: int = setting(s.integer(0, 9), "a number")
    right: int = setting(s.integer(0, 9), "a number", default=5)


def read(parser: s.Parse, text: str, **environment: str) -> tuple[object, list[tuple[str, str]]]:
    tree, problems = parse(f"key: {text}\n")
    assert problems == []
    assert isinstance(tree, dict)
    reader = Reader(Path("/folder"), environment)
    found = reader.read(parser, tree["key"], "key")
    return found, [(p.path, p.message) for p in reader.problems]


def test_a_record_is_read_with_its_defaults() -> None:
    assert read(s.record(Pair), "{left: 1}") == (Pair(1, 5), [])


def test_of_a_record_everything_wrong_is_said_at_once() -> None:
    found, problems = read(s.record(Pair), "{up: 1, right: x}")
    assert found is None
    assert problems == [
        ("key.up", "is not a known key"),
        ("key.right", "must be a whole number from 0 to 9"),
        ("key.left", "is missing"),
    ]


def test_a_check_can_say_what_does_not_fit_together_and_where() -> None:
    def raising(pair: Pair) -> None:
        raise Bad("is too odd", at="elsewhere")

    assert read(s.record(Pair, lambda _: "does not fit"), "{left: 1}") == (None, [("key", "does not fit")])
    assert read(s.record(Pair, raising), "{left: 1}") == (None, [("elsewhere", "is too odd")])


def test_a_list_has_bounds_and_no_doubles() -> None:
    numbers = s.listing(s.integer(0, 9), "", least=1, most=3)
    assert read(numbers, "[1, 2]") == ((1, 2), [])
    assert read(numbers, "[]")[1] == [("key", "must have 1 to 3 entries")]
    assert read(numbers, "[1, 2, 3, 4]")[1] == [("key", "must have 1 to 3 entries")]
    assert read(numbers, "[1, x, 1]")[1] == [
        ("key[1]", "must be a whole number from 0 to 9"),
        ("key[2]", "is given twice in the list"),
    ]
    assert read(s.listing(s.record(Pair), "right"), "[{left: 1, right: 2}, {left: 2, right: 2}, 7]")[1] == [
        ("key[2]", "must be a mapping of keys to values"),
        ("key[1].right", "is given twice in the list"),
    ]


def test_a_mapping_has_valid_names_and_a_bound() -> None:
    flags = s.mapping(s.boolean, most=2)
    assert read(flags, "{a: true, b: false}") == ({"a": True, "b": False}, [])
    assert read(flags, "{'a b': true}")[1] == [("key.a b", "is not a valid name")]
    assert read(flags, "{a: true, b: true, c: true}")[1] == [("key", "must have at most 2 entries")]


EXPANDED = {
    "${A}": "alpha",
    "x${A}-${B_2}y": "xalpha-betay",
    "$A": "$A",
    "$$": "$$",
    "{A}": "{A}",
    "${N}": "${A}",
}


@pytest.mark.parametrize("text", EXPANDED)
def test_variables_are_replaced_once(text: str) -> None:
    reader = Reader(Path(), {"A": "alpha", "B_2": "beta", "N": "${A}"})
    assert reader.expand(text) == EXPANDED[text]


@pytest.mark.parametrize("text", ["${", "${}", "${A:-x}", "${1A}", "${A", "${A} ${B-2}"])
def test_what_looks_like_a_variable_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(Bad, match="only form"):
        Reader(Path(), {"A": "alpha"}).expand(text)


def test_a_missing_variable_is_named_and_not_its_neighbours() -> None:
    assert read(s.name, "a-${GIVEN}-${MISSING}", GIVEN="hidden")[1] == [
        ("key", "the environment variable MISSING is not set")
    ]
    assert read(s.name, "${EMPTY}", EMPTY="")[1] == [("key", "the environment variable EMPTY is empty")]


def test_a_secret_never_prints() -> None:
    secret = Secret("hidden")
    assert f"{secret} {secret!r} {[secret]}" == "<secret> <secret> [<secret>]"
    assert secret.reveal() == "hidden"
    assert secret == Secret("hidden")


URLS = {
    "http://h": True,
    "HTTPS://H:1/x?y#z": True,
    "http://[::1]:80": True,
    "http://u:p@h": True,
    "http://": False,
    "http://:80": False,
    "http://u@": False,
    "//h": False,
    "h:80": False,
    "http://h:0": False,
    "http://h:x": False,
    "http://h:65536": False,
    "http://[::1": False,
    "http://h/ x": False,
    "http://h/\t": False,
    "http://h/\x00": False,
    "http://h/\ud800": False,
    "javascript:alert(1)": False,
    "": False,
}


@pytest.mark.parametrize("url", URLS, ids=ascii)
def test_a_url_has_a_scheme_and_a_host(url: str) -> None:
    assert s.url("http", "https")(url) is URLS[url]


def test_small_files_are_small_and_regular(tmp_path: Path) -> None:
    (tmp_path / "most").write_bytes(b"x" * (64 << 10))
    (tmp_path / "more").write_bytes(b"x" * ((64 << 10) + 1))
    os.mkfifo(tmp_path / "fifo")
    assert len(s.read_small(tmp_path / "most")) == 64 << 10
    for name, words in [("more", "too large"), ("fifo", "regular"), (".", "regular|directory"), ("absent", "No such")]:
        with pytest.raises(OSError, match=words):
            s.read_small(tmp_path / name)
    assert len(s.read_small(tmp_path / "more", 128 << 10)) == (64 << 10) + 1


@pytest.mark.parametrize("tree", [[], {}, [{}]], ids=repr)
@pytest.mark.parametrize(
    "parser",
    [s.name, s.path, s.timezone, s.boolean, s.origin, s.secret_file, s.integer(0, 1), s.choice("a"),
     s.plain_url("http"), s.secret_url("http"), s.either(s.boolean, s.name, "either")],
)  # fmt: skip
def test_a_list_or_mapping_is_no_single_value(parser: s.Parse, tree: Tree) -> None:
    reader = Reader(Path(), {})
    assert reader.read(parser, tree, "key") is None
    assert [p.path for p in reader.problems] == ["key"]


def test_a_secret_of_a_file_can_be_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("the first one\n")
    secret = Secret("the first one", file)
    file.write_text("another one of 2026\n")
    renewed = secret.renewed()
    assert (renewed.reveal(), repr(renewed)) == ("another one of 2026", "<secret>")
    assert "2026" not in scrub("it is another one of 2026")
    assert Secret("of no file").renewed().reveal() == "of no file"
    file.unlink()
    with pytest.raises(FileNotFoundError):
        renewed.renewed()
