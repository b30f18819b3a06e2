"""Lines of the protocol, read back by a parser of others, whatever is in them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_protocol_parser import parse_line

from exporter.live.line_protocol import LARGEST, Point, line, messages

TIME = 1795228206117000000
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\"), min_size=1, max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
points = st.builds(
    Point, names, st.dictionaries(names, texts, max_size=4), st.dictionaries(names, numbers, min_size=1, max_size=4)
)


def test_a_line_is_what_the_documentation_shows() -> None:
    point = Point("price", {"pair": "WETH/USDC", "dex": "aerodrome"}, {"price": 3003.42, "liquidity": 1.2e6})
    assert line(point, TIME) == f"price,dex=aerodrome,pair=WETH/USDC price=3003.42,liquidity=1200000.0 {TIME}"


def test_what_would_end_a_word_is_escaped() -> None:
    point = Point("a b,c=d", {"k=e y": "v,a l=\nu"}, {"f,i=e ld": 1})
    assert line(point, 1) == r"a\ b\,c=d,k\=e\ y=v\,a\ l\=\ u f\,i\=e\ ld=1.0 1"


@given(points)
def test_every_line_says_what_the_point_holds(point: Point) -> None:
    found = parse_line(line(point, TIME))
    assert found == {"measurement": point.measurement, "tags": point.tags, "fields": point.fields, "time": TIME}


@given(st.text(max_size=10), st.text(max_size=10))
def test_no_text_can_end_a_line_or_begin_a_field(name: str, text: str) -> None:
    made = line(Point("m", {"name": text, name: "x"}, {"f": 1.0}), TIME)
    found = parse_line(made.encode("utf-8", "replace").decode())
    assert (found["measurement"], found["fields"], found["time"]) == ("m", {"f": 1.0}, TIME)
    assert "\n" not in made


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_left_out(value: float) -> None:
    assert line(Point("m", {}, {"a": value, "b": 2.0}), 1) == "m b=2.0 1"
    assert line(Point("m", {}, {"a": value}), 1) == ""
    assert list(messages([Point("m", {}, {"a": value})], 1)) == []


@given(st.lists(points, max_size=30), st.integers(200, 2_000))
def test_messages_hold_every_line_once_in_order_and_none_is_too_large(found: list[Point], largest: int) -> None:
    made = list(messages(found, TIME, largest))
    assert all(0 < len(body) <= largest for body in made)
    lines = [text for body in made for text in body.decode().split("\n")]
    assert lines == [text for point in found if len((text := line(point, TIME)).encode()) < largest]


def test_a_message_stays_below_grafanas_limit() -> None:
    many = [Point("price", {"pool": f"{n:064}"}, {"price": 1.0}) for n in range(20_000)]
    made = list(messages(many, TIME))
    assert len(made) > 1
    assert max(map(len, made)) <= LARGEST < 1 << 20
