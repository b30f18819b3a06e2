import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import demand, ledger, slots
from exporter.collector import Poll
from exporter.collectors import bundles, components, execution, flash_loans, opportunities, strategies, trades
from exporter.config import Bot, Limits, Settings, Store
from exporter.metrics import gate
from exporter.slots import ELSEWHERE, KINDS, Slots, room, spent
from tests.bot_events import hostile, told
from tests.sources_for_tests import sources


def database() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.executescript("".join(ledger.VERSIONS))
    return made


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = database()
    yield connection
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_names_are_kept_for_ever_and_the_rest_is_other(db: sqlite3.Connection, kind: str) -> None:
    most = KINDS[kind].most
    names = [f"n{number}" for number in range(most + 5)]
    for order in (names, names[::-1]):
        given_ = {name: Slots(db, "b", 2_000).name(kind, name) for name in order}
        assert given_ == {name: name if int(name[1:]) < most else "other" for name in names}
    assert spent(db, "b") == most * KINDS[kind].series
    assert Slots(db, "another", 2_000).name(kind, "n99") == "n99"


def test_other_and_unknown_need_no_slot(db: sqlite3.Connection) -> None:
    assert [Slots(db, "b", 0).name("relay", name) for name in ("other", "unknown", "x")] == [
        "other",
        "unknown",
        "other",
    ]
    assert spent(db, "b") == 0


def take(db: sqlite3.Connection, source: str, route: slots.Route) -> None:
    """What the books do once a route has its slot."""
    db.execute("INSERT OR IGNORE INTO total VALUES ('b',?,?,?,?,0,0,'0','0','0','0','0')", (source, *route))


def test_a_route_pays_for_trades_and_for_opportunities_apart(db: sqlite3.Connection) -> None:
    route = ("p", "x", "y")
    assert Slots(db, "b", 6).route("events", route, 100, "total") == ELSEWHERE
    assert Slots(db, "b", 6).route("events", route, 100, "opportunity_total") == route
    db.execute("INSERT INTO opportunity_total VALUES ('b','events',?,?,?,'missed',1)", route)
    assert spent(db, "b") == 4
    assert Slots(db, "b", 6).route("events", route, 100, "total") == ELSEWHERE
    assert Slots(db, "b", 11).route("events", route, 100, "total") == route
    take(db, "events", route)
    assert spent(db, "b") == 11
    assert Slots(db, "b", 0).route("events", route, 100, "total") == route, "what is there stays"
    assert Slots(db, "b", 0).route("events", route, 100, "opportunity_total") == route
    assert Slots(db, "b", 0).route("recent", route, 100, "total") == ELSEWHERE


def test_a_source_has_so_many_routes_at_most(db: sqlite3.Connection) -> None:
    given_ = [Slots(db, "b", 2_000).route("chain", (f"p{i}", "x", "y"), 3, "total") for i in range(5)]
    assert given_ == [("p0", "x", "y"), ("p1", "x", "y"), ("p2", "x", "y"), ELSEWHERE, ELSEWHERE]
    assert Slots(db, "b", 2_000).route("recent", ("p9", "x", "y"), 3, "total") == ("p9", "x", "y")


@given(
    wishes=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(list(KINDS)), st.integers(0, 60)),
            st.tuples(st.sampled_from(["events", "recent", "chain"]), st.integers(0, 120)),
        ),
        max_size=80,
    ),
    purse=st.integers(0, 400),
)
def test_all_slots_together_never_cost_more_than_there_is(wishes: list[tuple[str, int]], purse: int) -> None:
    db = database()
    for what, number in wishes:
        taken = Slots(db, "b", purse)
        if what in KINDS:
            taken.name(what, str(number))
        elif (route := taken.route(what, (str(number), "x", "y"), 100, "total")) != ELSEWHERE:
            take(db, what, route)
        assert spent(db, "b") <= purse
    db.close()


EVENT_FED = (trades, opportunities, strategies, execution, flash_loans, bundles, components)
WITHOUT_NAMES = 210
"""Series of these that need no name of the bot's, and those of `other` and `unknown`; they are part of ALWAYS."""


async def series(made: Settings, seed: int) -> tuple[int, int]:
    """How many series hostile events make, and how many their slots may be."""
    rng, shown = random.Random(seed), 0
    async with sources(made) as s:
        for _ in range(6):
            await told(s.ledger, made, *hostile(rng.randrange(300), rng))
        for collector in EVENT_FED:
            opened = collector.COLLECTOR.open(s)
            read = opened.read() if isinstance(opened, Poll) else anext(opened.stream())
            shown += gate(collector.COLLECTOR.render(await read), collector.COLLECTOR.metrics).series
        return shown, await s.ledger.read(lambda db: spent(db, made.bot.name))


@pytest.mark.parametrize("limit", [200, 700, 1_000, 2_000])
@pytest.mark.parametrize("seed", range(3))
async def test_hostile_names_stay_within_their_room(tmp_path: Path, limit: int, seed: int) -> None:
    made = Settings(state=tmp_path / "state", limits=Limits(series=limit))
    shown, paid = await series(made, seed)
    assert paid <= room(made) + 7 * 2, "the rest is a route, too"
    assert shown <= paid + WITHOUT_NAMES
    assert shown <= max(limit, demand.ALWAYS.most)


def test_opportunities_take_no_slot_of_trades(db: sqlite3.Connection) -> None:
    for number in range(5):
        Slots(db, "b", 2_000).route("events", (f"p{number}", "x", "y"), 3, "opportunity_total")
    assert Slots(db, "b", 2_000).route("events", ("p9", "x", "y"), 3, "total") == ("p9", "x", "y")
    assert Slots(db, "b", 2_000).route("events", ("p9", "x", "y"), 3, "opportunity_total") == ELSEWHERE


def test_what_is_configured_leaves_less_room(tmp_path: Path) -> None:
    bare = room(Settings(state=tmp_path))
    bank = room(Settings(state=tmp_path, bot=Bot(memory_bank=tmp_path / "bank")))
    store = room(Settings(state=tmp_path, storage=(Store("a", tmp_path),)))
    assert (bare, bare - bank, bare - store) == (2_000 - demand.ALWAYS.most, demand.BANK.most, demand.STORE.most)
    assert room(Settings(state=tmp_path, limits=Limits(series=200))) == 0
