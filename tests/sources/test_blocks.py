from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import blocks
from exporter.sources.blocks import Cadence, Header, Window, header, linked
from exporter.sources.jsonrpc import Malformed, RpcError

RAW = {
    "number": "0x10", "hash": "0x" + "AB" * 32, "parentHash": "0x" + "cd" * 32, "timestamp": "0x60",
    "baseFeePerGas": "0x7", "gasUsed": "0x1", "gasLimit": "0x2", "transactions": [], "extra": None,
}  # fmt: skip


def made(number: int, fork: str = "a", parent: str | None = None, time: int | None = None) -> Header:
    """A header whose hash tells its height and fork."""
    above = f"{fork}{number - 1}" if parent is None else parent
    return Header(number, f"{fork}{number}", above, 2 * number if time is None else time, None, 0, 0)


def chain(first: int, last: int, fork: str = "a") -> list[Header]:
    return [made(number, fork) for number in range(first, last + 1)]


def window(first: int, last: int, most: int = 100) -> Window:
    found = Window(most)
    found.place(chain(first, last))
    return found


def test_a_header_is_read() -> None:
    assert header(RAW) == Header(16, "0x" + "ab" * 32, "0x" + "cd" * 32, 96, 7, 1, 2)
    assert header({k: v for k, v in RAW.items() if k != "baseFeePerGas"}).base_fee_wei is None


@pytest.mark.parametrize(
    "value",
    [None, 5, [], "0x1", {}]
    + [{k: v for k, v in RAW.items() if k != name} for name in ("number", "hash", "parentHash", "timestamp", "gasUsed")]
    + [RAW | {"number": n} for n in (None, 16, "16", "0x", "-0x1", hex(2**53), hex(2**255))]
    + [RAW | {"hash": h} for h in (None, "0x", "0x" + "ab" * 31, "0x" + "ab" * 33, "0x" + "zz" * 32, 7)]
    + [RAW | {"timestamp": hex(2**60)}, RAW | {"baseFeePerGas": "x"}, RAW | {"parentHash": "0x" + "ab" * 32 + "\n"}],
)
def test_what_is_no_header(value: Any) -> None:
    with pytest.raises(Malformed):
        header(value)


def test_an_error_in_a_headers_place_is_raised_as_it_is() -> None:
    with pytest.raises(RpcError):
        header(RpcError(-39001))


@given(st.recursive(st.none() | st.integers() | st.text() | st.booleans(), lambda inner: st.dictionaries(
    st.sampled_from([*RAW, "x"]), inner) | st.lists(inner), max_leaves=20))  # fmt: skip
def test_any_json_is_a_header_or_refused(value: Any) -> None:
    try:
        assert isinstance(header(value), Header)
    except Malformed:
        pass


def test_a_window_knows_its_ends_and_what_links() -> None:
    empty = Window()
    assert (empty.newest, empty.oldest, len(empty), empty.get(0)) == (None, None, 0, None)
    assert not empty.links(made(1))
    found = window(10, 20)
    assert (found.newest, found.oldest, len(found)) == (made(20), made(10), 11)
    assert (found.get(9), found.get(10), found.get(20), found.get(21)) == (None, made(10), made(20), None)
    assert found.holds(made(15))
    assert not found.holds(made(15, "b"))
    assert not found.holds(made(21))
    assert found.links(made(21))
    assert found.links(made(16, "b", parent="a15"))
    assert not found.links(made(16, "b"))
    assert list(found) == chain(10, 20)


def test_a_reorg_takes_back_what_was_above_its_ancestor() -> None:
    found = window(10, 20)
    assert found.place([made(21)]) == 0
    assert found.place([made(18, "b", parent="a17"), made(19, "b")]) == 4
    assert [h.hash for h in found][-3:] == ["a17", "b18", "b19"]
    assert found.cut(15) == 4
    assert found.newest == made(15)
    assert found.cut(15) == 0
    assert found.restart(chain(90, 91, "c")) == 6
    assert list(found) == chain(90, 91, "c")


def test_a_window_holds_no_more_than_it_may_and_deepens_as_far_as_that() -> None:
    found = window(1, 20, most=8)
    assert (found.oldest, found.newest, len(found)) == (made(13), made(20), 8)
    found.deepen(chain(1, 12))
    assert found.oldest == made(13)
    found = window(15, 20, most=8)
    found.deepen(chain(1, 13))  # which does not reach up to it
    assert found.oldest == made(15)
    found.deepen(chain(1, 14))
    assert (found.oldest, len(found)) == (made(13), 8)
    Window().deepen(chain(1, 2))


def test_a_chain_is_linked_or_not() -> None:
    assert linked([])
    assert linked(chain(1, 5))
    assert not linked([made(1), made(3, parent="a1")])
    assert not linked([made(1), made(2, parent="b1")])


@given(st.lists(st.tuples(st.sampled_from(["mine", "reorg", "cut"]), st.integers(1, 12)), max_size=40))
def test_a_window_is_always_the_end_of_the_chain(steps: list[tuple[str, int]]) -> None:
    found, truth, fork = Window(16), [made(0)], 0
    found.place(truth)
    for what, size in steps:
        if what == "cut":
            keep = max(len(truth) - size, len(truth) - len(found) + 1)
            truth = truth[:keep]
            found.cut(truth[-1].number)
            continue
        fork += 1
        if what == "reorg":
            truth = truth[: max(len(truth) - size, len(truth) - len(found) + 1)]
        fresh = [made(len(truth), f"f{fork}.", parent=truth[-1].hash)]
        fresh += [made(len(truth) + i, f"f{fork}.") for i in range(1, size)]
        assert found.links(fresh[0])
        found.place(fresh)
        truth += fresh
    assert list(found) == truth[-len(found) :]
    assert linked(list(found))
    assert all(found.get(h.number) == h for h in found)


def seen(*heads: tuple[int, int]) -> float | None:
    cadence = Cadence()
    for number, time in heads:
        cadence.see(made(number, time=time))
    return cadence.seconds


@pytest.mark.parametrize(
    ("heads", "seconds"),
    [
        ([], None),
        ([(1, 1000)], None),
        ([(1, 1000), (5, 1008)], None),  # too little time: whole seconds are too coarse
        ([(1, 1000), (6, 1010)], 2.0),
        ([(0, 1000), *((n, 1000 + n // 5) for n in range(1, 101))], 0.2),
        ([(100, 1000), (110, 1020), (107, 1014), (112, 1024)], 2.0),
        ([(100, 1000), (110, 1020), (3, 2000), (9, 2012)], 2.0),  # a chain begun anew
        ([(100, 1000), (110, 1020), (111, 10)], None),  # times go back: nothing is known
    ],
)
def test_the_interval_is_measured(heads: list[tuple[int, int]], seconds: float | None) -> None:
    assert seen(*heads) == (None if seconds is None else pytest.approx(seconds, rel=0.03))


def test_the_interval_follows_a_chain_that_becomes_faster_within_a_minute_or_so() -> None:
    cadence = Cadence()
    for number in range(100):
        cadence.see(made(number, time=1000 + 2 * number))
    assert cadence.seconds == 2.0
    for number in range(1, 400):
        cadence.see(made(99 + number, time=1198 + number // 5))
    assert cadence.seconds == pytest.approx(0.2, rel=0.05)


def test_blocks_that_are_slower_than_the_measure_are_measured_by_two_of_them() -> None:
    assert seen((1, 0), (2, 200), (3, 400), (4, 600)) == 200.0


def test_a_window_is_small() -> None:
    assert blocks.MOST <= 1024
